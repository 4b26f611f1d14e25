/// The server's side of a TLS connection. The first byte says what the rest is:
///
///   c   a client's handshake, of which some bytes are changed: version, (place, place, change)*
///   o   version, a piece size, then what comes over the wire to a session that is open
///   …   anything else: a piece size, then what comes over the wire to a new session
///
/// However the bytes are split, the session ends in the same way; nothing that no client has sealed
/// is read as data; a session that has ended says why, and says and takes nothing more.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringcast/base/assert.h"
#include "ringcast/tls/session.h"

#include "tls_client.h"

namespace {

using namespace ringcast;
using namespace ringcast::tls;
using namespace ringcast::tls::test;

constexpr std::size_t kOutputBytesMax = 16 * 1024;  // a flight with two small certificates

std::uint8_t take(std::string_view& bytes) {
  if (bytes.empty()) return 0;
  const auto value = static_cast<std::uint8_t>(bytes.front());
  bytes.remove_prefix(1);
  return value;
}

int version_of(std::uint8_t byte) {
  return byte % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

void check(const Session& session) {
  const bool failed = session.state() == SessionState::failed;
  RC_ASSERT(failed == (session.fault() != SessionFault::none));
  RC_ASSERT(failed == !session.reason().empty());
  RC_ASSERT(session.state() == SessionState::open || session.state() == SessionState::closed ||
            session.version().empty());
}

/// What a session has ended with does not change.
void check_end(Session& session) {
  check(session);
  RC_ASSERT(session.take_output().size() <= kOutputBytesMax);
  if (session.state() == SessionState::open || session.state() == SessionState::handshaking) return;
  const SessionState before = session.state();
  std::string plaintext;
  RC_ASSERT(session.feed("\x16\x03\x03", plaintext) == before);
  RC_ASSERT(!session.write("x") && plaintext.empty() && !session.has_output());
  RecordCipher cipher;
  RC_ASSERT(!session.take_over(cipher));
}

std::string feed(Session& session, std::string_view wire, std::size_t piece_bytes) {
  std::string plaintext;
  for (; !wire.empty(); wire.remove_prefix(std::min(piece_bytes, wire.size()))) {
    const SessionState state = session.feed(wire.substr(0, piece_bytes), plaintext);
    RC_ASSERT(state == session.state());
    check(session);
  }
  return plaintext;
}

void to_a_new_session(std::string_view input) {
  const std::size_t piece_bytes = std::size_t{take(input)} + 1;
  Session split(common_context());
  Session whole(common_context());
  RC_ASSERT(feed(split, input, piece_bytes).empty());
  RC_ASSERT(feed(whole, input, SIZE_MAX).empty());
  // To finish, it would have had to know what the server answers.
  RC_ASSERT(split.state() == SessionState::handshaking || split.state() == SessionState::failed);
  RC_ASSERT(split.state() == whole.state() && split.fault() == whole.fault() &&
            split.reason() == whole.reason());
  if (split.fault() == SessionFault::plain_http || split.fault() == SessionFault::not_tls) {
    RC_ASSERT(!split.has_output() && !whole.has_output());
  }
  check_end(split);
  check_end(whole);
}

void to_an_open_session(std::string_view input) {
  TlsClient client({.max_version = version_of(take(input))});
  const std::size_t piece_bytes = std::size_t{take(input)} + 1;
  Session session(common_context());
  RC_ASSERT(converse(client, session).empty() && session.state() == SessionState::open);
  RC_ASSERT(feed(session, input, piece_bytes).empty());
  RC_ASSERT(session.state() == SessionState::open || session.state() == SessionState::failed);
  if (session.state() == SessionState::open) {
    // All of it is the beginning of one record.
    const bool tls13 = session.version() == "TLSv1.3";
    RecordCipher cipher;
    const auto handover = session.take_over(cipher);
    RC_ASSERT(handover.has_value() == tls13);
    RC_ASSERT(!handover || handover->half_record == input);
  }
  check_end(session);
}

void with_changes(std::string_view input) {
  TlsClient client({.max_version = version_of(take(input))});
  Session session(common_context());
  std::string plaintext;
  // A client says at most twice something in a handshake, then its request.
  for (int flight = 0; flight < 3 && !client.failed(); ++flight) {
    if (client.connected() && session.state() == SessionState::open) client.write("request");
    std::string wire = client.take_output();
    for (int change = 0; change < 2 && !input.empty() && !wire.empty(); ++change) {
      const std::size_t high = take(input);
      const std::size_t place = high << 8 | take(input);
      wire[place % wire.size()] ^= static_cast<char>(take(input));
    }
    feed(session, wire, SIZE_MAX).swap(plaintext);
    RC_ASSERT(plaintext.empty() || plaintext == "request");
    client.feed(session.take_output());
  }
  check_end(session);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  switch (take(input)) {
    case 'c':
      with_changes(input);
      break;
    case 'o':
      to_an_open_session(input);
      break;
    default:
      to_a_new_session(input);
  }
  return 0;
}

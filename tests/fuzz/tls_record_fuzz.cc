/// Records as a peer may send them. The first byte says what the rest is:
///
///   s   a piece size, a suite, then what to seal with the peer's key: (what, length, content)*
///   …   anything else: a piece size and a suite, then bytes as they come over the wire
///
/// However the bytes are split, the same must be read of them; what is read as data must have been
/// sealed as data, in order; and whatever was read, we still write what the peer can read.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/tls/record_layer.h"

#include "record_peer.h"

namespace {

using namespace ringcast::tls;
using namespace ringcast::tls::test;

constexpr std::size_t kRecordsMax = 12;  // bounds the time of one input

/// Takes bytes off an input, zeros behind its end.
class Script {
 public:
  explicit Script(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint8_t next() {
    if (bytes_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(bytes_.front());
    bytes_ = bytes_.subspan(1);
    return value;
  }
  std::span<const std::byte> next(std::size_t count) {
    const auto taken = bytes_.first(std::min(count, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  std::span<const std::byte> rest() { return next(bytes_.size()); }

 private:
  std::span<const std::byte> bytes_;
};

struct Sealed {
  Bytes wire;
  Bytes data;  // of the records of application data
};

void append(Bytes& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

Sealed seal(Script& script, RecordPeer peer) {
  Sealed sealed;
  for (std::size_t i = 0; i < kRecordsMax && !script.empty(); ++i) {
    const std::uint8_t what = script.next();
    const std::uint8_t length = script.next();
    const std::size_t padding = std::size_t{what} / 8 * 7;
    switch (what % 8) {
      case 0: {
        const auto content = script.next(length);
        append(sealed.data, content);
        append(sealed.wire, peer.record(ContentType::application_data, content, padding));
        break;
      }
      case 1:
        append(sealed.wire, peer.record(ContentType::handshake, script.next(length), padding));
        break;
      case 2:
        append(sealed.wire, peer.record(ContentType::alert, script.next(length), padding));
        break;
      case 3: {
        // Any inner plaintext, which may well be data.
        const auto inner = script.next(length);
        auto content = inner;
        while (!content.empty() && content.back() == std::byte{0}) {
          content = content.first(content.size() - 1);
        }
        if (!content.empty() &&
            content.back() == static_cast<std::byte>(ContentType::application_data)) {
          append(sealed.data, content.first(content.size() - 1));
        }
        append(sealed.wire, peer.record_of(inner));
        break;
      }
      case 4:
        append(sealed.wire, peer.key_update(static_cast<UpdateRequest>(length % 2)));
        break;
      case 5:
        append(sealed.wire, script.next(length));
        break;
      case 6: {
        Bytes record = peer.record(ContentType::application_data, bytes_of("changed on the way"));
        record[length % record.size()] ^= std::byte{1};
        append(sealed.wire, record);
        break;
      }
      default:
        peer.skip_sequence();
    }
  }
  return sealed;
}

void check(CipherSuite suite, std::size_t piece_bytes, const Bytes& wire, const Bytes* data) {
  static RecordCipher cipher;
  const Takeover taken = takeover(suite);
  RecordLayer whole(cipher, taken);
  RecordLayer split(cipher, taken);
  const Heard heard = hear(whole, cipher, wire);
  RC_ASSERT(hear(split, cipher, wire, piece_bytes) == heard);
  RC_ASSERT(split.answer_due() == whole.answer_due());
  if (data != nullptr) {
    RC_ASSERT(heard.data.size() <= data->size());
    RC_ASSERT(std::equal(heard.data.begin(), heard.data.end(), data->begin()));
  }
  if (heard.end != Incoming::Kind::incomplete) {
    const Heard again = hear(whole, cipher, wire);
    RC_ASSERT(again.data.empty() && again.key_updates == 0 && again.handshakes == 0);
    RC_ASSERT((again.end == Incoming::Kind::refused) == (heard.end == Incoming::Kind::refused));
  }

  RecordLayer theirs(cipher, other_end(taken));
  const Bytes ours = joined({write(whole, cipher, "an event"), alert(whole, cipher, heard.alert)});
  const Heard answer = hear(theirs, cipher, ours);
  RC_ASSERT(answer.data == bytes_of("an event") && answer.alert == heard.alert);
  RC_ASSERT(answer.key_updates == (split.answer_due() ? 1U : 0U));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script script(std::as_bytes(std::span(data, size)));
  const bool sealing = script.next() == 's';
  const std::size_t piece_bytes = 1 + std::size_t{script.next()};
  const CipherSuite suite = kSuites[script.next() % kSuites.size()];
  if (sealing) {
    const Sealed sealed = seal(script, {suite, takeover(suite).read});
    check(suite, piece_bytes, sealed.wire, &sealed.data);
  } else {
    const auto wire = script.rest();
    check(suite, piece_bytes, {wire.begin(), wire.end()}, nullptr);
  }
  return 0;
}

#include "ringcast/tls/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "ringcast/base/assert.h"

#include "context_impl.h"
#include "openssl_error.h"

namespace ringcast::tls {
namespace {

using namespace std::string_view_literals;

constexpr char kHandshakeRecord = 22;        // RFC 8446 appendix B.1
constexpr char kApplicationDataRecord = 23;  // likewise; under TLS 1.3 all that is encrypted
// TLS 1.2 allows so much above the plaintext (RFC 5246 section 6.2.3), TLS 1.3 less.
constexpr std::size_t kBodyBytesMax = kPlaintextBytesMax + 2048;

/// Of a record, header included, of which at least the header is there.
std::size_t record_bytes(std::string_view front) {
  return kHeaderBytes + (std::size_t{static_cast<unsigned char>(front[3])} << 8 |
                         static_cast<unsigned char>(front[4]));
}

/// The beginnings of what an HTTP client says, as long as the header of a record.
constexpr std::array kHttpFronts = {"GET "sv,  "POST "sv, "HEAD "sv, "PUT "sv,  "OPTIO"sv,
                                    "DELET"sv, "PATCH"sv, "TRACE"sv, "CONNE"sv, "PRI *"sv};

int nibble(char c) {
  return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/// Returns the rest behind `label`, a space, the client's random and a space; empty when `line`
/// has another label.
std::string_view secret_in_hex(std::string_view line, std::string_view label) {
  if (!line.starts_with(label) || line.size() <= label.size() || line[label.size()] != ' ') {
    return {};
  }
  return line.substr(line.rfind(' ') + 1);
}

}  // namespace

/// What OpenSSL calls while the session runs it.
struct Session::Callbacks {
  static Session& session_of(BIO* bio) { return *static_cast<Session*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, std::size_t size, std::size_t* taken) {
    Session& session = session_of(bio);
    BIO_clear_retry_flags(bio);
    *taken = std::min(size, session.incoming_.size());
    if (*taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::copy_n(session.incoming_.begin(), *taken, out);
    session.incoming_.remove_prefix(*taken);
    return 1;
  }

  static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
    session_of(bio).output_.append(bytes, size);
    *written = size;
    return 1;
  }

  static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static BIO_METHOD* bio_method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* const made =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session's own buffers");
      RC_ASSERT(made != nullptr);
      BIO_meth_set_read_ex(made, read);
      BIO_meth_set_write_ex(made, write);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    return method;
  }

  /// A line of the NSS key log. OpenSSL writes it when the direction goes over to the secret, so
  /// the records that follow are those under it.
  static void on_secret(const SSL* ssl, const char* line) {
    auto& session = *static_cast<Session*>(SSL_get_app_data(ssl));
    Direction* direction = nullptr;
    std::string_view hex = secret_in_hex(line, "SERVER_TRAFFIC_SECRET_0");
    if (!hex.empty()) direction = &session.write_;
    if (hex.empty()) {
      hex = secret_in_hex(line, "CLIENT_TRAFFIC_SECRET_0");
      if (!hex.empty()) direction = &session.read_;
    }
    if (direction == nullptr) return;
    TrafficSecret& secret = direction->secret;
    RC_ASSERT(hex.size() % 2 == 0 && hex.size() / 2 <= secret.bytes.size());
    secret.size = static_cast<std::uint8_t>(hex.size() / 2);
    secret.sequence = 0;
    for (std::size_t i = 0; i < secret.size; ++i) {
      secret.bytes[i] = static_cast<std::byte>(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    }
  }

  static void on_message(int writing, int /*version*/, int type, const void* bytes,
                         std::size_t size, SSL* ssl, void* /*unused*/) {
    auto& session = *static_cast<Session*>(SSL_get_app_data(ssl));
    if (size == 0) return;
    const char first = *static_cast<const char*>(bytes);
    Direction& direction = writing != 0 ? session.write_ : session.read_;
    if (type == SSL3_RT_HEADER && first == kApplicationDataRecord) {
      ++direction.secret.sequence;
    } else if (type == SSL3_RT_HANDSHAKE && first == SSL3_MT_KEY_UPDATE) {
      // Told after the record that it came in was counted, under the old key still.
      ++direction.key_updates;
      direction.secret.sequence = 0;
    } else if (type == SSL3_RT_ALERT && writing != 0 && size == 2 &&
               static_cast<const unsigned char*>(bytes)[1] == SSL_AD_NO_RENEGOTIATION) {
      session.renegotiates_ = true;
    }
  }
};

void observe_sessions(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, Session::Callbacks::on_secret);
  SSL_CTX_set_msg_callback(context, Session::Callbacks::on_message);
}

std::string_view to_string(SessionFault fault) {
  switch (fault) {
    case SessionFault::none:
      return "none";
    case SessionFault::plain_http:
      return "plain HTTP";
    case SessionFault::not_tls:
      return "not TLS";
    case SessionFault::no_agreement:
      return "no agreement";
    case SessionFault::refused_by_client:
      return "refused by the client";
    case SessionFault::protocol:
      return "protocol";
  }
  return {};
}

void Session::SslFree::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

Session::Session(std::shared_ptr<const Context> context, const SessionLimits& limits)
    : limits_(limits), context_(std::move(context)), ssl_(SSL_new(context_->impl().fallback)) {
  RC_ASSERT(ssl_ != nullptr);
  RC_ASSERT(SSL_set_app_data(ssl_.get(), this) == 1);
  BIO* const bio = BIO_new(Callbacks::bio_method());
  RC_ASSERT(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // takes the one reference for both
  SSL_set_accept_state(ssl_.get());
}

Session::~Session() = default;

SessionState Session::feed(std::string_view bytes, std::string& plaintext) {
  while (live() && !bytes.empty()) {
    // Of a whole record nothing is copied.
    if (partial_.empty() && sniffed_ && bytes.size() >= kHeaderBytes &&
        bytes.size() >= record_bytes(bytes)) {
      const std::size_t whole = record_bytes(bytes);
      process(bytes.substr(0, whole), plaintext);
      bytes.remove_prefix(whole);
      continue;
    }
    const std::size_t wanted =
        partial_.size() < kHeaderBytes ? kHeaderBytes : record_bytes(partial_);
    const std::size_t taken = std::min(wanted - partial_.size(), bytes.size());
    partial_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    if (!sniffed_) sniff(partial_);
    if (!live() || partial_.size() < kHeaderBytes) continue;
    // A length that cannot be is not waited for: OpenSSL looks at the header and refuses it.
    const std::size_t whole = record_bytes(partial_);
    if (partial_.size() < whole && whole <= kHeaderBytes + kBodyBytesMax) continue;
    const std::string record = std::exchange(partial_, {});
    process(record, plaintext);
  }
  return state_;
}

/// Looks at the first bytes of the connection: OpenSSL would only see a broken record.
void Session::sniff(std::string_view front) {
  if (front.front() == kHandshakeRecord) {
    sniffed_ = true;
    return;
  }
  for (const std::string_view http : kHttpFronts) {
    const std::size_t size = std::min(front.size(), http.size());
    if (front.substr(0, size) != http.substr(0, size)) continue;
    if (size == http.size()) {
      fail(SessionFault::plain_http, "plain HTTP on a port for TLS");
    }
    return;  // or wait for more
  }
  fail(SessionFault::not_tls, "what the client sends is not TLS");
}

void Session::process(std::string_view record, std::string& plaintext) {
  if (state_ == SessionState::handshaking) {
    handshake_bytes_ += static_cast<std::uint32_t>(record.size());
    if (handshake_bytes_ > limits_.handshake_bytes) {
      fail(SessionFault::protocol, "the handshake is too long");
      return;
    }
  }
  incoming_ = record;
  read_all(plaintext);
  incoming_ = {};
  if (!live()) return;
  if (state_ == SessionState::handshaking && finished()) {
    state_ = SessionState::open;
  }
  // Each costs us something and the client next to nothing, and no client needs them.
  if (renegotiates_) fail(SessionFault::protocol, "the client asks for a renegotiation");
  if (read_.key_updates > limits_.key_updates) {
    fail(SessionFault::protocol, "the client changes its key too often");
  }
}

void Session::read_all(std::string& plaintext) {
  std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  ERR_clear_error();
  for (;;) {
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size);
    if (result == 1) {
      plaintext.append(buffer.data(), size);
      continue;
    }
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        RC_DEBUG_ASSERT(incoming_.empty());
        return;
      case SSL_ERROR_ZERO_RETURN:
        state_ = SessionState::closed;
        return;
      default: {
        auto [fault, reason] = take_failure();
        fail(fault, std::move(reason));
        return;
      }
    }
  }
}

void Session::fail(SessionFault fault, std::string reason) {
  state_ = SessionState::failed;
  fault_ = fault;
  reason_ = std::move(reason);
}

bool Session::write(std::string_view plaintext) {
  if (state_ != SessionState::open) return false;
  while (!plaintext.empty()) {
    if (write_.secret.sequence >= limits_.records_per_key) {
      if (SSL_version(ssl_.get()) != TLS1_3_VERSION) {
        close();
        return false;
      }
      // Leaves with what is written next.
      SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    }
    const std::string_view part = plaintext.substr(0, kPlaintextBytesMax);
    std::size_t written = 0;
    ERR_clear_error();
    if (SSL_write_ex(ssl_.get(), part.data(), part.size(), &written) != 1) {
      auto [fault, reason] = take_failure();
      fail(fault, std::move(reason));
      return false;
    }
    plaintext.remove_prefix(written);
  }
  return true;
}

void Session::close() {
  if (state_ != SessionState::open && state_ != SessionState::closed) return;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());  // the first call alone writes
  ERR_clear_error();
  state_ = SessionState::closed;
}

std::string Session::take_output() {
  return std::exchange(output_, {});
}

std::string_view Session::version() const {
  return finished() ? SSL_get_version(ssl_.get()) : ""sv;
}

std::string_view Session::cipher() const {
  return finished() ? SSL_get_cipher_name(ssl_.get()) : ""sv;
}

bool Session::finished() const {
  return ssl_ != nullptr && SSL_is_init_finished(ssl_.get()) == 1;
}

bool Session::resumed() const {
  return finished() && SSL_session_reused(ssl_.get()) == 1;
}

bool Session::can_be_taken_over() const {
  if (state_ != SessionState::open) return false;
  // Under TLS 1.2 OpenSSL tells no such secrets.
  if (write_.secret.size == 0 || read_.secret.size == 0) return false;
  // Such a client breaks off at a longer record, and the record layer writes long ones.
  const SSL_SESSION* const agreed = SSL_get_session(ssl_.get());
  if (SSL_SESSION_get_max_fragment_length(agreed) != TLSEXT_max_fragment_length_DISABLED) {
    return false;
  }
  return SSL_pending(ssl_.get()) == 0;
}

/// Puts the answer to a KeyUpdate into the output. OpenSSL waits for something to write after it,
/// but it must come before our next record (RFC 8446 section 4.6.3), which will be another's.
bool Session::answer_key_update() {
  if (SSL_get_key_update_type(ssl_.get()) == SSL_KEY_UPDATE_NONE) return true;
  ERR_clear_error();
  if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
      SSL_do_handshake(ssl_.get()) == 1) {
    return true;
  }
  auto [fault, reason] = take_failure();
  fail(fault, std::move(reason));
  return false;
}

/// Brings the secret to that of the present key (RFC 8446 section 7.2).
bool Session::catch_up(RecordCipher& cipher, CipherSuite suite, Direction& direction) {
  for (; direction.key_updates > 0; --direction.key_updates) {
    TrafficSecret next = direction.secret;
    const std::size_t size = direction.secret.size;
    if (!cipher.expand_label(suite, std::span(direction.secret.bytes).first(size), "traffic upd",
                             std::span(next.bytes).first(size))) {
      return false;
    }
    direction.secret = next;
  }
  return true;
}

std::optional<Session::Handover> Session::take_over(RecordCipher& cipher) {
  if (!can_be_taken_over() || !answer_key_update()) return std::nullopt;
  const auto suite =
      static_cast<CipherSuite>(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl_.get())));
  RC_ASSERT(write_.secret.size == secret_bytes(suite) && read_.secret.size == secret_bytes(suite));
  Handover handover;
  const bool good = catch_up(cipher, suite, write_) && catch_up(cipher, suite, read_);
  if (good) {
    handover.keys = {.suite = suite, .write = write_.secret, .read = read_.secret};
    handover.half_record = std::exchange(partial_, {});
  }
  // Even if it failed: the sequence numbers are told no more.
  write_ = {};
  read_ = {};
  ssl_.reset();
  context_.reset();
  if (!good) {
    fail(SessionFault::protocol, "OpenSSL cannot derive the next key");
    return std::nullopt;
  }
  state_ = SessionState::taken_over;
  return handover;
}

}  // namespace ringcast::tls

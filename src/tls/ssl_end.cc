#include "ssl_end.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls {
namespace {

using namespace std::string_view_literals;

constexpr char kApplicationDataRecord = 23;  // RFC 8446 appendix B.1; all that is encrypted
// TLS 1.2 allows so much above the plaintext (RFC 5246 section 6.2.3), TLS 1.3 less.
constexpr std::size_t kBodyBytesMax = kPlaintextBytesMax + 2048;

/// Of a record, header included, of which at least the header is there.
std::size_t record_bytes(std::string_view front) {
  return kHeaderBytes + (std::size_t{static_cast<unsigned char>(front[3])} << 8 |
                         static_cast<unsigned char>(front[4]));
}

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

/// What OpenSSL calls while an end runs it.
struct SslEnd::Callbacks {
  static SslEnd& end_of(BIO* bio) { return *static_cast<SslEnd*>(BIO_get_data(bio)); }
  static SslEnd& end_of(const SSL* ssl) { return *static_cast<SslEnd*>(SSL_get_app_data(ssl)); }

  static int read(BIO* bio, char* out, std::size_t size, std::size_t* taken) {
    SslEnd& end = end_of(bio);
    BIO_clear_retry_flags(bio);
    *taken = std::min(size, end.incoming_.size());
    if (*taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::copy_n(end.incoming_.begin(), *taken, out);
    end.incoming_.remove_prefix(*taken);
    return 1;
  }

  static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
    end_of(bio).output_.append(bytes, size);
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
    SslEnd& end = end_of(ssl);
    const bool server = end.side_ == Side::server;
    Direction* direction = nullptr;
    std::string_view hex = secret_in_hex(line, "SERVER_TRAFFIC_SECRET_0");
    if (!hex.empty()) direction = server ? &end.write_ : &end.read_;
    if (hex.empty()) {
      hex = secret_in_hex(line, "CLIENT_TRAFFIC_SECRET_0");
      if (!hex.empty()) direction = server ? &end.read_ : &end.write_;
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
    SslEnd& end = end_of(ssl);
    if (size == 0) return;
    const char first = *static_cast<const char*>(bytes);
    Direction& direction = writing != 0 ? end.write_ : end.read_;
    if (type == SSL3_RT_HEADER && first == kApplicationDataRecord) {
      ++direction.secret.sequence;
    } else if (type == SSL3_RT_HANDSHAKE && first == SSL3_MT_KEY_UPDATE) {
      // Told after the record that it came in was counted, under the old key still.
      ++direction.key_updates;
      direction.secret.sequence = 0;
    } else if (type == SSL3_RT_ALERT && writing != 0 && size == 2 &&
               static_cast<const unsigned char*>(bytes)[1] == SSL_AD_NO_RENEGOTIATION) {
      end.refused_renegotiation_ = true;
    }
  }
};

void SslEnd::observe(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, Callbacks::on_secret);
  SSL_CTX_set_msg_callback(context, Callbacks::on_message);
}

SslEnd::SslEnd(SSL_CTX* context, Side side) : side_(side), ssl_(SSL_new(context)) {
  RC_ASSERT(ssl_ != nullptr);
  RC_ASSERT(SSL_set_app_data(ssl_.get(), this) == 1);
  BIO* const bio = BIO_new(Callbacks::bio_method());
  RC_ASSERT(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // takes the one reference for both
  if (side == Side::server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

SslEnd::~SslEnd() = default;

// Incoming

std::string SslEnd::front(std::string_view bytes) const {
  std::string out = partial_.substr(0, kHeaderBytes);
  out += bytes.substr(0, kHeaderBytes - out.size());
  return out;
}

std::optional<std::string_view> SslEnd::take_record(std::string_view& bytes) {
  if (partial_.empty() && bytes.size() >= kHeaderBytes && bytes.size() >= record_bytes(bytes)) {
    const std::string_view record = bytes.substr(0, record_bytes(bytes));
    bytes.remove_prefix(record.size());
    return record;
  }
  while (!bytes.empty()) {
    const std::size_t wanted =
        partial_.size() < kHeaderBytes ? kHeaderBytes : record_bytes(partial_);
    const std::size_t taken = std::min(wanted - partial_.size(), bytes.size());
    partial_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    if (partial_.size() < kHeaderBytes) continue;
    // A length that cannot be is not waited for: OpenSSL looks at the header and refuses it.
    const std::size_t whole = record_bytes(partial_);
    if (partial_.size() < whole && whole <= kHeaderBytes + kBodyBytesMax) continue;
    completed_ = std::exchange(partial_, {});
    return completed_;
  }
  return std::nullopt;
}

SslEnd::Read SslEnd::read(std::string_view record, std::string& plaintext) {
  std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  incoming_ = record;
  ERR_clear_error();
  for (;;) {
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size);
    if (result == 1) {
      plaintext.append(buffer.data(), size);
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), result);
    RC_DEBUG_ASSERT(error != SSL_ERROR_WANT_READ || incoming_.empty());
    incoming_ = {};
    completed_ = std::string();  // with its memory, which a long life would keep
    if (error == SSL_ERROR_WANT_READ) return Read::good;
    return error == SSL_ERROR_ZERO_RETURN ? Read::closed : Read::failed;
  }
}

// Outgoing

bool SslEnd::begin_handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 || SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ;
}

SslEnd::Written SslEnd::write(std::string_view plaintext, std::uint64_t records_per_key) {
  while (!plaintext.empty()) {
    if (write_.secret.sequence >= records_per_key) {
      if (SSL_version(ssl_.get()) != TLS1_3_VERSION) return Written::key_used_up;
      // Leaves with what is written next.
      SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    }
    const std::string_view part = plaintext.substr(0, kPlaintextBytesMax);
    std::size_t written = 0;
    ERR_clear_error();
    if (SSL_write_ex(ssl_.get(), part.data(), part.size(), &written) != 1) return Written::failed;
    plaintext.remove_prefix(written);
  }
  return Written::good;
}

void SslEnd::shutdown() {
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());  // the first call alone writes
  ERR_clear_error();
}

std::string SslEnd::take_output() {
  return std::exchange(output_, {});
}

// Questions

bool SslEnd::finished() const {
  return ssl_ != nullptr && SSL_is_init_finished(ssl_.get()) == 1;
}

bool SslEnd::resumed() const {
  return finished() && SSL_session_reused(ssl_.get()) == 1;
}

std::string_view SslEnd::version() const {
  return finished() ? SSL_get_version(ssl_.get()) : ""sv;
}

std::string_view SslEnd::cipher() const {
  return finished() ? SSL_get_cipher_name(ssl_.get()) : ""sv;
}

// Taking over

bool SslEnd::can_be_taken_over() const {
  if (!finished()) return false;
  // Under TLS 1.2 OpenSSL tells no such secrets.
  if (write_.secret.size == 0 || read_.secret.size == 0) return false;
  // Such a client breaks off at a longer record, and the record layer writes long ones.
  const SSL_SESSION* const agreed = SSL_get_session(ssl_.get());
  if (SSL_SESSION_get_max_fragment_length(agreed) != TLSEXT_max_fragment_length_DISABLED) {
    return false;
  }
  return SSL_pending(ssl_.get()) == 0;
}

/// OpenSSL waits for something to write after it, but it must come before our next record (RFC 8446
/// section 4.6.3), which will be another's.
bool SslEnd::answer_key_update() {
  if (SSL_get_key_update_type(ssl_.get()) == SSL_KEY_UPDATE_NONE) return true;
  ERR_clear_error();
  return SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
         SSL_do_handshake(ssl_.get()) == 1;
}

/// Brings the secret to that of the present key (RFC 8446 section 7.2).
bool SslEnd::catch_up(RecordCipher& cipher, CipherSuite suite, Direction& direction) {
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

std::optional<Handover> SslEnd::hand_over(RecordCipher& cipher) {
  const auto suite =
      static_cast<CipherSuite>(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl_.get())));
  RC_ASSERT(write_.secret.size == secret_bytes(suite) && read_.secret.size == secret_bytes(suite));
  std::optional<Handover> handover;
  if (catch_up(cipher, suite, write_) && catch_up(cipher, suite, read_)) {
    handover.emplace();
    handover->keys = {.suite = suite, .write = write_.secret, .read = read_.secret};
    handover->half_record = std::exchange(partial_, {});
  }
  // Even if it failed: the sequence numbers are told no more.
  write_ = {};
  read_ = {};
  ssl_.reset();
  return handover;
}

}  // namespace ringcast::tls

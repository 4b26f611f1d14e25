#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ringcast/tls/client_session.h"
#include "ringcast/tls/half_record.h"
#include "ringcast/tls/record_layer.h"

#include "load/histogram.h"

namespace ringcast::load {

/// What came of TLS on some streams.
struct TlsReport {
  std::uint64_t handshakes = 0;
  std::uint64_t resumed = 0;     ///< of them
  std::uint64_t taken_over = 0;  ///< of them: their streams went on without OpenSSL's object
  Histogram handshake;           ///< ns, from the beginning of the connection, TCP's included
  std::map<std::string, std::uint64_t> failures;  ///< by reason
  std::string version;                            ///< of the last handshake, and its cipher suite
  std::string cipher;

  void merge(const TlsReport& other);
  [[nodiscard]] std::uint64_t failed() const;
};

/// The TLS of a thread's streams.
///
///   begin ─► handshake ─► opened: the request is written ─► head is read ─┬─TLS 1.3─► records
///            OpenSSL, some 30 KB                                          └─TLS 1.2─► OpenSSL
///            stays
///
/// Memory for each stream: 232 bytes, and the front of a record whose rest has not arrived. As
/// events are short, the key is kept: deriving it takes longer than opening one.
///
/// Threads: one.
class TlsStreams {
 public:
  explicit TlsStreams(std::uint32_t count) : streams_(count) {}

  /// Begins a connection. What is to be sent first stays until the stream is fed or ends.
  [[nodiscard]] std::string_view begin(std::uint32_t stream,
                                       std::shared_ptr<const tls::ClientContext> context);
  /// Whether it has begun, and has not ended.
  [[nodiscard]] bool has(std::uint32_t stream) const {
    return streams_[stream].opening != nullptr || streams_[stream].has_layer;
  }

  enum class Outcome : std::uint8_t {
    going_on,
    opened,  ///< the handshake is over: now write the request
    ended,   ///< by the server's close_notify
    failed,  ///< see `failure`
  };
  /// Takes what the server has sent and hands over what it says, with `on_plaintext(string_view)`,
  /// any number of times.
  template <class OnPlaintext>
  [[nodiscard]] Outcome feed(std::uint32_t stream, std::string_view bytes,
                             OnPlaintext&& on_plaintext) {
    if (streams_[stream].has_layer) return read_records(stream, bytes, on_plaintext);
    plaintext_.clear();
    const Outcome outcome = feed_session(*streams_[stream].opening, bytes);
    if (!plaintext_.empty()) on_plaintext(std::string_view{plaintext_});
    return outcome;
  }
  void write(std::uint32_t stream, std::string_view plaintext);

  /// What is to be sent now; empty while the last is under way. Stays until `sent`.
  [[nodiscard]] std::string_view take_output(std::uint32_t stream);
  [[nodiscard]] bool is_sending(std::uint32_t stream) const;
  /// The output has left, or never will. Returns what `end_when_sent` was told.
  [[nodiscard]] std::optional<std::int32_t> sent(std::uint32_t stream);
  void end_when_sent(std::uint32_t stream, std::int32_t error);

  /// The response head has been read: what is not needed for the stream is freed, if it can be and
  /// nothing is being sent.
  void settle(std::uint32_t stream);

  struct Failure {
    std::string reason;  ///< empty: none
    bool hopeless;       ///< another attempt would end in the same way
  };
  [[nodiscard]] Failure failure(std::uint32_t stream) const;

  /// Forgets the connection. `was_cut` if the other end or the network ended it.
  void end(std::uint32_t stream, bool was_cut);

  [[nodiscard]] const TlsReport& report() const { return report_; }

 private:
  /// What a stream has until it is taken over, and under TLS 1.2 until its end.
  struct Opening {
    explicit Opening(std::shared_ptr<const tls::ClientContext> context)
        : session(std::move(context)) {}

    tls::ClientSession session;
    std::string in_flight;
    std::uint64_t began_ns = 0;
    bool sending = false;
    std::optional<std::int32_t> ended;
  };
  struct Stream {
    std::unique_ptr<Opening> opening;
    bool has_layer = false;
    bool has_half = false;  ///< in halves_
    tls::ReadKey key;
    tls::RecordLayer layer;
  };
  static_assert(sizeof(Stream) <= 232, "one for each stream");

  [[nodiscard]] Outcome feed_session(Opening& opening, std::string_view bytes);
  [[nodiscard]] Outcome fail(std::uint32_t stream, std::string reason);
  [[nodiscard]] tls::HalfRecord take_half(std::uint32_t stream);
  void keep_half(std::uint32_t stream, tls::HalfRecord half);

  template <class OnPlaintext>
  Outcome read_records(std::uint32_t stream, std::string_view bytes, OnPlaintext&& on_plaintext) {
    using Kind = tls::Incoming::Kind;
    Stream& self = streams_[stream];
    tls::HalfRecord half = take_half(stream);
    std::span<const std::byte> input = std::as_bytes(std::span{bytes});
    while (true) {
      const tls::Incoming incoming = self.layer.read(cipher_, half, input, &self.key);
      switch (incoming.kind) {
        case Kind::application_data:
          on_plaintext(std::string_view{reinterpret_cast<const char*>(incoming.plaintext.data()),
                                        incoming.plaintext.size()});
          break;
        case Kind::handshake:   // a ticket that comes late
        case Kind::key_update:  // an answer would be due before data of ours, and there is none
          break;
        case Kind::incomplete:
          if (!half.empty()) keep_half(stream, std::move(half));
          return Outcome::going_on;
        case Kind::close_notify:
          return Outcome::ended;
        case Kind::alert:
          return fail(stream, "the server ended a stream with alert " +
                                  std::to_string(static_cast<unsigned>(incoming.alert)));
        case Kind::refused:
          return fail(stream, "a record of a stream is not what may come there (alert " +
                                  std::to_string(static_cast<unsigned>(incoming.alert)) + ")");
      }
    }
  }

  std::vector<Stream> streams_;
  std::unordered_map<std::uint32_t, tls::HalfRecord> halves_;
  std::unordered_map<std::uint32_t, std::string> record_failures_;  ///< after the takeover
  tls::RecordCipher cipher_;
  std::string plaintext_;
  TlsReport report_;
};

}  // namespace ringcast::load

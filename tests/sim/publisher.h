#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "channel.h"
#include "network.h"
#include "response_reader.h"
#include "rules.h"

namespace ringcast::sim {

/// A client that keeps one connection alive, publishes and asks for other things on it, several at
/// once, and checks each answer. When the connection ends, what was not answered is unknown, and
/// that is only right if the server had a reason.
class Publisher final : public ClientSide, public ResponseSink {
 public:
  Publisher(Rules& rules, Network& network, std::uint32_t number,
            const std::optional<TlsKind>& tls);

  void open(int listener, const Line& line);
  [[nodiscard]] bool secure() const { return tls_.has_value(); }
  [[nodiscard]] bool connected() const { return connection_ != nullptr; }
  [[nodiscard]] bool idle() const { return outstanding_.empty(); }

  void publish(Publication& publication);
  /// Asks for something that is no stream and publishes nothing.
  void ask();
  /// Sends less than a head, and waits: the server must lose patience.
  void dawdle();
  /// The last request is sent; the answers are still read.
  void half_close();
  void reset();
  /// Does something that only a client under TLS can do.
  void fidget();

  void check_answered();
  /// A connection that says nothing, or half a head, is not kept for ever.
  void check_deadline();

  void on_bytes(std::string_view bytes) override;
  void on_end(bool clean) override;
  void on_head(const ResponseHead& head) override;
  void on_body(std::string_view bytes) override;
  void on_message_end() override;
  void on_malformed(const std::string& why) override;

 private:
  struct Outstanding {
    Publication* publication = nullptr;
    std::vector<int> statuses;
    std::uint64_t end = 0;  ///< of the request, counted in bytes since the connection began
    bool head_only = false;
    bool after_pause = false;  ///< the server may have ended the idle connection meanwhile
  };

  [[nodiscard]] bool says_no_more() const;
  void send(std::string text, Outstanding request);
  void forget();
  void fail(const std::string& what);

  Rules& rules_;
  World& world_;
  Channel channel_;
  std::uint32_t number_;
  std::optional<TlsKind> tls_;

  Connection* connection_ = nullptr;
  std::optional<ResponseReader> reader_;
  std::deque<Outstanding> outstanding_;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t answers_ = 0;  // on this connection
  bool told_to_close_ = false;
  bool half_closed_ = false;
  bool dawdles_ = false;
  std::uint64_t dawdles_since_ns_ = 0;
  std::string body_;
  int status_ = 0;
  std::optional<EventId> newest_;  // acknowledged on this connection
};

}  // namespace ringcast::sim

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>

#include "load/http_link.h"
#include "load/publisher.h"

namespace ringcast::load {

/// What is known of a response so far.
struct ResponseProgress {
  enum class State : std::uint8_t { incomplete, complete, malformed };
  State state = State::incomplete;
  std::uint16_t status = 0;
  bool closes = false;    ///< the connection ends after it
  std::size_t bytes = 0;  ///< of the whole response, when complete
  std::size_t body_at = 0;
};

/// Reads the response at the front of `bytes`; its body has a Content-Length, is chunked or is
/// absent (RFC 9112 section 6.3).
[[nodiscard]] ResponseProgress read_response(std::string_view bytes);

/// Publishes with POST over keep-alive connections without pipelining, with TLS if the URL says so.
/// Without a rate a lane sends when the last answer has come.
///
/// `503` and `429` mean "not now" and are sent again; any other refusal fails the run. So does a
/// connection that ends before the answer: nobody knows then whether the event counts.
class HttpPublisher : public Publisher {
 public:
  HttpPublisher(const Plan& plan, const Traffic& traffic, RunState& state)
      : Publisher(plan, traffic, state) {}

  void run() override;
  [[nodiscard]] std::vector<std::uint64_t> published() const override;

 private:
  struct Lane {
    HttpLink link;
    bool waiting = false;  ///< for an answer
    bool leads = false;    ///< what waits, or is to be sent, is the event that does not count
    std::uint64_t events = 0;
    std::uint64_t next = 0;  ///< its sequence number
    std::uint64_t due_ns = 0;
    std::string response;
  };

  [[nodiscard]] bool connect_lane(Lane& lane);
  /// The number of the lane's next event in the traffic.
  [[nodiscard]] std::uint64_t next_of(std::size_t lane) const {
    return lanes_[lane].next * lanes_.size() + lane;
  }
  void look_at_state(std::uint64_t now_ns);
  void send_due(std::size_t lane, std::uint64_t now_ns);
  [[nodiscard]] std::string request_of(std::size_t lane, const Stamp& stamp,
                                       const std::string& topic) const;
  void write_some(Lane& lane);
  void read_some(Lane& lane);
  void answered(Lane& lane, const ResponseProgress& response);
  void wait();

  std::vector<Lane> lanes_;
  std::vector<pollfd> polls_;
  bool lead_sent_ = false;
};

}  // namespace ringcast::load

#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "loopback_server.h"

namespace ringcast::load {

/// A server on loopback that keeps a log: a stream gets what follows its Last-Event-ID, then what
/// comes, of its topic and without one. IDs are no numbers.
class LogServer : public LoopbackServer {
 public:
  struct Behaviour {
    bool tells_position = true;  ///< first on each stream
    bool gives_ids = true;
    /// Whether the replay to the stream opened as `stream`-th (from 0) leaves out this event of the
    /// log (from 0).
    std::function<bool(std::size_t stream, std::size_t event)> loses =
        [](std::size_t, std::size_t) { return false; };
    bool replays_backwards = false;
  };
  /// What came, in order.
  struct Request {
    bool is_event = false;
    std::string id;     ///< Last-Event-ID
    std::string topic;  ///< of the event
    std::size_t streams_there = 0;
  };

  explicit LogServer(Behaviour behaviour) : behaviour_(std::move(behaviour)) { begin(); }
  LogServer() : LogServer(Behaviour{}) {}
  ~LogServer() override { end(); }
  LogServer(const LogServer&) = delete;
  LogServer& operator=(const LogServer&) = delete;

  /// Valid while nothing is connected.
  [[nodiscard]] const std::vector<Request>& requests() const { return requests_; }

  [[nodiscard]] static std::string id_of(std::size_t event) { return "e:" + std::to_string(event); }

 private:
  struct Event {
    std::string topic;
    std::string frame;
  };
  struct Stream {
    int connection;
    std::string topic;

    [[nodiscard]] bool gets(const Event& event) const {
      return event.topic.empty() || event.topic == topic;
    }
  };

  [[nodiscard]] std::size_t streams_there();
  void on_stream(int connection, const std::string& request) override;
  void on_event(const std::string& head, const std::string& data,
                const std::string& topic) override;

  Behaviour behaviour_;
  std::vector<Request> requests_;
  std::vector<Event> log_;
  std::vector<Stream> streams_;
  std::size_t opened_ = 0;
};

}  // namespace ringcast::load

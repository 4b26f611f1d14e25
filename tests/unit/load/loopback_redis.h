#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <hiredis/hiredis.h>

namespace ringcast::load {

/// What a Redis on loopback does with SUBSCRIBE and PUBLISH, and with nothing else. It lets a test
/// say which messages go to the subscribers.
class LoopbackRedis {
 public:
  /// Given message `number` (from 0) of the run: what is sent on. The default: the message, once.
  using OnMessage =
      std::function<std::vector<std::string>(std::uint64_t number, const std::string& message)>;

  /// `refusal`: what PUBLISH is answered with, if it is not empty; its first word is the code.
  explicit LoopbackRedis(OnMessage on_message = {}, std::string refusal = {});
  ~LoopbackRedis();
  LoopbackRedis(const LoopbackRedis&) = delete;
  LoopbackRedis& operator=(const LoopbackRedis&) = delete;

  /// `redis://127.0.0.1:PORT`
  [[nodiscard]] const std::string& url() const { return url_; }
  /// Most commands that one read brought. Valid while nothing is connected.
  [[nodiscard]] std::uint64_t pipelined_max() const { return pipelined_max_; }

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  using Reader = std::unique_ptr<redisReader, FreeReader>;

  void serve();
  /// False when the connection has ended.
  bool read(int connection, redisReader& reader);
  void execute(int connection, const redisReply& command);

  OnMessage on_message_;
  std::string refusal_;
  std::string url_;
  int listener_ = -1;
  std::atomic<bool> ended_{false};
  std::map<int, Reader> connections_;
  std::map<int, std::string> subscribers_;  ///< connection → channel
  std::uint64_t messages_ = 0;
  std::atomic<std::uint64_t> pipelined_max_{0};
  std::thread thread_;
};

}  // namespace ringcast::load

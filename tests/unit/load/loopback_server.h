#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ringcast::load {

/// A server on loopback that lets a test say what streams get. One thread for each connection.
///
/// Threads: the two `on_` functions are called by any of them, one at a time.
class LoopbackServer {
 public:
  LoopbackServer();
  /// Ends all threads: call `end` in the destructor of the class that has the `on_` functions.
  virtual ~LoopbackServer() = default;
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  /// `http://127.0.0.1:PORT`
  [[nodiscard]] const std::string& base() const { return base_; }

 protected:
  void begin();
  void end();

  /// A request for a stream came. Answers with `write`.
  virtual void on_stream(int connection, const std::string& request) = 0;
  /// An event came: its head, its data and its topic, empty if it has none. It is answered with 204
  /// when this returns.
  virtual void on_event(const std::string& head, const std::string& data,
                        const std::string& topic) = 0;

  static void write(int connection, std::string_view bytes);
  static void write_head(int connection);
  /// What is written so far is the last.
  static void finish(int connection);
  /// The value of a header of the request; empty when it has none.
  static std::string header(const std::string& request, const std::string& name);

 private:
  void accept_all();
  void serve(int connection);

  std::string base_;
  int listener_ = -1;
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<int> connections_;
  std::vector<std::thread> threads_;
};

}  // namespace ringcast::load

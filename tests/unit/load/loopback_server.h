#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ringcast/tls/session.h"

namespace ringcast::load {

/// What a server speaks TLS with.
struct LoopbackTls {
  std::shared_ptr<const tls::Context> context;  ///< none: it does not
  tls::SessionLimits limits{};
  std::size_t piece_bytes = SIZE_MAX;  ///< of what is sent, so that records arrive in parts
};

/// A server on loopback that lets a test say what streams get. One thread for each connection.
///
/// Threads: the `on_` functions are called by any of them, one at a time.
class LoopbackServer {
 public:
  explicit LoopbackServer(LoopbackTls tls = {});
  /// Ends all threads: call `end` in the destructor of the class that has the `on_` functions.
  virtual ~LoopbackServer() = default;
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  /// `http[s]://127.0.0.1:PORT`
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
  /// Something was published; `head` ends with its last line. Unless overridden, the body is JSON
  /// that goes to `on_event`.
  virtual void on_publish(int connection, const std::string& head, const std::string& body);

  void write(int connection, std::string_view bytes);
  void write_head(int connection);
  /// What is written so far is the last; TLS says so too.
  void finish(int connection);
  /// As they are, in pieces.
  void send_bytes(int connection, std::string_view bytes) const;
  /// The value of a header of the request; empty when it has none.
  static std::string header(const std::string& request, const std::string& name);

 private:
  void accept_all();
  void serve(int connection);
  /// What `received` says: itself, or what TLS makes of it.
  [[nodiscard]] std::string read(int connection, std::string_view received);
  void send_output(int connection);

  LoopbackTls tls_;
  std::string base_;
  int listener_ = -1;
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<int> connections_;
  std::map<int, std::unique_ptr<tls::Session>> sessions_;  ///< with TLS, of each connection
  std::vector<std::thread> threads_;
};

}  // namespace ringcast::load

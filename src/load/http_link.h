#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ringcast/base/result.h"
#include "ringcast/tls/client_session.h"

#include "load/url.h"

namespace ringcast::load {

/// One connection to a server, with TLS if its URL says so.
///
/// Threads: one. Only `connect` blocks.
class HttpLink {
 public:
  HttpLink() = default;
  ~HttpLink();
  HttpLink(HttpLink&& other) noexcept;
  HttpLink& operator=(HttpLink&& other) = delete;

  /// Connects, shakes hands, and closes what was before. Gives a handshake 10 s.
  [[nodiscard]] Result<void> connect(const Url& url);

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool has_unsent() const { return sent_ < outgoing_.size(); }
  /// Adds to what is to be sent. False if TLS has ended.
  [[nodiscard]] bool write(std::string_view text);
  /// Sends what the kernel takes. If the connection has ended, reading tells what happened.
  [[nodiscard]] Result<void> send_some();

  enum class Read : std::uint8_t { good, ended };
  /// Appends what has arrived to `text`.
  [[nodiscard]] Read read_some(std::string& text);
  /// Why TLS ended the connection; empty if it did not.
  [[nodiscard]] std::string_view failure() const;

 private:
  [[nodiscard]] Result<void> shake_hands(const Url& url);
  void put_out();

  int descriptor_ = -1;
  std::unique_ptr<tls::ClientSession> session_;
  std::string outgoing_;
  std::size_t sent_ = 0;
};

}  // namespace ringcast::load

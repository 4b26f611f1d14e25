#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>

namespace ringcast::admin {

/// 127.0.0.1 or ::1 with a port, for AdminOptions and for connecting.
[[nodiscard]] sockaddr_storage loopback(std::uint16_t port, bool ipv6 = false);

/// A blocking loopback client of the tests; every wait ends after five seconds and fails the test.
class TestClient {
 public:
  explicit TestClient(std::uint16_t port, bool ipv6 = false);
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;
  ~TestClient();

  void send(std::string_view bytes) const;
  /// Everything up to the peer's end.
  [[nodiscard]] std::string read_to_end() const;
  /// Whether bytes or the peer's end arrive within the time.
  [[nodiscard]] bool readable_within_ms(int ms) const;

 private:
  int fd_;
};

struct TestResponse {
  int status = 0;
  std::string head;
  std::string body;
};

[[nodiscard]] TestResponse to_response(const std::string& bytes);

/// Sends one request on a connection of its own.
[[nodiscard]] TestResponse request(std::uint16_t port, std::string_view method,
                                   std::string_view path, bool ipv6 = false);

}  // namespace ringcast::admin

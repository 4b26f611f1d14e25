#include "http_client.h"

#include <array>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

namespace ringcast::admin {

sockaddr_storage loopback(std::uint16_t port, bool ipv6) {
  sockaddr_storage storage{};
  if (ipv6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    std::memcpy(&storage, &address, sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    std::memcpy(&storage, &address, sizeof address);
  }
  return storage;
}

TestClient::TestClient(std::uint16_t port, bool ipv6)
    : fd_(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_storage address = loopback(port, ipv6);
  const int result = connect(fd_, reinterpret_cast<const sockaddr*>(&address),
                             ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  EXPECT_EQ(result, 0) << std::strerror(errno);
}

TestClient::~TestClient() {
  close(fd_);
}

void TestClient::send(std::string_view bytes) const {
  EXPECT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
}

bool TestClient::readable_within_ms(int ms) const {
  pollfd wanted{fd_, POLLIN, 0};
  return poll(&wanted, 1, ms) == 1;
}

std::string TestClient::read_to_end() const {
  std::string all;
  std::array<char, 4096> part;
  while (true) {
    if (!readable_within_ms(5'000)) {
      ADD_FAILURE() << "the peer sent no end; so far: " << all;
      return all;
    }
    const ssize_t bytes = recv(fd_, part.data(), part.size(), 0);
    if (bytes < 0) ADD_FAILURE() << "the connection was reset after: " << all;
    if (bytes <= 0) return all;
    all.append(part.data(), static_cast<std::size_t>(bytes));
  }
}

TestResponse to_response(const std::string& bytes) {
  TestResponse response;
  const std::size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string::npos) return response;
  response.head = bytes.substr(0, head_end + 2);
  response.body = bytes.substr(head_end + 4);
  response.status = std::atoi(bytes.substr(9, 3).c_str());
  return response;
}

TestResponse request(std::uint16_t port, std::string_view method, std::string_view path,
                     bool ipv6) {
  const TestClient client(port, ipv6);
  client.send(std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n\r\n");
  return to_response(client.read_to_end());
}

}  // namespace ringcast::admin

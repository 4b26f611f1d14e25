#include "loopback_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringcast::load {
namespace {

/// The text value of a member of a JSON object in which nothing is escaped; empty without it.
std::string member(const std::string& body, const std::string& name) {
  const std::string before = '"' + name + "\":\"";
  const std::size_t at = body.find(before);
  if (at == std::string::npos) return {};
  const std::size_t from = at + before.size();
  return body.substr(from, body.find('"', from) - from);
}

}  // namespace

LoopbackServer::LoopbackServer(LoopbackTls tls) : tls_(std::move(tls)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  EXPECT_EQ(listen(listener_, 64), 0);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes);
  base_ = (tls_.context ? "https" : "http") + std::string{"://127.0.0.1:"} +
          std::to_string(ntohs(address.sin_port));
}

void LoopbackServer::begin() {
  acceptor_ = std::thread{[this] { accept_all(); }};
}

void LoopbackServer::end() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock{mutex_};
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
  }
  for (auto& thread : threads_) thread.join();
  for (const int connection : connections_) close(connection);
  close(listener_);
}

void LoopbackServer::accept_all() {
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    const int yes = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const std::lock_guard lock{mutex_};
    connections_.push_back(connection);
    if (tls_.context) {
      sessions_[connection] = std::make_unique<tls::Session>(tls_.context, tls_.limits);
    }
    threads_.emplace_back([this, connection] { serve(connection); });
  }
}

void LoopbackServer::serve(int connection) {
  std::string bytes;
  char buffer[4096];
  while (true) {
    const ssize_t received = recv(connection, buffer, sizeof buffer, 0);
    if (received <= 0) return;
    bytes += read(connection, {buffer, static_cast<std::size_t>(received)});
    const std::size_t head_end = bytes.find("\r\n\r\n");
    if (head_end == std::string::npos) continue;
    if (bytes.starts_with("GET")) {
      const std::lock_guard lock{mutex_};
      on_stream(connection, bytes);
      bytes.clear();
      continue;
    }
    const std::string head = bytes.substr(0, head_end + 2);
    const std::size_t body_bytes = std::stoul("0" + header(head, "Content-Length"));
    if (bytes.size() < head_end + 4 + body_bytes) continue;
    const std::lock_guard lock{mutex_};
    on_publish(connection, head, bytes.substr(head_end + 4));
    bytes.clear();
  }
}

void LoopbackServer::on_publish(int connection, const std::string& head, const std::string& body) {
  on_event(head, member(body, "data"), member(body, "topic"));
  write(connection, "HTTP/1.1 204 No Content\r\n\r\n");
}

std::string LoopbackServer::read(int connection, std::string_view received) {
  if (!tls_.context) return std::string{received};
  const std::lock_guard lock{mutex_};
  std::string plaintext;
  sessions_.at(connection)->feed(received, plaintext);
  send_output(connection);
  return plaintext;
}

void LoopbackServer::send_output(int connection) {
  send_bytes(connection, sessions_.at(connection)->take_output());
}

void LoopbackServer::send_bytes(int connection, std::string_view bytes) const {
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view piece = bytes.substr(at, tls_.piece_bytes);
    // A client that refuses what it was sent is gone early.
    if (send(connection, piece.data(), piece.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(piece.size())) {
      EXPECT_TRUE(tls_.context) << "sending";
      return;
    }
    at += piece.size();
  }
}

void LoopbackServer::write(int connection, std::string_view bytes) {
  if (!tls_.context) return send_bytes(connection, bytes);
  EXPECT_TRUE(sessions_.at(connection)->write(bytes));
  send_output(connection);
}

void LoopbackServer::write_head(int connection) {
  write(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
}

void LoopbackServer::finish(int connection) {
  if (tls_.context) {
    sessions_.at(connection)->close();
    send_output(connection);
  }
  shutdown(connection, SHUT_WR);
}

std::string LoopbackServer::header(const std::string& request, const std::string& name) {
  const std::string before = "\r\n" + name + ": ";
  const std::size_t at = request.find(before);
  if (at == std::string::npos) return {};
  const std::size_t from = at + before.size();
  return request.substr(from, request.find('\r', from) - from);
}

}  // namespace ringcast::load

#include "load/http_link.h"

#include <cerrno>
#include <utility>

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringcast::load {
namespace {

constexpr int kHandshakeMs = 10'000;

}  // namespace

HttpLink::~HttpLink() {
  if (descriptor_ >= 0) close(descriptor_);
}

HttpLink::HttpLink(HttpLink&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      session_(std::move(other.session_)),
      outgoing_(std::move(other.outgoing_)),
      sent_(std::exchange(other.sent_, 0)) {}

Result<void> HttpLink::connect(const Url& url) {
  if (descriptor_ >= 0) close(descriptor_);
  session_.reset();
  outgoing_.clear();
  sent_ = 0;
  descriptor_ = socket(url.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0 || ::connect(descriptor_, url.socket_address(), url.address_bytes) != 0) {
    return system_error(url.host, errno);
  }
  const int yes = 1;
  setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return url.secure ? shake_hands(url) : Result<void>{};
}

Result<void> HttpLink::shake_hands(const Url& url) {
  session_ = std::make_unique<tls::ClientSession>(url.tls);
  std::string early;  // a server has nothing to say before the request
  while (session_->state() == tls::SessionState::handshaking) {
    put_out();
    if (auto sent = send_some(); !sent) return sent;
    pollfd poll_one{descriptor_, static_cast<short>(POLLIN | (has_unsent() ? POLLOUT : 0)), 0};
    if (poll(&poll_one, 1, kHandshakeMs) == 0) return Error{url.host + ": no TLS handshake"};
    if (poll_one.revents == POLLOUT) continue;
    if (read_some(early) == Read::ended) break;
  }
  put_out();
  if (session_->state() == tls::SessionState::open) return {};
  auto sent = send_some();  // an alert
  return Error{
      url.host + ": TLS: " +
      (failure().empty() ? "the connection ended in the handshake" : std::string{failure()})};
}

bool HttpLink::write(std::string_view text) {
  if (session_ == nullptr) {
    outgoing_ += text;
    return true;
  }
  const bool written = session_->write(text);
  put_out();
  return written;
}

void HttpLink::put_out() {
  if (session_ != nullptr && session_->has_output()) outgoing_ += session_->take_output();
}

Result<void> HttpLink::send_some() {
  if (!has_unsent()) return {};
  const ssize_t sent = send(descriptor_, outgoing_.data() + sent_, outgoing_.size() - sent_,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) {
    sent_ += static_cast<std::size_t>(sent);
  } else if (errno == EPIPE || errno == ECONNRESET) {
    sent_ = outgoing_.size();
  } else if (errno != EAGAIN && errno != EINTR) {
    return system_error("sending", errno);
  }
  if (!has_unsent()) {
    outgoing_.clear();
    sent_ = 0;
  }
  return {};
}

HttpLink::Read HttpLink::read_some(std::string& text) {
  char buffer[4096];
  const ssize_t received = recv(descriptor_, buffer, sizeof buffer, MSG_DONTWAIT);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return Read::good;
  if (received <= 0) return Read::ended;
  const std::string_view bytes{buffer, static_cast<std::size_t>(received)};
  if (session_ == nullptr) {
    text += bytes;
    return Read::good;
  }
  const auto state = session_->feed(bytes, text);
  put_out();
  return state == tls::SessionState::handshaking || state == tls::SessionState::open ? Read::good
                                                                                     : Read::ended;
}

std::string_view HttpLink::failure() const {
  return session_ == nullptr ? std::string_view{} : std::string_view{session_->reason()};
}

}  // namespace ringcast::load

#include "ringcast/admin/admin_server.h"

#include <array>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <pthread.h>

namespace ringcast::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

// When the process has no descriptor left, accepting at once again would only spin.
constexpr std::chrono::milliseconds kAcceptPause{100};
// What a client still sends is taken and thrown away, or the kernel would reset the connection and
// the client could lose the answer.
constexpr std::size_t kLingerBytesMax = 65'536;

struct Answer {
  std::string_view status;
  std::string_view content_type = "application/json";
  std::string body;
  std::string_view extra_header;  // whole lines
};

std::string to_bytes(const Answer& answer, bool with_body) {
  std::string out = "HTTP/1.1 ";
  out += answer.status;
  out += "\r\nContent-Type: ";
  out += answer.content_type;
  out += "\r\nContent-Length: ";
  out += std::to_string(answer.body.size());
  out += "\r\nCache-Control: no-store\r\nConnection: close\r\n";
  out += answer.extra_header;
  out += "\r\n";
  if (with_body) out += answer.body;
  return out;
}

std::string address_text(const Tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

}  // namespace

/// Everything below but `open`, `run` and `stop` runs on the admin thread.
class AdminServer::Impl {
 public:
  Impl(const AdminOptions& options, MetricsSources sources, Readiness readiness)
      : options_(options), sources_(std::move(sources)), readiness_(std::move(readiness)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  // The connections end with the handlers that `io_` holds, when the acceptor is gone already.
  ~Impl() { ending_ = true; }

  Result<void> open();
  Result<void> run();
  void stop();

  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  class Connection;

  void accept();
  void accepted(ErrorCode error, Tcp::socket socket);
  void closed();
  [[nodiscard]] Answer answer_to(std::string_view path, http::verb method);

  AdminOptions options_;
  MetricsSources sources_;
  Readiness readiness_;
  std::string address_;
  std::uint16_t port_ = 0;
  std::size_t open_ = 0;
  bool accepting_ = false;
  bool ending_ = false;
  asio::io_context io_{1};
  Tcp::acceptor acceptor_{io_};
  asio::steady_timer pause_{io_};
  std::thread thread_;
};

/// One request and its answer. Owned by the handlers that wait for it, so it ends with the last
/// one.
///
///   reading ── head ──► answering ── written ──► lingering ── peer's end or deadline ──► closed
///      └── end, deadline ──► closed        └── deadline ──► closed
class AdminServer::Impl::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Tcp::socket socket, Impl& server)
      : server_(server), stream_(std::move(socket)), buffer_(server.options_.header_bytes_max + 1) {
    parser_.header_limit(static_cast<std::uint32_t>(server.options_.header_bytes_max));
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { server_.closed(); }

  void start() {
    stream_.expires_after(server_.options_.request_timeout);
    http::async_read_header(
        stream_, buffer_, parser_,
        [self = shared_from_this()](ErrorCode error, std::size_t) { self->head_read(error); });
  }

 private:
  void head_read(ErrorCode error) {
    if (!error) return answer();
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return write(to_bytes({.status = "431 Request Header Fields Too Large",
                             .body = R"({"error":"the request head is too large"})"},
                            true));
    }
    const bool malformed = error.category() == make_error_code(http::error::bad_target).category();
    const bool cut = error == http::error::end_of_stream || error == http::error::partial_message;
    if (malformed && !cut) {
      write(to_bytes({.status = "400 Bad Request", .body = R"({"error":"malformed request"})"},
                     true));
    }
  }

  void answer() {
    const auto& request = parser_.get();
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    write(
        to_bytes(server_.answer_to(path, request.method()), request.method() != http::verb::head));
  }

  void write(std::string bytes) {
    answer_ = std::move(bytes);
    stream_.expires_after(server_.options_.answer_timeout);
    asio::async_write(stream_, asio::buffer(answer_),
                      [self = shared_from_this()](ErrorCode error, std::size_t) {
                        if (!error) self->end();
                      });
  }

  void end() {
    ErrorCode ignored;  // a peer that is gone already is what we want
    stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
    stream_.expires_after(server_.options_.linger_timeout);
    discard();
  }

  void discard() {
    stream_.async_read_some(asio::buffer(discarded_),
                            [self = shared_from_this()](ErrorCode error, std::size_t bytes) {
                              self->lingered_bytes_ += bytes;
                              if (!error && self->lingered_bytes_ <= kLingerBytesMax)
                                self->discard();
                            });
  }

  Impl& server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request_parser<http::empty_body> parser_;
  std::string answer_;
  std::array<char, 2048> discarded_;
  std::size_t lingered_bytes_ = 0;
};

Result<void> AdminServer::Impl::open() {
  Tcp::endpoint endpoint;
  const std::size_t length =
      options_.address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (options_.address.ss_family != AF_INET && options_.address.ss_family != AF_INET6) {
    return Error{"the admin listener needs an IPv4 or IPv6 address"};
  }
  std::memcpy(endpoint.data(), &options_.address, length);
  endpoint.resize(length);

  ErrorCode error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.protocol() == Tcp::v6()) {
    acceptor_.set_option(asio::ip::v6_only(true), error);
  }
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) endpoint = acceptor_.local_endpoint(error);
  if (error) {
    return system_error("cannot listen on " + address_text(endpoint) + " (admin listener)",
                        error.value());
  }
  address_ = address_text(endpoint);
  port_ = endpoint.port();
  return {};
}

Result<void> AdminServer::Impl::run() {
  accept();
  // A thread inherits the mask: signals are for the thread that waits for them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<void> result;
  try {
    thread_ = std::thread([this] { io_.run(); });
    pthread_setname_np(thread_.native_handle(), "ringcast-admin");
  } catch (const std::system_error& error) {
    result = system_error("cannot start the admin thread", error.code().value());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

void AdminServer::Impl::stop() {
  if (!thread_.joinable()) return;
  io_.stop();
  thread_.join();
  ErrorCode ignored;  // the port is free again either way
  acceptor_.close(ignored);
}

void AdminServer::Impl::accept() {
  if (accepting_ || open_ >= options_.connections_max) return;
  accepting_ = true;
  acceptor_.async_accept(
      [this](ErrorCode error, Tcp::socket socket) { accepted(error, std::move(socket)); });
}

void AdminServer::Impl::accepted(ErrorCode error, Tcp::socket socket) {
  accepting_ = false;
  if (error) {
    accepting_ = true;
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](ErrorCode) {
      accepting_ = false;
      accept();
    });
    return;
  }
  ++open_;
  std::make_shared<Connection>(std::move(socket), *this)->start();
  accept();
}

void AdminServer::Impl::closed() {
  --open_;
  if (!ending_) accept();
}

Answer AdminServer::Impl::answer_to(std::string_view path, http::verb method) {
  const bool metrics = path == "/metrics";
  const bool health = path == "/healthz";
  const bool ready = path == "/readyz";
  if (!metrics && !health && !ready) {
    return {.status = "404 Not Found", .body = R"({"error":"not found"})"};
  }
  if (method != http::verb::get && method != http::verb::head) {
    return {.status = "405 Method Not Allowed",
            .body = R"({"error":"method not allowed"})",
            .extra_header = "Allow: GET, HEAD\r\n"};
  }
  constexpr std::string_view kPlain = "text/plain; charset=utf-8";
  if (metrics) {
    return {.status = "200 OK",
            .content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = render_metrics(sources_)};
  }
  const std::string reason = ready && readiness_ ? readiness_() : std::string();
  if (!reason.empty()) {
    return {.status = "503 Service Unavailable", .content_type = kPlain, .body = reason};
  }
  return {.status = "200 OK", .content_type = kPlain, .body = "ok"};
}

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

AdminServer::~AdminServer() {
  stop();
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(const AdminOptions& options,
                                                        MetricsSources sources,
                                                        Readiness readiness) {
  std::unique_ptr<Impl> impl;
  try {  // the only place where Asio reports by exception: it could not create its descriptors
    impl = std::make_unique<Impl>(options, std::move(sources), std::move(readiness));
  } catch (const std::system_error& error) {
    return system_error("cannot start the admin listener", error.code().value());
  }
  if (Result<void> opened = impl->open(); !opened) return opened.error();
  if (Result<void> running = impl->run(); !running) return running.error();
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

const std::string& AdminServer::address() const {
  return impl_->address();
}
std::uint16_t AdminServer::port() const {
  return impl_->port();
}
void AdminServer::stop() {
  impl_->stop();
}

}  // namespace ringcast::admin

#include "redis_socket.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <hiredis/async.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "ringcast/base/assert.h"

#include "redis_words.h"

namespace ringcast::hub {
namespace {

constexpr std::size_t kReadBytes = 16'384;  // what hiredis reads at once
constexpr unsigned kReadsPerPoll = 16;

}  // namespace

// hiredis frees a context by itself: within redisAsyncHandleRead and redisAsyncHandleWrite after an
// error, within redisAsyncFree outside of a callback, and after a callback that called it. Each
// time the pending callbacks come with a null reply and `cleanup` is called, in either order and
// `cleanup` perhaps twice. So all of them only take notes, and `settle` acts on them when the call
// into hiredis is over.
struct RedisSocket::Hooks {
  static RedisSocket& of(void* data) { return *static_cast<RedisSocket*>(data); }

  static void add_read(void* data) {
    of(data).reading_.wanted = true;
    of(data).arm_read();
  }
  static void del_read(void* data) { of(data).reading_.wanted = false; }
  // While connected, `flush` writes; it arms a poll only for what the socket did not take.
  static void add_write(void* data) {
    of(data).writing_.wanted = true;
    if (!of(data).connected_) of(data).arm_write();
  }
  static void del_write(void* data) { of(data).writing_.wanted = false; }
  static void cleanup(void* data) { of(data).note_end(); }

  static void connected(const redisAsyncContext* context, int status) {
    if (status == REDIS_OK) of(context->data).connected_ = true;
  }

  static void reply(redisAsyncContext* context, void* raw, void* data) {
    RedisSocket& socket = of(data);
    if (raw == nullptr) socket.note_end();
    socket.reply_bytes_ = 0;
    if (socket.owner_ == nullptr) return;
    socket.in_reply_ = true;
    socket.owner_->on_reply(static_cast<const redisReply*>(raw));
    socket.in_reply_ = false;
    (void)context;
  }

  static void message(redisAsyncContext* context, void* raw, void* data) {
    RedisSocket& socket = of(data);
    if (raw == nullptr) return socket.note_end();
    socket.reply_bytes_ = 0;
    if (socket.owner_ == nullptr) return;
    socket.in_reply_ = true;
    socket.owner_->on_message(static_cast<const redisReply*>(raw));
    socket.in_reply_ = false;
    (void)context;
  }
};

RedisSocket::RedisSocket(uring::Ring& ring, std::uint32_t slot, SocketOwner& owner)
    : ring_(ring), slot_(slot), owner_(&owner) {}

RedisSocket::~RedisSocket() {
  RC_ASSERT(!in_hiredis_);
  drop();
}

// ── Opening, closing ────────────────────────────────────────────────────────────────────────────

Result<void> RedisSocket::open_tcp(const std::string& host, std::uint16_t port) {
  return adopt(redisAsyncConnect(host.c_str(), port));
}

Result<void> RedisSocket::open_unix(const std::string& path) {
  return adopt(redisAsyncConnectUnix(path.c_str()));
}

Result<void> RedisSocket::adopt(redisAsyncContext* context) {
  RC_ASSERT(context_ == nullptr && owner_ != nullptr);
  if (context == nullptr) return system_error("cannot connect", ENOMEM);
  redisContext& c = context->c;
  // A failed keep-alive leaves an error in the context, as a failed connect does.
  if (c.err == 0 && c.connection_type == REDIS_CONN_TCP) (void)redisEnableKeepAlive(&c);
  if (c.err != 0) {
    Error error{cleaned(c.errstr)};
    redisAsyncFree(context);
    return error;
  }
  (void)::fcntl(c.fd, F_SETFD, FD_CLOEXEC);
  context_ = context;
  ++generation_;
  reading_ = {};
  writing_ = {};
  connected_ = announced_ = ending_ = false;
  reason_.clear();
  reply_bytes_ = 0;
  context->data = this;
  context->ev = {.data = this,
                 .addRead = Hooks::add_read,
                 .delRead = Hooks::del_read,
                 .addWrite = Hooks::add_write,
                 .delWrite = Hooks::del_write,
                 .cleanup = Hooks::cleanup};
  redisAsyncSetConnectCallback(context, Hooks::connected);  // polls for writing
  return {};
}

void RedisSocket::close(std::string_view reason) {
  if (context_ == nullptr || ending_) return;
  reason_ = reason;
  closed_by_ = SocketOwner::ClosedBy::other;
  // From now on no commands. Called within a callback, hiredis goes on when that is over.
  ending_ = true;
  if (in_hiredis_) {
    RC_ASSERT(in_reply_);
    redisAsyncFree(context_);
    return;
  }
  in_hiredis_ = true;
  redisAsyncFree(context_);
  in_hiredis_ = false;
  settle();
}

void RedisSocket::drop() {
  owner_ = nullptr;
  close({});
}

// An armed poll keeps the socket open, and hiredis closes the descriptor right after this.
void RedisSocket::note_end() {
  if (context_ == nullptr) return;
  if (!ending_) {
    const redisContext& c = context_->c;
    // hiredis makes an error reply that answers no command (not even SUBSCRIBE) an error of its
    // own.
    const bool is_reply = c.err == REDIS_ERR_OTHER && connected_;
    closed_by_ = is_reply ? SocketOwner::ClosedBy::error_reply : SocketOwner::ClosedBy::other;
    reason_ = c.err != 0 ? cleaned(c.errstr) : "closed";
  }
  ending_ = true;
  if (std::exchange(reading_.armed, false)) ring_.cancel(uring::Operation::poll, read_handle());
  if (std::exchange(writing_.armed, false)) ring_.cancel(uring::Operation::poll, write_handle());
}

void RedisSocket::settle() {
  if (context_ == nullptr) return;
  if (ending_) {
    context_ = nullptr;
    connected_ = false;
    if (owner_ != nullptr) owner_->on_closed(std::string(reason_), closed_by_);
  } else if (connected_ && !announced_) {
    announced_ = true;
    owner_->on_connected();
  }
}

// ── Commands ────────────────────────────────────────────────────────────────────────────────────

std::span<const char*> RedisSocket::prepare(std::string_view command,
                                            std::span<const std::string_view> arguments) {
  pointers_.clear();
  lengths_.clear();
  const auto add = [this](std::string_view argument) {
    pointers_.push_back(argument.data() == nullptr ? "" : argument.data());
    lengths_.push_back(argument.size());
  };
  if (!command.empty()) add(command);
  for (const std::string_view argument : arguments) add(argument);
  return pointers_;
}

void RedisSocket::command(std::span<const std::string_view> arguments) {
  RC_ASSERT(connected());
  const auto words = prepare({}, arguments);
  const int done = redisAsyncCommandArgv(
      context_, Hooks::reply, this, static_cast<int>(words.size()), words.data(), lengths_.data());
  RC_ASSERT(done == REDIS_OK);
}

void RedisSocket::subscribe(std::span<const std::string_view> channels) {
  RC_ASSERT(connected());
  const auto words = prepare("SUBSCRIBE", channels);
  const int done =
      redisAsyncCommandArgv(context_, Hooks::message, this, static_cast<int>(words.size()),
                            words.data(), lengths_.data());
  RC_ASSERT(done == REDIS_OK);
}

// ── Polling ─────────────────────────────────────────────────────────────────────────────────────

uring::Handle RedisSocket::read_handle() const {
  return {uring::Slot{2 * slot_}, generation_};
}
uring::Handle RedisSocket::write_handle() const {
  return {uring::Slot{2 * slot_ + 1}, generation_};
}

bool RedisSocket::owns(uring::Handle handle) const {
  return uring::to_index(handle.slot) / 2 == slot_;
}

void RedisSocket::arm_read() {
  if (!std::exchange(reading_.armed, true)) ring_.poll(context_->c.fd, POLLIN, read_handle());
}
void RedisSocket::arm_write() {
  if (!std::exchange(writing_.armed, true)) ring_.poll(context_->c.fd, POLLOUT, write_handle());
}

void RedisSocket::on_poll(const uring::Completion& completion) {
  if (completion.operation != uring::Operation::poll) return;
  if (context_ == nullptr || completion.handle.generation != generation_) return;
  const bool for_reading = completion.handle == read_handle();
  (for_reading ? reading_ : writing_).armed = false;
  if (completion.result < 0) {
    return close(system_error("the socket cannot be polled", -completion.result).message);
  }
  if (for_reading) {
    if (reading_.wanted) read();
  } else if (writing_.wanted) {
    write();
  }
}

std::size_t RedisSocket::waiting_bytes() const {
  int waiting = 0;
  return ::ioctl(context_->c.fd, FIONREAD, &waiting) == 0 ? static_cast<std::size_t>(waiting) : 0;
}

bool RedisSocket::read_now() {
  if (!connected() || waiting_bytes() == 0) return false;
  read();
  return true;
}

// hiredis reads 16 KiB in a call. More of them before the next poll, which costs more than a read;
// a bound, so that the other connections have their turn.
void RedisSocket::read() {
  for (unsigned i = 0; i < kReadsPerPoll; ++i) {
    const std::size_t waiting = waiting_bytes();
    reply_bytes_ += std::min(waiting, kReadBytes);
    received_bytes_ += std::min(waiting, kReadBytes);
    in_hiredis_ = true;
    redisAsyncHandleRead(context_);
    in_hiredis_ = false;
    settle();
    if (context_ == nullptr) return;
    if (reply_bytes_ > kReplyBytesMax) {
      return close("a reply of more than " + std::to_string(kReplyBytesMax >> 20) +
                   " MiB is not taken");
    }
    if (waiting <= kReadBytes) return;
  }
}

void RedisSocket::write() {
  in_hiredis_ = true;
  redisAsyncHandleWrite(context_);
  in_hiredis_ = false;
  // Asked before the owner is told that it is connected: what that sends is for `flush`.
  const bool has_more = !ending_ && writing_.wanted;
  settle();
  if (has_more && context_ != nullptr) arm_write();
}

void RedisSocket::flush() {
  if (connected() && writing_.wanted && !writing_.armed) write();
}

}  // namespace ringcast::hub

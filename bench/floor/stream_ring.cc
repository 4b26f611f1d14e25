#include "stream_ring.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <utility>

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "messages.h"

namespace floor_bench {
namespace {

using namespace ringcast;

constexpr unsigned kBatch = 128;
constexpr unsigned kCompletions = 4096;
constexpr unsigned kBuffers = 256;
constexpr std::size_t kBufferBytes = 4096;
// Accepts run ahead of us by what has come since: with a full table the kernel accepts and drops.
constexpr std::uint32_t kReserve = 1024;
constexpr std::size_t kRequestBytesMax = std::size_t{256} * 1024;
// A full send is silent, a short one posts its count, and the kernel keeps no reference to the
// bytes once the batch is submitted.
constexpr int kSendFlags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;

void* map(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

template <class Operation>
constexpr std::uint64_t tag(Operation operation, std::uint32_t slot) {
  return static_cast<std::uint64_t>(operation) << 32 | slot;
}

}  // namespace

int checked(int status, const char* what) {
  if (status >= 0) return status;
  std::fprintf(stderr, "floor: %s: %s\n", what, strerrordesc_np(status == -1 ? errno : -status));
  _exit(2);
}

StreamRing::StreamRing(Shared& shared, Listeners listeners, std::uint32_t slots)
    : shared_(shared),
      listeners_(listeners),
      table_(slots),
      reserve_(std::min(kReserve, slots / 4)) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
  params.cq_entries = kCompletions;
  checked(io_uring_queue_init_params(kBatch, &ring_, &params), "io_uring");
  checked(io_uring_register_files_sparse(&ring_, slots), "table of direct descriptors");
  checked(io_uring_register_eventfd(&ring_, shared_.bell), "eventfd of a ring");
  // Spares a look-up in each call. Refused beyond 16 rings of a thread, which only costs that.
  static_cast<void>(io_uring_register_ring_fd(&ring_));
  register_buffers();
}

StreamRing::~StreamRing() {
  io_uring_queue_exit(&ring_);
  munmap(buffer_ring_, kBuffers * sizeof(io_uring_buf));
  munmap(buffers_, kBuffers * kBufferBytes);
}

void StreamRing::register_buffers() {
  buffer_ring_ = static_cast<io_uring_buf_ring*>(map(kBuffers * sizeof(io_uring_buf)));
  buffers_ = static_cast<char*>(map(kBuffers * kBufferBytes));
  checked(buffer_ring_ == nullptr || buffers_ == nullptr ? -ENOMEM : 0, "receive buffers");
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffer_ring_);
  registration.ring_entries = kBuffers;
  checked(io_uring_register_buf_ring(&ring_, &registration, 0), "receive buffers");
  io_uring_buf_ring_init(buffer_ring_);
  for (unsigned id = 0; id < kBuffers; ++id) {
    io_uring_buf_ring_add(buffer_ring_, buffers_ + id * kBufferBytes, kBufferBytes,
                          static_cast<unsigned short>(id), kBuffers - 1, static_cast<int>(id));
  }
  io_uring_buf_ring_advance(buffer_ring_, kBuffers);
}

// ── Preparing ───────────────────────────────────────────────────────────────────────────────────

io_uring_sqe* StreamRing::prepare() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) {
    submit();
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

void StreamRing::submit() {
  while (io_uring_sq_ready(&ring_) > 0) {
    const int taken = io_uring_submit(&ring_);
    // No memory for a moment, or a signal: again.
    if (taken != -EINTR && taken != -EAGAIN) checked(taken, "submission");
  }
  said_.clear();
}

void StreamRing::listen() {
  listening_ = true;
  accept(Operation::accept);
  if (listeners_.tls >= 0) accept(Operation::accept_tls);
  submit();
}

void StreamRing::stop_listening() {
  for (const Operation operation : {Operation::accept, Operation::accept_tls}) {
    cancel(tag(operation, listened_));
  }
  listening_ = false;
  ++listened_;
  submit();
}

void StreamRing::accept(Operation operation) {
  io_uring_sqe* entry = prepare();
  const int listener = operation == Operation::accept ? listeners_.plain : listeners_.tls;
  io_uring_prep_multishot_accept_direct(entry, listener, nullptr, nullptr, 0);
  entry->user_data = tag(operation, listened_);
}

void StreamRing::cancel(std::uint64_t user_data) {
  io_uring_sqe* entry = prepare();
  io_uring_prep_cancel64(entry, user_data, 0);
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  entry->user_data = tag(Operation::other, 0);
}

void StreamRing::receive(std::uint32_t slot) {
  io_uring_sqe* entry = prepare();
  io_uring_prep_recv_multishot(entry, static_cast<int>(slot), nullptr, 0, 0);
  entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  entry->buf_group = 0;
  entry->user_data = tag(Operation::receive, slot);
}

void StreamRing::send(std::uint32_t slot, const void* bytes, std::size_t count) {
  io_uring_sqe* entry = prepare();
  io_uring_prep_send(entry, static_cast<int>(slot), bytes, count, kSendFlags);
  entry->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
  entry->user_data = tag(Operation::send, slot);
}

void StreamRing::say(std::uint32_t slot, std::string bytes) {
  if (bytes.empty()) return;
  if (io_uring_sq_space_left(&ring_) == 0) submit();  // which forgets what was said
  said_.push_back(std::move(bytes));
  send(slot, said_.back().data(), said_.back().size());
}

/// Ends a connection that cannot go on: its receive completes once more, and that closes it.
void StreamRing::drop(std::uint32_t slot) {
  cancel(tag(Operation::receive, slot));
}

// ── Completions ─────────────────────────────────────────────────────────────────────────────────

bool StreamRing::has_work() const {
  const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  return io_uring_cq_ready(&ring_) > 0 ||
         (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

unsigned StreamRing::turn() {
  unsigned taken = 0;
  do {
    const int status = io_uring_submit_and_get_events(&ring_);
    if (status != -EINTR && status != -EAGAIN) checked(status, "submission");
    submit();  // what the kernel had no memory for
    for (; io_uring_cq_ready(&ring_) > 0; ++taken) {
      const io_uring_cqe completion = ring_.cq.cqes[*ring_.cq.khead & ring_.cq.ring_mask];
      io_uring_cq_advance(&ring_, 1);
      take(completion);
    }
  } while (io_uring_sq_ready(&ring_) > 0 && shared_.published.empty());
  submit();
  return taken;
}

void StreamRing::take(const io_uring_cqe& completion) {
  const auto slot = static_cast<std::uint32_t>(completion.user_data);
  switch (const auto operation = static_cast<Operation>(completion.user_data >> 32); operation) {
    case Operation::accept:
    case Operation::accept_tls:
      accepted(completion, operation);
      break;
    case Operation::receive:
      received(completion, slot);
      break;
    case Operation::send:
      if (completion.res >= 0 || completion.res == -EAGAIN) ++shared_.short_sends;
      break;
    case Operation::other:
      break;
  }
}

void StreamRing::accepted(const io_uring_cqe& completion, Operation operation) {
  if (completion.res >= 0) {
    const auto slot = static_cast<std::uint32_t>(completion.res);
    table_[slot].state = State::reading;
    ++connections_;
    if (operation == Operation::accept_tls) {
      reading_[slot].session = std::make_unique<tls::Session>(shared_.tls);
    }
    receive(slot);
  }
  // It stops early when there is no room for its next completion.
  const bool current = listening_ && static_cast<std::uint32_t>(completion.user_data) == listened_;
  if ((completion.flags & IORING_CQE_F_MORE) == 0 && current) accept(operation);
}

void StreamRing::received(const io_uring_cqe& completion, std::uint32_t slot) {
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    const auto id = static_cast<unsigned short>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    char* buffer = buffers_ + id * kBufferBytes;
    if (completion.res > 0) read(slot, {buffer, static_cast<std::size_t>(completion.res)});
    io_uring_buf_ring_add(buffer_ring_, buffer, kBufferBytes, id, kBuffers - 1, 0);
    io_uring_buf_ring_advance(buffer_ring_, 1);
  }
  if ((completion.flags & IORING_CQE_F_MORE) != 0) return;
  // It stops early when there is no buffer, or no room for its next completion.
  if (completion.res > 0 || completion.res == -ENOBUFS) {
    receive(slot);
  } else {
    ended(slot);
  }
}

void StreamRing::ended(std::uint32_t slot) {
  // The last stream of the list takes the place.
  const auto [state, place] = table_[slot];
  if (state == State::plain) {
    plain_[place] = plain_.back();
    table_[plain_[place]].place = place;
    plain_.pop_back();
  } else if (state == State::secure) {
    if (place + 1 < secure_.size()) secure_[place] = std::move(secure_.back());
    table_[secure_[place].slot].place = place;
    secure_.pop_back();
  } else {
    reading_.erase(slot);
  }
  table_[slot] = {};
  --connections_;
  io_uring_sqe* entry = prepare();
  io_uring_prep_close_direct(entry, slot);
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  entry->user_data = tag(Operation::other, slot);
}

// ── Requests ────────────────────────────────────────────────────────────────────────────────────

void StreamRing::read(std::uint32_t slot, std::string_view bytes) {
  // A stream has nothing to say but that it ends, which the connection then does as well.
  if (table_[slot].state != State::reading) return;
  // Mostly a request is here at once, and needs no place to wait for its rest.
  const auto found = reading_.empty() ? reading_.end() : reading_.find(slot);
  if (found == reading_.end()) {
    take_request(slot, bytes, nullptr);
    return;
  }
  Reading& reading = found->second;
  if (reading.session) {
    read_records(slot, reading, bytes);
  } else {
    reading.bytes.append(bytes);
    take_request(slot, reading.bytes, &reading);
  }
}

void StreamRing::read_records(std::uint32_t slot, Reading& reading, std::string_view records) {
  tls::Session& session = *reading.session;
  const tls::SessionState state = session.feed(records, reading.bytes);
  say(slot, session.take_output());
  if (state == tls::SessionState::open) {
    take_request(slot, reading.bytes, &reading);
  } else if (state != tls::SessionState::handshaking) {
    drop(slot);
  }
}

/// `reading` holds `bytes`, or nothing does.
void StreamRing::take_request(std::uint32_t slot, std::string_view bytes, Reading* reading) {
  const Request request = read_request(bytes);
  switch (request.kind) {
    case Request::Kind::incomplete:
      if (bytes.size() > kRequestBytesMax) {
        drop(slot);
      } else if (reading == nullptr) {
        reading_[slot].bytes = bytes;
      }
      return;
    case Request::Kind::publish: {
      Published event{.id = next_id(), .chunk = {}};
      event.chunk = event_chunk(event.id, request.body);
      answer(slot, reading, publish_answer(event.id));
      shared_.published.push_back(std::move(event));
      if (reading != nullptr) reading->bytes.clear();
      return;
    }
    case Request::Kind::stream:
      if (reading != nullptr && reading->session) {
        open_secure(slot, *reading->session);
      } else {
        table_[slot] = {.state = State::plain, .place = static_cast<std::uint32_t>(plain_.size())};
        plain_.push_back(slot);
        send(slot, shared_.opening.data(), shared_.opening.size());
      }
      if (table_[slot].state != State::reading) reading_.erase(slot);
      return;
  }
}

void StreamRing::answer(std::uint32_t slot, Reading* reading, std::string text) {
  if (reading != nullptr && reading->session) {
    if (!reading->session->write(text)) drop(slot);
    text = reading->session->take_output();
  }
  say(slot, std::move(text));
}

/// The head is the last that the session seals; the record layer goes on behind it.
void StreamRing::open_secure(std::uint32_t slot, tls::Session& session) {
  auto handover = session.write(shared_.opening) ? session.take_over(shared_.cipher) : std::nullopt;
  if (!handover) {
    drop(slot);
    return;
  }
  say(slot, session.take_output());
  table_[slot] = {.state = State::secure, .place = static_cast<std::uint32_t>(secure_.size())};
  secure_.push_back({slot, tls::RecordLayer{shared_.cipher, handover->keys}});
}

// ── Fan-out ─────────────────────────────────────────────────────────────────────────────────────

void StreamRing::send_all(std::string_view chunk) {
  for (const std::uint32_t slot : plain_) send(slot, chunk.data(), chunk.size());
  submit();
  if (!secure_.empty()) send_all_sealed(chunk);
}

void StreamRing::send_all_sealed(std::string_view chunk) {
  const std::span plaintext = std::as_bytes(std::span{chunk});
  for (std::size_t first = 0; first < secure_.size(); first += kBatch) {
    const std::size_t count = std::min<std::size_t>(kBatch, secure_.size() - first);
    std::size_t room = 0;
    for (SecureStream& stream : std::span{secure_}.subspan(first, count)) {
      room += stream.layer.bytes_for(chunk.size());
    }
    if (shared_.records.size() < room) shared_.records.resize(room);
    std::span<std::byte> rest = shared_.records;
    for (SecureStream& stream : std::span{secure_}.subspan(first, count)) {
      const std::size_t bytes = stream.layer.write(shared_.cipher, plaintext, rest);
      if (bytes == 0) continue;  // OpenSSL is out of memory
      send(stream.slot, rest.data(), bytes);
      rest = rest.subspan(bytes);
    }
    submit();
  }
}

}  // namespace floor_bench

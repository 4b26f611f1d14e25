#include "load/client_ring.h"

#include <algorithm>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace ringcast::load {
namespace {

constexpr unsigned kSubmissions = 512;  // a chain of three must fit whole
constexpr unsigned kCompletions = 4096;
constexpr int kBufferGroup = 0;

/// What a completion brings back; `hand_over` takes it apart.
std::uint64_t tag(ClientRing::Step step, std::uint32_t slot) {
  return static_cast<std::uint64_t>(step) << 32 | slot;
}

}  // namespace

Result<std::unique_ptr<ClientRing>> ClientRing::create(const Options& options) {
  std::unique_ptr<ClientRing> self{new ClientRing};
  self->options_ = options;
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
  params.cq_entries = kCompletions;
  int status = io_uring_queue_init_params(kSubmissions, &self->ring_, &params);
  if (status < 0) return system_error("io_uring (kernel 6.1 or newer is needed)", status);
  self->ring_ready_ = true;
  status = io_uring_register_files_sparse(&self->ring_, options.slots);
  if (status < 0) {
    return system_error("a ring with " + std::to_string(options.slots) +
                            " sockets (bounded by RLIMIT_NOFILE, see --streams-per-ring)",
                        status);
  }

  self->bell_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->bell_ < 0) return system_error("eventfd", errno);
  status = io_uring_register_eventfd(&self->ring_, self->bell_);
  if (status < 0) return system_error("eventfd of a ring", status);

  self->buffer_ring_bytes_ = options.receive_buffers * sizeof(io_uring_buf);
  void* memory = mmap(nullptr, self->buffer_ring_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return system_error("memory for receive buffers", errno);
  self->buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(memory);
  registration.ring_entries = options.receive_buffers;
  registration.bgid = kBufferGroup;
  status = io_uring_register_buf_ring(&self->ring_, &registration, 0);
  if (status < 0) return system_error("receive buffers", status);
  io_uring_buf_ring_init(self->buffer_ring_);
  self->buffers_ =
      std::make_unique<char[]>(std::size_t{options.receive_buffers} * options.receive_buffer_bytes);
  for (std::uint32_t buffer = 0; buffer < options.receive_buffers; ++buffer) {
    self->give_back(static_cast<std::uint16_t>(buffer));
  }
  return self;
}

ClientRing::~ClientRing() {
  if (ring_ready_) io_uring_queue_exit(&ring_);
  if (bell_ >= 0) close(bell_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, buffer_ring_bytes_);
}

Result<void> ClientRing::adopt(std::uint32_t first_slot, std::span<const int> descriptors) {
  const int status = io_uring_register_files_update(&ring_, first_slot, descriptors.data(),
                                                    static_cast<unsigned>(descriptors.size()));
  if (status < 0) return system_error("socket into a ring's table", status);
  RC_ASSERT(static_cast<std::size_t>(status) == descriptors.size());
  return {};
}

void ClientRing::open(std::uint32_t slot, const sockaddr* address, socklen_t address_bytes,
                      std::string_view request, Receive receive, std::uint32_t bytes) {
  // A chain ends where a submission ends: keep its three entries together.
  if (io_uring_sq_space_left(&ring_) < 3) submit();
  io_uring_sqe& connect = entry();
  io_uring_prep_connect(&connect, static_cast<int>(slot), address, address_bytes);
  connect.flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  connect.user_data = tag(Step::connect, slot);
  io_uring_sqe& send = entry();
  io_uring_prep_send(&send, static_cast<int>(slot), request.data(), request.size(),
                     MSG_WAITALL | MSG_NOSIGNAL);
  send.flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  send.user_data = tag(Step::send, slot);
  prepare_receive(slot, receive, bytes);
}

void ClientRing::receive(std::uint32_t slot, Receive receive, std::uint32_t bytes) {
  prepare_receive(slot, receive, bytes);
}

void ClientRing::prepare_receive(std::uint32_t slot, Receive receive, std::uint32_t bytes) {
  io_uring_sqe& sqe = entry();
  if (receive == Receive::until_end) {
    io_uring_prep_recv_multishot(&sqe, static_cast<int>(slot), nullptr, 0, 0);
  } else {
    io_uring_prep_recv(&sqe, static_cast<int>(slot), nullptr,
                       bytes == 0 ? options_.receive_buffer_bytes : bytes, 0);
  }
  sqe.flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  sqe.buf_group = kBufferGroup;
  sqe.user_data = tag(Step::receive, slot);
}

void ClientRing::send_more(std::uint32_t slot, std::string_view bytes) {
  io_uring_sqe& sqe = entry();
  io_uring_prep_send(&sqe, static_cast<int>(slot), bytes.data(), bytes.size(),
                     MSG_WAITALL | MSG_NOSIGNAL);
  sqe.flags |= IOSQE_FIXED_FILE;
  sqe.user_data = tag(Step::send_more, slot);
}

void ClientRing::shutdown(std::uint32_t slot) {
  io_uring_sqe& sqe = entry();
  io_uring_prep_shutdown(&sqe, static_cast<int>(slot), SHUT_RDWR);
  sqe.flags |= IOSQE_FIXED_FILE;
  sqe.user_data = tag(Step::shutdown, slot);
}

void ClientRing::submit() {
  const int status = io_uring_submit(&ring_);
  // EBUSY: completions overflowed; EAGAIN: no memory for a request now. Both go on after a drain.
  RC_ASSERT(status >= 0 || status == -EBUSY || status == -EAGAIN || status == -EINTR);
}

io_uring_sqe& ClientRing::entry() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    submit();
    sqe = io_uring_get_sqe(&ring_);
  }
  return *sqe;
}

void ClientRing::give_back(std::uint16_t buffer) {
  io_uring_buf_ring_add(buffer_ring_, buffer_at(buffer), options_.receive_buffer_bytes, buffer,
                        io_uring_buf_ring_mask(options_.receive_buffers), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

}  // namespace ringcast::load

#include <cerrno>
#include <fstream>
#include <string>

#include <sys/eventfd.h>
#include <unistd.h>

#include "ring_impl.h"
#include "wake_probe.h"

namespace ringcast::uring {
namespace {

constexpr std::uint32_t kSubmissionsMax =
    16384;  // 4 completions for each; the kernel stops at 65536

// SINGLE_ISSUER, DEFER_TASKRUN   completions are made when the thread asks, not by interrupting it
// TASKRUN_FLAG                   it can see in shared memory that there are some to ask for
// SUBMIT_ALL                     one refused send does not hold up the rest of a batch
constexpr unsigned kSetupFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
                                 IORING_SETUP_CQSIZE;

// NODROP     a full completion queue overflows into a list and loses nothing
// EXT_ARG    a time limit without an operation of its own
// CQE_SKIP   sends that succeed are silent
constexpr unsigned kFeatures = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

constexpr bool is_power_of_two(std::uint32_t n) {
  return n != 0 && (n & (n - 1)) == 0;
}

/// kernel.io_uring_disabled: 0 allowed, 1 for members of kernel.io_uring_group and privileged
/// processes, 2 for nobody. 0 when the kernel has no such setting (before 6.6).
int io_uring_disabled_setting() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int setting = 0;
  return file >> setting ? setting : 0;
}

Error explain_setup_failure(int error) {
  switch (error) {
    case ENOSYS:
      return Error{
          "this system has no io_uring: the kernel was built without it, or a container or sandbox "
          "hides it. Ringcast needs Linux 6.1 or newer with CONFIG_IO_URING, and a seccomp profile "
          "that allows io_uring_setup, io_uring_enter and io_uring_register"};
    case EPERM:
    case EACCES:
      if (io_uring_disabled_setting() != 0) {
        return Error{
            "io_uring is switched off for this process by the setting kernel.io_uring_disabled: "
            "run "
            "`sysctl kernel.io_uring_disabled=0`, or set it to 1 and put the process's group into "
            "kernel.io_uring_group"};
      }
      return Error{
          "io_uring is forbidden for this process, most likely by the seccomp profile of its "
          "container (Docker's default does so): start the container with a profile that allows "
          "io_uring_setup, io_uring_enter and io_uring_register"};
    case ENOMEM:
      return Error{
          "there is not enough memory for an io_uring: raise the limit of the container or cgroup, "
          "or the locked-memory limit (`ulimit -l`, LimitMEMLOCK= in systemd)"};
    case EMFILE:
    case ENFILE:
      return Error{
          "no file descriptor is left for an io_uring: raise the limit of open files (`ulimit -n`, "
          "LimitNOFILE= in systemd)"};
    case EINVAL:
      return Error{
          "this kernel's io_uring is too old (it has no IORING_SETUP_DEFER_TASKRUN): Ringcast "
          "needs "
          "Linux 6.1 or newer"};
    default:
      return system_error("cannot set up an io_uring", error);
  }
}

Error explain_slots_failure(int error, std::uint32_t slots) {
  const std::string what = "a ring cannot hold " + std::to_string(slots) + " connections: ";
  switch (error) {
    case EMFILE:
      return Error{
          what +
          "that is more than the limit of open files, which bounds each ring's table. Raise "
          "it (`ulimit -n`, LimitNOFILE= in systemd), or use more shards with fewer "
          "connections each"};
    case ENOMEM:
      return Error{what + "there is not enough memory for the table"};
    default:
      return system_error(what + "the kernel refused the table", error);
  }
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) {
  if (!is_power_of_two(options.submissions) || options.submissions > kSubmissionsMax) {
    return Error{"the submission queue of a ring must be a power of two up to " +
                 std::to_string(kSubmissionsMax) + ", not " + std::to_string(options.submissions)};
  }
  if (options.slots == 0 || options.slots > kSlotsMax) {
    return Error{"a ring holds 1 to " + std::to_string(kSlotsMax) + " connections, not " +
                 std::to_string(options.slots)};
  }
  if (!is_power_of_two(options.receive_buffers) ||
      options.receive_buffers > ReceiveBuffers::kCountMax || options.receive_buffer_bytes == 0) {
    return Error{"the receive buffers of a ring must be a power of two up to " +
                 std::to_string(ReceiveBuffers::kCountMax) + " and not be empty"};
  }
  auto impl = std::make_unique<Impl>(options);
  if (Result<void> done = impl->set_up(); !done) return done.error();
  return std::unique_ptr<Ring>(new Ring(std::move(impl)));
}

Ring::Ring(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ring::~Ring() = default;

// The backlog begins as large as the completion queue: one drain of a full queue.
Ring::Impl::Impl(const RingOptions& ring_options)
    : options(ring_options),
      direct(ring_options.descriptors == Descriptors::direct),
      backlog(std::size_t{4} * ring_options.submissions) {
  failures.reserve(options.submissions);
  reported.reserve(options.submissions);
  if (!direct) descriptors.assign(options.slots, -1);
}

Result<void> Ring::Impl::set_up() {
  io_uring_params parameters{};
  parameters.flags = kSetupFlags;
  parameters.cq_entries = 4 * options.submissions;
  if (const int error = io_uring_queue_init_params(options.submissions, &uring, &parameters);
      error < 0) {
    return explain_setup_failure(-error);
  }
  ring_fd = uring.ring_fd;
  if ((parameters.features & kFeatures) != kFeatures) return explain_setup_failure(EINVAL);
  // Saves a look-up of the descriptor in each system call. Refused beyond 16 rings on a thread;
  // then the calls just cost a little more.
  (void)io_uring_register_ring_fd(&uring);
  if (direct) {
    if (const int error = io_uring_register_files_sparse(&uring, options.slots); error < 0) {
      return explain_slots_failure(-error, options.slots);
    }
  }
  if (Result<void> opened =
          buffers.open(uring, options.receive_buffers, options.receive_buffer_bytes);
      !opened) {
    return opened;
  }
  event_fd = eventfd(0, EFD_CLOEXEC);
  if (event_fd < 0) return explain_setup_failure(errno);
  messages_work = options.wake_by_message && message_wakes_sleeping_ring();
  arm_event_fd();
  return {};
}

// The order matters. Accepts that were answered but not asked for hold descriptors: take them
// first. Once the ring is closed, the kernel cancels what is armed on its own time; it runs none of
// it any more, so buffers, addresses and `event_count` may go.
Ring::Impl::~Impl() {
  if (ring_fd >= 0) {
    drain();
    io_uring_queue_exit(&uring);
  }
  if (event_fd >= 0) ::close(event_fd);
  for (const int descriptor : descriptors) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

}  // namespace ringcast::uring

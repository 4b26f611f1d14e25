#pragma once

namespace ringcast::uring {

/// Whether IORING_OP_MSG_RING wakes a thread that sleeps on a DEFER_TASKRUN ring, found out by
/// trying with a second thread. Tried once for the process (2 ms when it works, 100 ms when not);
/// later calls, from any thread, return the first answer.
[[nodiscard]] bool message_wakes_sleeping_ring();

}  // namespace ringcast::uring

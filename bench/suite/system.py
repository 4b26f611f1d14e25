"""What the kernel is set to for as long as a run takes: limits that very many connections need, and who pays for what.

Both ends of every connection are on this machine, and as the kernel comes, the sender of a packet on loopback pays for
receiving it too: the server would be charged with its clients' half of TCP, which is more than its own work. Receive
flow steering (RFS) has each packet received on the CPU whose process reads it, as if that were another machine.
"""

import contextlib
import os
import pathlib

from suite.servers import Failure

PAGE = 4096
TCP_PAGES_A_STREAM = 3       # both ends; what an idle connection is accounted with is less
BACKLOG_STREAMS = 50_000     # up to so many, the default backlog does
KERNEL_BYTES_A_STREAM = 10_400  # both ends, with their armed receives; 9,700 measured
SPARE_BYTES = 1 << 30

LOOPBACK_QUEUE = pathlib.Path("/sys/class/net/lo/queues/rx-0")
FLOWS = 1 << 18  # two for each stream, one for each direction; the kernel wants a power of two
STEERED = "on the CPU of its reader (RFS)"
NOT_STEERED = "on the CPU of its sender, since only root may change that"
UNCHANGED = "as this machine is set"


def path(name):
    return pathlib.Path("/proc/sys") / name.replace(".", "/")


def needed(streams):
    """By name: the values that so many streams need, both ends here, where the present ones are smaller."""
    wanted = {}
    if streams > BACKLOG_STREAMS:
        # Keep-alive probes and acknowledgements of many streams come at a time; what finds the queue full is dropped.
        wanted["net.core.netdev_max_backlog"] = [streams]
        pages = streams * TCP_PAGES_A_STREAM
        wanted["net.ipv4.tcp_mem"] = [pages, pages + pages // 3, pages * 2]
    raised = {}
    for name, values in wanted.items():
        present = [int(value) for value in path(name).read_text().split()]
        if any(have < want for have, want in zip(present, values)):
            raised[name] = [max(have, want) for have, want in zip(present, values)]
    return raised


@contextlib.contextmanager
def set_to(texts):
    """Files of the kernel, by path, with other texts; puts everything back."""
    before = {}
    try:
        for file, text in texts.items():
            present = file.read_text()
            file.write_text(text)
            before[file] = present
        yield
    finally:
        for file, text in reversed(before.items()):
            with contextlib.suppress(OSError):
                file.write_text(text)


@contextlib.contextmanager
def raised_limits(streams):
    """Raises what is too low, yields it as text, and puts everything back."""
    raised = {name: " ".join(map(str, values)) for name, values in needed(streams).items()}
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(set_to({path(name): text for name, text in raised.items()}))
        except OSError as error:
            say = "\n".join(f"  sysctl -w {name}='{text}'" for name, text in raised.items())
            raise Failure(f"{streams:,} streams need limits of the kernel that only root can raise "
                          f"({error}):\n{say}") from error
        yield ", ".join(f"{name} = {text}" for name, text in raised.items())


@contextlib.contextmanager
def raised_where_allowed(streams):
    """The same for runs that mostly succeed without."""
    with contextlib.ExitStack() as stack:
        try:
            raised = stack.enter_context(raised_limits(streams)) or "none"
        except Failure:
            raised = "none, since only root may"
        yield raised


def mask_of(cpus):
    """As the kernel writes a set of CPUs: hexadecimal, a comma between 32 of them."""
    digits = f"{sum(1 << cpu for cpu in cpus):x}"
    start = len(digits) % 8
    return ",".join(([digits[:start]] if start else []) + [digits[i:i + 8] for i in range(start, len(digits), 8)])


@contextlib.contextmanager
def steered_receive():
    """Packets on loopback are received where they are read, as far as we may say so; yields where that is, as text."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(set_to({
                path("net.core.rps_sock_flow_entries"): str(FLOWS),
                LOOPBACK_QUEUE / "rps_flow_cnt": str(FLOWS),
                LOOPBACK_QUEUE / "rps_cpus": mask_of(os.sched_getaffinity(0))}))
            where = STEERED
        except OSError:
            where = NOT_STEERED
        yield where


def dropped_packets():
    """Packets that found a processor's backlog full, since the machine started."""
    return sum(int(line.split()[1], 16) for line in pathlib.Path("/proc/net/softnet_stat").read_text().splitlines())


def available_bytes():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise Failure("/proc/meminfo has no MemAvailable")


def streams_that_fit(wanted, user_bytes_a_stream):
    """At most `wanted`; fewer if the memory that is available is less than they need, both ends."""
    fit = (available_bytes() - SPARE_BYTES) // (KERNEL_BYTES_A_STREAM + user_bytes_a_stream)
    return max(0, min(wanted, fit))

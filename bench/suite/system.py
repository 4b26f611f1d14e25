"""Limits of the kernel that very many connections on one machine need, raised for as long as a run takes."""

import contextlib
import pathlib

from suite.servers import Failure

PAGE = 4096
TCP_PAGES_A_STREAM = 3       # both ends; what an idle connection is accounted with is less
BACKLOG_STREAMS = 100_000    # up to so many, the default backlog does
KERNEL_BYTES_A_STREAM = 10_400  # both ends, with their armed receives; 9,700 measured
SPARE_BYTES = 1 << 30


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
def raised_limits(streams):
    """Raises what is too low, yields it as text, and puts everything back."""
    raised = needed(streams)
    before = {name: path(name).read_text() for name in raised}
    try:
        for name, values in raised.items():
            try:
                path(name).write_text("\t".join(map(str, values)))
            except OSError as error:
                say = "\n".join(f"  sysctl -w {name}='{' '.join(map(str, values))}'" for name, values in raised.items())
                raise Failure(f"{streams:,} streams need limits of the kernel that only root can raise "
                              f"({error}):\n{say}") from error
        yield ", ".join(f"{name} = {' '.join(map(str, values))}" for name, values in raised.items())
    finally:
        for name, text in before.items():
            with contextlib.suppress(OSError):
                path(name).write_text(text)


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

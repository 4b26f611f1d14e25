#!/usr/bin/env python3
"""What a running server does in a second, for each turn of its loop and for each delivery.

Counts with perf (system calls, context switches, operations of io_uring) and from the server's own metrics over the
same time, while there is load. Events that this kernel does not have are shown as a dash.
"""

import csv
import subprocess
import time

import target

# Of perf, and what they are called in the table. Names of tracepoints differ between kernels: the first that exists.
EVENTS = {
    "CPU, ms": ["task-clock"],
    "context switches": ["context-switches"],
    "CPU migrations": ["cpu-migrations"],
    "page faults": ["page-faults"],
    "system calls": ["raw_syscalls:sys_enter"],
    "io_uring_enter": ["syscalls:sys_enter_io_uring_enter"],
    "operations submitted": ["io_uring:io_uring_submit_req", "io_uring:io_uring_submit_sqe"],
    "completions posted": ["io_uring:io_uring_complete"],
    "given to kernel workers": ["io_uring:io_uring_queue_async_work"],
    "completion queue overflows": ["io_uring:io_uring_cqe_overflow"],
}
COUNTERS = {
    "turns": "ringcast_turns_total",
    "sends": "ringcast_sends_total",
    "sends, a part taken": "ringcast_sends_short_total",
    "sends, none taken": "ringcast_sends_refused_total",
    "deliveries": "ringcast_deliveries_total",
    "heartbeats": "ringcast_heartbeats_total",
    "events": "ringcast_hub_events_total",
    "waits of the history": "ringcast_append_waits_total",
    "waits of the hub": "ringcast_hub_inbox_full_total",
    "streams opened": "ringcast_streams_opened_total",
}


def known_events():
    listed = subprocess.run(["perf", "list", "--no-desc"], capture_output=True, text=True, check=False).stdout
    words = set(listed.split())
    found = {}
    for title, names in EVENTS.items():
        name = next((name for name in names if name in words), None)
        if name:
            found[title] = name
    return found


def count(pid, seconds, events):
    """How often each happened, and in how many seconds."""
    begin = time.monotonic()
    done = subprocess.run(
        ["perf", "stat", "-x", ";", "-e", ",".join(events.values()), "-p", str(pid), "--", "sleep", str(seconds)],
        capture_output=True, text=True, check=False, timeout=seconds + 60)
    elapsed = time.monotonic() - begin
    counts = {}
    for row in csv.reader(done.stderr.splitlines(), delimiter=";"):
        if len(row) > 2 and row[0].replace(".", "", 1).isdigit():
            counts[row[2]] = float(row[0])
    if not counts:
        target.fail(f"perf stat failed: {done.stderr.strip()}\nAs root, or with sysctl kernel.perf_event_paranoid=-1")
    return {title: counts.get(name) for title, name in events.items()}, elapsed


def table(counts, seconds):
    turns, deliveries = counts.get("turns"), counts.get("deliveries")
    yield f"{'':<30}{'total':>14}{'a second':>14}{'a turn':>12}{'a delivery':>12}"
    for title, value in counts.items():
        if value is None:
            yield f"{title:<30}{'–':>14}"
            continue
        by_turn = f"{value / turns:,.2f}" if turns else "–"
        by_delivery = f"{value / deliveries:,.4f}" if deliveries else "–"
        yield f"{title:<30}{value:>14,.0f}{value / seconds:>14,.0f}{by_turn:>12}{by_delivery:>12}"


def main():
    parser = target.parser(__doc__)
    parser.add_argument("--seconds", type=target.seconds, default=10, help="how long to look (default: %(default)s)")
    parser.add_argument("--admin", default="http://127.0.0.1:9080", metavar="URL",
                        help="the server's admin listener; '' does without it (default: %(default)s)")
    arguments = parser.parse_args()
    target.need("perf", "linux-perf")
    pid = target.pid(arguments)
    events = known_events()
    before = target.metrics(arguments.admin) if arguments.admin else {}
    counts, seconds = count(pid, arguments.seconds, events)
    after = target.metrics(arguments.admin) if arguments.admin else {}
    counts = {title: counts.get(title) for title in EVENTS}
    counts |= {title: after[name] - before[name] for title, name in COUNTERS.items()
               if name in before and name in after}
    print("\n".join(table(counts, seconds)))


if __name__ == "__main__":
    target.run(main)

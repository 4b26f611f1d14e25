"""What is measured of each program, with the same generator and the same load."""

import dataclasses
import pathlib
import statistics
import subprocess
import threading
import time

from compare import programs
from compare.plots import BACK, BACK_WITH_MISSED, CPU, MEMORY, OPENS, P99, RATE
from compare.programs import NCHAN, PROGRAMS, RINGCAST
from suite import certificates, generator, servers
from suite.results import Outcome, Table, written

LOOK_SECONDS = 0.05
DRAIN_SECONDS, DRAIN_LOOK_SECONDS = 15, 0.3
SPARE_SOCKETS = 20
# From when every connection stands to when memory is read: what has been made for opening them only is gone by then.
QUIET_SECONDS = 0.6  # of the time that the streams are held

P50, LOST = "latency_p50", "lost"

KEPT = [MEMORY, "memory_bytes_empty", "memory_bytes_idle", "processes", "slab_bytes_per_stream", CPU, P50, P99, RATE,
        "open", OPENS, "published", "expected", "deliveries", "missing", "duplicates", "out_of_order", LOST,
        BACK, "storm_seconds", "storm_returned", "server_storm_cpu_ns_per_stream", "storm_missed",
        "storm_missed_expected", "storm_missed_arrived", BACK_WITH_MISSED, "storm_reopen_seconds",
        "server_storm_reopen_cpu_ns_per_stream", "not_counted"]

STREAMS_FIGURES = [
    (MEMORY, "user memory of an idle stream, bytes"),
    ("slab_bytes_per_stream", "kernel memory of an idle stream: slab, both ends, bytes"),
    (CPU, "server CPU for a delivery, ns"),
    (P50, "latency p50, µs"),
    (P99, "latency p99, µs"),
    (OPENS, "streams opened a second"),
]
THROUGHPUT_FIGURES = [
    (RATE, "deliveries a second"),
    (CPU, "server CPU for a delivery, ns"),
]
STORM_FIGURES = [
    (BACK, "streams back a second"),
    ("storm_seconds", "seconds from the first one's end to the last one's response"),
    ("server_storm_cpu_ns_per_stream", "server CPU for each, closed and opened, ns"),
]
STORM_MISSED_FIGURES = [
    (BACK_WITH_MISSED, "streams back with what they missed, a second"),
    ("storm_reopen_seconds", "seconds from the first connection to the last one's last missed event"),
    ("server_storm_reopen_cpu_ns_per_stream", "server CPU for each, ns"),
]

STORM_AT, STORM_AFTER = 2, 2  # events before, so that each stream has an ID, and after
CPU_RATIO_MAX = 0.5  # Ringcast : nchan


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a profile makes the comparison."""
    runs: int
    streams: int
    events: int
    rate: float
    hold: float
    throughput_events: int
    storm_missed: int
    storm_rate: float
    many_streams: int
    many_events: int
    many_rate: float
    tls_streams: int
    tls_events: int
    tls_rate: float


FULL = Size(runs=3, streams=15_000, events=8, rate=1, hold=4, throughput_events=20, storm_missed=10, storm_rate=4,
            many_streams=60_000, many_events=6, many_rate=0.5, tls_streams=8_000, tls_events=8, tls_rate=2)
QUICK = Size(runs=1, streams=5_000, events=8, rate=2, hold=3, throughput_events=20, storm_missed=10, storm_rate=4,
             many_streams=30_000, many_events=6, many_rate=1, tls_streams=3_000, tls_events=8, tls_rate=4)
SMOKE = Size(runs=1, streams=50, events=10, rate=50, hold=0.2, throughput_events=20, storm_missed=5, storm_rate=50,
             many_streams=100, many_events=5, many_rate=50, tls_streams=50, tls_events=5, tls_rate=50)
PROFILES = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


# One run

def memory_bytes(server):
    """PSS of all processes of the program: what they share counts once.

    Without files: a library's pages count the less the more processes have it, the generator among them.
    """
    lines = (line for pid in server.processes
             for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def tcp_sockets():
    for line in pathlib.Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[2])
    raise servers.Failure("/proc/net/sockstat has no line of TCP")


def wait_until_drained():
    """Until the kernel has freed the sockets of what ran before; they would be counted as ours."""
    until = time.monotonic() + DRAIN_SECONDS
    before, now = tcp_sockets() + 1, tcp_sockets()
    while now < before and time.monotonic() < until:
        time.sleep(DRAIN_LOOK_SECONDS)
        before, now = now, tcp_sockets()


class Memory(threading.Thread):
    """Reads the memory once, a while after both ends of each stream's connection stand."""

    def __init__(self, server, streams, hold):
        super().__init__()
        self.server = server
        # With a few to spare: whoever else closes a connection meanwhile does not spoil it.
        self.wanted = tcp_sockets() + 2 * streams - SPARE_SOCKETS
        self.hold = hold
        self.empty = memory_bytes(server)
        self.idle = None
        self.ended = threading.Event()

    def run(self):
        while tcp_sockets() < self.wanted:
            if self.ended.wait(LOOK_SECONDS):
                return
        if not self.ended.wait(QUIET_SECONDS * self.hold):
            self.idle = memory_bytes(self.server)


def measure(options, name, streams, secure=False, hold=0.0, **load):
    """One run of the generator against the program; `load` as ringcast-load takes it.

    A run in which something was lost, came twice or in another order counts, and says how much; one that could not be
    ended has `not_counted`, the reason.
    """
    if options.gather:
        load |= {"gather": options.gather}
    if secure:
        load |= {"insecure": True, "tls_version": "1.3"}
    with programs.running(name, options, streams, secure) as server:
        # nginx's first process only waits, and with one worker the last one does all the work.
        load |= {"server_pid": server.processes[-1],
                 "watch": [f"{number}={pid}" for number, pid in enumerate(server.processes)]}
        if hold and not options.strict:
            wait_until_drained()
        memory = Memory(server, streams, hold)
        command = generator.command_of(
            options, url=f"{server.secure_base if secure else server.base}/events",
            publish_url=f"{server.base}/publish", streams=streams, hold=hold, **programs.publishing(name), **load)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        memory.start()
        try:
            report = generator.read_report(process.communicate()[0])
        finally:
            memory.ended.set()
            memory.join()
            if process.poll() is None:
                process.kill()
                process.wait()
        report["processes"] = len(server.processes)
    add_figures(report, memory, streams)
    if report["failure"]:
        report["not_counted"] = report["failure"]
    return report


def add_figures(report, memory, streams):
    if memory.idle is not None and report["hold_seconds"]:
        report["memory_bytes_empty"] = memory.empty
        report["memory_bytes_idle"] = memory.idle
        report[MEMORY] = (memory.idle - memory.empty) / streams
    if report["deliveries"]:
        threads = (ns for use in report["watched_cpu_ns"].values() for ns in use.get("publish", {}).values())
        report[CPU] = sum(threads) / report["deliveries"]
    if report["open_seconds"]:
        report[OPENS] = report["open"] / report["open_seconds"]
    report[LOST] = report["missing"] + report["duplicates"] + report["out_of_order"]


# All runs

def figures_of(reports, figure):
    return [report[figure] for report in reports if report.get(figure) is not None and "not_counted" not in report]


def median(reports, figure):
    values = figures_of(reports, figure)
    return statistics.median(values) if values else None


def cell(reports, figure):
    """Median and, in parentheses, largest minus smallest in percent of it."""
    values = figures_of(reports, figure)
    if not values:
        return None
    if len(values) == 1:
        return written(values[0])
    return f"{written(statistics.median(values))} ({generator.spread_percent([{0: v} for v in values], 0):.0f} %)"


def table_of(reports, figures, without=None):
    """A column for each program, and for each rival how many times Ringcast's its figure is.

    `without` are the texts for programs that were not measured, by name.
    """
    names = list(reports) + list(without or {})
    rivals = [name for name in reports if name != RINGCAST]
    table = Table("median (spread)", *names, *(f"{name} : {RINGCAST}" for name in rivals))
    for figure, title in figures:
        own = median(reports[RINGCAST], figure)
        ratios = []
        for name in rivals:
            other = median(reports[name], figure)
            ratios.append(other / own if other is not None and own else None)
        table.add(title, *(cell(reports[name], figure) for name in reports), *(without or {}).values(), *ratios)
    expected = {name: sum(report.get("expected", 0) for report in of) for name, of in reports.items()}
    table.add("missing, twice or in another order, all runs",
              *(f"{sum(r[LOST] for r in of):,} of {expected[name]:,}" for name, of in reports.items()),
              *(without or {}).values(), *(None for _ in rivals))
    return table


def compare(options, outcome, names, runs, figures, run_one, without=None):
    """Runs the programs alternately, and adds the table to the outcome."""
    main_figure, main_title = figures[0]

    def show(report):
        if "not_counted" in report:
            return f"does not count: {report['not_counted']}"
        value = report.get(main_figure)
        return f"{main_title}: {'–' if value is None else format(value, ',.0f')}"
    reports = generator.in_turn(options, runs, names, run_one, show)
    outcome.tables.append(table_of(reports, figures, without))
    outcome.runs = {name: [kept(report) for report in of] for name, of in reports.items()}
    for name, of in reports.items():
        for report in of:
            if "not_counted" in report:
                outcome.notes.append(f"a run of {name} does not count: {report['not_counted']}")
        # Ringcast's counts must be right everywhere; those of the others, where the load is so small that a wrong one
        # is a fault of this comparison.
        if name == RINGCAST or options.strict:
            outcome.check(f"runs of {name} in which every delivery arrived once and in order",
                          sum(report["good"] for report in of), runs)
    return reports


def kept(report):
    return {name: report[name] for name in KEPT if name in report}


def chosen(options, *names):
    return [name for name in names if name in options.programs]


def streams(options, size):
    outcome = Outcome(
        "streams", "What a stream costs while nothing happens, and what an event costs.",
        {"streams": size.streams, "events": size.events, "events a second": size.rate, "bytes": options.bytes,
         "runs each": options.runs or size.runs})
    compare(options, outcome, chosen(options, *PROGRAMS), options.runs or size.runs, STREAMS_FIGURES,
            lambda name: measure(options, name, size.streams, hold=size.hold, events=size.events, rate=size.rate,
                                 bytes=options.bytes))
    return outcome


def throughput(options, size):
    outcome = Outcome(
        "throughput", "How quickly events leave when one is published as soon as the one before is answered.",
        {"streams": size.streams, "events": size.throughput_events, "rate": "as fast as answered",
         "bytes": options.bytes, "runs each": options.runs or size.runs})
    compare(options, outcome, chosen(options, *PROGRAMS), options.runs or size.runs, THROUGHPUT_FIGURES,
            lambda name: measure(options, name, size.streams, events=size.throughput_events, bytes=options.bytes))
    return outcome


def measure_storm(options, size, name, missed):
    return measure(options, name, size.streams, events=STORM_AT + missed + STORM_AFTER, rate=size.storm_rate,
                   bytes=options.bytes, storm=STORM_AT, storm_missed=missed)


def storm(options, size):
    runs = options.runs or size.runs
    outcome = Outcome(
        "storm", "All streams are closed at once and come back.",
        {"streams": size.streams, "bytes": options.bytes, "runs each": runs})
    compare(options, outcome, chosen(options, *PROGRAMS), runs, STORM_FIGURES,
            lambda name: measure_storm(options, size, name, 0))
    return outcome


def storm_missed(options, size):
    runs = options.runs or size.runs
    outcome = Outcome(
        "storm-missed", "All streams are closed at once, events are published, each stream comes back and gets those.",
        {"streams": size.streams, "events missed": size.storm_missed, "bytes": options.bytes, "runs each": runs})
    able = [name for name in chosen(options, *PROGRAMS) if PROGRAMS[name].replays]
    unable = {name: "no replay" for name in chosen(options, *PROGRAMS) if name not in able}
    reports = compare(options, outcome, able, runs, STORM_MISSED_FIGURES,
                      lambda name: measure_storm(options, size, name, size.storm_missed), unable)
    outcome.check(f"events that {RINGCAST}'s streams had missed and got",
                  sum(report.get("storm_missed_arrived", 0) for report in reports[RINGCAST]),
                  runs * size.streams * size.storm_missed)
    return outcome


def many(options, size):
    runs = options.runs or size.runs
    outcome = Outcome(
        "many", "The same with more streams than one process may have descriptors.",
        {"streams": size.many_streams, "events": size.many_events, "events a second": size.many_rate,
         "bytes": options.bytes, "workers of nginx": programs.workers_for(size.many_streams),
         "shards of Ringcast": servers.shards_for(size.many_streams), "runs each": runs})
    reports = compare(
        options, outcome, chosen(options, RINGCAST, NCHAN), runs, STREAMS_FIGURES,
        lambda name: measure(options, name, size.many_streams, hold=size.hold, events=size.many_events,
                             rate=size.many_rate, bytes=options.bytes))
    own, other = (median(reports.get(name, []), CPU) for name in (RINGCAST, NCHAN))
    if own and other and not options.strict:
        outcome.target("server CPU for a delivery, Ringcast : nchan", own / other, at_most=CPU_RATIO_MAX)
    return outcome


def tls(options, size):
    runs = options.runs or size.runs
    outcome = Outcome(
        "tls", "The same over TLS 1.3, without a proxy in front. What Gin and better-sse do is behind one as a rule.",
        {"streams": size.tls_streams, "events": size.tls_events, "events a second": size.tls_rate,
         "bytes": options.bytes, "certificate": certificates.ECDSA, "OpenSSL": certificates.version(),
         "runs each": runs})
    compare(options, outcome, chosen(options, RINGCAST, NCHAN), runs, STREAMS_FIGURES,
            lambda name: measure(options, name, size.tls_streams, secure=True, hold=size.hold, events=size.tls_events,
                                 rate=size.tls_rate, bytes=options.bytes))
    return outcome


# The others run the same code with the same programs, and would make the test longer.
SMOKE_MEASURES = ["streams", "storm-missed", "tls"]
MEASURES = {"streams": streams, "throughput": throughput, "storm": storm, "storm-missed": storm_missed, "many": many,
            "tls": tls}

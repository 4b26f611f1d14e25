"""Very many clients begin TLS at the same moment: what the streams that run already feel of it."""

import signal
import subprocess
import threading
import time

from suite import certificates, generator, servers
from suite.results import Outcome, Table

LOOK_SECONDS = 0.05
BEGIN_AFTER = 1 / 8  # of the events, so that the storm falls among them
TOPIC = "load-0"  # of the running streams; the newcomers want another, so that they change nothing by being there
NEWCOMERS_URL = "{}/events?topic=newcomers"
# The newcomers' own work must not delay those whose latency is measured, who share their CPUs.
POLITELY = ["nice", "-n", "10"]
NONE = "no storm"
FIGURES = [
    ("stretch_latency_p50", "latency of the running streams meanwhile, p50, µs"),
    ("stretch_latency_p99", "p99, µs"),
    ("stretch_latency_max", "largest, µs"),
]


class Storm(threading.Thread):
    """Waits until events flow, then lets the newcomers come; without newcomers it waits for as long as they might take.

    Marks the time from their first connection to the last one's first bytes as the generator's stretch.
    """

    def __init__(self, options, server, running, begin_at, newcomers, seconds):
        super().__init__()
        self.options = options
        self.server = server
        self.running = running  # the process that measures
        self.begin_at = begin_at
        self.newcomers = newcomers
        self.seconds = seconds
        self.ended = threading.Event()
        self.report = None
        self.took = 0
        self.published = 0
        self.error = None

    def run(self):
        try:
            while self.events() < self.begin_at:
                if self.ended.wait(LOOK_SECONDS):
                    return
            self.storm()
        except (OSError, servers.Failure) as error:
            self.error = error

    def events(self):
        return self.server.metric("ringcast_publishes_accepted_total")

    def storm(self):
        open_then = self.server.metric("ringcast_streams_open") + self.newcomers
        process = self.let_come() if self.newcomers else None
        self.running.send_signal(signal.SIGUSR1)
        begin = time.monotonic()
        while not self.is_over(begin, open_then, process):
            time.sleep(LOOK_SECONDS)
        self.running.send_signal(signal.SIGUSR2)
        self.took = time.monotonic() - begin
        self.published = self.events()
        if process:
            self.report = generator.exact(generator.read_report(process.communicate()[0]))

    def let_come(self):
        command = generator.command_of(
            self.options, url=NEWCOMERS_URL.format(self.server.secure_base), streams=self.newcomers,
            connecting=self.newcomers, insecure=True)
        return subprocess.Popen(POLITELY + command, stdout=subprocess.PIPE, text=True)

    def is_over(self, begin, open_then, process):
        if process is None:
            # Looks as often as with a storm.
            self.server.metric("ringcast_streams_open")
            return time.monotonic() - begin >= self.seconds
        return process.poll() is not None or self.server.metric("ringcast_streams_open") >= open_then


def run_variant(options, size, files, handshakes_max):
    """`handshakes_max` None: no storm."""
    newcomers = size.tls_storm_newcomers if handshakes_max else 0
    streams = size.tls_storm_streams
    events = int(size.tls_storm_rate * size.tls_storm_seconds)
    begin_at = max(1, int(events * BEGIN_AFTER))
    tls = {"handshakes_max": handshakes_max} if handshakes_max else {}
    # One shard, so that the events of the running streams share their thread with all handshakes.
    sections = {"server": {"shards": 1}} | certificates.sections(**tls)
    with servers.running("ringcast", options, sections, files) as server:
        command = generator.command_of(
            options, url=f"{server.secure_base}/events", publish_url=f"{server.base}/publish", server_pid=server.pid,
            insecure=True, streams=streams, topics=1, events=events, rate=size.tls_storm_rate, bytes=options.bytes)
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        storm = Storm(options, server, running, begin_at, newcomers, size.tls_storm_seconds / 2)
        storm.start()
        try:
            report = generator.exact(generator.read_report(running.communicate()[0]))
        finally:
            storm.ended.set()
            storm.join()
            if running.poll() is None:
                running.kill()
                running.wait()
        if storm.error:
            raise servers.Failure(f"the storm: {storm.error}")
        metrics = server.metrics()
    report["stretch_latency_max"] = report["stretch_latency_us"]["max"]
    report["stretch_events"] = storm.published - begin_at
    report["handshakes"] = metrics["ringcast_tls_handshakes_total"]
    if newcomers:
        report["newcomers"] = storm.report["open"]
        report["newcomers_seconds"] = storm.report["open_seconds"]
        report["newcomers_a_second"] = storm.report["open"] / storm.report["open_seconds"]
        report["newcomers_opens_failed"] = storm.report["opens_failed"]
        report["newcomers_handshake_p50"] = storm.report["tls_handshake_p50"] / 1e6
        report["newcomers_handshake_max"] = storm.report["tls_handshake_us"]["max"] / 1e6
        report["stretch_left_events"] = events - storm.published
    return report


def tls_storm(options, size):
    runs = options.runs or size.tls_storm_runs
    variants = {NONE: None} | {f"handshakes_max {most:,}": most for most in size.tls_storm_handshakes_max}
    outcome = Outcome(
        "tls-storm", "Very many TLS handshakes at once delay the events of the streams that run by a bounded time.",
        {"running streams, TLS 1.3": size.tls_storm_streams, "events a second": size.tls_storm_rate,
         "bytes": options.bytes, "newcomers at once": size.tls_storm_newcomers, "certificate": certificates.ECDSA,
         "OpenSSL": certificates.version(), "shards": 1, "runs each": runs})
    files = certificates.files()
    reports = generator.in_turn(
        options, runs, list(variants), lambda name: run_variant(options, size, files, variants[name]),
        lambda r: f"p99 {r['stretch_latency_p99']:,.0f} µs, largest {r['stretch_latency_max']:,.0f} µs"
                  + (f", all newcomers in after {r['newcomers_seconds']:.1f} s" if "newcomers" in r else ""))
    storms = [name for name in variants if name != NONE]

    table = Table("median of the runs", *variants)
    for figure, title in FIGURES:
        table.add(title, *(generator.median(reports[name], figure) for name in variants))

    def row(title, figure):
        table.add(title, None, *(generator.median(reports[name], figure) for name in storms))
    row("seconds until the last newcomer had its first bytes", "newcomers_seconds")
    row("newcomers a second", "newcomers_a_second")
    row("a newcomer's handshake, p50, s", "newcomers_handshake_p50")
    row("the longest one, s", "newcomers_handshake_max")
    row("attempts of newcomers that failed", "newcomers_opens_failed")
    row("events published meanwhile", "stretch_events")
    outcome.tables.append(table)
    for name in variants:
        outcome.check(f"deliveries to the running streams, {name}", sum(r["deliveries"] for r in reports[name]),
                      runs * size.tls_storm_streams * int(size.tls_storm_rate * size.tls_storm_seconds))
    for name in storms:
        outcome.check(f"newcomers that became streams, {name}", sum(r["newcomers"] for r in reports[name]),
                      runs * size.tls_storm_newcomers)
        outcome.target(f"storms that ended before the last event was published, {name}",
                       sum(r["stretch_left_events"] > 0 for r in reports[name]), at_least=runs)
    outcome.notes.append(
        f"the newcomers run with `{' '.join(POLITELY)}`: on the generator's CPU those who measure come first")
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in variants}
    return outcome

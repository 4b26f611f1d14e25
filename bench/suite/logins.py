"""Many sign in at once while events flow: hashing their passwords must delay no event."""

import contextlib
import json
import selectors
import socket
import threading
import time

from suite import generator, identity, servers
from suite.results import Outcome, Table

NONE, LOGINS = "no logins", "logins"
VARIANTS = [NONE, LOGINS]
LOOK_SECONDS = 0.1
ANSWER_SECONDS = 120
BEGIN_AFTER = 1 / 8  # of the events, so that the logins fall among them
FIGURES = [
    ("latency_p50", "latency of the events, p50, µs"),
    ("latency_p99", "latency of the events, p99, µs"),
    ("latency_max", "latency of the events, largest, µs"),
    ("server_cpu_ms_publishing", "server CPU from the first event to the last arrival, ms"),
]


def sign_in(port, count):
    """`count` logins of as many users, sent together on connections of their own.

    Returns the statuses and the seconds each took; a connection that ends without an answer has status 0.
    """
    statuses, seconds = [], []
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        connections = []
        for number in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            body = json.dumps({"username": identity.user(number), "password": identity.PASSWORD})
            head = (f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n")
            connections.append((connection, (head + body).encode()))
        begin = time.monotonic()
        for connection, request in connections:
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() - begin < ANSWER_SECONDS:
            for key, _ in selector.select(timeout=1):
                words = key.fileobj.recv(4096).split(b" ", 2)
                statuses.append(int(words[1]) if len(words) > 1 else 0)
                seconds.append(time.monotonic() - begin)
                selector.unregister(key.fileobj)
    return statuses, seconds


class Logins(threading.Thread):
    """Waits until some events are published, then signs in; without logins it only waits, just as often."""

    def __init__(self, server, count, begin_at):
        super().__init__()
        self.server = server
        self.count = count
        self.begin_at = begin_at
        self.ended = threading.Event()
        self.statuses = []
        self.seconds = []
        self.published = 0
        self.error = None

    def run(self):
        try:
            while self.events() < self.begin_at:
                if self.ended.wait(LOOK_SECONDS):
                    return
            if self.count:
                self.statuses, self.seconds = sign_in(self.server.port, self.count)
                self.published = self.events()
        except (OSError, servers.Failure) as error:
            self.error = error

    def events(self):
        return self.server.metric("ringcast_publishes_accepted_total")


def run_variant(options, size, variant):
    count = size.logins_at_once if variant == LOGINS else 0
    begin_at = max(1, int(size.logins_events * BEGIN_AFTER))
    sections = {"server": {"shards": servers.shards_for(size.logins_streams)}} | identity.sections()
    files = identity.files(size.logins_streams, size.logins_at_once)
    with servers.running("ringcast", options, sections, files) as server:
        logins = Logins(server, count, begin_at)
        logins.start()
        try:
            report = generator.run(
                options, server, streams=size.logins_streams, events=size.logins_events, rate=size.logins_rate,
                bytes=options.bytes, tokens_file=server.folder / identity.TOKENS_FILE)
        finally:
            logins.ended.set()
            logins.join()
        if logins.error:
            raise servers.Failure(f"signing in: {logins.error}")
        report["logins_accepted"] = server.metric("ringcast_logins_accepted_total")
    report["latency_max"] = report["latency_us"]["max"]
    report["server_cpu_ms_publishing"] = report["server_publish_cpu_ns"] / 1e6
    report["logins"] = len(logins.statuses)
    report["logins_answered_200"] = logins.statuses.count(200)
    if count:
        report["logins_first_seconds"] = min(logins.seconds, default=0)
        report["logins_last_seconds"] = max(logins.seconds, default=0)
        report["events_among_logins"] = logins.published - begin_at
    return report


def logins(options, size):
    runs = options.runs or size.logins_runs
    outcome = Outcome(
        "logins", "Those who sign in delay no event.",
        {"streams": size.logins_streams, "events": size.logins_events, "events a second": size.logins_rate,
         "bytes": options.bytes, "logins at once": size.logins_at_once, "passwords": "bcrypt, cost 10",
         "runs each": runs})
    reports = generator.in_turn(
        options, runs, VARIANTS, lambda name: run_variant(options, size, name),
        lambda r: f"p99 of the events: {r['latency_p99']:,.0f} µs"
                  + (f", all signed in after {r['logins_last_seconds']:.1f} s" if r["logins"] else ""))
    table = Table("median of the runs", *(head for name in VARIANTS for head in (name, "spread %")), "ratio")
    for figure, title in FIGURES:
        medians = {name: generator.median(reports[name], figure) for name in VARIANTS}
        cells = []
        for name in VARIANTS:
            cells += [medians[name], generator.spread_percent(reports[name], figure)]
        table.add(title, *cells, medians[LOGINS] / medians[NONE] if medians[NONE] else None)
    for figure, title in [("logins_first_seconds", "seconds until the first login was answered"),
                          ("logins_last_seconds", "seconds until the last one was"),
                          ("events_among_logins", "events published meanwhile")]:
        table.add(title, None, None, generator.median(reports[LOGINS], figure),
                  generator.spread_percent(reports[LOGINS], figure), None)
    outcome.tables.append(table)

    plain = generator.median(reports[NONE], "latency_p99")
    outcome.target("p99 of the events, median with logins : median without",
                   generator.median(reports[LOGINS], "latency_p99") / plain, 1.5)
    outcome.target("p99 of the events, worst run with logins : median without",
                   max(report["latency_p99"] for report in reports[LOGINS]) / plain, 1.5)
    for name in VARIANTS:
        outcome.check(f"deliveries, {name}", sum(report["deliveries"] for report in reports[name]),
                      runs * size.logins_streams * size.logins_events)
    everyone = runs * size.logins_at_once
    outcome.check("logins answered with 200", sum(r["logins_answered_200"] for r in reports[LOGINS]), everyone)
    outcome.check("logins accepted, as the server counted", sum(r["logins_accepted"] for r in reports[LOGINS]),
                  everyone)
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in VARIANTS}
    return outcome

"""Clients that never read: what they cost the others and the server, and what they get when they read again."""

from suite import generator, servers
from suite.results import Outcome, Table

# A socket that nobody reads takes about 35 of these events, and each shard keeps 34 at most: far
# fewer than are published, so that every stalled stream is overtaken.
FRAME_BYTES = 3_800
EVENTS = 110
EVENT_BYTES = 4_096
HISTORY_BYTES = 4 * 8 * EVENT_BYTES  # the smallest that the server accepts for such events

NONE, DISCONNECT, SKIP = "none stall", "disconnect", "skip"
VARIANTS = [NONE, DISCONNECT, SKIP]


def run_variant(options, size, variant):
    stalled = 0 if variant == NONE else size.slow_stalled
    streams = size.slow_readers + stalled
    sections = {
        "server": {"shards": servers.shards_for(streams)},
        "stream": {"slow_consumer": SKIP if variant == SKIP else DISCONNECT},
        "history": {"bytes": HISTORY_BYTES},
        "limits": {"event_bytes": EVENT_BYTES},
    }
    load = {"streams": streams, "events": EVENTS, "rate": size.slow_rate, "bytes": FRAME_BYTES}
    if stalled:
        load |= {"stalled": stalled, "stalled_resume": True}
    if variant == DISCONNECT:
        load["reconnect"] = True
    with servers.running("ringcast", options, sections) as server:
        report = generator.run(options, server, **load)
        report["ended_slow"] = server.metric("ringcast_streams_ended_slow_total")
        report["gaps_sent"] = server.metric("ringcast_gaps_total")
    return report


def tcp_bytes_per_stalled(report):
    """Both ends of each connection that stands still: everything else has been read by then."""
    return (report["tcp_buffer_bytes_end"] - report["tcp_buffer_bytes_open"]) / report["stalled"]


def add_figures(outcome, reports, stalled):
    for report in (r for runs in reports.values() for r in runs):
        report["pss_growth"] = report["server_pss_bytes_end"] - report["server_pss_bytes_open"]
        if report["stalled"]:
            report["tcp_per_stalled"] = tcp_bytes_per_stalled(report)
    table = Table("median of the runs", *VARIANTS)

    def row(title, figure, all_variants=True):
        table.add(title, *(generator.median(reports[name], figure) if all_variants or name != NONE else None
                           for name in VARIANTS))
    row("latency of the reading streams, p50, µs", "latency_p50")
    row("latency of the reading streams, p99, µs", "latency_p99")
    row("server CPU a delivery to a reading stream, ns", "server_cpu_ns_per_delivery")
    row("user memory before the events, bytes", "server_pss_bytes_open")
    row("user memory after them, bytes", "server_pss_bytes_end")
    plain_growth = generator.median(reports[NONE], "pss_growth")
    growths = {name: (generator.median(reports[name], "pss_growth") - plain_growth) / stalled
               for name in (DISCONNECT, SKIP)}
    table.add("user memory that grew for each stalled stream, bytes", None, *growths.values())
    row("kernel memory of each stalled stream (TCP), bytes", "tcp_per_stalled", all_variants=False)
    outcome.tables.append(table)

    after = Table("when they read again, all runs", DISCONNECT, SKIP)
    for title, figure in [("events for them", "stalled_expected"), ("arrived once and in order", "stalled_deliveries"),
                          ("skipped behind a `gap`", "stalled_skipped"), ("missing, unannounced", "stalled_missing"),
                          ("ended by the server", "stalled_dropped"), ("`gap` events", "gaps")]:
        after.add(title, *(sum(r[figure] for r in reports[name]) for name in (DISCONNECT, SKIP)))
    after.add("seconds until all stood at the newest event",
              *(generator.median(reports[name], "stalled_seconds") for name in (DISCONNECT, SKIP)))
    outcome.tables.append(after)

    plain = generator.median(reports[NONE], "latency_p99")
    for name in (DISCONNECT, SKIP):
        outcome.target(f"p99 of the readers, {name} : none stall",
                       generator.median(reports[name], "latency_p99") / plain, 1.5)
        outcome.target(f"user memory for each stalled stream, {name}, bytes", growths[name], 2 * EVENT_BYTES)


def add_checks(outcome, reports, size, runs):
    for name in VARIANTS:
        outcome.check(f"deliveries to the readers, {name}", sum(r["deliveries"] for r in reports[name]),
                      runs * size.slow_readers * EVENTS)
    all_stalled = runs * size.slow_stalled
    for name in (DISCONNECT, SKIP):
        got = {figure: sum(r[figure] for r in reports[name]) for figure in (
            "stalled_expected", "stalled_deliveries", "stalled_skipped", "stalled_dropped", "gaps",
            "gaps_sent", "ended_slow")}
        outcome.check(f"stalled streams: arrived and skipped behind a gap, {name}",
                      got["stalled_deliveries"] + got["stalled_skipped"], got["stalled_expected"])
        ended = all_stalled if name == DISCONNECT else 0
        outcome.check(f"stalled streams that the server ended, as they saw it, {name}", got["stalled_dropped"], ended)
        outcome.check(f"stalled streams that the server ended, as it counted, {name}", got["ended_slow"], ended)
        outcome.check(f"gaps received, of those that the server counted, {name}", got["gaps"], got["gaps_sent"])
        outcome.check(f"gaps received, one for each stalled stream at least, {name}",
                      min(got["gaps"], all_stalled), all_stalled)


def slow(options, size):
    runs = options.runs or size.slow_runs
    outcome = Outcome(
        "slow", "A client that does not read delays nobody, costs the server at most one frame, and learns what "
        "it missed.",
        {"reading streams": size.slow_readers, "stalled streams": size.slow_stalled, "events": EVENTS,
         "events a second": size.slow_rate, "bytes": FRAME_BYTES, "history.bytes": HISTORY_BYTES,
         "limits.event_bytes": EVENT_BYTES, "runs each": runs})
    reports = generator.in_turn(
        options, runs, VARIANTS, lambda name: run_variant(options, size, name),
        lambda r: f"p99 of the readers: {r['latency_p99']:,.0f} µs")
    add_figures(outcome, reports, size.slow_stalled)
    add_checks(outcome, reports, size, runs)
    outcome.notes.append(
        "kernel memory: `skip` keeps both ends of a stalled connection; after `disconnect` only the client's end "
        "is left, which holds what it has not read; the difference is the server's end")
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in VARIANTS}
    return outcome

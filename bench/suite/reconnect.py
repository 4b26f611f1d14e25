"""All clients drop and come back, each with the events that it has missed: beside a bare loop that only lets them in."""

from compare import programs
from suite import generator, servers
from suite.results import Outcome, Table

EVENTS_BEFORE, EVENTS_AFTER = 2, 2  # so that each stream comes back with an ID, and is seen to be there
RATIO_MIN = 0.8

FLOOR, HEADS, MISSED, NCHAN = "floor", "ringcast, nothing missed", "ringcast", programs.NCHAN
RATE = "storm_reopen_per_second"
CPU = "server_storm_cpu_ns_per_stream"
FIGURES = [
    (RATE, "streams back a second"),
    ("storm_reopen_seconds", "seconds from the first connection to when the last stream is back"),
    ("storm_back_p50", "a stream: from its connection to when it is back, p50, ms"),
    ("storm_back_p99", "p99, ms"),
    (CPU, "server CPU for each, closed and opened, ns"),
]
KEPT = [figure for figure, _ in FIGURES] + ["storm_missed", "storm_missed_expected", "storm_missed_arrived"]


def missed_by(name, missed):
    return missed if name in (MISSED, NCHAN) else 0  # the floor keeps nothing


def run_variant(options, size, name):
    streams = size.reconnect_streams
    missed = missed_by(name, size.reconnect_missed)
    load = {"streams": streams, "events": EVENTS_BEFORE + missed + EVENTS_AFTER, "bytes": options.bytes,
            "storm": EVENTS_BEFORE, "storm_missed": missed}
    if name == NCHAN:
        with programs.running(name, options, streams) as server:
            report = generator.run(options, server, **load, **programs.publishing(name))
        # nginx's first process only waits for its workers.
        report.pop(CPU, None)
    elif name == FLOOR:
        with servers.running("floor", options, {}) as server:
            report = generator.run(options, server, **load)
    else:
        with servers.running("ringcast", options, {"server": {"shards": servers.shards_for(streams)}}) as server:
            report = generator.run(options, server, **load)
            for count in ("opened", "resumed", "refused"):
                report[f"streams_{count}"] = server.metric(f"ringcast_streams_{count}_total")
    for quantile in ("p50", "p99"):
        report[f"storm_back_{quantile}"] = report["storm_back_us"][quantile] / 1e3
    return report


def add_checks(outcome, size, reports, runs):
    streams = size.reconnect_streams
    for name, of in reports.items():
        missed = missed_by(name, size.reconnect_missed)
        outcome.check(f"streams back, {name}", sum(r["storm_returned"] for r in of), runs * streams)
        outcome.check(f"events that they had missed and got, once and in order, {name}",
                      sum(r.get("storm_missed_arrived", 0) for r in of), runs * streams * missed)
        outcome.check(f"deliveries, those included, {name}", sum(r["deliveries"] for r in of),
                      runs * streams * (EVENTS_BEFORE + missed + EVENTS_AFTER))
    for name in (HEADS, MISSED):
        for count, expected in (("opened", 2 * streams), ("resumed", streams), ("refused", 0)):
            outcome.check(f"streams {count}, as the server counted, {name}",
                          sum(r[f"streams_{count}"] for r in reports[name]), runs * expected)


def median_table(reports):
    table = Table("median of the runs", *(head for name in reports for head in (name, "spread %")))
    for figure, title in FIGURES:
        cells = []
        for of in reports.values():
            known = figure in of[0]
            cells += [generator.median(of, figure) if known else None,
                      generator.spread_percent(of, figure) if known else None]
        table.add(title, *cells)
    return table


def beside_floor(reports, name, figure):
    if figure not in reports[name][0]:
        return None, None
    return generator.ratio_and_limits(reports, (FLOOR, name), figure)


def floor_table(reports):
    names = [name for name in reports if name != FLOOR]
    table = Table("times as much as the floor, run by run", *(head for name in names for head in (name, "between")))
    for figure, title in FIGURES:
        table.add(title, *(cell for name in names for cell in beside_floor(reports, name, figure)))
    return table


def reconnect(options, size):
    runs = options.runs or size.reconnect_runs
    variants = [FLOOR, HEADS, MISSED]
    outcome = Outcome(
        "reconnect", "When all clients come back at once, each with what it has missed, the server is hardly slower than a "
        "loop that accepts them, reads the request and answers with a head.",
        {"streams": size.reconnect_streams, "events missed": size.reconnect_missed, "bytes": options.bytes,
         "shards": servers.shards_for(size.reconnect_streams), "runs each": runs})
    if size.reconnect_nchan and programs.PROGRAMS[NCHAN].missing():
        outcome.notes.append(f"without {NCHAN}, which is not installed: {programs.PROGRAMS[NCHAN].packages}")
    elif size.reconnect_nchan:
        variants.append(NCHAN)
    reports = generator.in_turn(
        options, runs, variants, lambda name: run_variant(options, size, name),
        lambda r: f"{r[RATE]:,.0f} streams back a second")
    outcome.tables += [median_table(reports), floor_table(reports)]
    for name in (HEADS, MISSED):
        outcome.target(f"streams back a second, {name} : floor", beside_floor(reports, name, RATE)[0], at_least=RATIO_MIN)
    # The generator may be what limits the rate; this is what it would come to if the server did.
    if (cpu := beside_floor(reports, HEADS, CPU)[0]) is not None:
        outcome.target(f"streams back for the same server CPU, {HEADS} : floor", 1 / cpu, at_least=RATIO_MIN)
    outcome.notes.append("the generator has a part in the rate; what the server alone spends is its CPU for each")
    add_checks(outcome, size, reports, runs)
    outcome.notes.append("the floor keeps no events, so its streams get the head and a heartbeat only; where nothing is "
                         "missed, the first come back while the last are closed")
    outcome.runs = {name: [generator.kept(r) | {figure: r[figure] for figure in KEPT if figure in r} for r in of]
                    for name, of in reports.items()}
    return outcome

"""All clients come back at once: what it costs to look at their tokens."""

import urllib.error
import urllib.request

from suite import generator, identity, servers
from suite.results import Outcome, Table

EVENTS_BEFORE, EVENTS = 2, 4  # some before, so that each stream comes back with an ID; some after, to see it is there
EVENT_RATE = 4

ANONYMOUS, PADDED, TOKENS = "anonymous", "anonymous, same bytes", "tokens"
VARIANTS = [ANONYMOUS, PADDED, TOKENS]
PREFIX = "Authorization: Bearer "
PADDING_PREFIX = "X-Benchmarked: Bearer "  # as long, and means nothing
FIGURES = [
    ("storm_streams_per_second", "streams back a second"),
    ("storm_seconds", "seconds from the drop to the last stream's first bytes"),
    ("server_storm_cpu_ns_per_stream", "server CPU for each, closed and opened, ns"),
]


def run_variant(options, streams, variant):
    sections = {"server": {"shards": servers.shards_for(streams)}}
    if variant == TOKENS:
        sections |= identity.sections()
    files = {} if variant == ANONYMOUS else identity.files(streams)
    with servers.running("ringcast", options, sections, files) as server:
        load = {"streams": streams, "events": EVENTS, "rate": EVENT_RATE, "bytes": options.bytes,
                "storm": EVENTS_BEFORE}
        if variant != ANONYMOUS:
            load["tokens_file"] = server.folder / identity.TOKENS_FILE
            load["token_prefix"] = PREFIX if variant == TOKENS else PADDING_PREFIX
        report = generator.run(options, server, **load)
        for name in ("opened", "resumed", "refused"):
            report[f"streams_{name}"] = server.metric(f"ringcast_streams_{name}_total")
        report["refused_without_token"] = int(variant == TOKENS and is_refused(f"{server.base}/events"))
    return report


def is_refused(url):
    try:
        with urllib.request.urlopen(url, timeout=10):
            return False
    except urllib.error.HTTPError as answer:
        return answer.code == 401


def add_checks(outcome, reports, streams, runs):
    for name in VARIANTS:
        def total(figure, of=reports[name]):
            return sum(report[figure] for report in of)
        outcome.check(f"streams back from the storm, {name}", total("storm_returned"), runs * streams)
        outcome.check(f"streams that the server opened, first and again, {name}", total("streams_opened"),
                      runs * 2 * streams)
        outcome.check(f"streams that came with an ID, as the server counted, {name}", total("streams_resumed"),
                      runs * streams)
        outcome.check(f"streams that the server refused, {name}", total("streams_refused"), 0)
        outcome.check(f"servers that refuse a stream without a token, {name}", total("refused_without_token"),
                      runs if name == TOKENS else 0)
        outcome.check(f"deliveries before and after, {name}", total("deliveries"), runs * streams * EVENTS)


def storm(options, size):
    runs = options.runs or size.storm_runs
    streams = size.storm_streams
    outcome = Outcome(
        "storm", "When all clients come back at once, looking at their tokens holds up nobody.",
        {"streams": streams, "tokens": "HS256, each of another user", "events before": EVENTS_BEFORE,
         "events after": EVENTS - EVENTS_BEFORE, "runs each": runs})
    reports = generator.in_turn(
        options, runs, VARIANTS, lambda name: run_variant(options, streams, name),
        lambda r: f"{r['storm_streams_per_second']:,.0f} streams a second, "
                  f"server CPU {r['server_storm_cpu_ns_per_stream']:,.0f} ns each")
    table = Table("median of the runs", *(head for name in VARIANTS for head in (name, "spread %")),
                  *(f"tokens : {name}" for name in (ANONYMOUS, PADDED)))
    medians = {name: {figure: generator.median(reports[name], figure) for figure, _ in FIGURES} for name in VARIANTS}
    for figure, title in FIGURES:
        cells = []
        for name in VARIANTS:
            cells += [medians[name][figure], generator.spread_percent(reports[name], figure)]
        ratios = [medians[TOKENS][figure] / medians[name][figure] for name in (ANONYMOUS, PADDED)]
        table.add(title, *cells, *ratios)
    outcome.tables.append(table)
    figure = FIGURES[0][0]
    for name in (ANONYMOUS, PADDED):
        outcome.target(f"streams back a second, tokens : {name}", medians[TOKENS][figure] / medians[name][figure],
                       at_least=0.8)
    # The generator may be what limits the rate; this is what it would come to if the server did.
    cpu = FIGURES[2][0]
    for name in (ANONYMOUS, PADDED):
        outcome.target(f"streams back for the same server CPU, tokens : {name}",
                       medians[name][cpu] / medians[TOKENS][cpu], at_least=0.8)
    add_checks(outcome, reports, streams, runs)
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in VARIANTS}
    return outcome

"""The scenarios: each shows one claim, and counts what it delivers."""

import dataclasses

from suite import generator, identity, servers
from suite.bridge import bridge
from suite.bridge_latency import bridge_latency
from suite.bridge_streams import bridge_streams
from suite.latency import latency
from suite.logins import logins
from suite.million import million, tls_million
from suite.reconnect import reconnect
from suite.results import Outcome, Table
from suite.slow import slow
from suite.storm import storm
from suite.tls_handshakes import tls_handshakes
from suite.tls_storm import tls_storm
from suite.tls_streams import tls_cost, tls_idle


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a profile makes the scenarios; 0 ordinary streams = as many as fit."""
    idle_streams: int
    idle_ordinary: int
    idle_signed_in: int
    idle_seconds: int
    latency_streams: int
    latency_broadcasts: int
    latency_broadcast_rate: float
    latency_topics: int
    latency_rate: float
    latency_share_max: float
    latency_runs: int
    million_streams: int
    million_seconds: int
    million_rate: float
    fanout_streams: int
    fanout_ordinary: int
    fanout_events: int
    cost_streams: int
    cost_events: int
    cost_rate: float
    cost_runs: int
    cost_ratio_max: float | None
    throughput_events: int
    throughput_runs: int
    slow_readers: int
    slow_stalled: int
    slow_rate: float
    slow_runs: int
    reconnect_streams: int
    reconnect_missed: int
    reconnect_runs: int
    reconnect_nchan: bool
    storm_streams: int
    storm_runs: int
    logins_streams: int
    logins_at_once: int
    logins_events: int
    logins_rate: float
    logins_runs: int
    bridge_instances: tuple
    bridge_streams: tuple  # of (streams, topics); 0 topics = each event to each stream
    bridge_rate: int
    bridge_seconds: float
    bridge_steps: tuple
    bridge_step_seconds: float
    bridge_plain_messages: int  # of redis-benchmark; a multiple of what it has under way
    bridge_latency_rates: tuple
    bridge_latency_seconds: float
    bridge_latency_runs: int
    bridge_few_streams: int
    bridge_many_streams: int
    bridge_many_events: int
    bridge_many_rate: float
    bridge_hold_seconds: float
    bridge_many_runs: int
    tls_idle_streams: int
    tls_idle_openssl: int  # those that keep OpenSSL's object are fewer: 16 KB each
    tls_idle_seconds: int
    tls_cost_streams: int
    tls_cost_once: int  # of what is measured once
    tls_cost_events: int
    tls_cost_rate: float
    tls_cost_runs: int
    tls_handshakes_keys: tuple
    tls_handshakes_versions: tuple
    tls_handshakes_seconds: int
    tls_handshakes_runs: int
    tls_storm_streams: int
    tls_storm_newcomers: int
    tls_storm_rate: float
    tls_storm_seconds: float
    tls_storm_handshakes_max: tuple
    tls_storm_runs: int


FULL = Size(
    idle_streams=500_000, idle_ordinary=0, idle_signed_in=100_000, idle_seconds=10,
    latency_streams=20_000, latency_broadcasts=20, latency_broadcast_rate=2, latency_topics=200, latency_rate=200,
    latency_share_max=0.1, latency_runs=3,
    million_streams=1_000_000, million_seconds=10, million_rate=0.05,
    fanout_streams=100_000, fanout_ordinary=0, fanout_events=50,
    cost_streams=60_000, cost_events=12, cost_rate=1, cost_runs=9, cost_ratio_max=1.1,
    throughput_events=12, throughput_runs=5,
    slow_readers=20_000, slow_stalled=1_000, slow_rate=5, slow_runs=3,
    reconnect_streams=100_000, reconnect_missed=10, reconnect_runs=5, reconnect_nchan=True,
    storm_streams=20_000, storm_runs=5,
    logins_streams=10_000, logins_at_once=50, logins_events=40, logins_rate=5, logins_runs=5,
    bridge_instances=(1, 2), bridge_streams=((10, 0), (1_000, 100)), bridge_rate=20_000, bridge_seconds=10,
    bridge_steps=(30_000, 45_000, 60_000, 80_000, 110_000, 150_000, 200_000), bridge_step_seconds=3,
    bridge_plain_messages=1_280_000,
    bridge_latency_rates=(1_000, 10_000), bridge_latency_seconds=8, bridge_latency_runs=3,
    bridge_few_streams=10, bridge_many_streams=100_000, bridge_many_events=10, bridge_many_rate=0.5,
    bridge_hold_seconds=10, bridge_many_runs=2,
    tls_idle_streams=100_000, tls_idle_openssl=5_000, tls_idle_seconds=5,
    tls_cost_streams=30_000, tls_cost_once=10_000, tls_cost_events=12, tls_cost_rate=2, tls_cost_runs=3,
    tls_handshakes_keys=("ECDSA P-256", "RSA 2048"), tls_handshakes_versions=("TLS 1.3", "TLS 1.2"),
    tls_handshakes_seconds=1, tls_handshakes_runs=3,
    tls_storm_streams=2_000, tls_storm_newcomers=5_000, tls_storm_rate=20, tls_storm_seconds=12,
    tls_storm_handshakes_max=(64, 256, 1024), tls_storm_runs=1)
SHORT = dataclasses.replace(
    FULL, idle_streams=100_000, idle_ordinary=5_000, idle_signed_in=10_000, idle_seconds=5, latency_runs=1,
    fanout_ordinary=5_000, fanout_events=20, cost_runs=3, cost_events=6,
    throughput_runs=1, slow_readers=10_000, slow_stalled=500, slow_rate=10, slow_runs=1, storm_runs=2,
    reconnect_streams=50_000, reconnect_runs=1, reconnect_nchan=False,
    logins_runs=2,
    bridge_streams=((10, 0),), bridge_seconds=5, bridge_steps=(30_000, 60_000, 100_000, 150_000),
    bridge_step_seconds=2, bridge_latency_seconds=4, bridge_latency_runs=1,
    bridge_many_events=5, bridge_hold_seconds=5, bridge_many_runs=1,
    tls_idle_streams=10_000, tls_idle_openssl=2_000, tls_idle_seconds=5,
    tls_cost_streams=5_000, tls_cost_once=2_000, tls_cost_events=12, tls_cost_rate=4, tls_cost_runs=1,
    tls_handshakes_versions=("TLS 1.3",), tls_handshakes_runs=1,
    tls_storm_newcomers=2_000, tls_storm_seconds=6, tls_storm_handshakes_max=(256,))
SMOKE = Size(
    idle_streams=300, idle_ordinary=200, idle_signed_in=100, idle_seconds=1,
    latency_streams=200, latency_broadcasts=20, latency_broadcast_rate=20, latency_topics=10, latency_rate=40,
    latency_share_max=1_000, latency_runs=1,
    million_streams=500, million_seconds=1, million_rate=10,
    fanout_streams=300, fanout_ordinary=200, fanout_events=10,
    cost_streams=300, cost_events=10, cost_rate=20, cost_runs=1, cost_ratio_max=None,
    throughput_events=10, throughput_runs=1,
    slow_readers=200, slow_stalled=20, slow_rate=60, slow_runs=1,
    reconnect_streams=200, reconnect_missed=5, reconnect_runs=1, reconnect_nchan=False,
    storm_streams=200, storm_runs=1,
    logins_streams=200, logins_at_once=5, logins_events=20, logins_rate=20, logins_runs=1,
    bridge_instances=(1, 2), bridge_streams=((4, 0), (20, 4)), bridge_rate=500, bridge_seconds=0.4,
    bridge_steps=(1_000,), bridge_step_seconds=0.2, bridge_plain_messages=6_400,
    bridge_latency_rates=(500,), bridge_latency_seconds=0.4, bridge_latency_runs=1,
    bridge_few_streams=10, bridge_many_streams=200, bridge_many_events=10, bridge_many_rate=20,
    bridge_hold_seconds=0.5, bridge_many_runs=1,
    tls_idle_streams=200, tls_idle_openssl=50, tls_idle_seconds=1,
    tls_cost_streams=200, tls_cost_once=50, tls_cost_events=10, tls_cost_rate=20, tls_cost_runs=1,
    tls_handshakes_keys=("ECDSA P-256",), tls_handshakes_versions=("TLS 1.3",),
    tls_handshakes_seconds=1, tls_handshakes_runs=1,
    tls_storm_streams=50, tls_storm_newcomers=50, tls_storm_rate=50, tls_storm_seconds=2,
    tls_storm_handshakes_max=(16,), tls_storm_runs=1)
PROFILES = {"all": FULL, "short": SHORT, "smoke": SMOKE}

DIRECT, ORDINARY = "direct", "ordinary"


def modes(direct_streams, ordinary_streams):
    """Streams by kind of descriptor. Ordinary ones are shared by all shards, so one shard has them all."""
    fit = servers.ordinary_streams_max()
    return {DIRECT: direct_streams, ORDINARY: min(ordinary_streams or fit, fit)}


def ringcast(options, streams, descriptors):
    shards = 1 if descriptors == ORDINARY else servers.shards_for(streams)
    return servers.running("ringcast", options, {"server": {"shards": shards, "descriptors": descriptors}})


SIGNED_IN = "signed in"
IDLE_BYTES_MAX, IDLE_STREAMS = 96, 500_000  # what a shard has once, whatever it holds, weighs more on fewer


def signed_in(options, streams, seconds):
    """Streams with a token of a user of their own, and so with a topic of their own."""
    sections = {"server": {"shards": servers.shards_for(streams)}} | identity.sections()
    with servers.running("ringcast", options, sections, identity.files(streams)) as server:
        return generator.run(options, server, streams=streams, hold=seconds,
                             tokens_file=server.folder / identity.TOKENS_FILE)


def idle(options, size):
    by_mode = modes(size.idle_streams, size.idle_ordinary)
    outcome = Outcome(
        "idle", "A stream without news costs the server a little memory and no CPU.",
        {"seconds": size.idle_seconds, "heartbeats": "off", "shards, direct": servers.shards_for(size.idle_streams)})
    reports = {}
    for mode, streams in by_mode.items():
        with ringcast(options, streams, mode) as server:
            reports[mode] = generator.run(options, server, streams=streams, hold=size.idle_seconds)
    reports[SIGNED_IN] = signed_in(options, size.idle_signed_in, size.idle_seconds)
    for name, streams in (by_mode | {SIGNED_IN: size.idle_signed_in}).items():
        outcome.check(f"streams open, {name}", reports[name]["open"], streams)
    table = Table("", *reports)

    def row(title, value):
        table.add(title, *(value(report) for report in reports.values()))
    row("streams", lambda r: r["open"])
    row("user memory a stream, bytes", lambda r: r["server_pss_bytes_per_stream"])
    row("user memory of the server, empty, bytes", lambda r: r["server_pss_bytes_empty"])
    row("kernel memory a stream: slab, both ends, bytes", lambda r: r["slab_bytes_per_stream"])
    row("kernel memory a stream: TCP buffers, both ends, bytes", lambda r: r["tcp_buffer_bytes_per_stream"])
    row("server CPU while idle, ns", lambda r: int(r["server_hold_cpu_ns"]))
    row("server CPU while idle, % of one CPU", lambda r: r["server_hold_cpu_ns"] / r["hold_seconds"] / 1e7)
    row("streams opened a second", lambda r: r["opens_per_second"])
    outcome.tables.append(table)
    if by_mode[DIRECT] >= IDLE_STREAMS:
        outcome.target("user memory of an idle stream, bytes", reports[DIRECT]["server_pss_bytes_per_stream"],
                       IDLE_BYTES_MAX)
    outcome.notes.append("signed in: each with a token of another user, and so with a topic of its own, user/<name>")
    outcome.runs = {mode: [generator.kept(report)] for mode, report in reports.items()}
    return outcome


def fanout(options, size):
    by_mode = modes(size.fanout_streams, size.fanout_ordinary)
    outcome = Outcome(
        "fanout", "Every event reaches every stream exactly once and in order.",
        {"events": size.fanout_events, "bytes": options.bytes, "rate": "as fast as answered"})
    table = Table("", *by_mode)
    reports = {}
    for mode, streams in by_mode.items():
        with ringcast(options, streams, mode) as server:
            reports[mode] = generator.run(
                options, server, streams=streams, events=size.fanout_events, bytes=options.bytes)
        outcome.check(f"deliveries, {mode}", reports[mode]["deliveries"], streams * size.fanout_events)

    def row(title, value):
        table.add(title, *(value(report) for report in reports.values()))
    row("streams", lambda r: r["open"])
    row("deliveries", lambda r: r["deliveries"])
    row("missing, twice or out of order", lambda r: r["missing"] + r["duplicates"] + r["out_of_order"])
    row("deliveries a second", lambda r: r["deliveries_per_second"])
    row("server CPU a delivery, ns", lambda r: r["server_cpu_ns_per_delivery"])
    row("user memory of the whole server at the end, bytes a stream", lambda r: r["server_pss_bytes_end"] / r["open"])
    outcome.tables.append(table)
    outcome.runs = {mode: [generator.kept(report)] for mode, report in reports.items()}
    return outcome


# A reader that rests is not woken by every delivery, which costs the sender, now and then, more than all else.
GATHER_US = 2_000
COST_FIGURES = [
    ("server_cpu_ns_per_delivery", "server CPU a delivery, ns"),
    ("server_pss_bytes_per_stream", "user memory a stream, bytes"),
    ("slab_bytes_per_stream", "kernel slab a stream, both ends, bytes"),
    ("latency_p50", "latency p50, µs"),
    ("latency_p99", "latency p99, µs"),
]
THROUGHPUT_FIGURES = [
    ("deliveries_per_second", "deliveries a second"),
    ("server_cpu_ns_per_delivery", "server CPU a delivery, ns"),
    ("latency_p99", "latency p99, µs"),
]


def beside_the_floor(options, outcome, figures, runs, streams, ratio_max=None, **load):
    """The same load on the floor and on Ringcast, alternately."""
    names = ["floor", "ringcast"]
    shards = {"server": {"shards": servers.shards_for(streams)}}
    main_figure, main_title = figures[0]

    def run_one(name):
        with servers.running(name, options, shards if name == "ringcast" else {}) as server:
            return generator.run(options, server, streams=streams, bytes=options.bytes, **load)
    reports = generator.in_turn(options, runs, names, run_one, lambda r: f"{main_title}: {r[main_figure]:,.0f}")
    table = Table("median", "floor", "spread %", "ringcast", "spread %", "ringcast : floor", "between")
    for figure, title in figures:
        medians = [generator.median(reports[name], figure) for name in names]
        spreads = [generator.spread_percent(reports[name], figure) for name in names]
        table.add(title, medians[0], spreads[0], medians[1], spreads[1], *generator.ratio_and_limits(reports, names, figure))
    outcome.tables.append(table)
    outcome.check("deliveries of ringcast", sum(r["deliveries"] for r in reports["ringcast"]),
                  runs * streams * load["events"])
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in names}
    if ratio_max:
        ratio, _ = generator.ratio_and_limits(reports, names, main_figure)
        outcome.target(f"{main_title}, ringcast : floor", ratio, at_most=ratio_max)
    return outcome


def cost(options, size):
    outcome = Outcome(
        "cost", "A delivery costs little more than the system call that it is.",
        {"streams": size.cost_streams, "events": size.cost_events, "events a second": size.cost_rate,
         "bytes": options.bytes, "runs each": options.runs or size.cost_runs})
    return beside_the_floor(options, outcome, COST_FIGURES, options.runs or size.cost_runs, size.cost_streams,
                            size.cost_ratio_max, events=size.cost_events, rate=size.cost_rate, gather=GATHER_US)


def throughput(options, size):
    outcome = Outcome(
        "throughput", "Under load, deliveries leave no slower than a bare loop sends them: what waits for a stream leaves in one send.",
        {"streams": size.cost_streams, "events": size.throughput_events, "rate": "as fast as answered",
         "bytes": options.bytes, "runs each": options.runs or size.throughput_runs})
    return beside_the_floor(options, outcome, THROUGHPUT_FIGURES, options.runs or size.throughput_runs,
                            size.cost_streams, events=size.throughput_events)


SCENARIOS = {"idle": idle, "fanout": fanout, "cost": cost, "throughput": throughput, "slow": slow, "storm": storm,
             "logins": logins, "bridge": bridge, "bridge-latency": bridge_latency, "bridge-streams": bridge_streams,
             "tls-idle": tls_idle, "tls-cost": tls_cost, "tls-handshakes": tls_handshakes, "tls-storm": tls_storm,
             "latency": latency, "reconnect": reconnect, "million": million, "tls-million": tls_million}
NEED_REDIS = ("bridge", "bridge-latency", "bridge-streams")
# Asked for by name only: they need root, memory and time.
BY_NAME = ("million", "tls-million")
# What `short` has: the main figures.
MAIN = ("idle", "fanout", "cost", "throughput", "latency", "reconnect", "tls-idle", "tls-cost")
NEED_OPENSSL = ("tls-idle", "tls-cost", "tls-handshakes", "tls-storm", "tls-million")


def chosen(what):
    """The scenarios of a profile, or the one of that name."""
    if what in SCENARIOS:
        return [what]
    if what == "short":
        return list(MAIN)
    return [name for name in SCENARIOS if what == "smoke" or name not in BY_NAME]

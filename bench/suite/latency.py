"""Events for single topics while broadcasts to all streams are on their way: what such an event waits for."""

import subprocess

from suite import generator, servers
from suite.results import Outcome, Table

SLICE_SENDS = 128  # kSliceSends of src/shard/pump.cc
ALONE, AMONG = "alone", "among broadcasts"
VARIANTS = [ALONE, AMONG]
# The generator of the broadcasts reads on the same CPU as the one whose latency is measured, and gives way to it.
POLITELY = ["chrt", "--idle", "0"]
LAST_WORDS_SECONDS = 60


def broadcasts(options, size, server):
    """The process that opens all the other streams, publishes to all and checks every delivery."""
    command = generator.command_of(
        options, url=f"{server.base}/events", publish_url=f"{server.base}/publish", server_pid=server.pid,
        streams=size.latency_streams, events=size.latency_broadcasts, rate=size.latency_broadcast_rate,
        bytes=options.bytes)
    return subprocess.Popen(POLITELY + command, stdout=subprocess.PIPE, text=True)


def wait_for_first(process, server):
    """Until a broadcast has been published."""
    while server.metric("ringcast_publishes_accepted_total") == 0:
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise servers.Failure("the broadcasts ended before the first one")


def run_variant(options, size, variant):
    shards = servers.shards_for(size.latency_streams + size.latency_topics)
    seconds = size.latency_broadcasts / size.latency_broadcast_rate
    single = {"streams": size.latency_topics, "topics": size.latency_topics, "rate": size.latency_rate,
              "events": int(size.latency_rate * seconds * 3 / 4), "bytes": options.bytes}
    with servers.running("ringcast", options, {"server": {"shards": shards}}) as server:
        if variant == ALONE:
            report = generator.run(options, server, **single)
        else:
            others = broadcasts(options, size, server)
            try:
                wait_for_first(others, server)
                report = generator.run(options, server, **single)
                all_streams = generator.exact(
                    generator.read_report(others.communicate(timeout=options.timeout)[0]))
            finally:
                if others.poll() is None:
                    others.terminate()
                    others.wait(timeout=LAST_WORDS_SECONDS)
            report["broadcast_deliveries"] = all_streams["deliveries"]
            report["broadcast_p50"] = all_streams["latency_p50"]
            report["broadcast_last"] = all_streams["latency_us"]["max"]
            report["slice_us"] = SLICE_SENDS * all_streams["server_cpu_ns_per_delivery"] / 1e3
    report["latency_max"] = report["latency_us"]["max"]
    return report


def latency(options, size):
    runs = options.runs or size.latency_runs
    streams = size.latency_streams
    shards = servers.shards_for(streams + size.latency_topics)
    outcome = Outcome(
        "latency", "An event for one stream waits for a slice of a broadcast to all, not for the broadcast.",
        {"streams": streams, "broadcasts a second": size.latency_broadcast_rate, "bytes": options.bytes,
         "streams with a topic of their own": size.latency_topics,
         "events for single topics a second": size.latency_rate, "shards, on one CPU": shards, "runs each": runs})
    reports = generator.in_turn(
        options, runs, VARIANTS, lambda name: run_variant(options, size, name),
        lambda r: f"p50 {r['latency_p50']:,.0f} µs, p99 {r['latency_p99']:,.0f} µs, largest {r['latency_max']:,.0f} µs")
    table = Table("median of the runs", *VARIANTS)
    for figure, title in [("latency_p50", "an event for a single topic, p50, µs"), ("latency_p99", "p99, µs"),
                          ("latency_max", "largest, µs")]:
        table.add(title, *(generator.median(reports[name], figure) for name in VARIANTS))
    among = reports[AMONG]
    for figure, title in [("slice_us", f"a slice: {SLICE_SENDS} sends, µs"),
                          ("broadcast_p50", "a broadcast, until half have it, µs"),
                          ("broadcast_last", "a broadcast, until the last has it, µs")]:
        table.add(title, None, generator.median(among, figure))
    outcome.tables.append(table)
    p99 = generator.median(among, "latency_p99")
    outcome.target("p99 of a single topic : a whole broadcast", p99 / generator.median(among, "broadcast_last"),
                   size.latency_share_max)
    single_events = int(size.latency_rate * size.latency_broadcasts / size.latency_broadcast_rate * 3 / 4)
    for name in VARIANTS:
        outcome.check(f"deliveries for single topics, {name}", sum(r["deliveries"] for r in reports[name]),
                      runs * single_events)
    outcome.check("deliveries of broadcasts", sum(r["broadcast_deliveries"] for r in among),
                  runs * streams * size.latency_broadcasts)
    outcome.notes.append(
        f"the generator of the broadcasts runs with `{' '.join(POLITELY)}`: whose latency is measured reads first")
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in VARIANTS}
    return outcome

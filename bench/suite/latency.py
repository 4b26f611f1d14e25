"""Events for single topics while broadcasts to all streams are on their way: what such an event waits for."""

import subprocess

from suite import generator, servers
from suite.results import Outcome, Table

SLICE_SENDS = 128  # kSliceSends of src/shard/pump.cc
ALONE, AMONG = "alone", "among broadcasts"
VARIANTS = [ALONE, AMONG]
LAST_WORDS_SECONDS = 60


def broadcasts(options, size, server):
    """The process that opens all the other streams, publishes to all and checks every delivery.

    It reads when all is over: a process that reads thousands of events on the same CPU keeps the other one from reading
    for longer than anything in the server does, and so would be what is measured.
    """
    command = generator.command_of(
        options, url=f"{server.base}/events", publish_url=f"{server.base}/publish", server_pid=server.pid,
        streams=size.latency_streams, stalled=size.latency_streams, stalled_resume=True,
        events=size.latency_broadcasts, rate=size.latency_broadcast_rate,
        bytes=options.bytes)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


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
            sends = size.latency_streams * size.latency_broadcasts
            report["broadcast_deliveries"] = all_streams["stalled_deliveries"]
            report["send_us"] = all_streams["server_publish_cpu_ns"] / sends / 1e3
            report["slice_us"] = SLICE_SENDS * report["send_us"]
            report["broadcast_us"] = size.latency_streams * report["send_us"]
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
    for figure, title in [("slice_us", f"a slice: {SLICE_SENDS} sends, µs of CPU"),
                          ("broadcast_us", "a whole broadcast, µs of CPU")]:
        table.add(title, None, generator.median(among, figure))
    outcome.tables.append(table)
    p99 = generator.median(among, "latency_p99")
    outcome.target("p99 of a single topic : a whole broadcast", p99 / generator.median(among, "broadcast_us"),
                   size.latency_share_max)
    single_events = int(size.latency_rate * size.latency_broadcasts / size.latency_broadcast_rate * 3 / 4)
    for name in VARIANTS:
        outcome.check(f"deliveries for single topics, {name}", sum(r["deliveries"] for r in reports[name]),
                      runs * single_events)
    outcome.check("deliveries of broadcasts", sum(r["broadcast_deliveries"] for r in among),
                  runs * streams * size.latency_broadcasts)
    outcome.notes.append("the streams that only get the broadcasts are read when all is over, and must have everything then")
    outcome.notes.append(
        "an event passes three threads, each of which may wait for a slice of every shard that shares the CPU: "
        "docs/design/fan-out.md")
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in VARIANTS}
    return outcome

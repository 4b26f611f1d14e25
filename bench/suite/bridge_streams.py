"""Many streams on two instances: Redis sees the instances, not the streams."""

import subprocess

from suite import generator, redis, servers
from suite.bridge import cpu_by_part, shared
from suite.results import Outcome, Table

INSTANCES = 2


def run_once(options, size, streams):
    with redis.running(options) as the_redis, \
            redis.instances(options, the_redis, INSTANCES, servers.shards_for(streams // INSTANCES)) as running_ones:
        command = generator.command_of(
            options, url=[f"{server.base}/events" for server in running_ones], publish_redis=the_redis.url,
            channel=redis.CHANNEL, streams=streams, hold=size.bridge_hold_seconds, events=size.bridge_many_events,
            rate=size.bridge_many_rate, bytes=options.bytes, watch=f"redis={the_redis.pid}")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            await_streams(process, running_ones, streams)
            clients = the_redis.clients()
            report = generator.exact(generator.read_report(process.communicate(timeout=options.timeout)[0]))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        report["streams_by_instance"] = [server.metric("ringcast_streams_opened_total") for server in running_ones]
    # One of the connections is the suite's own, which asks.
    report["redis_connections"] = len(clients) - 1
    report["redis_subscribers"] = sum(int(client["sub"]) + int(client["psub"]) > 0 for client in clients)
    held, published = report["hold_seconds"], report["measured_seconds"]
    report["redis_hold_percent"] = cpu_by_part(report, "hold")["redis"] / held / 1e7
    report["redis_publish_percent"] = cpu_by_part(report)["redis"] / published / 1e7
    report["redis_percent"] = ((cpu_by_part(report, "hold")["redis"] + cpu_by_part(report)["redis"])
                               / (held + published) / 1e7)
    return report


def await_streams(process, running_ones, streams):
    """Until all streams are open: the generator then holds them, and has no connection to Redis yet."""
    while process.poll() is None:
        if sum(server.metric("ringcast_streams_opened_total") for server in running_ones) >= streams:
            return
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
    raise servers.Failure(f"ringcast-load ended before all streams were open:\n{process.stdout.read()}")


def bridge_streams(options, size):
    options = shared(options)
    runs = options.runs or size.bridge_many_runs
    few, many = size.bridge_few_streams, size.bridge_many_streams
    outcome = Outcome(
        "bridge-streams", "Redis sees three connections of each instance, however many streams it holds, and works no "
        "more for many than for few.",
        {"Redis": redis.version(), "instances": INSTANCES, "streams": f"{few:,} and {many:,}",
         "idle": f"{size.bridge_hold_seconds} s", "events": size.bridge_many_events,
         "events a second": size.bridge_many_rate, "bytes": options.bytes, "runs each": runs})
    variants = {f"{streams:,} streams": streams for streams in (few, many)}
    reports = generator.in_turn(
        options, runs, list(variants), lambda name: run_once(options, size, variants[name]),
        lambda r: f"Redis {r['redis_percent']:.2f} % of a CPU, {r['redis_connections']} connections, "
                  f"{r['redis_subscribers']} subscribers")
    table = Table("median of the runs", *(head for name in variants for head in (name, "spread %")), "ratio")
    for figure, title in [("redis_connections", "connections of the instances to Redis"),
                          ("redis_subscribers", "of them subscribed"),
                          ("redis_hold_percent", "Redis CPU while nothing is published, % of one"),
                          ("redis_publish_percent", "Redis CPU while events are published, % of one"),
                          ("redis_percent", "Redis CPU over both, % of one"),
                          ("latency_p50", "latency of the events, p50, µs"),
                          ("latency_p99", "latency of the events, p99, µs")]:
        medians = [generator.median(reports[name], figure) for name in variants]
        cells = []
        for name, value in zip(variants, medians):
            cells += [value, generator.spread_percent(reports[name], figure)]
        table.add(title, *cells, medians[1] / medians[0] if medians[0] else None)
    outcome.tables.append(table)
    for name, streams in variants.items():
        outcome.check(f"streams open, {name}", sum(r["open"] for r in reports[name]), runs * streams)
        outcome.check(f"deliveries, {name}", sum(r["deliveries"] for r in reports[name]),
                      runs * streams * size.bridge_many_events)
        for figure, what, each in [
                ("redis_connections", "connections of the instances to Redis", redis.CONNECTIONS_EACH),
                ("redis_subscribers", "of them subscribed", 1)]:
            outcome.check(f"{what}, all runs, {name}", sum(r[figure] for r in reports[name]), runs * each * INSTANCES)
    first, second = (generator.median(reports[name], "redis_percent") for name in variants)
    outcome.target(f"CPU of Redis, {many:,} : {few:,} streams", second / first, at_most=1.5)
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in variants}
    return outcome

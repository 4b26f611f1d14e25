"""What the way over the bridge adds: the same messages, to streams and to a bare SUBSCRIBE client beside them."""

from suite import generator, redis
from suite.bridge import load, shared
from suite.results import Outcome, Table


def run_once(options, size, count, rate):
    with redis.running(options) as the_redis, \
            redis.instances(options, the_redis, count, shards=1) as running_ones:
        report = generator.exact(load(
            options, the_redis, running_ones, streams=count, subscribe_redis=the_redis.url, subscribers=1, rate=rate,
            events=int(rate * size.bridge_latency_seconds)))
    for quantile in ("p50", "p99"):
        report[f"added_{quantile}"] = report[f"latency_{quantile}"] - report[f"heard_latency_{quantile}"]
    return report


def bridge_latency(options, size):
    options = shared(options)
    runs = options.runs or size.bridge_latency_runs
    outcome = Outcome(
        "bridge-latency", "What goes through the stream of Redis is behind a bare SUBSCRIBE client by little.",
        {"Redis": redis.version(), "streams": "1 on each instance", "bare subscribers": 1,
         "seconds": size.bridge_latency_seconds, "bytes": options.bytes, "runs each": runs})
    variants = {f"{count} instance{'s' if count > 1 else ''}, {rate:,} a second": (count, rate)
                for count in size.bridge_instances for rate in size.bridge_latency_rates}
    reports = generator.in_turn(
        options, runs, list(variants), lambda name: run_once(options, size, *variants[name]),
        lambda r: f"p50 {r['latency_p50']:,.0f} µs, bare {r['heard_latency_p50']:,.0f}; "
                  f"p99 {r['latency_p99']:,.0f} µs, bare {r['heard_latency_p99']:,.0f}")
    table = Table("median of the runs, µs", *(f"{quantile}{what}" for quantile in ("p50", "p99") for what in
                                              (" bare", ", stream", " added", " added: spread %")))
    for name, (count, rate) in variants.items():
        cells = []
        for quantile in ("p50", "p99"):
            cells += [generator.median(reports[name], f"{figure}_{quantile}")
                      for figure in ("heard_latency", "latency", "added")]
            cells.append(generator.spread_percent(reports[name], f"added_{quantile}"))
        table.add(name, *cells)
        events = runs * int(rate * size.bridge_latency_seconds)
        outcome.check(f"deliveries, {name}", sum(r["deliveries"] for r in reports[name]), events * count)
        outcome.check(f"messages heard by the bare subscriber, {name}", sum(r["heard"] for r in reports[name]), events)
        outcome.check(f"receivers of each message at least, as Redis said, {name}",
                      min(r["receivers_min"] for r in reports[name]), count + 1)
    outcome.tables.append(table)
    outcome.notes.append("from when a message was due to when the program had it; both clients in one process here")
    outcome.runs = {name: [generator.kept(report) for report in reports[name]] for name in variants}
    return outcome

"""Events that come over a channel of Redis: how many a second, and who is busy when it is too many."""

import copy
import os
import subprocess
import time

from suite import generator, redis, servers
from suite.results import Outcome, Table

PUBLISHERS = 4
# Of the latency over a run: growing means that somebody falls behind.
GROWTH_MAX = 2
GROWTH_ROOM_US = 5_000
# From when the last event was due to when it was everywhere.
DRAIN_SECONDS_MAX = 0.25
OVER_SECONDS = 30  # that a run may take longer than it should
TRIES = 2  # a rate that does not hold gets one more: the machine may have been busy
BENCHMARK_PIPELINE = 16


def shared(options):
    """All processes on all CPUs: they are too many for some of their own on a small machine."""
    out = copy.copy(options)
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    out.server_cpus = out.load_cpus = out.redis_cpus = cpus
    return out


def names_of(running_ones):
    return [f"instance{number}" for number in range(1, len(running_ones) + 1)]


def load(options, the_redis, running_ones, **arguments):
    """A run of ringcast-load that publishes on the channel; streams go round the instances."""
    watched = [f"redis={the_redis.pid}"]
    watched += [f"{name}={server.pid}" for name, server in zip(names_of(running_ones), running_ones)]
    return generator.invoke(
        options, url=[f"{server.base}/events" for server in running_ones], publish_redis=the_redis.url,
        channel=redis.CHANNEL, publishers=PUBLISHERS, bytes=options.bytes, watch=watched, **arguments)


def cpu_by_part(report, moment="publish"):
    """Nanoseconds by part of the system: redis, and of all instances hub, shards and other threads."""
    parts = {"redis": 0, "hub": 0, "shards": 0, "other threads": 0}
    for process, moments in report["watched_cpu_ns"].items():
        for thread, ns in moments[moment].items():
            if process == "redis":
                parts["redis"] += ns
            elif thread == "hub":
                parts["hub"] += ns
            elif thread.startswith("shard "):
                parts["shards"] += ns
            else:
                parts["other threads"] += ns
    return parts


def busiest_threads(report):
    """(share of one CPU, name) of each thread while events were published, the busiest first."""
    seconds = report["measured_seconds"]
    threads = [(ns, f"{process} {thread}" if process != "redis" else thread)
               for process, moments in report["watched_cpu_ns"].items() for thread, ns in moments["publish"].items()]
    threads += [(report["publisher_cpu_ns"], "generator, publishing"), (report["listener_cpu_ns"], "generator, bare"),
                (report["reader_cpu_ns"], "generator, reading")]
    return sorted(((ns / seconds / 1e9, name) for ns, name in threads), reverse=True)


def bottleneck(report, cpus):
    threads = busiest_threads(report)
    share, name = threads[0]
    whole = sum(share for share, _ in threads) / cpus
    return f"{name} {100 * share:.0f} % of a CPU; all together {100 * whole:.0f} % of {cpus} CPUs"


def judge(report, events, rate):
    """Whether the rate held, and if not why."""
    drain = report["delivery_seconds"] - (events - 1) / rate
    report["drain_seconds"] = round(drain, 4)
    if not report["good"]:
        report["not_held"] = report["failure"] or "deliveries are not exact"
    elif drain > DRAIN_SECONDS_MAX:
        report["not_held"] = "the last event came late"
    elif report["last_third_p50"] > GROWTH_MAX * report["first_third_p50"] + GROWTH_ROOM_US:
        report["not_held"] = "latency grew"
    else:
        report["not_held"] = ""
    return not report["not_held"]


class Stand:
    """One Redis with its instances, and what was measured there."""

    def __init__(self, options, the_redis, running_ones, streams, topics):
        self.options = options
        self.redis = the_redis
        self.servers = running_ones
        self.streams = {"streams": streams} | ({"topics": topics} if topics else {})
        self.runs = []

    def at_rate(self, rate, seconds):
        events = int(rate * seconds)
        before = redis.counted(self.servers)
        with redis.QueueWatch(self.servers) as watch:
            report = load(self.options, self.redis, self.servers, events=events, rate=rate,
                          timeout=seconds + OVER_SECONDS, **self.streams)
        report["queues_emptied"] = redis.await_empty_queues(self.servers)
        after = redis.counted(self.servers)
        report["channel_queue_largest"] = watch.largest
        for name, metric in [("heard_by_each", "ringcast_redis_channel_messages_total"),
                             ("relayed_by_each", "ringcast_redis_channel_relayed_total"),
                             ("entries_read_by_each", "ringcast_redis_entries_total"),
                             ("dropped_by_each", "ringcast_redis_channel_dropped_total"),
                             ("invalid_by_each", "ringcast_redis_channel_invalid_total")]:
            report[name] = redis.growth(before, after, metric)
        report["rate"] = rate
        report["bottleneck"] = bottleneck(report, len(os.sched_getaffinity(0)))
        report["cpu_us_per_event"] = {part: round(ns / 1e3 / events, 2) for part, ns in cpu_by_part(report).items()}
        judge(report, events, rate)
        self.runs.append(report)
        if self.options.progress:
            print(f"  {rate:>9,.0f} a second: p99 {report['latency_p99']:>9,.0f} µs, {report['bottleneck']}, "
                  + (f"NOT HELD: {report['not_held']}" if report["not_held"] else "held"), flush=True)
        return report

    def climb(self, rates, seconds):
        """The last rate that held, and the run that did not: None if all did."""
        highest = None
        for rate in rates:
            for _ in range(TRIES):
                report = self.at_rate(rate, seconds)
                if not report["not_held"]:
                    highest = report
                    break
                if not report["good"] or not report["queues_emptied"]:
                    return highest, report
            else:
                return highest, report
        return highest, None


def plain_publish(options, size, subscribers):
    """redis-benchmark, with bare subscribers that read everything: what Redis can do with nothing behind it."""
    messages = size.bridge_plain_messages
    payload = '{"data":"' + "x" * (options.bytes - 28) + '"}'
    with redis.running(options) as the_redis:
        command = generator.command_of(
            options, streams=0, subscribe_redis=the_redis.url, subscribers=subscribers, others=messages,
            channel=redis.CHANNEL)
        listener = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            until = time.monotonic() + redis.START_SECONDS
            while the_redis.subscribers() < subscribers:
                if time.monotonic() > until or listener.poll() is not None:
                    raise servers.Failure("the bare subscribers did not subscribe")
                time.sleep(0.05)
            before_ns = the_redis.cpu_ns()
            result = subprocess.run(
                servers.on_cpus(options.load_cpus, [
                    "redis-benchmark", "-p", the_redis.port, "-n", messages, "-c", PUBLISHERS,
                    "-P", BENCHMARK_PIPELINE, "--csv", "PUBLISH", redis.CHANNEL, payload]),
                capture_output=True, text=True, check=True, timeout=options.timeout)
            report = generator.exact(generator.read_report(listener.communicate(timeout=options.timeout)[0]))
            cpu_ns = the_redis.cpu_ns() - before_ns
        finally:
            if listener.poll() is None:
                listener.kill()
                listener.wait()
    # The name of the test is the command, which has quotes and commas; the figures are the last seven fields.
    rate = float(result.stdout.strip().splitlines()[-1].split(",")[-7].strip('"'))
    return {"subscribers": subscribers, "messages": messages, "messages_a_second": rate,
            "heard_others": report["heard_others"], "redis_cpu_us_per_message": round(cpu_ns / 1e3 / messages, 2)}


def bare(options, size, subscribers):
    """The same publisher at the same rate, to bare subscribers alone."""
    events = int(size.bridge_rate * size.bridge_step_seconds)
    with redis.running(options) as the_redis:
        return generator.exact(load(
            options, the_redis, [], streams=0, subscribe_redis=the_redis.url, subscribers=subscribers, events=events,
            rate=size.bridge_rate))


def title_of(count, streams, topics, append_only):
    return (f"{count} instance{'s' if count > 1 else ''}, {streams:,} streams"
            + (f", {topics:,} topics" if topics else "") + (", append-only file" if append_only else ""))


def add_checks(outcome, title, report, events, streams, topics, count):
    each = [events] * count
    outcome.check(f"deliveries, {title}", report["deliveries"], events * streams // max(topics, 1))
    outcome.check(f"messages heard by the instances, {title}", sum(report["heard_by_each"]), sum(each))
    outcome.check(f"messages relayed by one of them, {title}", sum(report["relayed_by_each"]), events)
    outcome.check(f"entries read by the instances, {title}", sum(report["entries_read_by_each"]), sum(each))
    outcome.check(f"messages dropped or invalid, {title}",
                  sum(report["dropped_by_each"]) + sum(report["invalid_by_each"]), 0)


def bridge(options, size):
    options = shared(options)
    outcome = Outcome(
        "bridge", "Events that are published on a channel of Redis reach every stream of every instance once and in "
        "order, 20,000 a second of them.",
        {"Redis": redis.version(), "bytes": options.bytes, "publishing connections": PUBLISHERS,
         "steady rate": size.bridge_rate, "seconds": size.bridge_seconds,
         "then steps of": f"{size.bridge_step_seconds} s",
         "steps": ", ".join(f"{rate:,}" for rate in size.bridge_steps)})
    plain = {count: plain_publish(options, size, count) for count in size.bridge_instances}
    alone = {count: bare(options, size, count) for count in size.bridge_instances}

    steady = Table("steady rate", "p50, µs", "p99, µs", "p99, first third", "p99, last third", "drained in, s",
                   "queue, largest", "CPU µs an event: redis", "hubs", "shards")
    steps = Table("steps", "highest that held", "of plain PUBLISH, %", "p99 there, µs", "next step", "busiest then")
    most = size.bridge_instances[-1]
    variants = [(count, *size.bridge_streams[0], False) for count in size.bridge_instances]
    variants += [(most, *streams, False) for streams in size.bridge_streams[1:]]
    variants.append((most, *size.bridge_streams[0], True))
    for count, report in alone.items():
        cpu = cpu_by_part(report)["redis"] / 1e3 / report["published"]
        steady.add(f"bare: {count} SUBSCRIBE client{'s' if count > 1 else ''}, no instance",
                   report["heard_latency_p50"], report["heard_latency_p99"], None, None, None, None, cpu, None, None)
        outcome.check(f"messages heard, {count} bare", report["heard"], count * report["published"])
        outcome.runs[f"bare, {count}"] = [generator.kept(report)]
    for count, streams, topics, append_only in variants:
        title = title_of(count, streams, topics, append_only)
        if options.progress:
            print(f"  {title}", flush=True)
        with redis.running(options, append_only) as the_redis, \
                redis.instances(options, the_redis, count, shards=1) as running_ones:
            stand = Stand(options, the_redis, running_ones, streams, topics)
            first = generator.exact(stand.at_rate(size.bridge_rate, size.bridge_seconds))
            highest, beyond = stand.climb(size.bridge_steps, size.bridge_step_seconds)
        if highest is None and not first["not_held"]:
            highest = first
        cpu = first["cpu_us_per_event"]
        steady.add(title, first["latency_p50"], first["latency_p99"], first["first_third_p99"],
                   first["last_third_p99"], first["drain_seconds"], first["channel_queue_largest"],
                   cpu["redis"], cpu["hub"], cpu["shards"])
        held = highest["rate"] if highest else None
        steps.add(title, held, 100 * held / plain[count]["messages_a_second"] if held else None,
                  highest["latency_p99"] if highest else None,
                  f"{beyond['rate']:,.0f}: {beyond['not_held']}" if beyond else "none",
                  (beyond or highest or first)["bottleneck"])
        add_checks(outcome, title, first, int(size.bridge_rate * size.bridge_seconds), streams, topics, count)
        outcome.target(f"events a second that held, {title}", held or 0, at_least=size.bridge_rate)
        outcome.runs[title] = [generator.kept(report) for report in stand.runs]
    beside = Table("plain PUBLISH by redis-benchmark", "messages a second", "Redis CPU, µs each")
    for count, report in plain.items():
        beside.add(f"{count} bare subscriber{'s' if count > 1 else ''}, no instance", report["messages_a_second"],
                   report["redis_cpu_us_per_message"])
        outcome.check(f"messages of redis-benchmark that were heard, {count} bare", report["heard_others"],
                      count * report["messages"])
    outcome.runs["redis-benchmark"] = list(plain.values())
    outcome.tables += [steady, steps, beside]
    outcome.notes += [
        f"redis-benchmark: {PUBLISHERS} connections, {BENCHMARK_PIPELINE} commands under way on each; as fast as "
        "Redis answers",
        f"a rate held: everything arrived once and in order, the last event within {DRAIN_SECONDS_MAX} s of when it "
        f"was due, and the median latency of the last third was at most {GROWTH_MAX} times that of the first, + "
        f"{GROWTH_ROOM_US // 1000} ms; latency counts from when an event was due",
        "all processes, those of the generator too, share all CPUs"]
    return outcome

"""Runs ringcast-load against a server that runs, and refuses a run that is not exact."""

import json
import statistics
import subprocess

from suite import paired
from suite.servers import Failure, on_cpus

# What is kept of a report, so that results stay small.
KEPT = """open open_seconds frame_bytes published publish_seconds expected deliveries missing duplicates
out_of_order dropped gaps deliveries_per_second latency_p50 latency_p99 opens_per_second
server_cpu_ns_per_delivery server_hold_cpu_ns hold_seconds server_pss_bytes_per_stream
server_pss_bytes_open server_pss_bytes_end slab_bytes_per_stream tcp_buffer_bytes_per_stream
tcp_buffer_bytes_open tcp_buffer_bytes_end stalled stalled_expected stalled_deliveries stalled_skipped
stalled_missing stalled_dropped stalled_seconds ended_slow gaps_sent storm_closed storm_returned
storm_opens_failed storm_seconds storm_streams_per_second server_storm_cpu_ns_per_stream streams_opened
streams_resumed streams_refused latency_max server_cpu_ms_publishing logins logins_answered_200 logins_accepted
logins_first_seconds logins_last_seconds events_among_logins failure rate not_held bottleneck cpu_us_per_event
publish_seconds delivery_seconds drain_seconds measured_seconds receivers_min receivers_max subscribers heard
heard_missing heard_latency_p50 heard_latency_p99 first_third_p50 first_third_p99 last_third_p50 last_third_p99
added_p50 added_p99 watched_cpu_ns reader_cpu_ns publisher_cpu_ns listener_cpu_ns channel_queue_largest heard_by_each
relayed_by_each entries_read_by_each dropped_by_each invalid_by_each streams_by_instance redis_connections
redis_subscribers redis_hold_percent redis_publish_percent redis_percent server_pss_bytes_empty tls_version tls_cipher
tls_handshakes tls_resumed tls_taken_over tls_failed tls_handshake_p50 tls_handshake_p99 handshakes stretch_latency_p50
stretch_latency_p99 stretch_latency_max stretch_events newcomers newcomers_seconds newcomers_a_second
newcomers_opens_failed newcomers_handshake_p50 newcomers_handshake_max""".split()


def run(options, server, secure=False, **arguments):
    """One run; `arguments` are those of ringcast-load (`_` for `-`, True for a flag, a list to repeat it)."""
    base = server.secure_base if secure else server.base
    report = exact(invoke(
        options, url=f"{base}/events", publish_url=f"{server.base}/publish", server_pid=server.pid, **arguments))
    report["opens_per_second"] = report["open"] / report["open_seconds"]
    report["tcp_buffer_bytes_per_stream"] = (
        report["tcp_buffer_bytes_open"] - report["tcp_buffer_bytes_empty"]) / report["open"]
    return report


def exact(report):
    """The report, if what was to arrive did, once and in order."""
    if not report["good"]:
        reason = report["failure"] or "deliveries are not exact"
        raise Failure(f"the run does not count: {reason}\n{json.dumps(report, indent=1)}")
    return report


def invoke(options, **arguments):
    """Runs ringcast-load with nothing but these arguments, whatever comes of it."""
    command = command_of(options, **arguments)
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return read_report(result.stdout)


def command_of(options, **arguments):
    command = [options.build / "ringcast-load", "--json", "-"]
    for name, value in ({"timeout": options.timeout} | arguments).items():
        for each in value if isinstance(value, list) else [value]:
            command.append("--" + name.replace("_", "-"))
            if each is not True:
                command.append(each)
    return on_cpus(options.load_cpus, command)


def read_report(text):
    if not text:
        raise Failure("ringcast-load wrote no report")
    report = json.loads(text)
    for moments in report.get("watched_cpu_ns", {}).values():
        for moment, threads in moments.items():
            moments[moment] = {thread: round(ns) for thread, ns in threads.items() if ns}
    for name in [name for name in report if name.endswith("latency_us") or name == "tls_handshake_us"]:
        figure = name.removesuffix("_us")
        for quantile in ("p50", "p99"):
            report[f"{figure}_{quantile}"] = report[name][quantile]
    for third in ("first", "last"):
        for quantile in ("p50", "p99"):
            report[f"{third}_third_{quantile}"] = report[f"latency_{third}_third_us"][quantile]
    return report


def kept(report):
    return {name: report[name] for name in dict.fromkeys(KEPT) if name in report}


def median(reports, figure):
    return statistics.median(report[figure] for report in reports)


def spread_percent(reports, figure):
    """Largest minus smallest, in percent of the median."""
    values = [report[figure] for report in reports]
    middle = statistics.median(values)
    return 100 * (max(values) - min(values)) / middle if middle else 0


def ratio_and_limits(reports, names, figure):
    """How many times as much the second of two variants is, from pairs of runs, and the limits as text."""
    return paired.ratio_and_limits(*([report[figure] for report in reports[name]] for name in names))


def in_turn(options, runs, variants, run_one, show):
    """Runs each variant `runs` times, alternately: whatever else the machine does falls on all of them.

    The order turns around in every second round, so that none always comes first.
    """
    width = max(map(len, variants)) + 2
    reports = {name: [] for name in variants}
    for number in range(runs):
        for name in variants if number % 2 == 0 else reversed(variants):
            report = run_one(name)
            reports[name].append(report)
            if options.progress:
                print(f"  run {number + 1} of {runs}  {name:<{width}}{show(report)}", flush=True)
    return reports

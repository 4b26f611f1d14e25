#!/usr/bin/env python3
"""What a delivery costs, compared with the physical limit.

Runs ringcast-load against bench/floor (a bare loop of sends over the same sockets and bytes) and against
Ringcast, in turn, so that whatever else the machine does falls on both. Prints the median of each figure,
its spread (largest minus smallest, in percent of the median) and the ratio Ringcast : floor.

  cost        events at a steady rate: CPU time of the server for each delivery, memory, latency
  throughput  events as fast as they are answered: deliveries a second

Server and generator have different CPUs; all of Ringcast's threads share those of the server, as the floor's
one thread does. Every run must deliver everything exactly once, or the program ends with an error.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SLOTS_OF_A_SHARD = 19_500  # a ring's table is bounded by RLIMIT_NOFILE, 20,000 on many machines
SETTLE_SECONDS = 3
SPREAD_ROOM = 1.15         # SO_REUSEPORT spreads by hash, never evenly

FIGURES = {
    "cost": [
        ("server_cpu_ns_per_delivery", "CPU a delivery, ns"),
        ("server_pss_bytes_per_stream", "memory a stream, bytes"),
        ("slab_bytes_per_stream", "kernel memory a stream, both ends, bytes"),
        ("latency_p50", "latency p50, µs"),
        ("latency_p99", "latency p99, µs"),
        ("opens_per_second", "streams opened a second"),
    ],
    "throughput": [
        ("deliveries_per_second", "deliveries a second"),
        ("server_cpu_ns_per_delivery", "CPU a delivery, ns"),
        ("latency_p99", "latency p99, µs"),
    ],
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_cpus(cpus, command):
    return ["taskset", "--cpu-list", cpus, *map(str, command)]


def floor_command(options, port, _folder):
    return [options.build / "bench/floor/floor", "--port", port]


def ringcast_command(options, port, folder):
    shards = max(1, math.ceil(options.streams * SPREAD_ROOM / SLOTS_OF_A_SHARD))
    config = folder / "ringcast.toml"
    common = f"""[server]
listen = ["0.0.0.0:{port}"]
admin_listen = ""
shards = {shards}

[stream]
heartbeat_seconds = 0

[log]
level = "warning"
"""
    config.write_text(common + "\n[auth]\nrequired = false\n")
    check = [options.build / "ringcast", "check", "--config", config]
    if subprocess.run(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        config.write_text(common)  # a build without authentication; `serve` reports what else is wrong
    return [options.build / "ringcast", "serve", "--config", config]


SERVERS = {"floor": floor_command, "ringcast": ringcast_command}


def wait_until_listening(server, port, log):
    for _ in range(300):
        if server.poll() is not None:
            sys.exit(f"the server ended at once:\n{log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"the server does not listen:\n{log.read_text()}")


@contextlib.contextmanager
def running_server(name, options, folder):
    port = free_port()
    log = folder / f"{name}.log"
    with log.open("w") as out:
        command = on_cpus(options.server_cpus, SERVERS[name](options, port, folder))
        # taskset becomes the server, so this is the server's pid.
        server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until_listening(server, port, log)
        yield server.pid, port
    finally:
        server.terminate()
        # The kernel frees sockets after their process has ended; the next run measures what it holds.
        time.sleep(SETTLE_SECONDS)
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def run_once(name, options, folder):
    with running_server(name, options, folder) as (pid, port):
        base = f"http://127.0.0.1:{port}"
        command = [
            options.build / "ringcast-load",
            "--url", f"{base}/events", "--publish-url", f"{base}/publish",
            "--streams", options.streams, "--bytes", options.bytes, "--events", options.events,
            "--rate", options.rate if options.mode == "cost" else 0,
            "--publishers", options.publishers, "--server-pid", pid,
            "--timeout", options.timeout, "--json", "-",
        ]
        result = subprocess.run(on_cpus(options.load_cpus, command), stdout=subprocess.PIPE, text=True)
    report = json.loads(result.stdout) if result.stdout else {"good": False, "failure": "no report"}
    if not report["good"]:
        print(json.dumps(report, indent=2), file=sys.stderr)
        sys.exit(f"{name}: the run failed: {report.get('failure') or 'deliveries are not exact'}")
    report["latency_p50"] = report["latency_us"]["p50"]
    report["latency_p99"] = report["latency_us"]["p99"]
    report["opens_per_second"] = report["open"] / report["open_seconds"]
    return report


def summary(reports, figure):
    values = [report[figure] for report in reports]
    median = statistics.median(values)
    spread = 100 * (max(values) - min(values)) / median if median else 0
    return median, spread


def print_table(options, reports):
    print(f"\n{options.mode}: {options.streams:,} streams, {options.bytes} bytes, {options.events} events"
          + (f" at {options.rate:g} a second" if options.mode == "cost" else " as fast as answered")
          + f", {options.runs} runs each")
    names = list(reports)
    ratio = len(names) == 2
    head = f"{'':<42}" + "".join(f"{name:>14}{'spread':>9}" for name in names)
    print(head + (f"{'ratio':>8}" if ratio else ""))
    for figure, title in FIGURES[options.mode]:
        line = f"{title:<42}"
        medians = []
        for name in names:
            median, spread = summary(reports[name], figure)
            medians.append(median)
            line += f"{median:>14,.0f}{spread:>8.1f}%"
        if ratio and medians[0]:
            line += f"{medians[1] / medians[0]:>8.2f}"
        print(line)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", nargs="?", choices=FIGURES, default="cost")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "build")
    parser.add_argument("--only", choices=SERVERS, help="one of the two, without a ratio")
    parser.add_argument("--streams", type=int, default=60_000)
    parser.add_argument("--bytes", type=int, default=120)
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1.0, help="events a second, for cost")
    parser.add_argument("--publishers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--server-cpus", default="0")
    parser.add_argument("--load-cpus", default="1" if (os.cpu_count() or 1) > 1 else "0")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for a run")
    parser.add_argument("--json", type=pathlib.Path, help="write every report there")
    options = parser.parse_args()
    options.build = options.build.resolve()
    return options


def main():
    options = parse_options()
    names = [options.only] if options.only else list(SERVERS)
    reports = {name: [] for name in names}
    figure, title = FIGURES[options.mode][0]
    for run in range(options.runs):
        # The other order in every second round: neither always comes first.
        for name in names if run % 2 == 0 else reversed(names):
            with tempfile.TemporaryDirectory(prefix="ringcast-cost-") as folder:
                report = run_once(name, options, pathlib.Path(folder))
            reports[name].append(report)
            print(f"run {run + 1} of {options.runs}  {name:<10}{title}: {report[figure]:,.0f}", flush=True)
    print_table(options, reports)
    if options.json:
        options.json.write_text(json.dumps(reports, indent=2))


if __name__ == "__main__":
    main()

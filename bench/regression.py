#!/usr/bin/env python3
"""Says whether one build is slower or larger than another.

OLD and NEW are each a build folder (with `ringcast`) or a commit, which is built in build-bench-<commit> first.
Both run at the same time, on the same CPU, each under the same load, so that whatever else happens falls on both. Each
such pair of runs gives a ratio for each figure, and all of them its limits. A figure that looks more than the threshold
worse is measured longer: what is still worse then, and more so than chance explains, is a loss. README.md tells more.

About five minutes, --quick one and a half; twice that at most when something looks worse.
Exit code: 0 no loss, 1 a loss, 2 it could not be measured.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import math
import pathlib
import signal
import statistics
import sys
import tempfile
import threading
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from suite import builds, certificates, command_line, generator, paired, results, servers  # noqa: E402
from suite.servers import Failure  # noqa: E402

OLD, NEW = "old", "new"
SHARDS = 2
SETTLE_SECONDS = 0.2
# Below this the server keeps no memory for a burst of new connections, which would count as the streams'.
FEW_CONNECTING = 24
# A reader that rests is not woken by every delivery: waking it costs more than all that Ringcast does itself.
GATHER_US = 2_000
MEMORY = "peak_bytes_per_stream"
LOOK_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class Size:
    rounds: int
    streams: int
    events: int
    rate: float
    throughput_events: int
    storm_streams: int
    tls_streams: int
    tls_events: int
    tls_rate: float


# Many short rounds rather than few long ones, since the limits come from the number of pairs. At the rates here both
# servers together need about half of their CPU: more, and events would leave together.
FULL = Size(rounds=15, streams=10_000, events=10, rate=5, throughput_events=300, storm_streams=5_000,
            tls_streams=1_500, tls_events=40, tls_rate=25)
QUICK = dataclasses.replace(FULL, rounds=5)
SMOKE = Size(rounds=5, streams=1_000, events=5, rate=50, throughput_events=5, storm_streams=100,
             tls_streams=20, tls_events=5, tls_rate=50)


@dataclasses.dataclass(frozen=True)
class Figure:
    """Smaller is better."""
    title: str
    name: str  # in the report of ringcast-load

    def of(self, report):
        value = report[self.name]
        if value <= 0:
            raise Failure(f"{self.title} was measured as {value}; larger sizes are needed")
        return value


def streams_of(size, **more):
    return {"streams": size.streams, "connecting": FEW_CONNECTING, **more}


# Each load with the figures that it gives.
LOADS = {
    "delivery": (
        lambda size: streams_of(size, events=size.events, rate=size.rate, gather=GATHER_US),
        [Figure("server CPU a delivery, ns", "server_cpu_ns_per_delivery"),
         Figure("memory a stream, bytes", MEMORY)]),
    "throughput": (
        lambda size: streams_of(size, events=size.throughput_events),
        [Figure("server CPU a delivery at full load, ns", "server_cpu_ns_per_delivery")]),
    "storm": (
        lambda size: {"streams": size.storm_streams, "events": 4, "rate": 40, "storm": 2},
        [Figure("server CPU a stream of a storm, ns", "server_storm_cpu_ns_per_stream")]),
    "tls": (
        lambda size: {"streams": size.tls_streams, "events": size.tls_events, "rate": size.tls_rate,
                      "gather": GATHER_US, "tls_resume": True, "insecure": True},
        [Figure("server CPU a delivery over TLS, ns", "server_cpu_ns_per_delivery")]),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="build folder or commit to compare with")
    parser.add_argument("new", help="build folder or commit that may have lost")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="a third of the rounds: finds losses of about a tenth")
    sizes.add_argument("--smoke", action="store_true", help="tiny: only that it works; its verdict means nothing")
    parser.add_argument("--only", nargs="+", choices=LOADS, metavar="LOAD", default=list(LOADS),
                        help=f"of {', '.join(LOADS)}: these")
    parser.add_argument("--threshold", type=float, default=5, metavar="PERCENT",
                        help="how much worse is a loss (default: %(default)g)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures of every run there too")
    command_line.add_cpus(parser)
    return parser.parse_args()


class Memory:
    """How much anonymous memory a process has at most while this looks, beyond what it has at the beginning.

    Not its share of files: that changes with every other process that maps the same ones.
    """

    def __init__(self, pid):
        self.rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup")
        self.empty = self.most = self.now()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def now(self):
        lines = self.rollup.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:")) * 1024

    def look(self):
        with contextlib.suppress(ProcessLookupError):  # the server has ended: whoever uses it says so
            while not self.over.wait(LOOK_SECONDS):
                self.most = max(self.most, self.now())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Runner:
    """Runs one load against both builds at once. They get the same generator: that of the new one, if it has one."""

    def __init__(self, arguments, size, folders, scratch):
        self.size = size
        self.files = certificates.files() if "tls" in arguments.only else {}
        self.starting = threading.Lock()  # a port that was free would be given to both otherwise
        load = next((folder / "ringcast-load" for folder in (folders[NEW], folders[OLD], FOLDER.parent / "build")
                     if (folder / "ringcast-load").exists()), None)
        if load is None:
            raise Failure("neither folder has ringcast-load: build it too")
        self.options = {}
        for which, folder in folders.items():
            home = scratch / which
            home.mkdir()
            (home / "ringcast").symlink_to(folder / "ringcast")
            (home / "ringcast-load").symlink_to(load)
            self.options[which] = argparse.Namespace(
                build=home, server_cpus=arguments.server_cpus, load_cpus=arguments.load_cpus, timeout=60,
                settle_seconds=SETTLE_SECONDS)

    def run_both(self, name, order):
        """The figures of each build."""
        both_listen = threading.Barrier(2, timeout=60)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = {which: pool.submit(self.run, which, name, both_listen) for which in order}
        try:
            return {which: run.result() for which, run in runs.items()}
        except threading.BrokenBarrierError:  # the other one says why
            raise next(error for error in map(concurrent.futures.Future.exception, runs.values())
                       if not isinstance(error, threading.BrokenBarrierError)) from None

    def run(self, which, name, both_listen):
        options = self.options[which]
        make_load, figures = LOADS[name]
        secure = name == "tls"
        sections = {"server": {"shards": SHARDS}} | (certificates.sections() if secure else {})
        try:
            with contextlib.ExitStack() as stack:
                with self.starting:
                    server = stack.enter_context(servers.running("ringcast", options, sections,
                                                                 self.files if secure else None))
                both_listen.wait()
                with Memory(server.pid) as memory:
                    report = generator.run(options, server, secure=secure, **make_load(self.size))
                report[MEMORY] = (memory.most - memory.empty) / report["open"]
        except BaseException:
            both_listen.abort()
            raise
        return {figure: figure.of(report) for figure in figures}


def measure(runner, names, rounds, values=None):
    """Each figure with its values, by build, behind those that there are; the n-th of both were measured together."""
    values = values or {figure: {OLD: [], NEW: []} for name in names for figure in LOADS[name][1]}
    for number in range(rounds):
        print(f"  round {number + 1} of {rounds} …", end="", flush=True)
        for name in names:
            # Who starts first comes first for a moment; that must not be always the same one.
            for which, figures in runner.run_both(name, (OLD, NEW) if number % 2 == 0 else (NEW, OLD)).items():
                for figure, value in figures.items():
                    values[figure][which].append(value)
        print("\r" if sys.stdout.isatty() else "\n", end="", flush=True)
    return values


def judge(values, threshold, unsure=paired.UNSURE):
    """Comparison and verdict for each figure."""
    comparisons = {figure: paired.compare(both[OLD], both[NEW], unsure) for figure, both in values.items()}
    return {figure: (comparison, paired.verdict(comparison, threshold)) for figure, comparison in comparisons.items()}


def show(values, judged):
    table = results.Table("median", "old", "new", "new : old", "worse by %", "surely between %", "verdict")
    for figure, (comparison, verdict) in judged.items():
        medians = [statistics.median(values[figure][which]) for which in (OLD, NEW)]
        table.add(figure.title, *medians, medians[1] / medians[0], percent(comparison.ratio),
                  f"{percent(comparison.low)} … {percent(comparison.high)}", verdict)
    print("\n" + table.markdown() + "\n", flush=True)


def percent(ratio):
    return f"{100 * (ratio - 1):+.1f}"


def warm_up(runner):
    """The programs are read from the disk, and what the kernel makes at first use is made."""
    size, runner.size = runner.size, SMOKE
    runner.run_both("delivery", (OLD, NEW))
    runner.size = size


def check(arguments, scratch):
    folders = {which: builds.find(getattr(arguments, which)) for which in (OLD, NEW)}
    for which, folder in folders.items():
        print(f"{which}: {folder}")
    command_line.warn_if_busy()
    size = SMOKE if arguments.smoke else QUICK if arguments.quick else FULL
    threshold = math.inf if arguments.smoke else arguments.threshold / 100
    runner = Runner(arguments, size, folders, scratch)
    warm_up(runner)
    values = measure(runner, arguments.only, size.rounds)
    judged = judge(values, threshold)
    show(values, judged)
    suspect = [name for name in arguments.only if any(judged[figure][0].ratio > 1 + threshold
                                                      for figure in LOADS[name][1])]
    if suspect:
        print(f"Measured longer, since it looks worse: {', '.join(suspect)}")
        longer = {figure: values[figure] for name in suspect for figure in LOADS[name][1]}
        measure(runner, suspect, size.rounds, longer)
        again = judge(longer, threshold, paired.SURER)
        show(longer, again)
        judged |= again
    if arguments.json:
        arguments.json.write_text(as_json(folders, values, judged))
    return judged


def as_json(folders, values, judged):
    return results.compact({
        "machine": results.machine(), "builds": {which: str(folder) for which, folder in folders.items()},
        "runs": {figure.title: both for figure, both in values.items()},
        "verdicts": {figure.title: dataclasses.asdict(comparison) | {"verdict": verdict}
                     for figure, (comparison, verdict) in judged.items()}}) + "\n"


def main():
    arguments = parse_arguments()
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that servers end too
    try:
        with tempfile.TemporaryDirectory(prefix="ringcast-regression-") as scratch:
            judged = check(arguments, pathlib.Path(scratch))
    except Failure as failure:
        print(f"regression.py: {failure}", file=sys.stderr)
        return 2
    losses = [figure.title for figure, (_, verdict) in judged.items() if verdict == paired.LOSS]
    unclear = [figure.title for figure, (_, verdict) in judged.items() if verdict == paired.UNCLEAR]
    if unclear:
        print(f"Too noisy to tell: {', '.join(unclear)}. Measure again on a quiet machine.")
    print(f"{'Lost: ' + ', '.join(losses) if losses else 'No loss'} ({time.monotonic() - begin:.0f} s)")
    return 1 if losses else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(2)

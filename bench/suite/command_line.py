"""Arguments that the commands of bench/ have in common, and what they check first."""

import os
import pathlib
import sys

BENCH = pathlib.Path(__file__).resolve().parent.parent
RESULTS = BENCH / "results"


def add_cpus(parser):
    cpus = sorted(os.sched_getaffinity(0))
    parser.add_argument("--server-cpus", default=str(cpus[0]), help="as taskset takes them (default: %(default)s)")
    parser.add_argument("--load-cpus", default=str(cpus[min(1, len(cpus) - 1)]), help="default: %(default)s")


def add_measuring(parser, seconds):
    """How a run is made; `seconds` is how long one may take."""
    parser.add_argument("--build", type=pathlib.Path, default=BENCH.parent / "build-bench",
                        help="folder of the build that is measured (default: build-bench)")
    parser.add_argument("--runs", type=int, help="of each that is compared")
    parser.add_argument("--bytes", type=int, default=120, help="size of an event's frame (default: %(default)s)")
    add_cpus(parser)
    parser.add_argument("--timeout", type=int, default=seconds, help="seconds for one run (default: %(default)s)")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS,
                        help="folder to write to (default: bench/results; smoke writes only if this is given)")


def require_programs(options, *names):
    for name in names:
        if not (options.build / name).exists():
            sys.exit(f"{name} is not in the build folder; README.md tells how to build it, see --build too")


def warn_if_busy():
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The load average is {load:.2f}: something else runs, figures will be noisy.")

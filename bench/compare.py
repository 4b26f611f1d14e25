#!/usr/bin/env python3
"""Measures Ringcast beside other servers of event streams, each with the same load. compare/README.md tells how.

  full        about twelve minutes, on a machine that does nothing else
  quick       fewer streams, one run each, about three minutes
  smoke       tiny: only that every program starts and delivers everything

Writes bench/results/compare.md and .json, and the plots compare-*.svg beside them. Of `quick` they are
compare-quick.md and so on, with --only or --programs compare-partial.md. `full` also writes its main figures into
README.md. Exit code 0 when every count of Ringcast is exact; of the others the table tells what they lost.
"""

import argparse
import contextlib
import json
import pathlib
import resource
import sys
import time
from xml.etree import ElementTree

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from compare import front_page, measures, plots, programs  # noqa: E402  (the path comes first)
from suite import certificates, command_line, results, system  # noqa: E402
from suite.servers import Failure  # noqa: E402

SETTLE_SECONDS = 2


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", nargs="?", default="full", choices=measures.PROFILES)
    parser.add_argument("--only", nargs="+", choices=measures.MEASURES, metavar="MEASURE",
                        help="one or more of %(choices)s")
    parser.add_argument("--programs", nargs="+", choices=programs.PROGRAMS, metavar="PROGRAM",
                        default=list(programs.PROGRAMS), help="one or more of %(choices)s; Ringcast always")
    command_line.add_measuring(parser, seconds=120)
    parser.add_argument("--gather", type=int, default=0, metavar="MICROSECONDS",
                        help="that a reader of the generator rests after it has read something: then not every send "
                             "pays for waking it, and latency is larger by as much at most (default: 0)")
    parser.add_argument("--plot", action="store_true", help="measure nothing: only write plots and README.md again")
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.strict = options.profile == "smoke"
    options.progress = not options.strict
    options.settle_seconds = 0.1 if options.strict else SETTLE_SECONDS
    options.write = not options.strict or options.results != command_line.RESULTS
    options.only = options.only or (measures.SMOKE_MEASURES if options.strict else list(measures.MEASURES))
    options.programs = [name for name in programs.PROGRAMS if name in (programs.RINGCAST, *options.programs)]
    everything = (set(options.only), len(options.programs)) == (set(measures.MEASURES), len(programs.PROGRAMS))
    whole = everything or options.plot
    options.title = "-".join(
        ["compare"] + ([options.profile] if options.profile != "full" else []) + ([] if whole else ["partial"]))
    return options


def complain_of_missing(options):
    command_line.require_programs(options, "ringcast", "ringcast-load")
    if "tls" in options.only and not certificates.available():
        sys.exit("openssl is not installed; --only leaves the measure tls out")
    missing = [name for name in options.programs if programs.PROGRAMS[name].missing()]
    if missing:
        needed = ", ".join(f"{name} ({programs.PROGRAMS[name].packages})" for name in missing)
        sys.exit(f"not installed: {needed}. `tools/dev bench compare` installs them; --programs leaves them out")


def raise_descriptors(options):
    """Each program may have what the hard limit allows; some do not raise it themselves."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = measures.PROFILES[options.profile].streams + programs.DESCRIPTORS_OF_ITS_OWN
    if hard < needed:
        sys.exit(f"the hard limit of open files is {hard:,}, and {options.profile} needs {needed:,}: see `ulimit -Hn`")


def run_all(options):
    where = results.machine()
    if not options.strict:
        command_line.warn_if_busy()
    begin = time.monotonic()
    where["RLIMIT_NOFILE"] = programs.descriptors()
    where |= programs.prepare(options, options.programs)
    outcomes = []
    with contextlib.nullcontext(system.UNCHANGED) if options.strict else system.steered_receive() as received:
        where["a packet on loopback is received"] = received
        for name in options.only:
            print(f"{name} …", flush=True)
            outcomes.append(measures.MEASURES[name](options, measures.PROFILES[options.profile]))
    where["minutes"] = round((time.monotonic() - begin) / 60, 1)
    return where, outcomes


def draw(options):
    """What the results folder has of this profile; of the full one the front page tells the main figures."""
    measured = options.results / f"{options.title}.json"
    if not measured.exists():
        sys.exit(f"{measured.name} is not in the results: nothing has been measured yet")
    data = json.loads(measured.read_text())
    plots.write(options.results, options.title, data)
    if options.title == "compare" and options.results == command_line.RESULTS:
        front_page.write(FOLDER.parent / "README.md", data)


def main():
    options = parse_options()
    if options.plot:
        draw(options)
        return
    complain_of_missing(options)
    raise_descriptors(options)
    try:
        where, outcomes = run_all(options)
    except Failure as failure:
        sys.exit(str(failure))
    print("\n" + results.markdown(options.title, where, outcomes))
    data = {"machine": where, "scenarios": [outcome.data() for outcome in outcomes]}
    for svg in plots.draw_all(data).values():
        ElementTree.fromstring(svg)  # in `smoke`, which writes nothing, the drawing is tested too
    if options.write:
        results.write(options.results, options.title, where, outcomes)
        draw(options)
    if not all(outcome.good() for outcome in outcomes):
        sys.exit("a count is wrong, see above")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Shows by measuring what Ringcast claims. README.md here tells what each figure means.

  short       the main figures, in less than five minutes
  all         every scenario at full size but the two of a million, on a machine that does nothing else (an hour)
  smoke       every scenario, tiny: only that the counts are right
  idle, fanout, cost, throughput, latency, slow, storm, reconnect, logins, bridge, bridge-latency, bridge-streams,
  tls-idle, tls-cost, tls-handshakes, tls-storm, million, tls-million
              one scenario at full size. Those of the bridge need redis-server, those of TLS the openssl program,
              and are left out of the others without it. Those of a million need 12 GB and root

Writes bench/results/<name>.md and .json. Exit code 0 when every count is exact; figures that a busy machine
spoils are reported and decide nothing.
"""

import argparse
import contextlib
import pathlib
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from suite import certificates, command_line, redis, results, scenarios, system  # noqa: E402  (the path comes first)
from suite.servers import Failure  # noqa: E402

SETTLE_SECONDS = 3


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="short", choices=[*scenarios.PROFILES, *scenarios.SCENARIOS])
    parser.add_argument("--only", nargs="+", choices=scenarios.SCENARIOS, metavar="SCENARIO",
                        help="of `all`, `short` or `smoke`: these")
    command_line.add_measuring(parser, seconds=300)
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.write = options.what != "smoke" or options.results != command_line.RESULTS
    options.settle_seconds = 0.2 if options.what == "smoke" else SETTLE_SECONDS
    options.progress = options.what != "smoke"
    return options


def main():
    options = parse_options()
    command_line.require_programs(options, "ringcast", "ringcast-load", "bench/floor/floor")
    size = scenarios.PROFILES.get(options.what, scenarios.FULL)
    chosen = options.only or scenarios.chosen(options.what)
    for available, need, program in [(redis.available(), scenarios.NEED_REDIS, "redis-server"),
                                     (certificates.available(), scenarios.NEED_OPENSSL, "openssl")]:
        if available:
            continue
        if options.what in need:
            sys.exit(f"{program} is not installed")
        chosen = [name for name in chosen if name not in need]
        print(f"Left out, because {program} is not installed: {', '.join(need)}.")
    where = results.machine()
    if options.what != "smoke":
        command_line.warn_if_busy()
    outcomes = []
    begin = time.monotonic()
    with system.steered_receive() if options.what != "smoke" else contextlib.nullcontext(system.UNCHANGED) as received:
        where["a packet on loopback is received"] = received
        for name in chosen:
            print(f"{name} …", flush=True)
            try:
                outcomes.append(scenarios.SCENARIOS[name](options, size))
            except Failure as failure:
                sys.exit(f"{name}: {failure}")
    where["minutes"] = round((time.monotonic() - begin) / 60, 1)
    print("\n" + results.markdown(options.what, where, outcomes))
    if options.write:
        results.write(options.results, options.what, where, outcomes)
    if not all(outcome.good() for outcome in outcomes):
        sys.exit("a count is wrong, see above")


if __name__ == "__main__":
    main()

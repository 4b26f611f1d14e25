"""What the tools in this folder share: which process, what it says of itself, and how to give up."""

import argparse
import pathlib
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

SECONDS_MAX = 600


class Failure(Exception):
    """The message says why and what to do."""


def fail(message):
    raise Failure(message)


def need(program, package):
    if shutil.which(program) is None:
        fail(f"{program} is not installed (Debian: {package})")


def seconds(text):
    value = int(text)
    if not 1 <= value <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"1 to {SECONDS_MAX}")
    return value


def parser(description):
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--pid", type=int, help="of the server (default: the newest process called ringcast)")
    return made


def pid(arguments):
    if arguments.pid is not None:
        if not pathlib.Path(f"/proc/{arguments.pid}").exists():
            fail(f"there is no process {arguments.pid}")
        return arguments.pid
    found = subprocess.run(["pgrep", "-n", "-x", "ringcast"], capture_output=True, text=True, check=False).stdout
    if not found:
        fail("no process is called ringcast; name one with --pid")
    return int(found)


def metrics(url):
    """The server's own figures, each the sum over its shards."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, urllib.error.URLError) as error:
        fail(f"{url}/metrics does not answer: {error}. --admin names the server's admin listener")
    sums = {}
    for line in lines:
        if line and not line.startswith("#"):
            labelled, value = line.rsplit(" ", 1)
            name = labelled.partition("{")[0]
            sums[name] = sums.get(name, 0) + float(value)
    return sums


def run(main):
    """Calls it; what it cannot do becomes one line and exit code 1."""
    try:
        main()
    except Failure as failure:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {failure}")
    except PermissionError as error:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {error}: needs root or the server's own user")
    except KeyboardInterrupt:
        sys.exit(130)

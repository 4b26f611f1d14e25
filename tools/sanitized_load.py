#!/usr/bin/env python3
"""Loads a real server whose build folder has a sanitizer, and stops it while streams are open.

usage: sanitized_load.py FOLDER

Two shards, the hub, the admin thread, password workers and real sockets; streams and publishers have a token. First
every event must reach every stream exactly once; then the server gets SIGTERM in the middle of such a run. All the
while metrics are read, somebody signs in in vain, somebody signs out, and the configuration and the certificate are
read again. All of that over http, and with another server over https. Exit code 0 when the servers ended with 0 and
neither they nor ringcast-load, which is built with the same sanitizer, wrote a report.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

from suite import certificates  # noqa: E402

STREAMS = 2000
PUBLISHERS = 4
EVENTS = 200
# More than are published before the stop: 1 s of streams that are open and served is enough to stop in their midst.
ENDLESS_EVENTS = 1_000_000
ENDLESS_RATE = 200
SERVED_SECONDS = 1
START_SECONDS = 60
STOP_SECONDS = 120
LOAD_SECONDS = 240
REPORT = re.compile(r"(Address|Leak|UndefinedBehavior|Thread)Sanitizer|runtime error:")

CONFIG = """
[server]
listen = ["127.0.0.1:0"]
admin_listen = "127.0.0.1:0"
shards = 2
drain_seconds = 2
state_directory = "{folder}"
[stream]
heartbeat_seconds = 0.5
[limits]
login_per_minute_per_address = 0
login_per_minute_per_user = 0
[tls]
listen = ["127.0.0.1:0"]
certificate = "{certificate}"
private_key = "{key}"
"""


class Failure(Exception):
    """The message says what was wrong."""


def until(probe, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise Failure(f"not within {seconds} s: {what}")


class Server:
    def __init__(self, build, folder, scheme):
        self.config = config = folder / "ringcast.toml"
        config.write_text(CONFIG.format(folder=folder, certificate=certificates.CERTIFICATE_FILE,
                                        key=certificates.KEY_FILE))
        for name, text in certificates.files().items():
            (folder / name).write_text(text)
        self.build = build
        self.scheme = scheme
        self.log = folder / "server.log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen([build / "ringcast", "serve", "--config", config],
                                            stdout=out, stderr=subprocess.STDOUT)

    def address(self, said, scheme="http"):
        def probe():
            if self.process.poll() is not None:
                raise Failure("the server ended at once")
            return re.search(rf"{said} on ({scheme}://[\d.]+:\d+)", self.log.read_text())
        return until(probe, START_SECONDS, f"the server says what it has {said} on, over {scheme}")[1]

    def metric(self, name):
        """The sum of a metric over the shards."""
        with urllib.request.urlopen(self.address("admin") + "/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))

    def bearer(self, user):
        """A header with a token for everything."""
        token = subprocess.run([self.build / "ringcast", "token", "--config", self.config, "--user", user,
                                "--subscribe", "*", "--publish", "*"], stdout=subprocess.PIPE, check=True, text=True)
        return f"Bearer {token.stdout.strip()}"

    def post(self, path, headers=None, body=b""):
        request = urllib.request.Request(self.address("listening") + path, data=body, headers=headers or {})
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"the server did not stop within {STOP_SECONDS} s") from error
        if code != 0:
            raise Failure(f"the server ended with {code}")


def start_load(build, server, log, *more):
    base = server.address("listening", server.scheme)
    if server.scheme == "https":
        more = ["--insecure", *more]
    with log.open("w") as out:
        return subprocess.Popen(
            [build / "ringcast-load", "--url", base + "/events", "--publish-url", base + "/publish",
             "--header", f"Authorization: {server.bearer('load')}", "--streams", str(STREAMS),
             "--publishers", str(PUBLISHERS), "--threads", "2", "--timeout", str(LOAD_SECONDS), *map(str, more)],
            stdout=out, stderr=subprocess.STDOUT)


@contextlib.contextmanager
def disturbing(server):
    """What other threads than the shards do to what the shards read and write."""
    ended = threading.Event()

    def disturb():
        while not ended.wait(0.1):
            with contextlib.suppress(OSError, Failure):  # whoever waits for the server tells why it is gone
                server.metric("ringcast_streams_open")
                server.post("/login", body=b"username=demo&password=wrong",
                            headers={"Content-Type": "application/x-www-form-urlencoded"})
                server.post("/logout", headers={"Authorization": server.bearer("leaver")})
                server.process.send_signal(signal.SIGHUP)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def every_event_arrives(build, server, log):
    load = start_load(build, server, log, "--events", EVENTS)
    try:
        code = load.wait(timeout=LOAD_SECONDS + 30)
    finally:
        load.kill()
    if code != 0:
        raise Failure(f"ringcast-load ended with {code}")


def stops_with_streams_open(build, server, log):
    load = start_load(build, server, log, "--events", ENDLESS_EVENTS, "--rate", ENDLESS_RATE)
    try:
        appended = server.metric("ringcast_events_appended_total")

        def served():
            if load.poll() is not None:
                raise Failure("ringcast-load ended before the stop")
            return (server.metric("ringcast_streams_open") == STREAMS
                    and server.metric("ringcast_events_appended_total") > appended)

        until(served, LOAD_SECONDS, f"{STREAMS} streams are open and served")
        time.sleep(SERVED_SECONDS)
        if load.poll() is not None:
            raise Failure("ringcast-load ended before the stop")
        server.stop()
        load.wait(timeout=30)  # with 1: its streams were ended
    finally:
        load.kill()


def run(build, folder, scheme):
    server = Server(build, folder, scheme)
    logs = [folder / "load-1.log", folder / "load-2.log"]
    fault = None
    try:
        with disturbing(server):
            every_event_arrives(build, server, logs[0])
            stops_with_streams_open(build, server, logs[1])
    except (Failure, OSError, subprocess.TimeoutExpired) as error:
        fault = str(error)
    finally:
        server.process.kill()
        server.process.wait()
    for log in [server.log, *logs]:
        text = log.read_text() if log.exists() else ""
        if fault or REPORT.search(text):
            fault = fault or f"{log.stem} has a report"
            print(f"--- {log.stem}\n{text[-20_000:]}")
    if fault:
        print(f"{scheme}: {fault}")
    return fault is None


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    if not os.access(build / "ringcast", os.X_OK):
        sys.exit(f"{build} has no server")
    good = True
    for scheme in ("http", "https"):
        with tempfile.TemporaryDirectory(prefix="ringcast-sanitized-") as folder:
            good = run(build, pathlib.Path(folder), scheme) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""A Redis of the suite's own, and instances of Ringcast on it."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from suite import servers
from suite.servers import Failure

CHANNEL = "events"
START_SECONDS = 20
LOOK_SECONDS = 0.25
# Of each instance: commands, tail, channel.
CONNECTIONS_EACH = 3


def available():
    return all(map(shutil.which, ("redis-server", "redis-benchmark")))


def version():
    words = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout.split()
    return next(word.removeprefix("v=") for word in words if word.startswith("v="))


class Redis:
    """A Redis that runs, and one connection to ask it things."""

    def __init__(self, pid, port, folder):
        self.pid = pid
        self.port = port
        self.folder = folder
        self.url = f"redis://127.0.0.1:{port}"
        self.socket = None
        self.replies = None

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.replies = self.socket.makefile("rb")

    def close(self):
        if self.socket:
            self.replies.close()
            self.socket.close()

    def command(self, *words):
        encoded = [str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(encoded)
                            + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
        return self.reply()

    def reply(self):
        line = self.replies.readline()
        if not line.endswith(b"\r\n"):
            raise Failure("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failure(f"Redis answered {rest.decode()}")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self.replies.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return rest.decode()

    def clients(self):
        """CLIENT LIST: for each connection its fields."""
        return [dict(word.partition("=")[::2] for word in line.split())
                for line in self.command("CLIENT", "LIST").splitlines()]

    def subscribers(self):
        return int(self.command("PUBSUB", "NUMSUB", CHANNEL)[1])

    def cpu_ns(self):
        """Of all threads, from the scheduler."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


@contextlib.contextmanager
def running(options, append_only=False):
    """Nothing is written to disk, unless `append_only`: then with the default of a sync each second."""
    with tempfile.TemporaryDirectory(prefix="ringcast-bench-redis-") as folder_name:
        folder = pathlib.Path(folder_name)
        [port] = servers.free_ports(1)
        log = folder / "log"
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no",
                   "--dir", folder, "--appendonly", "yes" if append_only else "no"]
        with log.open("w") as out:
            process = subprocess.Popen(servers.on_cpus(options.redis_cpus, command), stdout=out,
                                       stderr=subprocess.STDOUT)
        redis = Redis(process.pid, port, folder)
        try:
            servers.wait_until_listening(process, port, log)
            redis.connect()
            yield redis
        finally:
            redis.close()
            process.terminate()
            try:
                process.wait(timeout=servers.EXIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def instances(options, redis, count, shards):
    """Ringcasts on one Redis; a message on the channel reaches all their streams once they are there."""
    sections = {"server": {"shards": shards}, "redis": {"url": redis.url, "channel": CHANNEL}}
    with contextlib.ExitStack() as stack:
        running_ones = []
        for _ in range(count):
            running_ones.append(stack.enter_context(servers.running("ringcast", options, sections)))
        await_bridge(running_ones)
        yield running_ones


def await_bridge(running_ones):
    """Until each instance numbers the channel's messages and one of them relays."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        each = [server.metrics() for server in running_ones]
        if (all(metrics["ringcast_redis_standing"] for metrics in each)
                and sum(metrics["ringcast_redis_relay"] for metrics in each) == 1):
            return
        time.sleep(0.05)
    raise Failure("no instance relays the channel")


def await_empty_queues(running_ones):
    """Until the instances have nothing left to do. False: they still had."""
    until = time.monotonic() + START_SECONDS
    while any(server.metrics()["ringcast_redis_channel_queue"] for server in running_ones):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class QueueWatch(threading.Thread):
    """The largest number of channel messages that an instance had not seen in the stream yet."""

    def __init__(self, running_ones):
        super().__init__()
        self.servers = running_ones
        self.ended = threading.Event()
        self.largest = 0
        self.error = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        if self.error:
            raise Failure(f"reading metrics: {self.error}")

    def run(self):
        try:
            while not self.ended.wait(LOOK_SECONDS):
                for server in self.servers:
                    self.largest = max(self.largest, server.metrics()["ringcast_redis_channel_queue"])
        except (OSError, Failure) as error:
            self.error = error


def counted(running_ones):
    """What the instances have counted since their start, by metric, a number for each."""
    return [server.metrics() for server in running_ones]


def growth(before, after, name):
    return [later[name] - earlier[name] for earlier, later in zip(before, after)]

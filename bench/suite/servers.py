"""Starts what is measured: Ringcast with a configuration of its own, or the floor."""

import contextlib
import math
import pathlib
import resource
import socket
import subprocess
import tempfile
import time
import urllib.request

from suite import certificates

SLOTS_OF_A_SHARD = 19_500  # a ring's table is bounded by RLIMIT_NOFILE, 20,000 on many machines
SPREAD_ROOM = 1.15         # with several CPUs: SO_REUSEPORT spreads over them by hash, never evenly
LISTEN_SECONDS = 30
EXIT_SECONDS = 60
CALM_SECONDS = 0.5


class Failure(Exception):
    """A run that cannot count; the message says why."""


def shards_for(streams):
    return max(1, math.ceil(streams * SPREAD_ROOM / SLOTS_OF_A_SHARD))


def ordinary_streams_max():
    """Streams that one process holds with ordinary descriptors; a tenth is left for all else."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 9 // 10


def on_cpus(cpus, command):
    return ["taskset", "--cpu-list", cpus, *map(str, command)]


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def toml(sections):
    def value(v):
        if isinstance(v, bool):
            return str(v).lower()
        if isinstance(v, list):
            return "[" + ", ".join(map(value, v)) + "]"
        return f'"{v}"' if isinstance(v, str) else str(v)
    lines = []
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {value(v)}" for key, v in keys.items()]
    return "\n".join(lines) + "\n"


def cpu_ns(pid):
    """Of all threads of a process that run now."""
    return sum(int(thread.joinpath("schedstat").read_text().split()[0])
               for thread in pathlib.Path(f"/proc/{pid}/task").iterdir())


class Server:
    """A server that runs. `pid` is its process, `base` the URL without a path, `folder` where its files are.

    `secure_base` is the URL where it speaks TLS, if its configuration has a [tls].
    """

    def __init__(self, pid, ports, folder):
        port, secure_port, admin_port = ports
        self.pid = pid
        self.port = port
        self.secure_port = secure_port
        self.base = f"http://127.0.0.1:{port}"
        self.secure_base = f"https://127.0.0.1:{secure_port}"
        self.admin_base = f"http://127.0.0.1:{admin_port}"
        self.folder = folder

    def metric(self, name):
        """The sum of a metric over all shards."""
        metrics = self.metrics()
        if name not in metrics:
            raise Failure(f"the server has no metric {name}")
        return metrics[name]

    def metrics(self):
        """All of them, each the sum over all shards."""
        with urllib.request.urlopen(f"{self.admin_base}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        sums = {}
        for line in lines:
            if line and not line.startswith("#"):
                labelled, value = line.rsplit(" ", 1)
                name = labelled.partition("{")[0]
                sums[name] = sums.get(name, 0) + float(value)
        return {name: int(value) for name, value in sums.items()}


def floor_command(options, ports, _folder, _sections):
    return [options.build / "bench/floor/floor", "--port", ports[0]]


def ringcast_command(options, ports, folder, sections):
    """`sections` of the configuration, over what every benchmark has."""
    port, secure_port, admin_port = ports
    everywhere = {
        "server": {"listen": [f"0.0.0.0:{port}"], "admin_listen": f"127.0.0.1:{admin_port}", "drain_seconds": 0,
                   "state_directory": str(folder)},
        "auth": {"required": False},
        "stream": {"heartbeat_seconds": 0},
        "log": {"level": "warning"},
    }
    for name, keys in sections.items():
        everywhere.setdefault(name, {}).update(keys)
    if "tls" in everywhere:
        everywhere["tls"]["listen"] = [f"0.0.0.0:{secure_port}"]
    config = folder / "ringcast.toml"
    config.write_text(toml(everywhere))
    return [options.build / "ringcast", "serve", "--config", config]


def s_server_command(_options, ports, _folder, _sections):
    """OpenSSL's own server: one connection at a time, answers with files of its folder.

    Without authorities it does not look for a chain in each handshake, which would take as long as the handshake.
    """
    return ["openssl", "s_server", "-accept", f"127.0.0.1:{ports[1]}", "-cert", certificates.CERTIFICATE_FILE,
            "-key", certificates.KEY_FILE, "-WWW", "-quiet", *certificates.NO_AUTHORITIES]


COMMANDS = {"floor": floor_command, "ringcast": ringcast_command, "s_server": s_server_command}
LISTENS_LAST = {"ringcast": 2, "s_server": 1}  # of its ports; 0 for the others


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def wait_until_calm(pid):
    """Until the memory of a process has stopped changing: a socket listens before the threads behind it have begun."""
    until = time.monotonic() + LISTEN_SECONDS
    before, now = -1, resident_bytes(pid)
    while now != before and time.monotonic() < until:
        time.sleep(CALM_SECONDS)
        before, now = now, resident_bytes(pid)


def wait_until_listening(process, port, log):
    until = time.monotonic() + LISTEN_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Failure(f"the server ended at once:\n{log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Failure(f"the server does not listen:\n{log.read_text()}")


@contextlib.contextmanager
def running(name, options, sections, files=None):
    """Runs the server in a folder with these files (text by name) alone, on its CPUs, and ends it."""
    with tempfile.TemporaryDirectory(prefix="ringcast-bench-") as folder_name:
        folder = pathlib.Path(folder_name)
        for file_name, text in (files or {}).items():
            (folder / file_name).write_text(text)
            (folder / file_name).chmod(0o600)
        ports = free_ports(3)
        log = folder / "log"
        with log.open("w") as out:
            command = on_cpus(options.server_cpus, COMMANDS[name](options, ports, folder, sections))
            # taskset becomes the server, so this is the server's pid.
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT)
        try:
            wait_until_listening(process, ports[LISTENS_LAST.get(name, 0)], log)
            if options.settle_seconds >= CALM_SECONDS:
                wait_until_calm(process.pid)
            yield Server(process.pid, ports, folder)
        finally:
            process.terminate()
            try:
                process.wait(timeout=EXIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # The kernel frees sockets after their process has ended; the next run measures what it holds.
            time.sleep(options.settle_seconds)

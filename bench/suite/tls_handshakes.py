"""Handshakes a second: Ringcast beside `openssl s_server`, with `openssl s_time` as the client of both."""

import re
import statistics
import subprocess
import time

from suite import certificates, generator, servers
from suite.results import Outcome, Table

RINGCAST, S_SERVER = "ringcast", "s_server"
NAMES = [RINGCAST, S_SERVER]
VERSIONS = {
    "TLS 1.3": ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
    "TLS 1.2": ["-tls1_2", "-cipher", "ECDHE+AESGCM+AES128"],
}
FULL, RESUMED = "full", "resumed"
# A ticket of TLS 1.3 comes behind the handshake, so the client must read something. Both kinds do, so that they
# can be compared.
PAGE = "/hello"
CLIENTS = 4  # at once: s_time and s_server do one connection at a time
OVER_SECONDS = 30  # that s_time may take longer than it was told to


def time_command(server, version, kind, seconds):
    return ["openssl", "s_time", "-connect", f"127.0.0.1:{server.secure_port}", *VERSIONS[version],
            "-new" if kind == FULL else "-reuse", "-time", seconds, "-www", PAGE,
            *certificates.NO_AUTHORITIES]


def connections_of(text):
    """(connections, of them resumed) that one s_time made while it counted."""
    [count] = re.findall(r"^(\d+) connections in \d+ real seconds", text, re.MULTILINE)
    marks = "".join(re.findall(r"^[r*t3]+$", text, re.MULTILINE))  # one for each, `r` if it was resumed
    return int(count), marks.count("r")


def measure(options, server, version, kind, seconds):
    """One group of s_time against a server that runs."""
    command = servers.on_cpus(options.load_cpus, time_command(server, version, kind, seconds))
    cpu_before = servers.cpu_ns(server.pid)
    begin = time.monotonic()
    clients = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True) for _ in range(CLIENTS)]
    texts = []
    try:
        for client in clients:
            out, errors = client.communicate(timeout=seconds + OVER_SECONDS)
            if client.returncode != 0:
                raise servers.Failure(f"s_time, {version}, {kind}: {errors or out}")
            texts.append(out)
    finally:
        for client in clients:
            if client.poll() is None:
                client.kill()
                client.wait()
    wall = time.monotonic() - begin
    cpu = (servers.cpu_ns(server.pid) - cpu_before) / 1e9
    counts = [connections_of(text) for text in texts]
    # To have something to resume each makes one more, a full one that it does not count.
    first = CLIENTS if kind == RESUMED else 0
    made = sum(count for count, _ in counts)
    return {"handshakes": made + first, "resumed": sum(resumed for _, resumed in counts), "made": made,
            "cpu_seconds": cpu, "wall_seconds": wall, "per_cpu_second": (made + first) / cpu,
            "per_second": (made + first) / wall}


def counted(server, metrics=("ringcast_tls_handshakes_total", "ringcast_tls_handshakes_resumed_total")):
    return [server.metric(name) for name in metrics]


def measure_key(options, size, runs, key, reports, totals):
    """All variants with one kind of key, with both servers up: the one that is not measured does nothing."""
    files = certificates.files(key) | {PAGE.strip("/"): "hello\n"}
    sections = {"server": {"shards": 1}} | certificates.sections()
    with servers.running(RINGCAST, options, sections, files) as ringcast, \
            servers.running(S_SERVER, options, {}, files) as s_server:
        running = {RINGCAST: ringcast, S_SERVER: s_server}
        for version in size.tls_handshakes_versions:
            for kind in (FULL, RESUMED):
                variant = (key, version, kind)
                if options.progress:
                    print(f"  {', '.join(variant)}", flush=True)
                reports[variant] = generator.in_turn(
                    options, runs, NAMES,
                    lambda name: measure(options, running[name], version, kind, size.tls_handshakes_seconds),
                    lambda r: f"{r['per_cpu_second']:,.0f} for a second of CPU, {r['per_second']:,.0f} a second")
        totals[key] = counted(ringcast)


def tls_handshakes(options, size):
    runs = options.runs or size.tls_handshakes_runs
    outcome = Outcome(
        "tls-handshakes", "A handshake costs the server hardly more than what OpenSSL needs for it.",
        {"client": f"openssl s_time, {CLIENTS} at once", "OpenSSL": certificates.version(),
         "suite": "AES-128-GCM", "each connection": "handshake, GET, a short answer, end", "shards": 1,
         "seconds": size.tls_handshakes_seconds, "runs each": runs})
    reports, totals = {}, {}
    for key in size.tls_handshakes_keys:
        measure_key(options, size, runs, key, reports, totals)

    table = Table("median", "for a second of CPU: ringcast", "spread %", "s_server", "spread %", "ringcast : s_server",
                  "a second: ringcast", "s_server")
    for variant, by_name in reports.items():
        def middle(name, figure, runs_of=by_name):
            return statistics.median(report[figure] for report in runs_of[name])
        cells = []
        for name in NAMES:
            cells += [middle(name, "per_cpu_second"), generator.spread_percent(by_name[name], "per_cpu_second")]
        table.add(", ".join(variant), *cells, cells[0] / cells[2], *(middle(name, "per_second") for name in NAMES))
    outcome.tables.append(table)

    for key in totals:
        mine = [report for variant, by_name in reports.items() if variant[0] == key for report in by_name[RINGCAST]]
        outcome.check(f"handshakes that ringcast counted, {key}", totals[key][0],
                      sum(report["handshakes"] for report in mine))
        outcome.check(f"of them resumed, {key}", totals[key][1], sum(report["resumed"] for report in mine))
    for variant, by_name in reports.items():
        for name in NAMES:
            expected = sum(r["made"] for r in by_name[name]) if variant[2] == RESUMED else 0
            outcome.check(f"resumed, as s_time saw it, {', '.join(variant)}, {name}",
                          sum(r["resumed"] for r in by_name[name]), expected)
    outcome.runs = {f"{', '.join(variant)}, {name}": by_name[name]
                    for variant, by_name in reports.items() for name in NAMES}
    return outcome

"""Streams over TLS beside plain ones: what one costs while nothing happens, and what a delivery costs."""

from suite import certificates, generator, servers, system
from suite.results import Outcome, Table

PLAIN, OWN, OPENSSL, TLS_1_2 = "plain", "TLS 1.3", "TLS 1.3, openssl", "TLS 1.2"
AES_128, AES_256, CHACHA = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"

IDLE_BYTES_MAX, IDLE_STREAMS = 256, 100_000  # what a shard has once, whatever it holds, weighs more on fewer
COST_RATIO_MAX = 1.35


def run_variant(options, files, streams, variant, suite=None, **load):
    """`load` as ringcast-load takes it. Publishing is plain everywhere."""
    sections = {"server": {"shards": servers.shards_for(streams)}}
    if variant != PLAIN:
        sections |= certificates.sections(record_layer="openssl" if variant == OPENSSL else "own")
        load |= {"insecure": True, "tls_version": "1.2" if variant == TLS_1_2 else "1.3"}
        if suite:
            load["tls_ciphersuite"] = suite
    with servers.running("ringcast", options, sections, files) as server:
        report = generator.run(options, server, secure=variant != PLAIN, streams=streams, **load)
        if variant != PLAIN:
            report["handshakes"] = server.metric("ringcast_tls_handshakes_total")
    return report


# Idle

def idle_rows(table, reports):
    def row(title, value, of=None):
        table.add(title, *(value(report) if of is None or name in of else None for name, report in reports.items()))
    secure = [name for name in reports if name != PLAIN]
    plain = reports[PLAIN]["server_pss_bytes_per_stream"]
    row("streams", lambda r: r["open"])
    row("user memory a stream, bytes", lambda r: r["server_pss_bytes_per_stream"])
    row("of it above a plain stream", lambda r: r["server_pss_bytes_per_stream"] - plain, secure)
    row("user memory of the server, empty, bytes", lambda r: r["server_pss_bytes_empty"])
    row("user memory of the server, with the streams, bytes", lambda r: r["server_pss_bytes_open"])
    row("kernel memory a stream: slab, both ends, bytes", lambda r: r["slab_bytes_per_stream"])
    row("server CPU while idle, % of one CPU", lambda r: r["server_hold_cpu_ns"] / r["hold_seconds"] / 1e7)
    row("streams opened a second", lambda r: r["opens_per_second"])


def tls_idle(options, size):
    streams = {PLAIN: size.tls_idle_streams, OWN: size.tls_idle_streams, OPENSSL: size.tls_idle_openssl,
               TLS_1_2: size.tls_idle_openssl}
    outcome = Outcome(
        "tls-idle", "A TLS 1.3 stream without news costs little more memory than a plain one.",
        {"seconds": size.tls_idle_seconds, "heartbeats": "off", "OpenSSL": certificates.version(),
         "certificate": certificates.ECDSA, "shards": servers.shards_for(size.tls_idle_streams)})
    files = certificates.files()
    reports = {}
    for variant, count in streams.items():
        # Keepalive probes of all who came within two seconds leave at once, and loopback must hold them.
        with system.raised_where_allowed(count) as raised:
            report = run_variant(options, files, count, variant, hold=size.tls_idle_seconds)
        reports[variant] = report
        if variant == OWN:
            outcome.settings["limits raised"] = raised
        if options.progress:
            print(f"  {variant:<18}{report['server_pss_bytes_per_stream']:,.0f} bytes a stream", flush=True)
        outcome.check(f"streams open, {variant}", report["open"], count)
        if variant != PLAIN:
            outcome.check(f"handshakes that the server counted, {variant}", report["handshakes"], count)
    table = Table("", *reports)
    idle_rows(table, reports)
    outcome.tables.append(table)
    if streams[OWN] >= IDLE_STREAMS:
        outcome.target("user memory of a TLS 1.3 stream, bytes", reports[OWN]["server_pss_bytes_per_stream"],
                       IDLE_BYTES_MAX)
    outcome.runs = {variant: [generator.kept(report)] for variant, report in reports.items()}
    return outcome


# Cost

COST_FIGURES = [
    ("server_cpu_ns_per_delivery", "server CPU a delivery, ns"),
    ("latency_p50", "latency p50, µs"),
    ("latency_p99", "latency p99, µs"),
]
CPU = COST_FIGURES[0][0]
# Measured once, with fewer streams.
ONCE = {
    "AES-256-GCM": (OWN, AES_256),
    "ChaCha20-Poly1305": (OWN, CHACHA),
    "AES-128-GCM, record_layer openssl": (OPENSSL, AES_128),
}


def tls_cost(options, size):
    runs = options.runs or size.tls_cost_runs
    secure = f"{OWN}, AES-128-GCM"
    outcome = Outcome(
        "tls-cost", "A delivery over TLS 1.3 costs little more than a plain one.",
        {"streams": size.tls_cost_streams, "events": size.tls_cost_events, "events a second": size.tls_cost_rate,
         "bytes": options.bytes, "OpenSSL": certificates.version(), "runs each": runs,
         "runs of what is below the first table": 1})
    files = certificates.files()
    load = {"events": size.tls_cost_events, "rate": size.tls_cost_rate, "bytes": options.bytes}

    def run_one(name):
        if name == PLAIN:
            return run_variant(options, files, size.tls_cost_streams, PLAIN, **load)
        variant, suite = ONCE.get(name, (OWN, AES_128))
        streams = size.tls_cost_once if name in ONCE else size.tls_cost_streams
        # Tickets only make opening quicker.
        return run_variant(options, files, streams, variant, suite, tls_resume=True, **load)

    def show(report):
        return f"server CPU a delivery: {report[CPU]:,.0f} ns"
    compared = generator.in_turn(options, runs, [PLAIN, secure], run_one, show)
    once = generator.in_turn(options, 1, list(ONCE), run_one, show)

    table = Table("median", PLAIN, "spread %", secure, "spread %", "TLS : plain")
    for figure, title in COST_FIGURES:
        medians = [generator.median(compared[name], figure) for name in (PLAIN, secure)]
        spreads = [generator.spread_percent(compared[name], figure) for name in (PLAIN, secure)]
        table.add(title, medians[0], spreads[0], medians[1], spreads[1],
                  medians[1] / medians[0] if medians[0] else None)
    outcome.tables.append(table)

    plain = generator.median(compared[PLAIN], CPU)
    others = Table("TLS 1.3, one run each", "streams", COST_FIGURES[0][1], ": plain, the median above")
    for name, [report] in once.items():
        others.add(name, report["open"], report[CPU], report[CPU] / plain if plain else None)
    outcome.tables.append(others)

    if plain:
        outcome.target("server CPU a delivery, TLS 1.3 with AES-128-GCM : plain, medians",
                       generator.median(compared[secure], CPU) / plain, COST_RATIO_MAX)
    for name, reports in (compared | once).items():
        outcome.check(f"deliveries, {name}", sum(r["deliveries"] for r in reports),
                      sum(r["open"] for r in reports) * size.tls_cost_events)
        if name != PLAIN:
            suite = ONCE.get(name, (OWN, AES_128))[1]
            outcome.check(f"cipher suite, {name}", reports[0]["tls_cipher"], suite)
    outcome.runs = {name: [generator.kept(report) for report in reports]
                    for name, reports in (compared | once).items()}
    return outcome

"""A million streams on one machine, both ends: what they cost while nothing happens, and that each gets every event."""

from suite import certificates, generator, servers, system
from suite.results import Outcome, Table

EVENTS = 5
# Of both ends, with room: the table of the server, the state of the generator, receive buffers.
PLAIN_USER_BYTES, SECURE_USER_BYTES = 400, 900
# A reader that rests a moment is not woken for each delivery: it shares the machine with the server.
GATHER_US = 2_000
OPEN_SECONDS_MAX = 1_800


def rows(table, report):
    def row(title, value):
        table.add(title, value)
    open_streams = report["open"]
    row("streams open", open_streams)
    row("deliveries", report["deliveries"])
    row("missing, twice or out of order", report["missing"] + report["duplicates"] + report["out_of_order"])
    row("user memory of a stream, bytes", report["server_pss_bytes_per_stream"])
    row("user memory of the whole server, MB", report["server_pss_bytes_open"] / 1e6)
    row("kernel memory of a stream: slab, both ends, bytes", report["slab_bytes_per_stream"])
    row("kernel memory, slab, both ends, GB", report["slab_bytes_per_stream"] * open_streams / 1e9)
    row("seconds to open all of them", report["open_seconds"])
    row("streams opened a second", report["opens_per_second"])
    row("server CPU while idle, % of one CPU", report["server_hold_cpu_ns"] / report["hold_seconds"] / 1e7)
    row("server CPU a delivery, ns", report["server_cpu_ns_per_delivery"])
    row("a broadcast, until half have it, s", report["latency_p50"] / 1e6)
    row("a broadcast, until the last has it, s", report["latency_max"] / 1e6)
    row("generator CPU a delivery, ns", report["reader_cpu_ns"] / report["deliveries"])


def run_streams(options, name, claim, wanted, seconds, rate, secure):
    user_bytes = SECURE_USER_BYTES if secure else PLAIN_USER_BYTES
    streams = system.streams_that_fit(wanted, user_bytes)
    shards = servers.shards_for(streams)
    sections = {"server": {"shards": shards}}
    files = {}
    load = {}
    if secure:
        sections |= certificates.sections(record_layer="own")
        files = certificates.files()
        load = {"insecure": True, "tls_resume": True}
    with system.raised_limits(streams) as raised:
        settings = {"streams": streams, "shards": shards, "seconds idle": seconds, "heartbeats": "off",
                    "broadcasts": EVENTS, "bytes": options.bytes, "limits raised": raised or "none"}
        outcome = Outcome(name, claim, settings)
        dropped = system.dropped_packets()
        with servers.running("ringcast", options, sections, files) as server:
            report = generator.run(
                options, server, secure=secure, streams=streams, hold=seconds, events=EVENTS, rate=rate,
                bytes=options.bytes, gather=GATHER_US, timeout=OPEN_SECONDS_MAX, **load)
            report["latency_max"] = report["latency_us"]["max"]
            sent = server.metric("ringcast_deliveries_total")
        dropped = system.dropped_packets() - dropped
    table = Table("", name)
    rows(table, report)
    outcome.tables.append(table)
    outcome.check("streams open", report["open"], streams)
    outcome.check("deliveries", report["deliveries"], streams * EVENTS)
    outcome.check("deliveries that the server counted", sent, streams * EVENTS)
    if dropped:
        outcome.notes.append(f"packets that the kernel dropped, a queue being full, and sent again: {dropped:,}")
    if streams < wanted:
        outcome.notes.append(
            f"{wanted:,} streams need {wanted * (system.KERNEL_BYTES_A_STREAM + user_bytes) / 1e9:.1f} GB and 1 GB to "
            "spare for both ends; the memory that is available is the limit")
    outcome.runs = {name: [generator.kept(report)]}
    return outcome


def million(options, size):
    return run_streams(
        options, "million", "A small machine holds a million streams, both ends, and each gets every event.",
        size.million_streams, size.million_seconds, size.million_rate, secure=False)


def tls_million(options, size):
    return run_streams(
        options, "tls-million", "The same over TLS 1.3.", size.million_streams, size.million_seconds,
        size.million_rate, secure=True)

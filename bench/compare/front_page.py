"""The main figures of the comparison, between two marks in README.md."""

import statistics
import textwrap

from compare import plots
from compare.plots import OWN, Panel
from suite.results import Table
from suite.servers import Failure

BEGIN, END = "<!-- bench/compare.py writes what follows -->", "<!-- bench/compare.py: up to here -->"
MISSED = "storm-missed"
LINE = 120  # columns

ROWS = [
    Panel("streams", plots.MEMORY, "User memory of an idle stream ({streams})", plots.in_bytes),
    Panel("tls", plots.MEMORY, "The same over TLS 1.3 ({streams})", plots.in_bytes),
    Panel("streams", plots.CPU, "Server CPU for a delivery ({streams} streams)", plots.in_time),
    Panel("many", plots.CPU, "The same ({streams} streams)", plots.in_time),
    Panel("tls", plots.CPU, "The same over TLS 1.3 ({streams} streams)", plots.in_time),
    Panel("streams", plots.P99, "Latency p99 ({streams} streams)", plots.of_microseconds),
    Panel("throughput", plots.RATE, "Deliveries, published one after the other ({streams} streams)", plots.a_second),
    Panel(MISSED, plots.BACK_WITH_MISSED,
          "Back from a storm, each with {events missed} missed events ({streams} streams)", plots.a_second),
]


def table(data):
    measures = {measure["name"]: measure for measure in data["scenarios"]}
    names = list(dict.fromkeys(name for measure in data["scenarios"] for name in measure["runs"]))
    rows = Table("", *names)
    for row in ROWS:
        measure = measures.get(row.measure)
        if not measure:
            continue
        medians = {name: statistics.median(of) for name, of in plots.values_of(measure, row.figure).items() if of}
        if not medians:
            continue
        cells = []
        for name in names:
            if name not in medians:
                cells.append("no replay" if row.measure == MISSED else None)
                continue
            text = row.written(medians[name])
            own = medians.get(OWN)
            cells.append(f"{text} ({plots.ratio_text(medians[name], own)})" if name != OWN and own else text)
        rows.add(row.title.format(**plots.written_settings(measure)), *cells)
    return rows.markdown()


def section(data):
    where = data["machine"]
    versions = ", ".join(where[name] for name in (*where,) if name in ("nchan", "Gin", "better-sse"))
    pictures = [f"![{title}](bench/results/compare-{key}.svg)" for key, (title, _) in plots.PLOTS.items()]
    said = (
        f"{versions}. Medians of alternating runs with one generator, in parentheses how many times Ringcast's figure; "
        "each with the configuration that was found best, server and clients on one CPU each of the same machine, what a "
        "client receives on the client's. Every delivery was counted. [All figures with their spread](bench/results/compare.md) (commit "
        f"{where['commit'].split()[0]}, Linux {where['kernel'].split('-')[0]}); [how, and how to repeat "
        "it](bench/compare/README.md).")
    return "\n\n".join([
        "\n".join(textwrap.wrap(said, LINE, break_long_words=False, break_on_hyphens=False)), table(data), *pictures])


def write(readme, data):
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise Failure(f"{readme.name} does not have the two marks between which the figures stand")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n\n{section(data)}\n\n{END}{after}")

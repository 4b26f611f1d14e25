"""Draws what was measured as SVG: bars in panels, in the colours that the reader's screen asks for, light or dark.

The files have no script and no fonts of their own; their text is text, and a description says all figures. They have a
background, so that they can be read also where a page and the screen do not agree on light or dark.
"""

import dataclasses
import statistics
from xml.sax.saxutils import escape

OWN = "Ringcast"

# Names of figures in a run.
MEMORY, CPU, P99, OPENS = "memory_bytes_per_stream", "cpu_ns_per_delivery", "latency_p99", "opens_per_second"
RATE, BACK, BACK_WITH_MISSED = "deliveries_per_second", "storm_streams_per_second", "storm_reopen_per_second"

WIDTH, MARGIN, GAP, COLUMNS = 880, 24, 32, 2
PANEL = (WIDTH - 2 * MARGIN - GAP * (COLUMNS - 1)) / COLUMNS
TITLE_HEIGHT = 58                       # of the drawing
HEAD_HEIGHT, ROW, BAR, PANEL_GAP = 50, 28, 16, 26
FOOT_HEIGHT = 34
NAME_WIDTH, VALUE_WIDTH = 82, 128       # left and right of the bars
BARS = PANEL - NAME_WIDTH - VALUE_WIDTH

STYLE = """
text {
  font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif;
  font-size: 13px; fill: #1f2328
}
.ground { fill: #ffffff; stroke: #d0d7de }
.title { font-size: 18px; font-weight: 600 }
.head { font-size: 14px; font-weight: 600 }
.minor { font-size: 12px; fill: #59636e }
.own { fill: #0a7d6c }
.rival { fill: #aeb8c2 }
.track { stroke: #d0d7de }
.spread { stroke: #1f2328; stroke-width: 1.2 }
.strong { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #0d1117; stroke: #30363d }
  .minor { fill: #9198a1 }
  .own { fill: #2fb8a3 }
  .rival { fill: #58626d }
  .track { stroke: #3d444d }
  .spread { stroke: #e6edf3 }
}
"""


def in_bytes(value):
    return f"{value:,.0f} B" if value < 1000 else f"{value / 1000:,.1f} KB"


def in_time(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:,.{2 if ns < 10 * size else 1 if ns < 100 * size else 0}f} {unit}"
    return f"{ns:,.0f} ns"


def of_microseconds(value):
    return in_time(value * 1000)


def a_second(value):
    if value >= 1e6:
        return f"{value / 1e6:,.1f} M/s"
    return f"{value:,.0f}/s" if value < 10_000 else f"{value / 1000:,.0f} k/s"


@dataclasses.dataclass(frozen=True)
class Panel:
    """What of a measure is drawn; `less` tells whether less is better."""
    measure: str
    figure: str
    title: str
    written: callable
    less: bool = True
    said: str = "{streams} streams"


PLOTS = {
    "memory": ("What an idle stream keeps of the server's memory", [
        Panel("streams", MEMORY, "User memory of a stream", in_bytes),
        Panel("tls", MEMORY, "… over TLS 1.3", in_bytes),
    ]),
    "events": ("What an event costs for each stream that gets it", [
        Panel("streams", CPU, "Server CPU for a delivery", in_time),
        Panel("streams", P99, "Latency, p99", of_microseconds),
        Panel("many", CPU, "Server CPU with more streams", in_time),
        Panel("tls", CPU, "Server CPU over TLS 1.3", in_time),
    ]),
    "rates": ("As fast as it goes", [
        Panel("throughput", RATE, "Deliveries, published one after the other", a_second, less=False),
        Panel("streams", OPENS, "Streams opened", a_second, less=False),
        Panel("storm", BACK, "Reconnect storm: streams back", a_second, less=False),
        Panel("storm-missed", BACK_WITH_MISSED, "… each with what it missed", a_second, less=False,
              said="{streams} streams, {events missed} events missed"),
    ]),
}


def written_settings(measure):
    return {name: f"{value:,}" if isinstance(value, int) else value for name, value in measure["settings"].items()}


def values_of(measure, figure):
    """All runs' values by program; none of a program that was not measured or whose runs do not count."""
    return {name: [run[figure] for run in runs if run.get(figure) is not None and "not_counted" not in run]
            for name, runs in measure["runs"].items()}


def ratio_text(value, own):
    ratio = value / own
    return f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.1f}×" if ratio >= 1 else f"{ratio:.2f}×"


class Drawing:
    def __init__(self):
        self.parts = []
        self.said = []

    def text(self, x, y, words, classes="", anchor="start"):
        chosen = f' class="{classes}"' if classes else ""
        placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{chosen}{placed}>{escape(words)}</text>')

    def bar(self, x, y, width, height, classes):
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="2" class="{classes}"/>')

    def line(self, x1, y1, x2, y2, classes):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{classes}"/>')


def draw_panel(drawing, x, y, panel, measure, names):
    values = values_of(measure, panel.figure)
    medians = {name: statistics.median(of) for name, of in values.items() if of}
    settings = written_settings(measure)
    better = "less is better" if panel.less else "more is better"
    drawing.text(x, y + 16, panel.title, "head")
    drawing.text(x, y + 34, f"{panel.said.format(**settings)} · {better}", "minor")
    # The longest bar is the largest value, and its spread still fits.
    largest = max(max(of) for of in values.values() if of)
    own = medians.get(OWN)
    told = []
    top = y + HEAD_HEIGHT
    zero = x + NAME_WIDTH
    drawing.line(zero, top - 2, zero, top + ROW * len(names) - ROW + BAR + 2, "track")
    for number, name in enumerate(names):
        line = top + number * ROW
        middle = line + BAR / 2
        is_own = name == OWN
        drawing.text(zero - 8, middle + 4.5, name, "strong" if is_own else "", "end")
        if name not in medians:
            why = "no replay" if panel.measure == "storm-missed" else "not measured"
            drawing.text(zero + 8, middle + 4.5, why, "minor")
            told.append(f"{name} {why}")
            continue
        value = medians[name]
        width = max(BARS * value / largest, 1.5)
        drawing.bar(zero, line, width, BAR, "own" if is_own else "rival")
        end = zero + width
        if len(values[name]) > 1:
            low, high = (zero + BARS * bound / largest for bound in (min(values[name]), max(values[name])))
            if high - low >= 2:
                drawing.line(low, middle, high, middle, "spread")
                for at in (low, high):
                    drawing.line(at, middle - 3, at, middle + 3, "spread")
                end = max(end, high)
        words = panel.written(value)
        if is_own or not own:
            drawing.text(end + 8, middle + 4.5, words, "strong" if is_own else "")
            told.append(f"{name} {words}")
        else:
            times = ratio_text(value, own)
            drawing.parts.append(f'<text x="{end + 8:.1f}" y="{middle + 4.5:.1f}">{escape(words)}'
                                 f'<tspan class="minor" dx="6">{times}</tspan></text>')
            told.append(f"{name} {words} ({times})")
    drawing.said.append(f"{panel.title}, {panel.said.format(**settings)}, {better}: {', '.join(told)}.")


def draw(key, data):
    """The SVG, or None when nothing of it was measured."""
    title, wanted = PLOTS[key]
    measures = {measure["name"]: measure for measure in data["scenarios"]}
    panels = [panel for panel in wanted if panel.measure in measures
              and any(values_of(measures[panel.measure], panel.figure).values())]
    if not panels:
        return None
    drawing = Drawing()
    drawing.text(MARGIN, 36, title, "title")
    names = list(dict.fromkeys(name for measure in data["scenarios"] for name in measure["runs"]))
    y = TITLE_HEIGHT
    for first in range(0, len(panels), COLUMNS):
        in_row = panels[first:first + COLUMNS]
        # Only who can be there: TLS and more streams than one process may have are not for all.
        shown = [names if panel.measure == "storm-missed" else
                 [name for name in names if name in measures[panel.measure]["runs"]] for panel in in_row]
        for column, (panel, of) in enumerate(zip(in_row, shown)):
            draw_panel(drawing, MARGIN + column * (PANEL + GAP), y, panel, measures[panel.measure], of)
        y += HEAD_HEIGHT + ROW * max(map(len, shown)) + PANEL_GAP
    runs = max(len(of) for measure in data["scenarios"] for of in measure["runs"].values())
    many = f"Median of {runs} runs; a line spans all of them" if runs > 1 else "One run"
    where = data["machine"]
    foot = f"{many}. ×: times {OWN}’s. Commit {where['commit'].split()[0]}, Linux {where['kernel'].split('-')[0]}."
    drawing.text(MARGIN, y - PANEL_GAP + 26, foot, "minor")
    height = y - PANEL_GAP + FOOT_HEIGHT + 10
    said = " ".join([*drawing.said, foot])
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>', f'<desc id="desc">{escape(said)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8" class="ground"/>',
        *drawing.parts, "</svg>"]) + "\n"


def draw_all(data):
    """SVG by the plot's name."""
    drawn = {key: draw(key, data) for key in PLOTS}
    return {key: svg for key, svg in drawn.items() if svg}


def write(folder, title, data):
    for key, svg in draw_all(data).items():
        (folder / f"{title}-{key}.svg").write_text(svg)

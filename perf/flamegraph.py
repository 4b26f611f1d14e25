#!/usr/bin/env python3
"""Draws where the CPU time of a running server goes: a flame graph, and the same in short on the terminal.

Records with perf (the event cpu-clock, which needs no hardware counters) while there is load, and writes an SVG that
any browser shows: each box is a function, as wide as its share of the time, standing on its caller. Point at a box for
its figures, click it to enlarge what stands on it. Green: Ringcast, red: the kernel, blue: libraries.

  perf/flamegraph.py                            the newest process called ringcast, 10 s, flame.svg
  perf/flamegraph.py --pid 1234 --thread shard  only threads whose name begins so
  perf script -i perf.data | perf/flamegraph.py --stacks -
"""

import argparse
import collections
import html
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import target

WIDTH, ROW, PAD = 1200, 17, 10
LETTER = 6.6  # width of one, about
SHARE_MIN = 0.0005  # of the picture; what is narrower is left out
# A line of `perf script`: address, function and, in brackets, the file it is from.
FRAME = re.compile(r"^\s+([0-9a-f]+) (.+?)(?: \(([^()]*(?:\([^()]*\))?[^()]*)\))?$")
# Before the frames: the thread's name, which may have spaces and numbers, its number, and maybe more.
HEAD = re.compile(r"^(.+?)\s+(?:\d+/)?\d+(?:$|\s+(?:\[\d+\]\s+)?[\d.]+:)")
OFFSET = re.compile(r"\+0x[0-9a-f]+$")

KERNEL, RINGCAST, LIBRARY, THREAD = "kernel", "ringcast", "library", "thread"
HUES = {KERNEL: (8, 70), RINGCAST: (110, 45), LIBRARY: (210, 55), THREAD: (45, 40)}  # hue and saturation


def kind_of(file):
    if not file or file.startswith("[k") or file.endswith((".ko", ".ko.xz", "vmlinux")):
        return KERNEL
    return RINGCAST if os.path.basename(file).startswith("ringcast") else LIBRARY


def read_stacks(lines, thread=""):
    """How often each stack occurs in the text of `perf script`; a stack is its thread's name, then frames outwards in.

    A frame is (function, kind).
    """
    stacks = collections.Counter()
    name, frames = None, []

    def end_of_sample():
        if name is not None and frames and name.startswith(thread):
            stacks[((name, THREAD), *reversed(frames))] += 1
    for line in lines:
        line = line.rstrip("\n")
        frame = FRAME.match(line)
        if frame:
            _, function, file = frame.groups()
            frames.append((OFFSET.sub("", function), kind_of(file)))
        elif line.strip():
            end_of_sample()
            head = HEAD.match(line.strip())
            name, frames = head[1] if head else line.strip(), []
    end_of_sample()
    return stacks


def record(pid, seconds, frequency, thread):
    target.need("perf", "linux-perf")
    with tempfile.TemporaryDirectory(prefix="ringcast-perf-") as folder:
        data = pathlib.Path(folder) / "perf.data"
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(frequency), "-g", "-p", str(pid), "-o", data,
                   "--", "sleep", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
        if not data.exists():
            target.fail(f"perf record failed: {done.stderr.strip()}\nAs root, or with "
                        "sysctl kernel.perf_event_paranoid=-1 kernel.kptr_restrict=0")
        script = subprocess.run(["perf", "script", "-i", data, "-F", "comm,tid,ip,sym,dso"], capture_output=True,
                                text=True, check=False)
        if script.returncode != 0:
            target.fail(f"perf script failed: {script.stderr.strip()}")
        return read_stacks(script.stdout.splitlines(), thread)


class Box:
    """A function where it was called from; `count` samples, those on top of it included."""

    def __init__(self):
        self.count = 0
        self.above = {}

    def add(self, stack, count):
        self.count += count
        if stack:
            self.above.setdefault(stack[0], Box()).add(stack[1:], count)


def summary(stacks, functions=12):
    """Lines for the terminal."""
    total = sum(stacks.values())
    by_kind, by_thread, by_function = collections.Counter(), collections.Counter(), collections.Counter()
    for stack, count in stacks.items():
        by_thread[stack[0][0]] += count
        by_kind[stack[-1][1]] += count
        by_function[stack[-1]] += count

    def share(count):
        return f"{100 * count / total:5.1f} %"
    yield f"{total} samples"
    for title, counter in (("by place", by_kind), ("by thread", by_thread)):
        yield f"{title}: " + ", ".join(f"{name} {share(count).strip()}" for name, count in counter.most_common(8))
    yield "in the function itself:"
    for (function, kind), count in by_function.most_common(functions):
        yield f"  {share(count)}  {kind:<9}{function[:90]}"


def boxes(box, total, x=0.0, level=0):
    """(x, width, level, function, kind, count) of all that is wide enough to be seen."""
    for (function, kind), above in sorted(box.above.items()):
        width = above.count / total
        if width >= SHARE_MIN:
            yield x, width, level, function, kind, above.count
            yield from boxes(above, total, x, level + 1)
        x += width


def colour(function, kind):
    hue, saturation = HUES[kind]
    spread = sum(function.encode()) % 13
    return f"hsl({hue + spread - 6},{saturation}%,{68 + spread % 5 * 2}%)"


def svg(stacks, title):
    root = Box()
    for stack, count in stacks.items():
        root.add(stack, count)
    drawn = list(boxes(root, root.count))
    levels = 1 + max((level for _, _, level, *_ in drawn), default=0)
    height = (levels + 3) * ROW + 2 * PAD
    inner = WIDTH - 2 * PAD
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" '
           f'font-size="11">', '<rect width="100%" height="100%" fill="#fdfdfb"/>',
           f'<text x="{PAD}" y="{PAD + 11}" font-size="13">{html.escape(title)}</text>',
           f'<text id="all" x="{WIDTH - PAD}" y="{PAD + 11}" text-anchor="end" cursor="pointer"></text>']
    for x, width, level, function, kind, count in drawn:
        name = html.escape(function)
        top = height - PAD - (level + 1) * ROW
        out.append(
            f'<g class="b" data-x="{x:.6f}" data-w="{width:.6f}" data-l="{level}" data-n="{name}">'
            f"<title>{name}\n{100 * width:.2f} %, {count} samples, {kind}</title>"
            f'<rect x="{PAD + x * inner:.2f}" y="{top}" width="{width * inner:.2f}" height="{ROW - 1}" '
            f'fill="{colour(function, kind)}"/>'
            f'<text x="{PAD + x * inner + 3:.2f}" y="{top + 12}">'
            f"{html.escape(fit(function, width * inner))}</text></g>")
    out.append(f"<script><![CDATA[{ZOOM}]]></script></svg>")
    return "\n".join(out) + "\n"


def fit(function, width):
    letters = int((width - 6) / LETTER)
    if letters < 3:
        return ""
    return function if len(function) <= letters else function[:letters - 1] + "…"


# The same layout as above, of a part of it.
ZOOM = f"""
const boxes = [...document.querySelectorAll('g.b')], inner = {WIDTH - 2 * PAD}, all = document.getElementById('all');
function show(from, wide, level) {{
  for (const g of boxes) {{
    const x = +g.dataset.x, w = +g.dataset.w, below = +g.dataset.l < level;
    const holds = x <= from + 1e-6 && x + w >= from + wide - 1e-6;
    const held = x >= from - 1e-6 && x + w <= from + wide + 1e-6;
    const inside = below ? holds : held;
    g.style.display = inside ? '' : 'none';
    if (!inside) continue;
    const left = below ? 0 : (x - from) / wide, share = below ? 1 : w / wide;
    const [rect, text] = [g.querySelector('rect'), g.querySelector('text')];
    rect.setAttribute('x', {PAD} + left * inner); rect.setAttribute('width', share * inner);
    rect.style.opacity = below ? 0.5 : 1;
    const letters = Math.floor((share * inner - 6) / {LETTER}), name = g.dataset.n;
    text.setAttribute('x', {PAD} + left * inner + 3);
    text.textContent = letters < 3 ? '' : name.length <= letters ? name : name.slice(0, letters - 1) + '…';
  }}
  all.textContent = wide < 1 ? 'show all' : '';
}}
for (const g of boxes) g.addEventListener('click', () => show(+g.dataset.x, +g.dataset.w, +g.dataset.l));
all.addEventListener('click', () => show(0, 1, 0));
"""


def main():
    parser = target.parser(__doc__)
    parser.add_argument("--seconds", type=target.seconds, default=10, help="how long to look (default: %(default)s)")
    parser.add_argument("--frequency", type=int, default=999, metavar="HZ",
                        help="samples a second (default: %(default)s)")
    parser.add_argument("--thread", default="", metavar="NAME", help="only threads whose name begins so: shard, hub")
    parser.add_argument("--stacks", type=argparse.FileType("r"), metavar="FILE",
                        help="the text of `perf script` (- is standard input) instead of recording")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("flame.svg"), metavar="FILE",
                        help="the picture (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.stacks:
        stacks = read_stacks(arguments.stacks, arguments.thread)
        title = "CPU time"
    else:
        pid = target.pid(arguments)
        stacks = record(pid, arguments.seconds, arguments.frequency, arguments.thread)
        title = f"CPU time of process {pid}, {arguments.seconds} s"
    if not stacks:
        target.fail("no samples: the server does nothing. Look while there is load")
    arguments.out.write_text(svg(stacks, f"{title}, {sum(stacks.values())} samples"), encoding="utf-8")
    print("\n".join(summary(stacks)))
    print(f"{arguments.out} written")


if __name__ == "__main__":
    target.run(main)

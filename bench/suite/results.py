"""Tables, what the machine was, and the files in bench/results."""

import datetime
import json
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Table:
    """Rows of text under a head. Numbers are written with separators, missing ones as a dash."""

    def __init__(self, *head):
        self.rows = [list(head)]

    def add(self, title, *values):
        self.rows.append([title, *map(written, values)])

    def markdown(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(len(self.rows[0]))]

        def line(row):
            cells = [cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)]
            return "| " + " | ".join(cells) + " |"
        rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
        return "\n".join([line(self.rows[0]), rule, *map(line, self.rows[1:])])


def written(value):
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


class Outcome:
    """What a scenario found.

    `check` is for what must hold in every run on any machine (counts); `target` for figures that a busy
    machine may spoil: they are reported, and do not fail the suite.
    """

    def __init__(self, name, claim, settings):
        self.name = name
        self.claim = claim
        self.settings = settings
        self.tables = []
        self.notes = []
        self.checks = []
        self.targets = []
        self.runs = {}

    def check(self, what, got, expected):
        self.checks.append({"what": what, "got": got, "expected": expected, "ok": got == expected})

    def target(self, what, got, at_most=None, at_least=None):
        """Give one of the bounds."""
        bound = {"at_least": at_least} if at_most is None else {"at_most": at_most}
        ok = got >= at_least if at_most is None else got <= at_most
        self.targets.append({"what": what, "got": got, **bound, "ok": ok})

    def good(self):
        return all(each["ok"] for each in self.checks)

    def markdown(self):
        settings = ", ".join(f"{name} {written(value)}" for name, value in self.settings.items())
        parts = [f"## {self.name}", self.claim, f"Settings: {settings}."]
        parts += [table.markdown() for table in self.tables]
        lines = []
        for each in self.checks:
            said = "exact" if each["ok"] else f"WRONG, expected {written(each['expected'])}"
            lines.append(f"- {each['what']}: {written(each['got'])} ({said})")
        for each in self.targets:
            said = "met" if each["ok"] else "MISSED"
            bound = f"at most {written(each['at_most'])}" if "at_most" in each else f"at least {written(each['at_least'])}"
            lines.append(f"- target: {each['what']} {written(each['got'])}, {bound} ({said})")
        lines += [f"- {note}" for note in self.notes]
        return "\n\n".join(parts + ["\n".join(lines)])

    def data(self):
        names = "name claim settings checks targets runs".split()
        return {name: getattr(self, name) for name in names}


def git(*arguments):
    result = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False)
    return result.stdout.strip()


def read_first(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def machine():
    """What a figure cannot be read without."""
    changed = git("status", "--porcelain", "--", "src", "include", "bench/floor", "meson.build")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" and changes" if changed else ""),
        "kernel": platform.release(),
        "cpu": read_first("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "memory": read_first("/proc/meminfo", "MemTotal"),
        "load average before": round(os.getloadavg()[0], 2),
    }


def markdown(title, where, outcomes):
    lines = [f"# Benchmark: {title}", "", "What the figures mean: [../README.md](../README.md).", ""]
    lines += [f"- {name}: {value}" for name, value in where.items()]
    return "\n".join(lines) + "\n\n" + "\n\n".join(outcome.markdown() for outcome in outcomes) + "\n"


def write(folder, title, where, outcomes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{title}.md").write_text(markdown(title, where, outcomes))
    data = {"machine": where, "scenarios": [outcome.data() for outcome in outcomes]}
    (folder / f"{title}.json").write_text(compact(data) + "\n")


def compact(value, indent=""):
    """JSON with each object or list that holds only plain values on one line."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(item, (dict, list)) for item in items):
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(name)}: {compact(item, inner)}" for name, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + compact(item, inner) for item in value) + f"\n{indent}]"

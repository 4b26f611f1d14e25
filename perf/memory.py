#!/usr/bin/env python3
"""What a stream costs in memory, by what it is: the server's own by mapping, the kernel's by cache.

  perf/memory.py --save empty.json      before the streams are opened
  perf/memory.py --since empty.json     with the streams: what was added, and that for each stream added

Without --since it shows what there is. The server's memory is its share of each page (PSS), and pages that it has not
touched count nothing. The kernel's figures are of the whole machine: of both ends where the clients run here too, and
of whatever else was started meanwhile. A cache of the kernel may bear the name of another one with objects as large.
"""

import json
import pathlib
import re

import target

MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)\s*(.*)$")
PAGE = 4096
# Of /proc/meminfo, besides the caches.
KERNEL = {"PageTables": "page tables", "KernelStack": "stacks of threads", "Percpu": "per-CPU memory",
          "VmallocUsed": "vmalloc (tables of descriptors, rings)"}


def what_is(name, rights, size):
    if name.startswith("/memfd:"):
        return f"{name.split(':')[1].split()[0]} (memory file)"
    if name.startswith("anon_inode:"):
        return "rings shared with the kernel"
    if name.startswith("[anon:"):
        return name[6:-1]
    if name.startswith("[stack") or (not name and size in (8 << 20, (8 << 20) + PAGE) and rights.startswith("rw")):
        return "stacks of threads"
    if name.startswith("["):
        return name.strip("[]")
    if name:
        return "program and libraries"
    return None


def user(pid):
    """PSS by mapping. Anonymous ones are named by their size; the key keeps each apart."""
    found, key = {}, None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        mapping = MAPPING.match(line)
        if mapping:
            begin, end, rights, _, name = mapping.groups()
            size = int(end, 16) - int(begin, 16)
            what = what_is(name, rights, size)
            key = what or f"anonymous at {begin}"
            entry = found.setdefault(key, {"bytes": 0, "size": 0})
            entry["size"] += size
        elif line.startswith("Pss:"):
            found[key]["bytes"] += int(line.split()[1]) * 1024
    return found


def slab():
    """Bytes of whole slabs, objects in use and the size of one, by cache."""
    found = {}
    for line in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, objects, _, size, _, pages, *_, slabs, _ = line.split()
        found[name] = {"bytes": int(slabs) * int(pages) * PAGE, "objects": int(objects), "size": int(size)}
    return found


def kernel():
    found = {}
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        name, value = line.split(":")
        if name in KERNEL:
            found[KERNEL[name]] = int(value.split()[0]) * 1024
    for line in pathlib.Path("/proc/net/sockstat").read_text().splitlines():
        words = line.split()
        if words[0] == "TCP:":
            found["TCP: bytes in sockets"] = int(words[words.index("mem") + 1]) * PAGE
    return found


def snapshot(pid, admin):
    streams = int(target.metrics(admin)["ringcast_streams_open"]) if admin else 0
    return {"pid": pid, "streams": streams, "user": user(pid), "slab": slab(), "kernel": kernel()}


def rows(now, before, title, streams, top):
    """Lines of a section: the largest first, the rest together, the sum."""
    grown = []
    for name, entry in now.items():
        old = before.get(name, {"bytes": 0})
        more = f"{entry['objects'] - old.get('objects', 0):,} of {entry['size']} bytes" if "objects" in entry else (
            f"{entry['bytes'] >> 10:,} of {entry['size'] >> 10:,} KiB in use" if "size" in entry else "")
        grown.append((entry["bytes"] - old["bytes"], name, more))
    grown.sort(key=lambda each: -abs(each[0]))
    total = sum(each[0] for each in grown)
    shown = [each for each in grown if each[0]][:top]
    rest = total - sum(each[0] for each in shown)
    yield heading(title, streams)
    for amount, name, more in shown:
        yield row(name, amount, streams, more)
    if rest:
        yield row("all else", rest, streams, "")
    yield row("together", total, streams, "")


def heading(title, streams):
    return f"\n{title:<40}{'bytes':>16}{'a stream' if streams else '':>12}"


def row(name, amount, streams, more):
    each = f"{amount / streams:,.1f}" if streams else ""
    return f"  {name:<38}{amount:>16,}{each:>12}  {more}".rstrip()


def show(now, before, top):
    added = now["streams"] - before["streams"]
    yield f"{'added since: ' if before['user'] else ''}{added:,} streams"
    streams = max(added, 0)
    yield from rows(now["user"], before["user"], "the server", streams, top)
    yield from rows(now["slab"], before["slab"], "kernel, by cache", streams, top)
    plain = {name: {"bytes": value} for name, value in now["kernel"].items()}
    old = {name: {"bytes": value} for name, value in before["kernel"].items()}
    yield from rows(plain, old, "kernel, else", streams, top)


NOTHING = {"streams": 0, "user": {}, "slab": {}, "kernel": {}}


def main():
    parser = target.parser(__doc__)
    parser.add_argument("--admin", default="http://127.0.0.1:9080", metavar="URL",
                        help="the server's admin listener, which knows the number of streams; '' does without it "
                             "(default: %(default)s)")
    parser.add_argument("--save", type=pathlib.Path, metavar="FILE", help="keep what there is, for --since")
    parser.add_argument("--since", type=pathlib.Path, metavar="FILE", help="show what was added since then")
    parser.add_argument("--top", type=int, default=12, metavar="N", help="lines of each part (default: %(default)s)")
    arguments = parser.parse_args()
    pid = target.pid(arguments)
    now = snapshot(pid, arguments.admin)
    if arguments.save:
        arguments.save.write_text(json.dumps(now))
        print(f"{arguments.save} written: {now['streams']:,} streams")
        return
    before = NOTHING
    if arguments.since:
        try:
            before = json.loads(arguments.since.read_text())
        except (OSError, ValueError) as error:
            target.fail(f"{arguments.since}: {error}")
        if before["pid"] != pid:
            target.fail(f"{arguments.since} is of process {before['pid']}, not of {pid}")
    print("\n".join(show(now, before, arguments.top)))


if __name__ == "__main__":
    target.run(main)

#!/usr/bin/env python3
"""The trace points in the executable are those that perf/README.md lists, with as many values each.

usage: trace_points_test.py RINGCAST BUILT_WITH_THEM(0|1)
"""

import pathlib
import re
import subprocess
import sys
import unittest

README = pathlib.Path(__file__).resolve().parents[2] / "perf" / "README.md"
SECTION = "## Trace points"
# | `name` | `first`, `second` | when |
ROW = re.compile(r"^\| `(\w+)` \|([^|]*)\|")


def documented(text):
    """Number of values by name."""
    section = text.split(SECTION, 1)[1].split("\n## ", 1)[0]
    return {row[1]: row[2].count("`") // 2 for row in map(ROW.match, section.splitlines()) if row}


def in_executable(notes):
    """The same of the text of `readelf --notes`; a point that the compiler has put into several places is one."""
    found = {}
    for provider, name, values in re.findall(
            r"Provider: (\S+)\s+Name: (\S+)\s+Location: .*\s+Arguments: ?(.*)", notes):
        if provider == "ringcast":
            found.setdefault(name, set()).add(len(values.split()))
    return found


class TracePoints(unittest.TestCase):
    def setUp(self):
        notes = subprocess.run(["readelf", "--notes", "--wide", RINGCAST], capture_output=True, text=True,
                               check=True).stdout
        self.found = in_executable(notes)
        self.listed = documented(README.read_text(encoding="utf-8"))

    def test_each_point_in_the_executable_is_listed(self):
        self.assertEqual(sorted(set(self.found) - set(self.listed)), [])

    def test_each_point_that_is_listed_is_in_the_executable(self):
        self.assertEqual(sorted(set(self.listed) - set(self.found)), [])

    def test_each_point_has_the_values_that_are_listed(self):
        self.assertEqual({name: counts for name, counts in self.found.items() if counts != {self.listed.get(name)}}, {})


if __name__ == "__main__":
    RINGCAST, built_with_them = sys.argv[1], sys.argv[2]
    if built_with_them == "0":
        print("built without sys/sdt.h")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])

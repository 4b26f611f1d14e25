#!/usr/bin/env python3
"""Runs the tests of a Meson build folder and writes one line for each case.

usage: meson_results.py FOLDER SUITE-PART CASE-PART RESULTS
       meson_results.py --any FOLDER SUITE-PART
       meson_results.py --executables FOLDER SOURCE-FOLDER

A line of RESULTS: "pass|fail|skip", suite, case, reason, with tabs between. Cases of GoogleTest and of
TAP count each; any other test is one case. Exit code 1 when a case failed.
The second form says by its exit code whether a suite has such a name. The third prints the executables
that are defined below SOURCE-FOLDER, relative to FOLDER.
"""

import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def introspect(folder, what):
    command = ["meson", "introspect", str(folder), f"--{what}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_executables(folder, source_folder):
    wanted = pathlib.Path(source_folder).resolve()
    for target in introspect(folder, "targets"):
        if target["type"] == "executable" and wanted in pathlib.Path(target["defined_in"]).resolve().parents:
            print(os.path.relpath(target["filename"][0], folder))


def clear(folder):
    """Results of an earlier run must not stand in for a program that crashes before writing its own."""
    for path in [*folder.glob("*.xml"), *(folder / "meson-logs").glob("testlog.*")]:
        path.unlink()


def cases_of(logs):
    """Yields (suite, case, state, reason) from what Meson and GoogleTest wrote."""
    for suite in ElementTree.parse(logs / "testlog.junit.xml").getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            name = case.get("name", "")
            group = case.get("classname", "")
            state, reason = "pass", ""
            for node in case:
                if node.tag in ("failure", "error"):
                    state = "fail"
                    reason = (node.get("message") or "").strip().split("\n")[0]
                elif node.tag == "skipped" and state == "pass":
                    state, reason = "skip", (node.get("message") or "").strip().replace("\n", " ")
            if case.get("status") == "notrun" and state == "pass":
                state, reason = "skip", "disabled"
            yield *split(suite.get("name", ""), group, name), state, reason


def split(suite, group, name):
    """Meson's names are "project / test", "project.project / test.Fixture" or only in the case."""
    if " / " in name:
        return name.split(" / ")[-1], "the whole program"
    test = suite.split(" / ")[-1]
    if " / " in group:
        return test, name
    return test.removesuffix(f".{group}"), f"{group}.{name}"


def main():
    if sys.argv[1] == "--executables":
        print_executables(sys.argv[2], sys.argv[3])
        return 0
    if sys.argv[1] == "--any":
        return 0 if any(sys.argv[3] in test["name"] for test in introspect(sys.argv[2], "tests")) else 1
    folder, suite_part, case_part, results = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
    tests = [test for test in introspect(folder, "tests") if suite_part in test["name"]]
    if not tests:
        return 0

    clear(folder)
    # More than processors: tests against real servers mostly wait.
    processes = (os.cpu_count() or 1) + 2
    command = ["meson", "test", "-C", str(folder), "--no-rebuild", "--print-errorlogs", f"--num-processes={processes}"]
    if case_part:
        # Only GoogleTest knows how to run a part; the others are run whole.
        command += ["--test-args", f"--gtest_filter=*{case_part}*"]
        tests = [test for test in tests if test["protocol"] == "gtest"]
        if not tests:
            return 0
    meson = subprocess.run(command + [test["name"] for test in tests], check=False, stdin=subprocess.DEVNULL)

    lines = []
    failed_suites = set()
    for suite, case, state, reason in cases_of(folder / "meson-logs"):
        lines.append((state, suite, case, reason))
        if state == "fail":
            failed_suites.add(suite)
    # A program that crashed, timed out or leaked has failed even if no case of it says so.
    for line in (folder / "meson-logs" / "testlog.json").read_text(encoding="utf-8").splitlines():
        test = json.loads(line)
        name = test["name"].split(" / ")[-1].split(":")[-1].strip()
        if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and name not in failed_suites:
            lines.append(("fail", name, "the whole program", f"{test['result']}, code {test['returncode']}"))
    with open(results, "a", encoding="utf-8") as out:
        for line in lines:
            out.write("\t".join(part.replace("\t", " ") for part in line) + "\n")
    return 1 if meson.returncode or any(line[0] == "fail" for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())

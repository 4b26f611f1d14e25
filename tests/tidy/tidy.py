#!/usr/bin/env python3
"""Rules about the source tree that a compiler does not check. Prints TAP, one test for each rule.

usage: tidy.py [ROOT]
"""

import json
import os
import pathlib
import re
import sys

# Lowest first (docs/design). A module may include itself and what stands before it.
ORDER = ["base", "uring", "http", "sse", "auth", "tls", "hub", "shard", "admin", "config", "server"]
# Modules beside that order, with all that they may include besides themselves.
BESIDE = {"load": ["base", "tls"], "page": []}
# Who may include a module that stands beside.
USERS_OF_BESIDE = {"load": [], "page": ["shard", "server"]}

LINES_MAX = 600
FOLDERS = [".ci", "bench", "docs", "include", "perf", "src", "tests", "tools"]
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "results", "corpus"}
CODE_SUFFIXES = {".h", ".cc", ".py", ".mjs", ".js", ".sh", ".build", ""}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')
# Spelled in parts, so that this file does not find itself.
MARKS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
MACHINE_PATHS = re.compile(r"(?:^|[^\w.~/-])/(?:" + "|".join(["work", "farm", "home", "root", "Users"]) + r")/")


def files(root, folders=FOLDERS):
    for folder in folders:
        for path, names, leaves in os.walk(root / folder):
            names[:] = sorted(name for name in names if name not in SKIPPED_FOLDERS)
            for leaf in sorted(leaves):
                yield pathlib.Path(path) / leaf


def lines(path):
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []  # a picture or another binary file


def module_of(path, root):
    """`src/http/x.cc` and `include/ringcast/http/x.h` are of module `http`."""
    parts = path.relative_to(root).parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("include", "ringcast") and len(parts) > 3:
        return parts[2]
    return None


def may_include(module, other):
    if module == other:
        return True
    if module in BESIDE:
        return other in BESIDE[module]
    if other in BESIDE:
        return module in USERS_OF_BESIDE[other]
    return ORDER.index(other) < ORDER.index(module)


def layers(root):
    known = set(ORDER) | set(BESIDE)
    for path in files(root, ["include", "src"]):
        module = module_of(path, root)
        if path.suffix not in {".h", ".cc"} or module is None:
            continue
        if module not in known:
            yield path, 0, f"module {module} has no place in the order"
            continue
        for number, line in enumerate(lines(path), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match[1]
            if ".." in target.split("/"):
                yield path, number, f"includes by a relative path: {target}"
            elif target.startswith("ringcast/") and target.count("/") >= 2:
                other = target.split("/")[1]
                if other not in known:
                    yield path, number, f"includes the unknown module {other}"
                elif not may_include(module, other):
                    yield path, number, f"{module} must not include {other}"


def lengths(root):
    for path in files(root):
        if path.suffix in CODE_SUFFIXES and len(lines(path)) > LINES_MAX:
            yield path, LINES_MAX + 1, f"has {len(lines(path))} lines; {LINES_MAX} at most"


def marks(root):
    for path in files(root):
        for number, line in enumerate(lines(path), 1):
            if MARKS.search(line):
                yield path, number, "left-over mark"


def machine_paths(root):
    for path in files(root):
        for number, line in enumerate(lines(path), 1):
            if MACHINE_PATHS.search(line):
                yield path, number, "path of one machine"


def pragma_once(root):
    for path in files(root):
        if path.suffix == ".h" and "#pragma once" not in lines(path):
            yield path, 1, "lacks #pragma once"


def registry_addresses(root):
    for path in files(root):
        if path.name == "package-lock.json":
            packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
            for name, package in packages.items():
                if "resolved" in package:
                    yield path, 1, f"{name} names the registry that it came from"


RULES = {
    "ModulesIncludeOnlyLowerOnes": layers,
    "FilesStayWithinTheLineLimit": lengths,
    "NoMarkOfUnfinishedWorkIsLeft": marks,
    "NoPathOfOneMachineIsWritten": machine_paths,
    "EveryHeaderIsIncludedOnce": pragma_once,
    "LockFilesNameNoRegistry": registry_addresses,
}


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    failed = False
    print(f"1..{len(RULES)}")
    for number, (name, rule) in enumerate(RULES.items(), 1):
        faults = list(rule(root))
        failed = failed or bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} {name}")
        for path, line, reason in faults:
            print(f"# {path.relative_to(root)}:{line}: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

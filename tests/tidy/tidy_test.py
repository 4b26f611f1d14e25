#!/usr/bin/env python3
"""Plants each kind of fault in a small tree and expects tidy.py to name it. Prints TAP."""

import pathlib
import subprocess
import sys
import tempfile

TIDY = pathlib.Path(__file__).with_name("tidy.py")
HEADER = "#pragma once\n"
CLEAN = {
    "include/ringcast/base/a.h": HEADER,
    "include/ringcast/uring/b.h": HEADER + '#include "ringcast/base/a.h"\n',
    "src/uring/b.cc": '#include "ringcast/uring/b.h"\n',
    "src/load/main.cc": '#include "ringcast/base/a.h"\n',
}

# Name of the case: (the planted file, its text, the rule that must fail, what it says)
CASES = {
    "LowerModuleIncludesHigher": (
        "src/base/a.cc", '#include "ringcast/uring/b.h"\n',
        "ModulesIncludeOnlyLowerOnes", "src/base/a.cc:1: base must not include uring"),
    "LoadIncludesMoreThanItMay": (
        "src/load/x.cc", '\n#include "ringcast/uring/b.h"\n',
        "ModulesIncludeOnlyLowerOnes", "src/load/x.cc:2: load must not include uring"),
    "PageIncludesAnything": (
        "src/page/x.cc", '#include "ringcast/base/a.h"\n',
        "ModulesIncludeOnlyLowerOnes", "src/page/x.cc:1: page must not include base"),
    "ModuleOutsideTheOrder": (
        "src/cellar/x.cc", "\n",
        "ModulesIncludeOnlyLowerOnes", "module cellar has no place"),
    "IncludeByRelativePath": (
        "src/uring/x.cc", '#include "../base/a.h"\n',
        "ModulesIncludeOnlyLowerOnes", "relative path"),
    "FileTooLong": (
        "src/base/long.cc", "\n" * 601,
        "FilesStayWithinTheLineLimit", "has 601 lines"),
    "MarkLeft": (
        "tools/x", "# TO" + "DO: later\n",
        "NoMarkOfUnfinishedWorkIsLeft", "tools/x:1"),
    "MachinePath": (
        "docs/x.md", "see /ho" + "me/somebody/notes\n",
        "NoPathOfOneMachineIsWritten", "docs/x.md:1"),
    "HeaderWithoutPragma": (
        "include/ringcast/base/x.h", "// nothing\n",
        "EveryHeaderIsIncludedOnce", "include/ringcast/base/x.h:1"),
    "LockFileWithRegistry": (
        "tests/e2e/package-lock.json", '{"packages":{"node_modules/a":{"resolved":"somewhere"}}}',
        "LockFilesNameNoRegistry", "node_modules/a"),
}


def run(tree):
    with tempfile.TemporaryDirectory() as root:
        for name, text in tree.items():
            path = pathlib.Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return subprocess.run([sys.executable, TIDY, root], capture_output=True, text=True, check=False)


def main():
    failed = False
    print(f"1..{len(CASES) + 1}")

    clean = run(CLEAN)
    ok = clean.returncode == 0 and "not ok" not in clean.stdout
    failed = failed or not ok
    print(f"{'ok' if ok else 'not ok'} 1 CleanTreePasses")

    for number, (name, (path, text, rule, says)) in enumerate(CASES.items(), 2):
        result = run(CLEAN | {path: text})
        broken = [line.split(" ", 3)[3] for line in result.stdout.splitlines() if line.startswith("not ok")]
        ok = result.returncode == 1 and broken == [rule] and says in result.stdout
        failed = failed or not ok
        print(f"{'ok' if ok else 'not ok'} {number} {name}IsFound")
        if not ok:
            print("# " + result.stdout.replace("\n", "\n# ") + result.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

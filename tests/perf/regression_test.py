#!/usr/bin/env python3
"""bench/regression.py without servers: what is measured again, what it exits with, and which builds it refuses."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

import regression  # noqa: E402  (the path comes first)
from suite import builds  # noqa: E402
from suite.servers import Failure  # noqa: E402


class FakeRunner:
    """Gives what `new` is told to cost, in turn, where the old build costs 100."""
    new = {}
    calls = []

    def __init__(self, _arguments, size, _folders, _scratch):
        self.size = size

    def run_both(self, name, order):
        if self.size is regression.SMOKE:  # the warm-up
            return {}
        self.calls.append(name)
        costs = self.new.get(name, [100])
        cost = costs[(self.calls.count(name) - 1) % len(costs)]
        return {which: {figure: 100 if which == regression.OLD else cost for figure in regression.LOADS[name][1]}
                for which in order}


def check(new, *options):
    """Exit code, what was printed, and how often each load was run."""
    calls = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        (pathlib.Path(folder) / "ringcast").touch()
        stack.enter_context(unittest.mock.patch.object(regression, "Runner", FakeRunner))
        stack.enter_context(unittest.mock.patch.object(FakeRunner, "new", new))
        stack.enter_context(unittest.mock.patch.object(FakeRunner, "calls", calls))
        stack.enter_context(unittest.mock.patch.object(sys, "argv", ["regression.py", folder, folder, *options]))
        out = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        code = regression.main()
    return code, out.getvalue(), {name: calls.count(name) for name in calls}


class ExitCodes(unittest.TestCase):
    def test_equal_builds_pass(self):
        code, out, runs = check({}, "--quick")
        self.assertEqual(code, 0, out)
        self.assertEqual(set(runs.values()), {regression.QUICK.rounds})

    def test_a_loss_fails_and_is_named(self):
        code, out, _ = check({"tls": [112, 110, 108]}, "--quick")
        self.assertEqual(code, 1, out)
        self.assertIn("Lost: server CPU a delivery over TLS, ns", out)

    def test_what_looks_worse_is_measured_longer_and_nothing_else(self):
        _, _, runs = check({"storm": [120]}, "--quick")
        rounds = regression.QUICK.rounds
        self.assertEqual(runs, {"delivery": rounds, "throughput": rounds, "storm": 2 * rounds, "tls": rounds})

    def test_noise_of_the_first_series_does_not_fail(self):
        code, out, _ = check({"storm": [130, 90, 125, 85, 120, 100, 99, 101, 90, 110]}, "--quick")
        self.assertEqual(code, 0, out)

    def test_noise_that_hides_the_answer_is_told(self):
        code, out, _ = check({"storm": [150, 85, 140, 80, 130]}, "--quick")
        self.assertEqual(code, 0, out)
        self.assertIn("Too noisy to tell", out)

    def test_a_larger_threshold_lets_it_pass(self):
        code, out, _ = check({"tls": [112]}, "--quick", "--threshold", "15")
        self.assertEqual(code, 0, out)

    def test_a_smoke_run_never_fails(self):
        with unittest.mock.patch.object(regression, "SMOKE", regression.QUICK), \
                unittest.mock.patch.object(FakeRunner, "run_both", lambda self, name, order: {
                    which: {figure: 100 if which == regression.OLD else 300 for figure in regression.LOADS[name][1]}
                    for which in order}):
            self.assertEqual(check({}, "--smoke")[0], 0)


class Builds(unittest.TestCase):
    def test_a_folder_that_was_not_built_is_refused(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(Failure, "has no ringcast"):
            builds.find(folder)

    def test_what_is_no_commit_is_refused(self):
        with self.assertRaisesRegex(Failure, "neither a folder nor a commit"):
            builds.find("no-such-branch-or-folder")

    def test_a_build_that_cannot_be_found_is_exit_code_2(self):
        with unittest.mock.patch.object(sys, "argv", ["regression.py", "nothing", "nothing"]), \
                contextlib.redirect_stderr(io.StringIO()) as errors:
            self.assertEqual(regression.main(), 2)
        self.assertEqual(errors.getvalue(), "regression.py: nothing: neither a folder nor a commit\n")


if __name__ == "__main__":
    unittest.main()

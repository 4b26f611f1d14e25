#!/usr/bin/env python3
"""The tools in perf/: what they read and draw, and that they tell in one line what they cannot do."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

PERF = pathlib.Path(__file__).resolve().parents[2] / "perf"
sys.path.insert(0, str(PERF))

import flamegraph  # noqa: E402  (the path comes first)
import memory  # noqa: E402

TOOLS = ["flamegraph.py", "rates.py", "memory.py", "loop.sh"]
NO_PROCESS = "4194305"  # above what Linux gives

SAMPLES = """\
shard 0 4711
        ffffffff81e0ab12 tcp_sendmsg+0x12 ([kernel.kallsyms])
        ffffffff81500000 do_syscall_64 ([kernel.kallsyms])
            55d5c3a01000 ringcast::shard::Sender::flush(int)+0x1f0 (/opt/ringcast)

shard 0 4711
            55d5c3a01000 ringcast::shard::Sender::flush(int)+0x20 (/opt/ringcast)

hub 4712
            7f0000001000 [unknown] (/usr/lib/libc.so.6)

"""
FLUSH = ("ringcast::shard::Sender::flush(int)", "ringcast")
SHARD, HUB = ("shard 0", "thread"), ("hub", "thread")


def run(tool, *arguments, stdin=""):
    return subprocess.run([PERF / tool, *arguments], input=stdin, capture_output=True, text=True, check=False)


class Stacks(unittest.TestCase):
    def setUp(self):
        self.stacks = flamegraph.read_stacks(SAMPLES.splitlines())

    def test_stacks_stand_on_their_thread_with_callers_first(self):
        self.assertEqual(self.stacks, {
            (SHARD, FLUSH, ("do_syscall_64", "kernel"), ("tcp_sendmsg", "kernel")): 1,
            (SHARD, FLUSH): 1,
            (HUB, ("[unknown]", "library")): 1})

    def test_lines_of_a_whole_perf_script_name_the_thread(self):
        line = "shard 12  4711/4712 [001] 812.345678:    1001001 cpu-clock:pppH: "
        stacks = flamegraph.read_stacks([line, "  55d5c3a01000 main+0x1 (/opt/ringcast)", ""])
        self.assertEqual(stacks, {(("shard 12", "thread"), ("main", "ringcast")): 1})

    def test_one_thread_alone_can_be_chosen(self):
        self.assertEqual(list(flamegraph.read_stacks(SAMPLES.splitlines(), "hub")), [(HUB, ("[unknown]", "library"))])

    def test_summary_tells_where_samples_were_taken(self):
        text = "\n".join(flamegraph.summary(self.stacks))
        self.assertIn("3 samples", text)
        self.assertIn("shard 0 66.7 %, hub 33.3 %", text)
        self.assertIn("kernel 33.3 %", text)


class Picture(unittest.TestCase):
    def test_a_box_is_as_wide_as_its_share_and_stands_on_its_caller(self):
        root = flamegraph.Box()
        for stack, count in flamegraph.read_stacks(SAMPLES.splitlines()).items():
            root.add(stack, count)
        drawn = {function: (round(x, 3), round(width, 3), level)
                 for x, width, level, function, _, _ in flamegraph.boxes(root, root.count)}
        self.assertEqual(drawn["hub"], (0, 0.333, 0))
        self.assertEqual(drawn["shard 0"], (0.333, 0.667, 0))
        self.assertEqual(drawn[FLUSH[0]], (0.333, 0.667, 1))
        self.assertEqual(drawn["tcp_sendmsg"], (0.333, 0.333, 3))

    def test_names_of_templates_do_not_break_the_picture(self):
        stacks = {(SHARD, ('std::vector<"a" & b>', "ringcast")): 5}
        root = xml.etree.ElementTree.fromstring(flamegraph.svg(stacks, "a < b"))
        titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
        self.assertTrue(any(title.startswith('std::vector<"a" & b>') for title in titles), titles)

    def test_the_tool_draws_what_it_reads(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "flame.svg"
            done = run("flamegraph.py", "--stacks", "-", "--out", out, stdin=SAMPLES)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("tcp_sendmsg", out.read_text())


class Memory(unittest.TestCase):
    def test_mappings_are_called_what_they_are(self):
        for name, what in {"/memfd:ringcast-log (deleted)": "ringcast-log (memory file)",
                           "anon_inode:[io_uring]": "rings shared with the kernel",
                           "/usr/lib/libssl.so.3": "program and libraries", "[heap]": "heap"}.items():
            self.assertEqual(memory.what_is(name, "rw-p", 4096), what)
        self.assertIsNone(memory.what_is("", "rw-p", 4096))

    def test_its_own_memory_adds_up_to_what_the_kernel_says(self):
        total = sum(entry["bytes"] for entry in memory.user(os.getpid()).values())
        rollup = pathlib.Path("/proc/self/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
        self.assertAlmostEqual(total / pss, 1, delta=0.1)

    def test_growth_is_told_for_each_stream_that_was_added(self):
        before = {"streams": 10, "user": {"a": {"bytes": 1000, "size": 4096}}, "slab": {},
                  "kernel": {"page tables": 0}}
        now = {"streams": 110, "user": {"a": {"bytes": 9000, "size": 16384}},
               "slab": {"TCP": {"bytes": 240_000, "objects": 100, "size": 2368}}, "kernel": {"page tables": 4096}}
        lines = {line.split("  ")[1]: line.split() for line in memory.show(now, before, 5) if line.startswith("  ")}
        self.assertIn("80.0", lines["a"])
        self.assertIn("2,400.0", lines["TCP"])
        self.assertIn("41.0", lines["page tables"])


class Settings(unittest.TestCase):
    """perf/90-ringcast.conf; nothing of it is set here."""

    def test_each_setting_exists_in_this_kernel_or_may_be_missing(self):
        lines = (PERF / "90-ringcast.conf").read_text().splitlines()
        settings = [line for line in lines if line and not line.startswith("#")]
        self.assertGreater(len(settings), 0)
        # A namespace of the network other than the machine's first has only some of these.
        first_network = pathlib.Path("/proc/sys/net/ipv4/tcp_mem").exists()
        for line in settings:
            name, equals, value = line.partition(" = ")
            self.assertTrue(equals and value.replace(" ", "").isdigit(), line)
            path = pathlib.Path("/proc/sys") / name.removeprefix("-").replace(".", "/")
            elsewhere = name.startswith("net.") and not first_network
            self.assertTrue(path.exists() or name.startswith("-") or elsewhere, line)


class Complaints(unittest.TestCase):
    def test_each_tool_explains_itself(self):
        for tool in TOOLS:
            done = run(tool, "--help")
            self.assertEqual((tool, done.returncode), (tool, 0))
            self.assertIn("--pid", done.stdout)

    def test_a_process_that_is_not_there_is_named_in_one_line(self):
        for tool in TOOLS:
            done = run(tool, "--pid", NO_PROCESS)
            if "is not installed" in done.stderr or "needs root" in done.stderr:
                continue
            self.assertNotEqual(done.returncode, 0, tool)
            self.assertIn(NO_PROCESS, done.stderr, tool)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_a_time_without_end_is_refused(self):
        for tool in ["flamegraph.py", "rates.py", "loop.sh"]:
            self.assertNotEqual(run(tool, "--pid", str(os.getpid()), "--seconds", "100000").returncode, 0, tool)

    def test_a_snapshot_of_another_process_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            saved = pathlib.Path(folder) / "saved.json"
            saved.write_text(json.dumps(memory.NOTHING | {"pid": 1}))
            done = run("memory.py", "--pid", str(os.getpid()), "--admin", "", "--since", saved)
            if "needs root" not in done.stderr:
                self.assertIn("is of process 1", done.stderr)


if __name__ == "__main__":
    unittest.main()

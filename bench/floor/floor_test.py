#!/usr/bin/env python3
"""What the suite takes for granted of the floor: floor_test.py BUILD_FOLDER"""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from suite import certificates, servers  # noqa: E402  (the path comes first)

SECONDS = 20
BUILD = None


@contextlib.contextmanager
def floor(*arguments):
    """Gives the port and a list, to which its last words go when it has ended."""
    port, = servers.free_ports(1)
    words = []
    process = subprocess.Popen([BUILD / "bench/floor/floor", "--port", str(port), *map(str, arguments)],
                               stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        yield port, words
    finally:
        process.terminate()
        words += process.communicate(timeout=SECONDS)[0].split()


def load(port, *arguments, streams_at=None):
    result = subprocess.run(
        [BUILD / "ringcast-load", "--json", "-", "--timeout", str(SECONDS), "--publish-url",
         f"http://127.0.0.1:{port}/publish", "--url", streams_at or f"http://127.0.0.1:{port}/events",
         "--events", "6", "--storm", "3", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return json.loads(result.stdout)


class Floor(unittest.TestCase):
    def good(self, report):
        self.assertEqual((report["failure"], report["good"], report["storm_returned"]), ("", True, report["open"]))

    def test_all_rings_of_all_threads_send_every_event(self):
        with floor("--threads", 2, "--slots", 50) as (port, words):
            self.good(load(port, "--streams", 100, "--publishers", 3, "--connecting", 8))
        self.assertEqual(words[:2], ["events", "6"])

    def test_a_slot_is_free_again_when_its_stream_has_left(self):
        with floor("--slots", 60) as (port, words):
            for _ in range(3):
                self.good(load(port, "--streams", 100, "--connecting", 10))
        # A ring takes 45 to 60. Who leaves and who comes may be there at the same time, but no more than these.
        self.assertEqual((words[:2], words[-2]), (["events", "18"], "rings"))
        self.assertLess(int(words[-1]), 9)

    @unittest.skipUnless(certificates.available(), "openssl is not installed")
    def test_each_stream_under_tls_has_records_of_its_own(self):
        with tempfile.TemporaryDirectory(prefix="ringcast-bench-") as name:
            folder = pathlib.Path(name)
            for file_name, text in certificates.files().items():
                (folder / file_name).write_text(text)
            tls_port, = servers.free_ports(1)
            with floor("--tls-port", tls_port, "--certificate", folder / certificates.CERTIFICATE_FILE, "--key",
                       folder / certificates.KEY_FILE) as (port, _):
                report = load(port, "--streams", 20, "--insecure", "--bytes", 40_000,  # three records
                              streams_at=f"https://127.0.0.1:{tls_port}/events")
        self.good(report)
        self.assertEqual(report["tls_taken_over"], 40)


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)

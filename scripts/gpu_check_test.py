#!/usr/bin/env python3
"""scripts/gpu_check run, with small programs in place of the tests and benchmarks: nothing that fails stops it."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from typing import Any

import gpu_check_run
from gpu_check_build import ARCHIVE

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAD_RESULT = {"options": {"classes": 1000, "batch": 10}, "products": {"count": 3.0}, "products_ms": 2.0, "stream_ms": 4.0,
               "step_ms": 8.0, "floor_ratio": 1.25, "peak_extra_mb": 0.0}


def is_running(pid: int) -> bool:
    """A process that has ended and that nobody has waited for counts as ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class GpuCheckTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name, "built")
        self.results = pathlib.Path(scratch.name, "results")
        for kind in ("bin", "test", "lib"):
            (self.folder / kind).mkdir(parents=True)
        self.program("bin/head_bench", f"for a; do case $a in --json=*) echo '{json.dumps(HEAD_RESULT)}' >${{a#--json=}};; esac; done")
        self.program("bin/arcshard", "echo 'no GPU'; exit 1")
        self.manifest = {"commit": "abc", "source_dir": str(ROOT), "binary_dir": f"{scratch.name}/build", "tests": [],
                         "tests_without_device": []}

    def program(self, name: str, body: str) -> None:
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def run_checks(self, *options: str) -> tuple[int, dict[str, Any], str]:
        (self.folder / "manifest.json").write_text(json.dumps(self.manifest))
        with tarfile.open(self.folder / ARCHIVE, "w:xz") as archive:
            for kind in ("bin", "test", "lib"):
                archive.add(self.folder / kind, kind)
        done = subprocess.run([sys.executable, ROOT / "scripts" / "gpu_check", "run", "--folder", self.folder, "--results", self.results,
                               "--without-gpu", *options], check=False, capture_output=True, text=True)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, json.loads((self.results / "gpu_check.json").read_text()), done.stdout

    @staticmethod
    def outcomes(report: dict[str, Any]) -> dict[str, str]:
        return {check["name"]: check["outcome"] for check in report["checks"]}

    def test_whatever_fails_the_others_are_carried_out_and_the_reason_is_kept(self) -> None:
        self.program("test/good", "echo '[  PASSED  ] 12 tests.'")
        self.program("test/bad", "echo first; echo 'the GPU said no'; exit 3")
        self.program("test/none", "echo 'all tests: no CUDA device'; exit 77")
        self.program("test/crash", "kill -SEGV $$")
        self.manifest["tests"] = ["bad", "crash", "good", "missing", "none"]
        status, report, printed = self.run_checks()
        self.assertEqual(status, 1)
        found = self.outcomes(report)
        self.assertEqual([found[f"test {name}"] for name in ("bad", "crash", "good", "missing", "none")],
                         ["failed", "failed", "passed", "failed", "skipped"])
        by_name = {check["name"]: check for check in report["checks"]}
        self.assertEqual(by_name["test bad"]["why"], "the GPU said no")
        self.assertEqual(by_name["test good"]["figures"], {"tests": 12})
        self.assertIn("missing", by_name["test missing"]["why"])
        self.assertIn("test bad: the GPU said no", printed)
        self.assertIn("first", (self.results / "gpu_check.log").read_text())
        self.assertEqual(sum(report["summary"].values()), len(report["checks"]))

    def test_the_benchmarks_figures_are_related_to_the_devices_limits(self) -> None:
        figures = next(check["figures"] for check in self.run_checks()[1]["checks"] if check["name"].startswith("head_bench float32"))
        self.assertAlmostEqual(figures["share_of_limit"], 0.8)
        self.assertAlmostEqual(figures["products_tflops"], 3 * 2 * 1000 * 10 * 512 / 2e-3 / 1e12)
        self.assertAlmostEqual(figures["stream_gb_per_s"], 2 * 1000 * 4096 / 4e-3 / 1e9)
        self.assertAlmostEqual(figures["classes_per_gib"], 2**30 / 4100)

    def test_a_program_that_hangs_is_ended_with_what_it_started(self) -> None:
        pid = self.folder / "test" / "pid"
        self.program("test/hangs", f"sleep 1000 & echo $! >{pid}.new; mv {pid}.new {pid}; wait")
        report = gpu_check_run.Report(self.results, time.monotonic() + 1000)
        self.addCleanup(report.close)
        limit_s = 1.0
        while not pid.exists():  # on a busy machine it may be ended before it has come so far
            gpu_check_run.Runner(report, dict(os.environ)).run(
                gpu_check_run.Check("hangs", [str(self.folder / "test" / "hangs")], limit_s))
            limit_s *= 2
        self.assertEqual({check["outcome"] for check in report.data["checks"]}, {"too long"})
        self.assertFalse(is_running(int(pid.read_text())))

    def test_what_no_time_is_left_for_is_said(self) -> None:
        self.program("test/good", "true")
        report = gpu_check_run.Report(self.results, time.monotonic())
        self.addCleanup(report.close)
        gpu_check_run.Runner(report, dict(os.environ)).run(
            gpu_check_run.Check("good", [str(self.folder / "test" / "good")], 60))
        self.assertEqual(report.data["checks"], [{"name": "good", "outcome": "not run", "why": "no time is left"}])

    def test_a_folder_that_was_not_built_is_named(self) -> None:
        done = subprocess.run([sys.executable, ROOT / "scripts" / "gpu_check", "run", "--folder", "/nowhere"], check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nowhere/manifest.json is missing: scripts/gpu_check build makes it", done.stderr)


if __name__ == "__main__":
    unittest.main()

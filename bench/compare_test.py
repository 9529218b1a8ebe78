#!/usr/bin/env python3
"""Tests bench/compare with programs that answer at once with figures of the test."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from typing import Any

import compare_run

COMPARE = pathlib.Path(__file__).resolve().parent / "compare"

# A program that notes its name and arguments in the file calls, and answers with the next figure of its own.
PROGRAM = """#!/usr/bin/env python3
import json, pathlib, sys
folder = pathlib.Path({folder!r})
name = pathlib.Path(sys.argv[0]).name
arguments = sys.argv[1:]
if name == "python":  # the peers: python -B SCRIPT ARGUMENTS
    name = pathlib.Path(arguments[1]).stem + (arguments[arguments.index("--loss") + 1] if "--loss" in arguments else "")
    name += "-last" if "--channels-last" in arguments else ""
with (folder / "calls").open("a") as calls:
    print(name, *arguments, file=calls)
answers = json.loads((folder / "answers").read_text())
if "--dry-run" in arguments:
    print(answers["config"])
    sys.exit(0)
count = (folder / "calls").read_text().split().count(name)
answer = answers[name]
answer = answer[min(count, len(answer)) - 1]
if "exit" in answer:
    sys.exit(answer["exit"])
if "signal" in answer:
    import os
    os.kill(os.getpid(), answer["signal"])
if "run" in answer:
    run = pathlib.Path(next(a for a in arguments if a.startswith("run.folder=")).partition("=")[2])
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in answer["run"]))
else:
    answer.setdefault("versions", {{"torch": "9.9.9"}})
    pathlib.Path(arguments[arguments.index("--json") + 1]).write_text(json.dumps(answer))
"""

CONFIG = """data:
  image_size: 32  # pixels
  batch_size: 100  # samples

backbone:
  name: iresnet18  # architecture
  width: 16  # channels
  embedding_size: 64  # dimensions
"""


def head(step: float) -> dict[str, Any]:
    return {"step_ms": step, "products_ms": 70.0, "stream_ms": 20.0, "read_ms": 10.0, "versions": {"libtorch": "2.15.0"}}


class CompareTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        for name in ("service_bench", "head_bench", "arcshard", "python"):
            program = self.folder / name
            program.write_text(PROGRAM.format(folder=str(self.folder)))
            program.chmod(0o755)

    def compare(self, *arguments: str, **answers: Any) -> subprocess.CompletedProcess[str]:
        (self.folder / "answers").write_text(json.dumps(answers))
        (self.folder / "calls").write_text("")
        options = ["--bin", str(self.folder), "--python", str(self.folder / "python")]
        return subprocess.run([sys.executable, "-B", str(COMPARE), *arguments, *options], check=False, capture_output=True, text=True)

    def calls(self) -> list[str]:
        return [line.split()[0] for line in (self.folder / "calls").read_text().splitlines()]

    def row(self, output: str, name: str) -> list[str]:
        found = [line for line in output.splitlines() if line.startswith(f"| {name}")]
        self.assertEqual(len(found), 1, output)
        return [cell.strip() for cell in found[0].split("|")[2:-1]]

    def test_programs_alternate_and_every_second_round_is_reversed(self) -> None:
        done = self.compare("step", "--insightface", "x", "--peers", "partial_fc", "--rounds", "3",
                            service_bench=[{"step_ms": 100}], head_bench=[head(90)], partial_fc=[{"step_ms": 300}])
        self.assertEqual(done.returncode, 0, done.stderr)
        order = ["service_bench", "head_bench", "partial_fc"]
        self.assertEqual(self.calls(), order + order[::-1] + order)

    def test_ratios_are_those_within_a_round_and_the_median_of_rounds_is_shown(self) -> None:
        done = self.compare("step", "--insightface", "x", "--peers", "partial_fc", "--rounds", "3",
                            service_bench=[{"step_ms": 100}, {"step_ms": 200}, {"step_ms": 400}], head_bench=[head(90)],
                            partial_fc=[{"step_ms": 300}, {"step_ms": 1000}, {"step_ms": 800}])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.row(done.stdout, "arcshard, 2 shards and 2 workers")[:2], ["200 (150 to 300) ms", "1"])
        self.assertEqual(self.row(done.stdout, "InsightFace's PartialFC_V2, 2 ranks")[:2],
                         ["800 (550 to 900) ms", "3.00 (2.50 to 4.00)"])
        self.assertEqual(self.row(done.stdout, "the head's floor")[:2], ["100 ms", "0.50 (0.38 to 0.75)"])
        self.assertIn("LibTorch 2.15.0, PyTorch 9.9.9", " ".join(done.stdout.split()))

    def test_each_rate_and_type_has_a_table_and_only_partial_fc_is_sampled(self) -> None:
        done = self.compare("step", "--insightface", "x", "--rounds", "1", "--sample-rate", "1", "0.1", "--compute", "float32",
                            "bfloat16", service_bench=[{"step_ms": 100}], head_bench=[head(90)],
                            **{peer: [{"step_ms": 300}] for peer in ("partial_fc", "linear_cross_entropymargin_softmax",
                                      "linear_cross_entropylinear_cross_entropy", "linear_cross_entropylinear_cross_entropy_chunked")})
        self.assertEqual(done.returncode, 0, done.stderr)
        titles = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "time / arcshard's" in line]
        self.assertEqual(titles, ["all classes, float32", "`sample_rate` 0.1, float32", "all classes, bfloat16",
                                  "`sample_rate` 0.1, bfloat16"])
        self.assertEqual(self.calls().count("partial_fc"), 4)
        self.assertEqual(self.calls().count("linear_cross_entropymargin_softmax"), 2)
        sampled = [line for line in (self.folder / "calls").read_text().splitlines() if "--sample-rate 0.1" in line]
        self.assertEqual(len(sampled), 6)

    def test_a_peer_that_fails_is_a_row_and_is_not_run_again(self) -> None:
        done = self.compare("step", "--insightface", "x", "--peers", "partial_fc", "--rounds", "3", service_bench=[{"step_ms": 100}],
                            head_bench=[head(90)], partial_fc=[{"step_ms": 300}, {"signal": 9}])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.row(done.stdout, "InsightFace's PartialFC_V2")[0], "failed: signal 9")
        self.assertEqual(self.calls().count("partial_fc"), 2)
        self.assertEqual(self.calls().count("service_bench"), 3)

    def test_a_failure_of_ours_or_options_that_a_peer_refuses_end_the_comparison(self) -> None:
        ours = self.compare("step", "--peers", service_bench=[{"exit": "out of luck"}], head_bench=[head(90)])
        self.assertEqual(ours.returncode, 1)
        self.assertIn("compare: arcshard, 2 shards and 2 workers: out of luck", ours.stderr)
        peer = self.compare("step", "--insightface", "x", "--peers", "partial_fc", service_bench=[{"step_ms": 100}],
                            head_bench=[head(90)], partial_fc=[{"exit": 2}])
        self.assertEqual(peer.returncode, 1)
        self.assertIn("it said nothing", peer.stderr)

    def test_runs_are_compared_by_images_a_second_after_the_first_steps(self) -> None:
        lines = [{"kind": "run"}] + [{"kind": "step", "step": step, "elapsed_seconds": seconds}
                                     for step, seconds in ((1, 9.0), (30, 10.0), (80, 14.0), (130, 20.0))]
        done = self.compare("train", "run.yaml", "--rounds", "2", "--set", "schedule.epochs=1", config=CONFIG,
                            arcshard=[{"run": lines}], pytorch_train=[{"step_ms": 200}],
                            **{"pytorch_train-last": [{"step_ms": 250}]})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.row(done.stdout, "arcshard, 2 shards and 2 workers")[:2], ["1000", "1"])
        self.assertEqual(self.row(done.stdout, "plain PyTorch, one process")[:2], ["500", "2.00"])
        self.assertEqual(self.row(done.stdout, "the same with channels last")[:2], ["400", "2.50"])
        self.assertIn("iresnet18 of width 16 at 32×32, D = 64, B = 100", " ".join(done.stdout.split()))
        runs = [line for line in (self.folder / "calls").read_text().splitlines() if line.startswith("arcshard")]
        self.assertTrue(all("--set schedule.epochs=1" in line for line in runs), runs)

    def test_a_run_without_enough_steps_is_refused(self) -> None:
        done = self.compare("train", "run.yaml", "--rounds", "1", config=CONFIG, pytorch_train=[{"step_ms": 200}],
                            arcshard=[{"run": [{"kind": "step", "step": 1, "elapsed_seconds": 9.0}]}])
        self.assertEqual(done.returncode, 1)
        self.assertIn("fewer than two lines after step 20", done.stderr)

    def test_what_json_keeps_gives_the_same_table_again(self) -> None:
        file = self.folder / "figures.json"
        done = self.compare("step", "--peers", "--rounds", "2", "--json", str(file), service_bench=[{"step_ms": 100}], head_bench=[head(90)])
        again = subprocess.run([sys.executable, "-B", str(COMPARE), "table", str(file)], check=True, capture_output=True, text=True)
        self.assertEqual(again.stdout, done.stdout)
        self.assertEqual(json.loads(file.read_text())["groups"][0]["rows"][0]["ms"], [100, 100])

    def test_what_is_missing_is_named(self) -> None:
        self.assertIn("--peers partial_fc needs --insightface CHECKOUT", self.compare("step").stderr)
        os.remove(self.folder / "service_bench")
        self.assertIn("service_bench is missing: scripts/build release service_bench", self.compare("step", "--peers").stderr)
        os.remove(self.folder / "python")
        self.assertIn("python is missing: scripts/setup --peers", self.compare("train", "run.yaml").stderr)

class RunProgramTest(unittest.TestCase):
    def test_a_program_that_does_not_end_is_ended(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            log = pathlib.Path(scratch, "log")
            status, _ = compare_run.run_program(["sleep", "1000000"], log, limit=0.5)
            self.assertEqual(status, 1)
            self.assertEqual(compare_run.last_line(log), "did not end within 0.5 s")

    def test_what_a_program_leaves_behind_is_ended_with_it(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            log = pathlib.Path(scratch, "log")
            status, _ = compare_run.run_program(["sh", "-c", "sleep 1000000 & echo $!"], log, limit=1800)
            self.assertEqual(status, 0)
            left = pathlib.Path("/proc", compare_run.last_line(log), "stat")
            while left.exists() and left.read_text().rpartition(")")[2].split()[0] != "Z":  # until the kernel is done with it
                os.sched_yield()

    def test_memory_is_the_sum_over_a_program_and_what_comes_from_it(self) -> None:
        child = "block = bytearray(50 << 20); print('ready', flush=True); input()"
        parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            self.assertEqual(program.stdout.readline(), "ready\n")
            both, one = compare_run.peak_of_tree(program.pid), compare_run.peak_of(program.pid)
            program.communicate("\n")
        self.assertGreater(both - one, 50)
        self.assertGreater(one, 1)
        self.assertEqual(compare_run.peak_of(program.pid), 0)


if __name__ == "__main__":
    unittest.main()

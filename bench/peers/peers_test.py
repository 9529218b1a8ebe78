#!/usr/bin/env python3
"""Tests the programs of this folder: what they refuse, and, where Python has PyTorch, that they measure and learn.

ARCSHARD_PEERS_PYTHON: a Python with PyTorch, numpy and Pillow, instead of the one that scripts/setup --peers makes.
"""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from typing import Any

import run_config

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = os.environ.get("ARCSHARD_PEERS_PYTHON", str(ROOT / ".deps/peers/bin/python"))
HAS_TORCH = os.access(PYTHON, os.X_OK)
SHAPE = ["--classes", "50", "--batch", "8", "--dim", "16", "--repeats", "2"]

# Files as a checkout has them, with a head of the same interface that leaves a trace of how it was called.
PARTIAL_FC = """
import torch
from torch import distributed
from torch.nn.functional import linear, normalize

class PartialFC_V2(torch.nn.Module):
    def __init__(self, margin_loss, embedding_size, num_classes, sample_rate=1.0, fp16=False):
        super().__init__()
        rank, ranks = distributed.get_rank(), distributed.get_world_size()
        self.num_local = num_classes // ranks + int(rank < num_classes % ranks)
        self.weight = torch.nn.Parameter(torch.normal(0, 0.01, (self.num_local, embedding_size)))
        self.calls, self.rate, self.margin, self.fp16 = 0, sample_rate, margin_loss, fp16

    def forward(self, embeddings, labels):
        self.calls += 1
        if self.calls == 3:
            (folder := {folder!r}) and open(f"{folder}/rank{distributed.get_rank()}", "w").write(
                f"{len(embeddings)} {torch.get_num_threads()} {self.rate} {self.margin.margins} {self.fp16} {self.num_local}")
        if {fails!r} and distributed.get_rank() == 0:
            raise RuntimeError("out of memory, as it were")
        sums = embeddings.detach().sum().cuda()
        distributed.all_reduce(sums)
        return linear(normalize(embeddings), normalize(self.weight)).float().logsumexp(1).mean()
"""
LOSSES = """
class CombinedMarginLoss:
    def __init__(self, *margins):
        self.margins = margins
    def __call__(self, logits, labels):
        return logits
"""


class RefusalTest(unittest.TestCase):
    """Needs no PyTorch."""

    def refused(self, program: str, *arguments: str) -> str:
        done = subprocess.run([sys.executable, "-B", str(HERE / program), *arguments], check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.stderr.splitlines()[-1]

    def test_a_folder_that_is_no_checkout(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn(f"--insightface {folder}: neither it nor recognition/arcface_torch in it has partial_fc_v2.py and losses.py",
                          self.refused("partial_fc.py", "--insightface", folder))

    def test_shapes_that_ranks_cannot_share(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("partial_fc_v2.py", "losses.py"):
                pathlib.Path(folder, name).write_text("")
            checkout = ["--insightface", folder]
            self.assertIn("--batch 9: each of 2 ranks", self.refused("partial_fc.py", *checkout, "--ranks", "2", "--batch", "9"))
            self.assertIn("--batch 2: each of 2 ranks", self.refused("partial_fc.py", *checkout, "--ranks", "2", "--batch", "2"))
            self.assertIn("--threads 3: each of 2 ranks", self.refused("partial_fc.py", *checkout, "--ranks", "2", "--threads", "3"))
            self.assertIn("--compute float16: PartialFC_V2 does not have it on cpu",
                          self.refused("partial_fc.py", *checkout, "--compute", "float16"))

    def test_numbers_that_make_no_sense(self) -> None:
        self.assertIn("argument --sample-rate: invalid share value: '1.5'",
                      self.refused("partial_fc.py", "--insightface", "x", "--sample-rate", "1.5"))
        self.assertIn("argument --classes: invalid positive value: '0'", self.refused("linear_cross_entropy.py", "--classes", "0"))
        self.assertIn("argument --loss: invalid choice: 'none'", self.refused("linear_cross_entropy.py", "--loss", "none"))

    def test_a_configuration_that_does_not_exist(self) -> None:
        self.assertIn("/nowhere is not a file", self.refused("pytorch_train.py", "/nowhere"))


class RunConfigTest(unittest.TestCase):
    def config(self, text: str) -> run_config.RunConfig:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "run.yaml")
            path.write_text(text)
            return run_config.RunConfig(path)

    def test_values_are_read_without_their_comments_and_quotes(self) -> None:
        config = self.config('a:\n  x: 1.5e-3  # a number\n  y: ""  # empty\n\nb:\n  x: [1, 2]\n# a.z: 3\n')
        self.assertEqual(config.values, {"a.x": "1.5e-3", "a.y": "", "b.x": "[1, 2]"})
        self.assertEqual(config.number("a.x"), 0.0015)

    def test_what_is_missing_or_wrong_is_named(self) -> None:
        config = self.config("a:\n  x: many\n  y: 1.5\n")
        for call, words in ((lambda: config.text("a.z"), "lacks a.z"), (lambda: config.number("a.x"), "a.x: many: not a number"),
                            (lambda: config.whole("a.y"), "a.y: 1.5: not a whole number"),
                            (lambda: config.one_of("a.x", "few", "one"), "a.x: many: this program knows only few, one")):
            with self.assertRaisesRegex(SystemExit, words):
                call()

    def test_the_learning_rate_follows_the_closed_forms(self) -> None:
        text = ("data:\n  batch_size: 10\nschedule:\n  kind: {}\n  lr: 0.4\n  end_lr: 0.1\n  power: 2\n  lr_batch_size: 5\n"
                "  epochs: 12\n  warmup_epochs: 2\n")
        cosine = run_config.Schedule(self.config(text.format("cosine")), steps_per_epoch=1)
        polynomial = run_config.Schedule(self.config(text.format("polynomial")), steps_per_epoch=1)
        self.assertEqual(cosine.steps, 12)
        for schedule in (cosine, polynomial):
            self.assertAlmostEqual(schedule.rate(1), 0.4)
            self.assertAlmostEqual(schedule.rate(2), 0.8)
            self.assertAlmostEqual(schedule.rate(3), 0.8)
        self.assertAlmostEqual(cosine.rate(8), 0.1 + 0.7 * 0.5)
        self.assertAlmostEqual(polynomial.rate(8), 0.1 + 0.7 * 0.25)


@unittest.skipUnless(HAS_TORCH, f"{PYTHON} is missing: scripts/setup --peers")
class MeasurementTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def run_peer(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PYTHON, "-B", str(HERE / program), *arguments, "--json", str(self.folder / "result.json")],
                              check=False, capture_output=True, text=True)

    def measured(self, program: str, *arguments: str) -> dict[str, Any]:
        done = self.run_peer(program, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        result: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        low, high = result["step_quartiles_ms"]
        self.assertTrue(0 < low <= result["step_ms"] <= high, result)
        self.assertGreater(result["peak_mb"], result["state_mb"])
        self.assertTrue(result["processor"] and result["versions"]["torch"], result)
        return result

    def checkout(self, fails: bool = False) -> str:
        code = self.folder / "recognition" / "arcface_torch"
        code.mkdir(parents=True)
        (code / "partial_fc_v2.py").write_text(PARTIAL_FC.replace("{folder!r}", repr(str(self.folder))).replace("{fails!r}", repr(fails)))
        (code / "losses.py").write_text(LOSSES)
        return str(self.folder)

    def test_ranks_share_classes_batch_and_threads(self) -> None:
        result = self.measured("partial_fc.py", "--insightface", self.checkout(), *SHAPE, "--ranks", "2", "--threads", "4",
                               "--sample-rate", "0.5", "--classes", "51")
        for rank, classes in ((0, 26), (1, 25)):
            self.assertEqual((self.folder / f"rank{rank}").read_text(), f"4 2 0.5 (64, 1.0, 0.0, 0.4, 0) False {classes}")
        self.assertAlmostEqual(result["state_mb"], 2 * 4 * 51 * 16 / 2**20)
        self.assertEqual(len(result["versions"]["partial_fc_v2_sha256"]), 16)

    def test_arcface_and_bfloat16_reach_their_code(self) -> None:
        self.measured("partial_fc.py", "--insightface", self.checkout(), *SHAPE, "--margin", "arcface", "--compute", "bfloat16")
        self.assertEqual((self.folder / "rank0").read_text(), "8 1 1.0 (64, 1.0, 0.5, 0.0, 0) True 50")

    def test_a_rank_that_fails_ends_all_with_one_sentence(self) -> None:
        done = self.run_peer("partial_fc.py", "--insightface", self.checkout(fails=True), *SHAPE, "--ranks", "2", "--threads", "2")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.splitlines()[-1], "partial_fc.py: rank 0 of 2 has failed: .*out of memory, as it were")

    def test_each_loss_is_measured_in_each_type(self) -> None:
        for loss in ("margin_softmax", "linear_cross_entropy", "linear_cross_entropy_chunked"):
            for compute in ("float32", "bfloat16"):
                result = self.measured("linear_cross_entropy.py", "--loss", loss, "--compute", compute, *SHAPE)
                self.assertEqual(result["options"]["margin"], "cosface" if loss == "margin_softmax" else "none")

    def test_the_margins_are_those_of_the_papers(self) -> None:
        code = ("import math, torch; from margin_softmax import margin_softmax\n"
                "c = torch.tensor([[0.3, 0.2, -0.1], [0.5, -0.4, 0.1]]); y = torch.tensor([1, 0])\n"
                "for margin, m, target in (('softmax', 9, lambda x: x), ('cosface', 0.4, lambda x: x - 0.4),\n"
                "                          ('arcface', 0.5, lambda x: math.cos(math.acos(x) + 0.5))):\n"
                "    want = 0\n"
                "    for i in range(2):\n"
                "        l = [8 * (target(x.item()) if j == y[i] else x.item()) for j, x in enumerate(c[i])]\n"
                "        want += (math.log(sum(map(math.exp, l))) - l[y[i]]) / 2\n"
                "    assert abs(margin_softmax(c, y, margin, m, 8).item() - want) < 1e-5, margin\n")
        subprocess.run([PYTHON, "-B", "-c", code], check=True, cwd=HERE)

    def test_training_reads_a_packed_set_and_learns(self) -> None:
        config = self.folder / "run.yaml"
        keys: dict[str, dict[str, object]] = {
            "run": {"seed": 1}, "data": {"train": ROOT / "examples/grocery/data", "format": "auto", "image_size": 16, "batch_size": 8,
                "flip": "true", "rotate_degrees": 5, "translate": 0.1, "scale": 0.1, "pixel_mean": 127.5, "pixel_std": 127.5},
            # Of 2 or 4 channels, LibTorch's strided 1×1 convolution writes past its buffers on processors without AVX-512.
            "backbone": {"name": "iresnet18", "width": 8, "embedding_size": 16, "compute": "float32", "dropout": "auto", "init": '""'},
            "head": {"classes": 0, "scale": 16, "init": '""', "standardize": "false", "sample_rate": 1, "filter": 1, "compute": "float32"},
            "loss": {"margin": "cosface", "m": 0.1, "class_weights": '""', "gradient": "exact"},
            "optimizer": {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.0005, "clip_grad_norm": 0},
            "schedule": {"kind": "cosine", "epochs": 4, "lr": 0.05, "end_lr": 0, "power": 2, "lr_batch_size": 0, "warmup_epochs": 1}}
        text = "".join(f"{section}:\n" + "".join(f"  {key}: {value}  # words\n" for key, value in values.items())
                       for section, values in keys.items())
        config.write_text(text)
        losses = []
        for steps in (3, 60):
            done = self.run_peer("pytorch_train.py", str(config), "--steps", str(steps), "--keep-decoded")
            self.assertEqual(done.returncode, 0, done.stderr)
            losses.append(float(done.stderr.splitlines()[-1].rpartition(" ")[2]))
        self.assertLess(losses[1], 0.7 * losses[0])
        saved = str(self.folder / "backbone.safetensors")
        self.measured("pytorch_train.py", str(config), "--steps", "4", "--channels-last", "--quiet", "--save", saved)
        for words in (b'"backbone":"iresnet18"', b'"width":"8"', b'"layer4.1.bn3.running_var"'):
            self.assertIn(words, pathlib.Path(saved).read_bytes())
        config.write_text(text.replace("sample_rate: 1", "sample_rate: 0.1"))
        self.assertIn("head.sample_rate: 0.1: this program knows only 1", self.run_peer("pytorch_train.py", str(config)).stderr)


if __name__ == "__main__":
    unittest.main()

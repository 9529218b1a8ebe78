"""How a variant of the Han run is trained, by arcshard or by plain PyTorch. Part of compare.py."""
from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from typing import Any, Protocol

ROOT = pathlib.Path(__file__).resolve().parents[2]
VARIANTS = {"full": [], "sampled": ["head.sample_rate=0.1"], "bfloat16": ["head.compute=bfloat16"]}
PYTORCH = "pytorch"
SETS = ("hard_pairs", "unseen_faces", "unseen_characters")
WARM_UP = 5.0  # seconds of a probe that do not count
ENDLESS = 1000.0  # epochs of a run that is ended by time


class Failure(Exception):
    """Why there is no table, in a sentence."""


@dataclasses.dataclass
class Row:
    variant: str
    basis: str  # "time" or "steps"
    epochs: float
    steps: int
    seconds: float  # of training, without verifications
    samples_per_second: float
    accuracy: dict[str, float]


class Trainer(Protocol):
    def probe(self) -> list[float]:
        """Steps in a second, and steps in an epoch."""

    def train(self, basis: str, epochs: float) -> Row:
        """Trains, unless the run's folder says that it was done."""


class ArcshardTrainer:
    """The service: shards, workers and a coordinator as processes of this machine."""

    def __init__(self, options: argparse.Namespace, variant: str) -> None:
        self.options, self.variant = options, variant
        for name in ("train.rec", *(f"{one}.bin" for one in SETS)):
            if not (options.data / name).is_file():
                raise Failure(f"{options.data / name} is missing: examples/han/make.py makes it")
        if not (options.build / "arcshard").is_file():
            raise Failure(f"{options.build / 'arcshard'} is missing: scripts/build release builds it")

    def probe(self) -> list[float]:
        run = self.folder(f"probe-{self.variant}")
        with open(log_of(run), "wb") as log, subprocess.Popen(self.command(run, ENDLESS), stdout=log, stderr=log) as process:
            try:
                process.wait(self.options.probe_seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)  # Ctrl-C ends a run in order
        steps = [line for line in read_metrics(run) if line["kind"] == "step"]
        counted = [line for line in steps if line["elapsed_seconds"] >= steps[0]["elapsed_seconds"] + WARM_UP]
        if len(counted) < 2 or counted[-1]["step"] == counted[0]["step"]:
            raise Failure(f"{log_of(run)}: too few steps in {self.options.probe_seconds:g} s to tell a rate")
        rate = (counted[-1]["step"] - counted[0]["step"]) / (counted[-1]["elapsed_seconds"] - counted[0]["elapsed_seconds"])
        return [rate, steps[0]["steps"] / ENDLESS]

    def train(self, basis: str, epochs: float) -> Row:
        run = self.options.runs.resolve() / f"{basis}-{self.variant}-{epochs:.3f}"
        if not any(line["kind"] == "end" and line["outcome"] == "finished" for line in read_metrics(run)):
            self.folder(run.name)
            announce(self.variant, basis, epochs, run)
            call(self.command(run, epochs), log_of(run))
        lines = read_metrics(run)
        steps = [line for line in lines if line["kind"] == "step"]
        verified = [line for line in lines if line["kind"] == "verification"][-1]
        accuracy = {one["name"]: one["accuracy"] for one in verified["sets"]}
        seconds = steps[-1]["elapsed_seconds"] - steps[0]["elapsed_seconds"]
        count = steps[-1]["step"] - steps[0]["step"]
        batch = number_of("batch_size", run / "config.yaml")
        return Row(self.variant, basis, epochs, steps[-1]["step"], seconds, count * batch / seconds, accuracy)

    def command(self, run: pathlib.Path, epochs: float, *more: str) -> list[str]:
        data = self.options.data.resolve()
        settings = [f"run.folder={run}", f"data.train={data}", f"schedule.epochs={epochs!r}",
                    f"verification.sets=[{', '.join(str(data / f'{name}.bin') for name in SETS)}]", "verification.every_epochs=0",
                    f"schedule.warmup_epochs={min(0.5, epochs / 10)!r}", *VARIANTS[self.variant], *self.options.set]
        command = [str(self.options.build / "arcshard"), "train", str(ROOT / "examples/han/han.yaml"),
                   "--shards", str(self.options.shards), "--workers", str(self.options.workers), *more]
        return command + [word for setting in settings for word in ("--set", setting)]

    def folder(self, name: str) -> pathlib.Path:
        """The path of a run that begins anew."""
        run: pathlib.Path = self.options.runs.resolve() / name
        shutil.rmtree(run, ignore_errors=True)
        run.parent.mkdir(parents=True, exist_ok=True)
        return run


class PytorchTrainer:
    """bench/peers/pytorch_train.py with the same configuration, on all cores."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.arcshard = options, ArcshardTrainer(options, "full")
        if not options.python.is_file():
            raise Failure(f"{options.python} is missing: scripts/setup --peers installs it, or --variant leaves {PYTORCH} out")

    def probe(self) -> list[float]:
        run = self.arcshard.folder(f"probe-{PYTORCH}")
        result = self.pytorch(run, ENDLESS, "--seconds", str(self.options.probe_seconds))
        return [1e3 / result["step_ms"], result["steps"] / ENDLESS]

    def train(self, basis: str, epochs: float) -> Row:
        run = self.options.runs.resolve() / f"{basis}-{PYTORCH}-{epochs:.3f}"
        accuracies, backbone = run / "accuracy.json", run / "backbone.safetensors"
        if not accuracies.is_file():
            self.arcshard.folder(run.name)
            announce(PYTORCH, basis, epochs, run)
            self.pytorch(run, epochs, "--save", str(backbone))
            accuracies.write_text(json.dumps(self.verify(backbone, log_of(run))), encoding="utf-8")
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        count = result["trained_steps"]
        speed = count * number_of("batch_size", run / "config.yaml") / result["seconds"]
        return Row(PYTORCH, basis, epochs, count, result["seconds"], speed, json.loads(accuracies.read_text(encoding="utf-8")))

    def pytorch(self, run: pathlib.Path, epochs: float, *more: str) -> dict[str, Any]:
        run.mkdir(parents=True)
        config, result = run / "config.yaml", run / "result.json"
        call(self.arcshard.command(run, epochs, "--dry-run"), config)
        call([str(self.options.python), "-B", str(ROOT / "bench/peers/pytorch_train.py"), str(config), "--quiet", "--keep-decoded",
              "--threads", str(os.cpu_count()), "--json", str(result), *more], log_of(run))
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found

    def verify(self, backbone: pathlib.Path, log: pathlib.Path) -> dict[str, float]:
        sets = [str(self.options.data / f"{name}.bin") for name in SETS]
        text = subprocess.run([str(self.options.build / "arcshard"), "verify", str(backbone), *sets], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        with open(log, "a", encoding="utf-8") as file:
            file.write(text.stdout)
        accuracy = {name: float(value) for name, value in re.findall(r"^(\w+): accuracy ([0-9.]+)", text.stdout, re.MULTILINE)}
        if text.returncode != 0 or set(accuracy) != set(SETS):
            raise Failure(f"the backbone of {PYTORCH} could not be verified: see {log}")
        return accuracy


def announce(variant: str, basis: str, epochs: float, run: pathlib.Path) -> None:
    print(f"{variant}, equal {basis}: {epochs:.2f} epochs in {run}", file=sys.stderr, flush=True)


def call(command: list[str], log: pathlib.Path) -> None:
    """Runs a command whose output goes into `log`."""
    with open(log, "wb") as file:
        if subprocess.run(command, stdout=file, stderr=file, check=False).returncode != 0:
            raise Failure(f"{pathlib.Path(command[0]).name} failed: see {log}")


def log_of(run: pathlib.Path) -> pathlib.Path:
    return run.parent / f"{run.name}.log"


def read_metrics(run: pathlib.Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.is_file() else []


def number_of(key: str, config: pathlib.Path) -> int:
    found = re.search(rf"\b{key}: (\d+)", config.read_text(encoding="utf-8"))
    if found is None:
        raise Failure(f"{config} has no {key}")
    return int(found[1])

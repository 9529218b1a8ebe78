#!/usr/bin/env python3
"""Trains the variants of han.yaml for the same time, and for the same number of steps, and prints a table of their accuracy.

    .deps/python/bin/python examples/han/compare.py --minutes 20
    .deps/python/bin/python examples/han/compare.py --minutes 5 --variant full --variant sampled

The table is Markdown; --json FILE keeps its figures. Each variant first trains for --probe-seconds, all of them in turn, and so
twice; from its better rate follows how many epochs it trains in the given time, with a learning rate that falls over just these.
The runs and the rates are in runs/han_compare. What has ended there is not done again, so that a table can be made in parts; a
table for other data needs another folder (--runs).
"""
import argparse
import dataclasses
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
VARIANTS = {"full": [], "sampled": ["head.sample_rate=0.1"], "bfloat16": ["head.compute=bfloat16"]}
SETS = ("hard_pairs", "unseen_faces", "unseen_characters")
WARM_UP = 5.0  # seconds of a probe that do not count


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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="that each variant trains")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="that is trained; may be repeated (default: all)")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "examples/han/data", help="what make.py has made")
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs/han_compare", help="the folder for the runs")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release/bin", help="the folder with the programs")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--probe-seconds", type=float, default=40.0, help="of training, by which the rate is measured (default: 40)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all variants, as of `arcshard train`")
    parser.add_argument("--json", type=pathlib.Path, help="writes the figures")
    options = parser.parse_args()
    if options.minutes <= 0 or options.probe_seconds <= WARM_UP:
        parser.error(f"--minutes must be above 0 and --probe-seconds above {WARM_UP:g}")
    return options


class Trainer:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        for name in ("train.rec", *(f"{one}.bin" for one in SETS)):
            if not (options.data / name).is_file():
                raise Failure(f"{options.data / name} is missing: examples/han/make.py makes it")
        if not (options.build / "arcshard").is_file():
            raise Failure(f"{options.build / 'arcshard'} is missing: scripts/build release builds it")

    def command(self, variant: str, run: pathlib.Path, epochs: float) -> list[str]:
        data = self.options.data.resolve()
        settings = [f"run.folder={run}", f"data.train={data}", f"schedule.epochs={epochs!r}",
                    f"verification.sets=[{', '.join(str(data / f'{name}.bin') for name in SETS)}]", "verification.every_epochs=0",
                    f"schedule.warmup_epochs={min(0.5, epochs / 10)!r}", *VARIANTS[variant], *self.options.set]
        command = [str(self.options.build / "arcshard"), "train", str(ROOT / "examples/han/han.yaml"),
                   "--shards", str(self.options.shards), "--workers", str(self.options.workers)]
        return command + [word for setting in settings for word in ("--set", setting)]

    def probe(self, variant: str) -> list[float]:
        """Steps in a second after WARM_UP, and steps in an epoch. The run is ended by Ctrl-C."""
        run = self.options.runs.resolve() / f"probe-{variant}"
        shutil.rmtree(run, ignore_errors=True)
        run.parent.mkdir(parents=True, exist_ok=True)
        command = self.command(variant, run, 1000.0)
        with open(log_of(run), "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                process.wait(self.options.probe_seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
        steps = [line for line in read_metrics(run) if line["kind"] == "step"]
        counted = [line for line in steps if line["elapsed_seconds"] >= steps[0]["elapsed_seconds"] + WARM_UP]
        if len(counted) < 2 or counted[-1]["step"] == counted[0]["step"]:
            raise Failure(f"{log_of(run)}: too few steps in {self.options.probe_seconds:g} s to tell a rate")
        rate = (counted[-1]["step"] - counted[0]["step"]) / (counted[-1]["elapsed_seconds"] - counted[0]["elapsed_seconds"])
        return [rate, steps[0]["steps"] / 1000.0]

    def train(self, variant: str, basis: str, epochs: float) -> Row:
        run = self.options.runs.resolve() / f"{basis}-{variant}-{epochs:.3f}"
        if not any(line["kind"] == "end" and line["outcome"] == "finished" for line in read_metrics(run)):
            shutil.rmtree(run, ignore_errors=True)
            print(f"{variant}, equal {basis}: {epochs:.2f} epochs in {run}", file=sys.stderr, flush=True)
            with open(log_of(run), "wb") as log:
                if subprocess.run(self.command(variant, run, epochs), stdout=log, stderr=log, check=False).returncode != 0:
                    raise Failure(f"{variant} was not trained to its end: see {log_of(run)}")
        lines = read_metrics(run)
        steps = [line for line in lines if line["kind"] == "step"]
        verified = [line for line in lines if line["kind"] == "verification"][-1]
        accuracy = {one["name"]: one["accuracy"] for one in verified["sets"]}
        seconds = steps[-1]["elapsed_seconds"] - steps[0]["elapsed_seconds"]
        count = steps[-1]["step"] - steps[0]["step"]
        batch = re.search(r"\bbatch_size: (\d+)", (run / "config.yaml").read_text(encoding="utf-8"))
        if batch is None:
            raise Failure(f"{run / 'config.yaml'} has no batch_size")
        return Row(variant, basis, epochs, steps[-1]["step"], seconds, count * int(batch[1]) / seconds, accuracy)


def log_of(run: pathlib.Path) -> pathlib.Path:
    return run.parent / f"{run.name}.log"


def read_metrics(run: pathlib.Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.is_file() else []


def compare(options: argparse.Namespace) -> list[Row]:
    trainer = Trainer(options)
    variants = options.variant or list(VARIANTS)
    kept = options.runs / "rates.json"
    rates: dict[str, list[float]] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    unknown = [variant for variant in variants if variant not in rates]
    for variant in unknown * 2:  # in turn, so that a slow minute of the machine does not meet one of them
        rates[variant] = max(trainer.probe(variant), rates.get(variant, [0.0, 0.0]))
    kept.write_text(json.dumps(rates) + "\n", encoding="utf-8")
    epochs = {variant: rate * 60 * options.minutes / steps_in_epoch for variant, (rate, steps_in_epoch) in rates.items()}
    rows = [trainer.train(variant, "time", epochs[variant]) for variant in variants]
    first = variants[0]
    return rows + [trainer.train(variant, "steps", epochs[first]) for variant in variants[1:]]


def print_table(rows: list[Row]) -> None:
    print("| equal | variant | steps | epochs | training, s | images/s | " + " | ".join(SETS) + " |")
    print("|---" * (6 + len(SETS)) + "|")
    for row in rows:
        figures = " | ".join(f"{100 * row.accuracy[name]:.2f} %" for name in SETS)
        print(f"| {row.basis} | {row.variant} | {row.steps} | {row.epochs:.2f} | {row.seconds:.0f} | {row.samples_per_second:.0f} | {figures} |")


def main() -> None:
    options = arguments()
    try:
        rows = compare(options)
    except (Failure, OSError) as error:
        sys.exit(f"compare.py: {error}")
    print_table(rows)
    if options.json is not None:
        options.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

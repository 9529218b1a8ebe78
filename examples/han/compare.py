#!/usr/bin/env python3
"""Trains the variants of han.yaml for the same time, and for the same number of steps, and prints a table of their accuracy.

    .deps/python/bin/python examples/han/compare.py --minutes 20
    .deps/python/bin/python examples/han/compare.py --minutes 5 --variant full --variant sampled

The variant pytorch is bench/peers/pytorch_train.py: one process with the same backbone, data and head, in plain PyTorch, which
scripts/setup --peers installs. The table is Markdown; --json FILE keeps its figures. Each variant first trains for
--probe-seconds, all of them in turn, and so twice; from its better rate follows how many epochs it trains in the given time,
with a learning rate that falls over just these. The runs and the rates are in runs/han_compare. What has ended there is not
done again, so that a table can be made in parts; a table for other data needs another folder (--runs).
"""
import argparse
import dataclasses
import json
import pathlib
import sys

from trainers import PYTORCH, ROOT, SETS, VARIANTS, WARM_UP, ArcshardTrainer, Failure, PytorchTrainer, Row, Trainer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="that each variant trains")
    parser.add_argument("--variant", action="append", choices=[*VARIANTS, PYTORCH], help="that is trained; may be repeated (default: all)")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "examples/han/data", help="what make.py has made")
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs/han_compare", help="the folder for the runs")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release/bin", help="the folder with the programs")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--probe-seconds", type=float, default=40.0, help="of training, by which the rate is measured (default: 40)")
    parser.add_argument("--python", type=pathlib.Path, default=ROOT / ".deps/peers/bin/python", help="a Python with PyTorch, for pytorch")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all variants, as of `arcshard train`")
    parser.add_argument("--json", type=pathlib.Path, help="writes the figures")
    options = parser.parse_args()
    if options.minutes <= 0 or options.probe_seconds <= WARM_UP:
        parser.error(f"--minutes must be above 0 and --probe-seconds above {WARM_UP:g}")
    return options


def compare(options: argparse.Namespace) -> list[Row]:
    variants = options.variant or [*VARIANTS, PYTORCH]
    trainers: dict[str, Trainer] = {
        variant: PytorchTrainer(options) if variant == PYTORCH else ArcshardTrainer(options, variant) for variant in variants}
    kept = options.runs / "rates.json"
    rates: dict[str, list[float]] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    unknown = [variant for variant in variants if variant not in rates]
    for variant in unknown * 2:  # in turn, so that a slow minute of the machine does not meet one of them
        rates[variant] = max(trainers[variant].probe(), rates.get(variant, [0.0, 0.0]))
    kept.write_text(json.dumps(rates) + "\n", encoding="utf-8")
    epochs = {variant: rate * 60 * options.minutes / steps_in_epoch for variant, (rate, steps_in_epoch) in rates.items()}
    rows = [trainers[variant].train("time", epochs[variant]) for variant in variants]
    first = variants[0]
    return rows + [trainers[variant].train("steps", epochs[first]) for variant in variants[1:]]


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

"""A run's complete configuration, as `arcshard train run.yaml --dry-run` prints it."""
from __future__ import annotations

import math
import pathlib
import re
import sys
from typing import NoReturn


class RunConfig:
    """The values by section.key. A value that is missing or of another kind ends the program with a sentence."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.values: dict[str, str] = {}
        section = ""
        for line in path.read_text().splitlines():
            if found := re.fullmatch(r"(\w+):", line):
                section = found[1]
            elif found := re.match(r"  (\w+): (.*?)(?:  # .*)?$", line):
                self.values[f"{section}.{found[1]}"] = found[2].strip('"')

    def refuse(self, key: str, why: str) -> NoReturn:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {self.path}: {key}: {self.values.get(key, '')}: {why}")

    def text(self, key: str) -> str:
        if key not in self.values:
            sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {self.path} lacks {key}; "
                     "it has to be what arcshard train run.yaml --dry-run prints")
        return self.values[key]

    def number(self, key: str) -> float:
        try:
            return float(self.text(key))
        except ValueError:
            self.refuse(key, "not a number")

    def whole(self, key: str) -> int:
        value = self.number(key)
        if value != int(value):
            self.refuse(key, "not a whole number")
        return int(value)

    def one_of(self, key: str, *known: str) -> str:
        value = self.text(key)
        if value not in known:
            self.refuse(key, f"this program knows only {', '.join(known)}")
        return value


class Schedule:
    """The learning rate of each step, by arcshard's rules (schedule.* in docs, coordinator/policy/schedule.cc)."""

    def __init__(self, config: RunConfig, steps_per_epoch: int) -> None:
        self.kind = config.one_of("schedule.kind", "polynomial", "cosine")
        self.lr, self.end_lr, self.power = (config.number(f"schedule.{key}") for key in ("lr", "end_lr", "power"))
        if (meant_for := config.whole("schedule.lr_batch_size")) > 0:
            self.lr *= config.whole("data.batch_size") / meant_for
        self.warmup = round(config.number("schedule.warmup_epochs") * steps_per_epoch)
        self.steps = max(1, round(config.number("schedule.epochs") * steps_per_epoch))

    def rate(self, step: int) -> float:
        """step: from 1."""
        if step <= self.warmup:
            return self.lr * step / self.warmup
        p = min(1.0, (step - 1 - self.warmup) / max(1, self.steps - self.warmup))
        share = 0.5 * (1 + math.cos(math.pi * p)) if self.kind == "cosine" else (1 - p) ** self.power
        return self.end_lr + (self.lr - self.end_lr) * share

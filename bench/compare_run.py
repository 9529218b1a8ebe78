"""Runs programs alternately, and notes what each took in each round. Part of bench/compare."""
from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NoReturn

POLL_SECONDS = 0.2
BAD_OPTIONS = 2  # exit status of a program that cannot do what it was asked, as argparse has it


def fail(sentence: str) -> NoReturn:
    sys.exit(f"compare: {sentence}")


@dataclasses.dataclass
class Outcome:
    """What a program has reported after a round."""

    ms: dict[str, float]  # by row: of a step
    versions: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Contestant:
    """A program and the rows of the table that it fills. FOLDER in its command stands for a new folder of each round."""

    rows: list[str]
    role: str  # ours | floor | peer; only a peer may fail
    command: list[str]
    read: Callable[[pathlib.Path], Outcome]  # from that folder, after the program's success


def children_of_all() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    return children


def peak_of(pid: int) -> float:
    """VmHWM in MiB, 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def peak_of_tree(root: int) -> float:
    """The sum, over a process and all that come from it, of the highest resident memory."""
    children, pending, total = children_of_all(), [root], 0.0
    while pending:
        pid = pending.pop()
        total += peak_of(pid)
        pending += children.get(pid, [])
    return total


def let_die_first(pid: int) -> None:
    """When memory runs out, the kernel ends this process, and those that it will start, before any other."""
    with contextlib.suppress(OSError):  # it has ended
        pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def run_program(command: list[str], errors: pathlib.Path, limit: float) -> tuple[int, float]:
    """Exit status (negative: a signal's number) and peak of the memory in MiB. It is ended after `limit` seconds."""
    end, peak = time.monotonic() + limit, 0.0
    with (errors.open("wb") as log,
          subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as program):
        let_die_first(program.pid)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return program.wait(POLL_SECONDS), peak
                peak = max(peak, peak_of_tree(program.pid))
                if time.monotonic() > end:
                    log.write(f"\ndid not end within {limit:g} s\n".encode())
                    return 1, peak
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)  # what is left of it, Ctrl-C included


def last_line(path: pathlib.Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


class Race:
    """The rounds of some contestants: in every second round they run in the opposite order."""

    def __init__(self, contestants: list[Contestant], limit: float) -> None:
        self.contestants, self.limit = contestants, limit
        self.rows: dict[str, dict[str, Any]] = {
            name: {"name": name, "role": one.role, "ms": [], "memory_mb": 0.0, "failure": None, "versions": {}}
            for one in contestants for name in one.rows}

    def run(self, rounds: int) -> list[dict[str, Any]]:
        for number in range(rounds):
            for one in self.contestants if number % 2 == 0 else self.contestants[::-1]:
                if self.rows[one.rows[0]]["failure"] is None:
                    self.run_one(one)
            print(f"round {number + 1} of {rounds}: " + ", ".join(
                f"{row['ms'][-1]:.1f}" if row["failure"] is None else "failed" for row in self.rows.values()), file=sys.stderr)
        return list(self.rows.values())

    def run_one(self, one: Contestant) -> None:
        with tempfile.TemporaryDirectory(prefix="arcshard-compare-") as name:
            folder = pathlib.Path(name)
            errors = folder / "log"
            status, peak = run_program([part.replace("FOLDER", name) for part in one.command], errors, self.limit)
            if status != 0:
                why = f"signal {-status}" if status < 0 else last_line(errors)
                if one.role != "peer" or status == BAD_OPTIONS:
                    fail(f"{one.rows[0]}: {why} ({' '.join(one.command)})")
                for row in one.rows:
                    self.rows[row]["failure"] = why
                return
            outcome = one.read(folder)
        for row in one.rows:
            self.rows[row]["ms"].append(outcome.ms[row])
            self.rows[row]["versions"] |= outcome.versions
            self.rows[row]["memory_mb"] = max(self.rows[row]["memory_mb"], peak)

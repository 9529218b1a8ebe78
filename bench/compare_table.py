"""What bench/compare prints: Markdown for docs/benchmarks.md."""
from __future__ import annotations

import statistics
import textwrap
from typing import Any

COLUMNS = 118


def number(value: float) -> str:
    """Three significant digits, or all those before the point."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def with_spread(values: list[float]) -> str:
    low, median, high = map(number, quartiles(values))
    return median if low == median == high else f"{median} ({low} to {high})"


def memory(mb: float) -> str:
    return f"{mb:.0f} MB" if mb < 9999.5 else f"{mb / 1024:.1f} GB"


def row_of(row: dict[str, Any], ours: list[float], batch: int | None) -> str:
    """batch: of a table of images a second, None in one of milliseconds."""
    if row["failure"] is not None:
        return f"| {row['name']} | failed: {row['failure'].replace('|', '/')} | | |"
    figure = with_spread(row["ms"]) + " ms" if batch is None else with_spread([batch / ms * 1e3 for ms in row["ms"]])
    ratio = "1" if row["role"] == "ours" else with_spread([theirs / own for theirs, own in zip(row["ms"], ours, strict=True)])
    return f"| {row['name']} | {figure} | {ratio} | {memory(row['memory_mb']) if row['role'] != 'floor' else ''} |"


def versions_of(record: dict[str, Any]) -> str:
    found: dict[str, str] = {}
    for group in record["groups"]:
        for row in group["rows"]:
            found |= row["versions"]
    names = {"libtorch": "LibTorch", "torch": "PyTorch", "insightface": "InsightFace", "python": "Python",
             "partial_fc_v2_sha256": "partial_fc_v2.py's SHA-256", "compiler": ""}
    return ", ".join([f"arcshard {record['arcshard']}"] + [
        f"{names.get(key, key)} {value}".strip() for key, value in sorted(found.items())])


def table(record: dict[str, Any]) -> str:
    """The whole section of one comparison."""
    rounds = "one round." if record["rounds"] == 1 else (
        f"{record['rounds']} rounds, alternately: medians of the rounds, in brackets their quartiles.")
    if record["load"] > record["cores"] / 4:
        rounds += f" The machine was busy: its load was {record['load']:.1f} before."
    what = f"**{record['cores']} cores of {record['processor']}, {record['date']}.** {record['what']}; {rounds} "
    what += f"Memory: highest resident, summed over a program's processes. {versions_of(record)}."
    lines = [textwrap.fill(what, COLUMNS, break_long_words=False, break_on_hyphens=False), ""]
    batch = record["batch"] if record["unit"] == "images/s" else None
    for group in record["groups"]:
        ours = next(row["ms"] for row in group["rows"] if row["role"] == "ours")
        lines += [f"| {group['name']} | {'a step' if batch is None else 'images/s'} | time / arcshard's | memory |", "|---|---|---|---|"]
        lines += [row_of(row, ours, batch) for row in group["rows"]] + [""]
    return "\n".join([*lines, "```", *textwrap.wrap(record["command"], COLUMNS - 6, break_long_words=False,
                      break_on_hyphens=False, subsequent_indent="    "), "```"]).replace("\n    ", " \\\n    ")

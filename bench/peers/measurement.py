"""What the programs of this folder have in common: options, times, memory, and the results as JSON.

The results have the names that head_bench gives its own. All times are wall time, in milliseconds:

    step_ms, step_quartiles_ms   median and quartiles of the measured steps; the first two steps are not measured
    images_per_second            from the median
    peak_mb                      highest resident memory, the sum over the processes
    state_mb                     class centers and momentum
    peak_extra_mb                peak_mb without the state and without what was resident before the state was made
    peak_gpu_mb                  on a GPU: what PyTorch has allocated there at most, the sum over the processes
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

WARM_UP_STEPS = 2


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


def share(text: str) -> float:
    if not 0 < (value := float(text)) <= 1:
        raise ValueError
    return value


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a step without a backbone."""
    add = parser.add_argument
    add("--classes", type=positive, default=100_000, help="classes (default: %(default)s)")
    add("--batch", type=positive, default=256, help="samples of a step (default: %(default)s)")
    add("--dim", type=positive, default=512, help="dimensions (default: %(default)s)")
    add("--compute", choices=["float32", "bfloat16", "float16"], default="float32",
        help="type of the factors of matrix products (default: %(default)s)")
    add("--margin", choices=["cosface", "arcface"], default="cosface",
        help="margin, 0.4 in the cosine or 0.5 in the angle (default: %(default)s)")
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--threads", type=positive, default=1, help="threads, of all processes together (default: %(default)s)")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where it computes (default: %(default)s)")
    add("--repeats", type=positive, default=9, help="measured steps (default: %(default)s)")
    add("--json", metavar="FILE", help="file for all results as a JSON object")


def require_torch(parser: argparse.ArgumentParser) -> None:
    """Ends the program with a sentence where Python has no PyTorch."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        parser.error(f"{sys.executable} cannot import PyTorch ({error}); scripts/setup --peers installs it in .deps/peers")


def require_device(parser: argparse.ArgumentParser, device: str, count: int = 1) -> None:
    import torch
    if device == "cuda" and (found := torch.cuda.device_count()) < count:
        parser.error(f"--device cuda: PyTorch {torch.__version__} finds {found} GPUs here, and {count} are needed")


def memory_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (the highest since the start) of this process."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


@dataclasses.dataclass
class Measured:
    """What one process has measured."""

    steps_ms: list[float]
    peak_mb: float
    before_mb: float  # resident before the state was made
    state_mb: float
    peak_gpu_mb: float | None = None

    @staticmethod
    def of(step: Callable[[], object], options: argparse.Namespace, before_mb: float, state_mb: float) -> Measured:
        """Calls `step`, which waits for the device, again and again."""
        times = []
        for repeat in range(WARM_UP_STEPS + options.repeats):
            begin = time.perf_counter()
            step()
            if repeat >= WARM_UP_STEPS:
                times.append((time.perf_counter() - begin) * 1e3)
        return Measured(times, memory_mb("VmHWM"), before_mb, state_mb, peak_gpu_mb(options.device))


def synchronize(device: str) -> None:
    """Waits until the GPU has done what it was given."""
    if device == "cuda":
        import torch
        torch.cuda.synchronize()


def peak_gpu_mb(device: str) -> float | None:
    if device != "cuda":
        return None
    import torch
    return float(torch.cuda.max_memory_allocated() / 2**20)


def processor_name() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine() or "unknown"


def result_of(program: str, processes: list[Measured], options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """The results of processes that took the same steps together: the first one's times, the memory of all."""
    import torch
    times = processes[0].steps_ms
    quartiles = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    median, peak, state = statistics.median(times), sum(p.peak_mb for p in processes), sum(p.state_mb for p in processes)
    result: dict[str, Any] = {
        "program": program, "step_ms": median, "step_quartiles_ms": [quartiles[0], quartiles[2]],
        "images_per_second": batch / median * 1e3, "peak_mb": peak, "state_mb": state,
        "peak_extra_mb": peak - state - sum(p.before_mb for p in processes)}
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    if options.device == "cuda":
        result["peak_gpu_mb"] = sum(p.peak_gpu_mb or 0.0 for p in processes)
        result["peak_extra_mb"] = result["peak_gpu_mb"] - state
        result["gpu"] = torch.cuda.get_device_name()
        versions["cuda"] = str(torch.version.cuda)
    result |= {"options": {key: value for key, value in vars(options).items() if key != "json"},
               "processor": processor_name(), "threads": options.threads, "versions": versions}
    return result


def print_result(result: dict[str, Any], path: str | None) -> None:
    """Prints a line for each entry except the options, and writes all to the file if there is one."""
    for name, value in result.items():
        if isinstance(value, float):
            print(f"{name:<17} {value:9.3f}")
        elif name != "options":
            print(f"{name:<17} {json.dumps(value)}")
    if path is not None:
        pathlib.Path(path).write_text(json.dumps(result, indent=2) + "\n")

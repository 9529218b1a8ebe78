"""scripts/gpu_check run: all checks one after the other, within a few minutes, whatever fails."""
from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import lzma
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from gpu_check_build import ARCHIVE

SKIPPED = 77  # a test program's status where there is no GPU
MEMCHECK_FOUND = 86
GIB = 2**30
DIM = 512

# Tests that are small enough for compute-sanitizer.
MEMCHECKED = {"head_test": "HeadTest.*:ReplayTest.*:SamplingTest.*", "head_golden_test": "*sampled_3_steps*:*uneven_micro_batches*"}


@dataclasses.dataclass(frozen=True)
class Check:
    """One program to run. `figures` reads its results after it has ended well."""

    name: str
    command: list[str]
    limit_s: float
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    figures: Callable[[str], dict[str, Any]] = lambda _: {}
    ours: bool = True  # loads the libraries of the folder


class Report:
    """The log, and the JSON file, which is complete after each check."""

    def __init__(self, results: pathlib.Path, deadline: float) -> None:
        results.mkdir(parents=True, exist_ok=True)
        self.file = results / "gpu_check.json"
        self.log: TextIO = (results / "gpu_check.log").open("w")
        self.start = time.monotonic()
        self.deadline = deadline
        self.data: dict[str, Any] = {"started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": {}, "checks": []}

    def say(self, text: str) -> None:
        line = f"[{time.monotonic() - self.start:6.1f} s] {text}"
        print(line, flush=True)
        self.log.write(line + "\n")
        self.log.flush()

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def add(self, name: str, outcome: str, **more: Any) -> None:
        self.data["checks"].append({"name": name, "outcome": outcome, **more})
        self.write()
        figures = ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                            for key, value in more.get("figures", {}).items() if not isinstance(value, dict))
        self.say(f"{outcome:8} {name}{': ' + figures if figures else ''}{': ' + more['why'] if more.get('why') else ''}")

    def close(self) -> None:
        self.log.close()

    def write(self) -> None:
        temporary = self.file.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1) + "\n")
        temporary.replace(self.file)


def output_of(check: Check, environment: dict[str, str], limit_s: float, log: TextIO) -> tuple[int | None, str]:
    """The status, None if the check was ended after `limit_s`, and what it printed, which goes to the log as it comes."""
    lines: list[str] = []
    process = subprocess.Popen(check.command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            log.write(f"    {line}")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    status: int | None = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = process.wait(limit_s)
    with contextlib.suppress(ProcessLookupError):  # all that the check has started
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reader.join(10)
    if not reader.is_alive() and process.stdout is not None:
        process.stdout.close()
    return status, "".join(lines)


class Runner:
    def __init__(self, report: Report, environment: dict[str, str]) -> None:
        self.report = report
        self.environment = environment  # of programs of the folder

    def run(self, check: Check) -> None:
        """Runs the check and reports it. Raises nothing that the check causes."""
        limit_s = min(check.limit_s, self.report.left())
        if limit_s < 0.5:
            self.report.add(check.name, "not run", why="no time is left")
            return
        self.report.log.write(f"\n$ {' '.join(check.command)}\n")
        start = time.monotonic()
        try:
            own = self.environment if check.ours else dict(os.environ)
            status, output = output_of(check, own | check.environment, limit_s, self.report.log)
            seconds = round(time.monotonic() - start, 1)
            if status is None:
                self.report.add(check.name, "too long", seconds=seconds, why=f"ended after {limit_s:.0f} s")
            elif status == SKIPPED:
                self.report.add(check.name, "skipped", seconds=seconds, why=last_line(output))
            elif status != 0:
                self.report.add(check.name, "failed", seconds=seconds, status=status, why=last_line(output))
            else:
                self.report.add(check.name, "passed", seconds=seconds, figures=check.figures(output))
        except Exception as error:  # noqa: BLE001 the others are carried out all the same
            self.report.add(check.name, "failed", why=f"{type(error).__name__}: {error}")


def last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"


def gtest_figures(output: str) -> dict[str, Any]:
    found = re.search(r"\[  PASSED  \] (\d+) test", output)
    return {"tests": int(found.group(1))} if found else {}


# --- the machine

def first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return last_line(done.stdout or done.stderr)


def machine() -> dict[str, str]:
    version = "import torch; print(torch.__version__, torch.cuda.is_available())"
    return {"gpu": first_line("nvidia-smi", "--query-gpu=name,memory.total,driver_version,clocks.max.sm", "--format=csv,noheader"),
            "nvcc": first_line("nvcc", "--version"), "python": platform.python_version(), "glibc": platform.libc_ver()[1],
            "torch": first_line(sys.executable, "-c", version), "cores": str(os.cpu_count())}


def library_folders(folder: pathlib.Path) -> list[str]:
    """Where LibTorch and NVIDIA's libraries are: beside this Python's torch, and in CUDA's toolkit."""
    found = first_line(sys.executable, "-c", "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])")
    torch = pathlib.Path(found)
    folders = [folder / "lib", torch / "lib", *sorted(torch.parent.glob("nvidia/*/lib")), pathlib.Path("/usr/local/cuda/lib64")]
    return [str(one) for one in folders if one.is_dir()]


@contextlib.contextmanager
def built_paths(root: pathlib.Path, folder: pathlib.Path, manifest: dict[str, Any]) -> Iterator[None]:
    """Tests find what is checked in, and the programs, under the paths that they were built in: links, where nothing is."""
    made = []
    try:
        for path, target in ((pathlib.Path(manifest["source_dir"]), root), (pathlib.Path(manifest["binary_dir"]), folder)):
            if path.is_symlink():  # of a run that was killed
                path.unlink()
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(target)
                made.append(path)
        yield
    finally:
        for path in made:
            path.unlink()


# --- the checks

def tests(folder: pathlib.Path, manifest: dict[str, Any], without_gpu: bool) -> Iterator[Check]:
    on_gpu = {"ARCSHARD_TEST_DEVICE": "cuda"}
    for name in manifest["tests_without_device"]:
        yield Check(f"test {name}", [str(folder / "test" / name)], 30, figures=gtest_figures)
    for name in manifest["tests"]:
        yield Check(f"test {name}", [str(folder / "test" / name)], 90, on_gpu, gtest_figures)
    if without_gpu:
        return
    for name, tests_of in MEMCHECKED.items():
        memcheck = ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", str(MEMCHECK_FOUND)]
        yield Check(f"memcheck {name}", [*memcheck, str(folder / "test" / name), f"--gtest_filter={tests_of}"], 60, on_gpu, gtest_figures)


@dataclasses.dataclass(frozen=True)
class Types:
    compute: str
    stored: str  # weights and moments

    def name(self) -> str:
        return self.compute if self.stored == "float32" else f"{self.compute} weights"

    def state_bytes(self) -> int:
        """Of a class: weights, one moment, inverse norm."""
        return 2 * DIM * (4 if self.stored == "float32" else 2) + 4

    def kept_bytes(self, classes: int, batch: int) -> int:
        return classes * batch * (4 if self.compute == "float32" else 2)


def head_figures(file: pathlib.Path, types: Types) -> Callable[[str], dict[str, Any]]:
    def read(_: str) -> dict[str, Any]:
        result = json.loads(file.read_text())
        classes, batch = result["options"]["classes"], result["options"]["batch"]
        flops = result["products"]["count"] * 2.0 * classes * batch * DIM
        bytes_of_pass = 2.0 * classes * (types.state_bytes() - 4)
        memory = classes * types.state_bytes() + result["peak_extra_mb"] * 2**20
        return {"step_ms": result["step_ms"], "share_of_limit": 1.0 / result["floor_ratio"],
                "products_tflops": flops / result["products_ms"] / 1e9, "stream_gb_per_s": bytes_of_pass / result["stream_ms"] / 1e6,
                "classes_per_gib": classes / memory * GIB, "result": result}

    return read


def head_benchmarks(folder: pathlib.Path, scratch: pathlib.Path, without_gpu: bool) -> Iterator[Check]:
    """The fast ones first, so that what no time is left for are the longest."""
    all_types = (Types("bfloat16", "float32"), Types("float32", "float32"), Types("bfloat16", "bfloat16"))
    sizes = [(n, b) for n in (100_000, 1_000_000, 10_000_000) for b in (256, 1024, 4096)]
    if without_gpu:
        sizes = [(2000, 32)]
    cases = sorted(((n, b, types) for n, b in sizes for types in all_types),
                   key=lambda case: case[0] * (case[1] * (16 if case[2].compute == "float32" else 1) + 1000))
    for classes, batch, types in cases:
        file = scratch / f"head-{classes}-{batch}-{types.name().replace(' ', '-')}.json"
        kept = min(types.kept_bytes(classes, batch), 16 * GIB) // 2**20 + 1
        command = [str(folder / "bin" / "head_bench"), f"--classes={classes}", f"--batch={batch}", f"--dim={DIM}", "--repeats=3",
                   f"--compute={types.compute}", f"--weights={types.stored}", f"--moments={types.stored}", f"--exp-budget-mb={kept}",
                   f"--device={'cpu' if without_gpu else 'cuda'}", f"--json={file}"]
        yield Check(f"head_bench {types.name()} N={classes} B={batch}", command, 45, figures=head_figures(file, types))


def peers(root: pathlib.Path, folder: pathlib.Path, scratch: pathlib.Path, without_gpu: bool) -> Iterator[Check]:
    """Others' heads on the same GPU, in the types that they have there."""
    theirs = f"--insightface={folder / 'insightface'}"
    cases = [("partial_fc.py", [theirs], "float32"), ("linear_cross_entropy.py", [], "float32"),
             ("linear_cross_entropy.py", ["--loss=margin_softmax"], "float32")]
    sizes = [(2000, 32)]
    if not without_gpu:
        cases += [("partial_fc.py", [theirs], "float16"), ("linear_cross_entropy.py", [], "bfloat16"),
                  ("linear_cross_entropy.py", ["--loss=margin_softmax"], "bfloat16")]
        sizes = [(100_000, 1024), (1_000_000, 1024)]
    for number, ((classes, batch), (script, more, compute)) in enumerate(itertools.product(sizes, cases)):
        file = scratch / f"peer-{number}.json"
        command = [sys.executable, str(root / "bench" / "peers" / script), *more, f"--classes={classes}", f"--batch={batch}",
                   f"--dim={DIM}", f"--compute={compute}", f"--device={'cpu' if without_gpu else 'cuda'}", "--repeats=5", f"--json={file}"]
        loss = "margin_softmax" if "--loss=margin_softmax" in more else script.removesuffix(".py")
        yield Check(f"peer {loss} {compute} N={classes} B={batch}", command, 30, ours=False, figures=read_json(file))


def read_json(file: pathlib.Path) -> Callable[[str], dict[str, Any]]:
    return lambda _: {"result": json.loads(file.read_text())}


def service_figures(run_folder: pathlib.Path) -> Callable[[str], dict[str, Any]]:
    def read(_: str) -> dict[str, Any]:
        steps = [record for line in (run_folder / "metrics.jsonl").read_text().splitlines()
                 if (record := json.loads(line))["kind"] == "step"]
        late = steps[-max(2, len(steps) // 2):]  # a line a second at most, but always the first step and the last one
        between = [(b["elapsed_seconds"] - a["elapsed_seconds"]) / (b["step"] - a["step"]) for a, b in itertools.pairwise(late)]
        return {"steps": steps[-1]["step"], "step_ms": 1000 * statistics.median(between), "loss": steps[-1]["loss"],
                "phases": late[-1]["phases"]}

    return read


def service(root: pathlib.Path, folder: pathlib.Path, scratch: pathlib.Path, without_gpu: bool) -> Iterator[Check]:
    """A shard and a worker on the GPU, and a worker's backbone on it, through processes and loopback."""
    device = "cpu" if without_gpu else "cuda:0"
    classes, batch, steps = (1000, 16, 8) if without_gpu else (1_000_000, 256, 200)
    run_folder = scratch / "service"
    values = {"run.folder": run_folder, "head.classes": classes, "data.batch_size": batch, "data.micro_batch_size": batch // 2,
              "data.synthetic_samples": batch * steps, "head.compute": "float32" if without_gpu else "bfloat16",
              "head.exp_budget_mb": 1024}
    sets = [argument for key, value in values.items() for argument in ("--set", f"{key}={value}")]
    command = [str(folder / "bin" / "arcshard"), "train", str(root / "examples" / "synthetic" / "one_million.yaml"), "--shards=1",
               "--workers=1", f"--shard-device={device}", f"--worker-device={device}", *sets]
    yield Check(f"service N={classes} B={batch}", command, 90, figures=service_figures(run_folder))


def run(root: pathlib.Path, folder: pathlib.Path, results: pathlib.Path, minutes: float, without_gpu: bool) -> int:
    file = folder / "manifest.json"
    if not file.is_file():
        print(f"gpu_check run: {file} is missing: scripts/gpu_check build makes it", file=sys.stderr)
        return 2
    manifest = json.loads(file.read_text())
    report = Report(results, time.monotonic() + 60 * minutes - 2)
    report.data |= {"commit": manifest["commit"], "without_gpu": without_gpu, "machine": machine()}
    for key, value in report.data["machine"].items():
        report.say(f"{key}: {value}")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="gpu_check"))
    built = scratch / "built"
    try:
        with tarfile.open(folder / ARCHIVE) as archive:
            archive.extractall(built)
        runner = Runner(report, dict(os.environ) | {"LD_LIBRARY_PATH": ":".join(library_folders(built))})
        with built_paths(root, built, manifest):
            for group in (tests(built, manifest, without_gpu), service(root, built, scratch, without_gpu),
                          peers(root, built, scratch, without_gpu), head_benchmarks(built, scratch, without_gpu)):
                for check in group:
                    runner.run(check)
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        report.add("what was built", "failed", why=str(error))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    outcomes = [check["outcome"] for check in report.data["checks"]]
    summary = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    report.data["summary"] = summary
    report.write()
    report.say(f"{', '.join(f'{count} {outcome}' for outcome, count in summary.items())}; {report.file}")
    report.close()
    return 0 if set(summary) <= {"passed", "skipped"} else 1

"""scripts/gpu_check build: a folder of at most 55 MiB with what a GPU machine runs."""
from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

MOST_BYTES = 55 << 20
ARCHIVE = "built.tar.xz"  # in the folder, beside manifest.json
PROGRAMS = ("arcshard", "arcshard-coordinator", "arcshard-shard", "arcshard-worker", "arcshard-model", "head_bench")
# Run the small ones under compute-sanitizer too: see gpu_check_run.py.
TESTS_WITHOUT_DEVICE = ("head_gpu_test",)  # labelled cuda, and no entry cuda/NAME
THEIR_FILES = ("partial_fc_v2.py", "losses.py")  # InsightFace's

# Libraries that the GPU machine has: glibc's, LibTorch's and NVIDIA's. All others go along.
PRESENT = re.compile(r"^(ld-linux|lib(c|m|dl|rt|pthread|resolv|util|torch\w*|c10\w*|gomp|caffe2\w*|shm|nccl|nv\w*"
                     r"|cu(da|dnn|blas|fft|file|pti|rand|solver|sparse)\w*)([-.][\w.-]*)?\.so)")


class BuildError(Exception):
    """What stops the build, as a sentence."""


def say(text: str) -> None:
    print(f"gpu_check: {text}", flush=True)


def call(*command: str | pathlib.Path) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise BuildError(f"{' '.join(map(str, command))} failed")


def fetch_libtorch(root: pathlib.Path) -> pathlib.Path:
    """PyPI's torch with its GPU half, the libraries that its CPU half loads, and NCCL's header: in .deps/libtorch-gpu-check."""
    pinned = root / "scripts" / "requirements" / "gpu_check.txt"
    into = root / ".deps" / "libtorch-gpu-check"
    stamp = into / ".complete"
    if stamp.is_file() and stamp.read_bytes() == pinned.read_bytes():
        return into / "torch"
    say(f"fetching what {pinned.relative_to(root)} names into {into}")
    shutil.rmtree(into, ignore_errors=True)
    with tempfile.TemporaryDirectory() as wheels:
        call("/usr/bin/python3", "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--dest", wheels, "-r", pinned)
        for wheel in sorted(pathlib.Path(wheels).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    path = pathlib.PurePosixPath(name)
                    if path.suffix != ".py" and {"include", "lib"} & set(path.parts[:-1]) and not name.endswith("/"):
                        unpack(archive, name, into / target_of(path))
    shutil.copyfile(pinned, stamp)
    return into / "torch"


def target_of(path: pathlib.PurePosixPath) -> pathlib.PurePosixPath:
    """NVIDIA's libraries go beside LibTorch's, where the linker and the loader look for them."""
    if path.parts[0] == "torch":
        return path
    start = max(i for i, part in enumerate(path.parts) if part in ("include", "lib"))
    return pathlib.PurePosixPath("torch" if path.parts[start] == "lib" else "nvidia", *path.parts[start:])


def unpack(archive: zipfile.ZipFile, name: str, target: pathlib.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)


def device_tests(binary_dir: pathlib.Path) -> list[str]:
    """The tests that ctest runs on a GPU: its entries cuda/NAME."""
    names = {match for file in binary_dir.rglob("CTestTestfile.cmake")
             for match in re.findall(r"add_test\(\S*?cuda/(\w+)", file.read_text())}
    if not names:
        raise BuildError(f"{binary_dir} has no tests for GPUs: its CTestTestfile.cmake files have no entry cuda/NAME")
    return sorted(names)


def libraries_of(program: pathlib.Path) -> list[pathlib.Path]:
    """What `program` loads and a GPU machine lacks."""
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    found = []
    for name, path in re.findall(r"^\s*(\S+) => (\S+|not found)", listed, re.MULTILINE):
        if PRESENT.match(name):
            continue
        if path == "not":
            raise BuildError(f"{program.name} needs {name}, which this machine does not have either")
        found.append(pathlib.Path(path))
    return found


def collect(binary_dir: pathlib.Path, folder: pathlib.Path, tests: list[str]) -> None:
    """Programs and tests without symbols, and libraries."""
    shutil.rmtree(folder, ignore_errors=True)
    for kind, names in (("bin", PROGRAMS), ("test", (*tests, *TESTS_WITHOUT_DEVICE))):
        (folder / kind).mkdir(parents=True)
        for name in names:
            call("strip", "--strip-all", "-o", folder / kind / name, binary_dir / kind / name)
    (folder / "lib").mkdir()
    programs = [program for kind in ("bin", "test") for program in (folder / kind).iterdir()]
    for library in sorted({library for program in programs for library in libraries_of(program)}):
        call("strip", "--strip-unneeded", "-o", folder / "lib" / library.name, library.resolve())


def take_insightface(checkout: pathlib.Path, folder: pathlib.Path) -> None:
    for source in (checkout / "recognition" / "arcface_torch", checkout):
        if all((source / name).is_file() for name in THEIR_FILES):
            (folder / "insightface").mkdir()
            for name in THEIR_FILES:
                shutil.copy(source / name, folder / "insightface")
            return
    raise BuildError(f"--insightface: {checkout} has no {' and '.join(THEIR_FILES)}")


def pack(folder: pathlib.Path) -> None:
    """Everything in one archive, a third of the size."""
    kinds = sorted(folder.iterdir())
    with tarfile.open(folder / ARCHIVE, "w:xz") as archive:
        for kind in kinds:
            archive.add(kind, kind.name)
            shutil.rmtree(kind)


def commit_of(root: pathlib.Path) -> str:
    described = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], check=False, capture_output=True, text=True)
    return described.stdout.strip()


def build(root: pathlib.Path, folder: pathlib.Path, libtorch: pathlib.Path | None, insightface: pathlib.Path | None) -> int:
    try:
        torch = libtorch or fetch_libtorch(root)
        binary_dir = root / "build" / "gpu"
        # An H200 runs what is compiled for sm_90.
        call("cmake", "-S", root, "--preset", "cuda", "-B", binary_dir, f"-DARCSHARD_LIBTORCH={torch.resolve()}",
             f"-DARCSHARD_NCCL_INCLUDE={torch.resolve().parent / 'nvidia' / 'include'}", "-DCMAKE_CUDA_ARCHITECTURES=90")
        tests = device_tests(binary_dir)
        call("cmake", "--build", binary_dir, "--parallel", str(os.cpu_count()), "--target", *PROGRAMS, *tests, *TESTS_WITHOUT_DEVICE)
        collect(binary_dir, folder, tests)
        if insightface is not None:
            take_insightface(insightface, folder)
        pack(folder)
        manifest = {"commit": commit_of(root), "source_dir": str(root), "binary_dir": str(binary_dir), "tests": tests,
                    "tests_without_device": list(TESTS_WITHOUT_DEVICE)}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        say(f"{folder}: {size / 2**20:.1f} MiB, {len(tests)} tests")
        if size > MOST_BYTES:
            raise BuildError(f"{folder} has {size / 2**20:.1f} MiB, more than the {MOST_BYTES >> 20} that such a machine is sent")
    except (BuildError, subprocess.CalledProcessError, OSError) as error:
        print(f"gpu_check build: {error}", file=sys.stderr)
        return 1
    return 0

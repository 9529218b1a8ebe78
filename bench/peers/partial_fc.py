#!/usr/bin/env python3
"""The cost of a step of InsightFace's PartialFC_V2, without a backbone: their own code, imported from a checkout.

    partial_fc.py --insightface CHECKOUT --classes 100000 --batch 256 --dim 512 --ranks 2 --threads 2

A step is what their train_v2.py does after the backbone: gather the embeddings, sample, logits, margin, loss, backward down
to the embeddings, SGD with momentum over the class centers. The ranks are processes, which share batch and threads; they
talk over Gloo on a CPU and over NCCL on GPUs, one each. What is printed: see measurement.py.

On a CPU their calls of .cuda() do nothing. --compute float16 is their fp16, for GPUs only; bfloat16 is PyTorch's autocast
around their forward pass, for CPUs only.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
from typing import Any

import measurement

FILES = ("partial_fc_v2.py", "losses.py")


def their_folder(checkout: pathlib.Path) -> pathlib.Path | None:
    """The folder of the checkout that has their training code."""
    for folder in (checkout / "recognition" / "arcface_torch", checkout):
        if all((folder / name).is_file() for name in FILES):
            return folder
    return None


def versions_of(folder: pathlib.Path) -> dict[str, str]:
    """What identifies their code: the hash of the file, and in a git checkout the commit that changed it last."""
    versions = {"partial_fc_v2_sha256": hashlib.sha256((folder / FILES[0]).read_bytes()).hexdigest()[:16]}
    with contextlib.suppress(OSError):  # no git
        log = subprocess.run(["git", "-C", str(folder), "log", "-1", "--format=%h", "--", FILES[0]],
                             check=False, capture_output=True, text=True)
        if commit := log.stdout.strip():
            versions["insightface"] = commit
    return versions


def their_module(folder: pathlib.Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_head(options: argparse.Namespace) -> Any:
    """Their module, as their train_v2.py makes it."""
    import torch
    folder = pathlib.Path(options.insightface)
    if options.device == "cpu":
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
        warnings.filterwarnings("ignore", message=".*cuda.*")  # their autocast asks for a GPU
    warnings.filterwarnings("ignore", category=FutureWarning)
    m2, m3 = (0.5, 0.0) if options.margin == "arcface" else (0.0, 0.4)
    margin = their_module(folder, "losses").CombinedMarginLoss(64, 1.0, m2, m3, 0)
    head = their_module(folder, "partial_fc_v2").PartialFC_V2(
        margin, options.dim, options.classes, options.sample_rate, options.compute != "float32")
    return head.train().to(options.device)


def measure_rank(rank: int, options: argparse.Namespace) -> measurement.Measured:
    import torch
    from torch import distributed
    torch.manual_seed(1)
    share = slice(rank * options.batch // options.ranks, (rank + 1) * options.batch // options.ranks)
    embeddings = torch.randn(options.batch, options.dim)[share].to(options.device).requires_grad_()
    labels = torch.randint(options.classes, (options.batch,))[share].to(options.device)
    before = measurement.memory_mb("VmRSS")
    head = make_head(options)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    scaler = torch.amp.GradScaler(options.device, enabled=options.compute == "float16")

    def step() -> None:
        distributed.barrier()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.compute == "bfloat16"):
            loss = head(embeddings, labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        embeddings.grad = None
        measurement.synchronize(options.device)
        distributed.barrier()

    return measurement.Measured.of(step, options, before, state_mb=2 * 4 * head.num_local * options.dim / 2**20)


def run_rank(rank: int, options: argparse.Namespace, scratch: str) -> None:
    """A process of the group. It leaves what it has measured in the folder `scratch`."""
    import torch
    from torch import distributed
    torch.set_num_threads(max(1, options.threads // options.ranks))
    if options.device == "cuda":
        torch.cuda.set_device(rank)
    distributed.init_process_group("nccl" if options.device == "cuda" else "gloo", init_method=f"file://{scratch}/store",
                                   rank=rank, world_size=options.ranks)
    measured = measure_rank(rank, options)
    pathlib.Path(scratch, f"{rank}.json").write_text(json.dumps(dataclasses.asdict(measured)))
    distributed.destroy_process_group()


def measure(options: argparse.Namespace) -> list[measurement.Measured]:
    """What each rank has measured. Ends the program if one fails."""
    from torch.multiprocessing.spawn import (
        ProcessExitedException,
        ProcessRaisedException,
        start_processes,
    )
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            start_processes(run_rank, (options, scratch), nprocs=options.ranks, start_method="spawn")  # type: ignore[no-untyped-call]
        except (ProcessExitedException, ProcessRaisedException) as error:
            last = str(error).strip().splitlines()[-1]
            sys.exit(f"partial_fc.py: rank {error.error_index} of {options.ranks} has failed: {last}")
        return [measurement.Measured(**json.loads(pathlib.Path(scratch, f"{rank}.json").read_text()))
                for rank in range(options.ranks)]


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the program with a sentence if it cannot do what the options say."""
    folder = their_folder(pathlib.Path(options.insightface))
    if folder is None:
        parser.error(f"--insightface {options.insightface}: neither it nor recognition/arcface_torch in it has {' and '.join(FILES)}")
    if options.batch % options.ranks or options.batch < 2 * options.ranks:
        parser.error(f"--batch {options.batch}: each of {options.ranks} ranks needs the same number of samples, and at least 2")
    if options.device == "cpu" and options.threads % options.ranks:
        parser.error(f"--threads {options.threads}: each of {options.ranks} ranks needs the same number of threads")
    unsupported = {"cpu": "float16", "cuda": "bfloat16"}[options.device]
    if options.compute == unsupported:
        parser.error(f"--compute {unsupported}: PartialFC_V2 does not have it on {options.device}")
    measurement.require_torch(parser)
    measurement.require_device(parser, options.device, options.ranks)
    options.insightface = str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--insightface", metavar="CHECKOUT", required=True,
                        help="a checkout of github.com/deepinsight/insightface, or its folder recognition/arcface_torch")
    parser.add_argument("--ranks", type=measurement.positive, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--sample-rate", type=measurement.share, default=1.0,
                        help="share of the classes that take part in a step (default: %(default)s)")
    measurement.add_options(parser)
    options = parser.parse_args()
    check(parser, options)
    result = measurement.result_of("partial_fc", measure(options), options, options.batch)
    result["versions"] |= versions_of(pathlib.Path(options.insightface))
    measurement.print_result(result, options.json)


if __name__ == "__main__":
    main()

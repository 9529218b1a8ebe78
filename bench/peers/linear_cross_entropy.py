#!/usr/bin/env python3
"""The cost of a step of one process that holds all classes, in PyTorch alone: loss, gradients, SGD with momentum.

    linear_cross_entropy.py --loss margin_softmax --classes 100000 --batch 256 --dim 512 --threads 2

--loss is one of

    margin_softmax                 normalised rows, B×N cosines, a margin, F.cross_entropy
    linear_cross_entropy           PyTorch's function of that name on normalised rows; it has no place for a margin
    linear_cross_entropy_chunked   the same with LinearCrossEntropyOptions(), which keeps no B×N matrix

The embeddings are given, as a backbone's output would be, and get their gradient. What is printed: see measurement.py.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

import measurement

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = ["margin_softmax", "linear_cross_entropy", "linear_cross_entropy_chunked"]
SCALE = 64.0


def loss_function(options: argparse.Namespace) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The loss of embeddings, class centers and labels."""
    import torch.nn.functional as F
    from margin_softmax import MARGINS, TYPES, cosines_of, margin_softmax
    from torch import nn

    def plain(embeddings: Tensor, centers: Tensor, labels: Tensor) -> Tensor:
        cosines = cosines_of(embeddings, centers, options.compute)
        return margin_softmax(cosines, labels, options.margin, MARGINS[options.margin], SCALE)

    def fused(embeddings: Tensor, centers: Tensor, labels: Tensor) -> Tensor:
        kind = TYPES[options.compute]
        chunks = nn.LinearCrossEntropyOptions() if options.loss.endswith("chunked") else None
        rows, weight = (SCALE * F.normalize(embeddings)).to(kind), F.normalize(centers).to(kind)
        return F.linear_cross_entropy(rows, weight, labels, options=chunks)

    return plain if options.loss == "margin_softmax" else fused


def measure(options: argparse.Namespace) -> measurement.Measured:
    import torch
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    embeddings = torch.randn(options.batch, options.dim, device=options.device, requires_grad=True)
    labels = torch.randint(options.classes, (options.batch,), device=options.device)
    before = measurement.memory_mb("VmRSS")
    centers = torch.empty(options.classes, options.dim, device=options.device).normal_(0, 0.01).requires_grad_()
    optimizer = torch.optim.SGD([centers], lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True)
    loss_of = loss_function(options)

    def step() -> None:
        loss_of(embeddings, centers, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        embeddings.grad = None
        measurement.synchronize(options.device)

    return measurement.Measured.of(step, options, before, state_mb=2 * 4 * options.classes * options.dim / 2**20)


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the program with a sentence if it cannot do what the options say."""
    measurement.require_torch(parser)
    measurement.require_device(parser, options.device)
    import torch
    from torch import nn
    lacks = options.loss == "linear_cross_entropy" and not hasattr(nn.functional, "linear_cross_entropy")
    if lacks or (options.loss.endswith("chunked") and not hasattr(nn, "LinearCrossEntropyOptions")):
        parser.error(f"--loss {options.loss}: PyTorch {torch.__version__} does not have it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=LOSSES, default=LOSSES[0], help="what is measured (default: %(default)s)")
    measurement.add_options(parser)
    options = parser.parse_args()
    check(parser, options)
    result = measurement.result_of("linear_cross_entropy", [measure(options)], options, options.batch)
    if options.loss != "margin_softmax":
        result["options"]["margin"] = "none"
    measurement.print_result(result, options.json)


if __name__ == "__main__":
    main()

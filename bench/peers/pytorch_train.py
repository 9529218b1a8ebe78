#!/usr/bin/env python3
"""Plain training in one process with PyTorch alone: the run that arcshard's configuration describes, without arcshard.

    arcshard train examples/omniglot/omniglot.yaml --dry-run > omniglot_full.yaml
    pytorch_train.py omniglot_full.yaml --threads 2

Backbone, data, augmentation, margin, optimizer and schedule are those of the configuration; all classes are one parameter of
this process, and a step takes its batch at once. What is printed: see measurement.py; a step lasts from one batch to the
next, loading included, and state_mb is that of the class centers. Verify with: arcshard verify on what --save writes.
"""
from __future__ import annotations

import argparse
import math
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import measurement
from run_config import RunConfig, Schedule

if TYPE_CHECKING:
    from torch import Tensor

# The tests' reader of packed sets, and the networks with which they check arcshard's.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "reference"))


class Training:
    """Backbone, class centers, data and optimizer of a run."""

    def __init__(self, config: RunConfig, options: argparse.Namespace) -> None:
        import torch
        import training_data
        from make_backbone_case import NETWORKS
        torch.manual_seed(config.whole("run.seed"))
        self.device = options.device
        self.margin = config.one_of("loss.margin", "arcface", "cosface", "softmax")
        self.m, self.scale = config.number("loss.m"), config.number("head.scale")
        self.compute = config.one_of("head.compute", "float32", "bfloat16")
        self.bfloat16 = config.one_of("backbone.compute", "float32", "bfloat16") == "bfloat16"
        self.channels_last = torch.channels_last if options.channels_last else torch.contiguous_format
        self.data = training_data.open_data(config, options.keep_decoded)
        self.augment = training_data.Augmentation(config)
        self.batch, self.dim = config.whole("data.batch_size"), config.whole("backbone.embedding_size")
        self.batches = training_data.batches(len(self.data.labels), self.batch)
        self.schedule = Schedule(config, len(self.data.labels) // self.batch)
        self.name = config.one_of("backbone.name", *NETWORKS)
        self.sizes = {"width": config.whole("backbone.width"), "image_size": config.whole("data.image_size"), "embedding_size": self.dim}
        network: Any = NETWORKS[self.name]
        self.before_mb = measurement.memory_mb("VmRSS")
        self.backbone = network(**self.sizes).to(self.device, memory_format=self.channels_last).train()
        self.centers = torch.empty(self.data.classes, self.dim, device=self.device).normal_(0, 0.01).requires_grad_()
        self.optimizer = self.make_optimizer(config)

    def make_optimizer(self, config: RunConfig) -> Any:
        import torch
        parameters = [p for p in self.backbone.parameters() if p.requires_grad] + [self.centers]
        decay = config.number("optimizer.weight_decay")
        if config.one_of("optimizer.kind", "sgd", "adamw") == "sgd":
            return torch.optim.SGD(parameters, self.schedule.lr, config.number("optimizer.momentum"), weight_decay=decay, fused=True)
        betas = config.number("optimizer.beta1"), config.number("optimizer.beta2")
        return torch.optim.AdamW(parameters, self.schedule.lr, betas, config.number("optimizer.epsilon"), decay, fused=True)

    def load(self) -> tuple[Tensor, Tensor]:
        """Images and labels of the next step."""
        samples = next(self.batches)
        images = self.augment(self.data.images(samples)).to(self.device, memory_format=self.channels_last)
        return images, self.data.labels[samples].to(self.device)

    def step(self, number: int, images: Tensor, labels: Tensor) -> float:
        """Returns the loss."""
        from margin_softmax import cosines_of, margin_softmax
        cosines = cosines_of(self.backbone(images, bfloat16=self.bfloat16), self.centers, self.compute)
        loss = margin_softmax(cosines, labels, self.margin, self.m, self.scale)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(number)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()  # waits for the device

    def save(self, path: str) -> None:
        """Writes the backbone as arcshard's model/backbone.safetensors."""
        from safetensors.torch import save_file
        state = {name: value.cpu().contiguous() for name, value in self.backbone.state_dict().items()}
        save_file(state, path, {"backbone": self.name, **{key: str(size) for key, size in self.sizes.items()}})


def check(config: RunConfig) -> None:
    """Refuses what arcshard can do and this program cannot."""
    for key, value in (("head.sample_rate", 1), ("head.filter", 1), ("optimizer.clip_grad_norm", 0)):
        if config.number(key) != value:
            config.refuse(key, f"this program knows only {value}")
    for key in ("backbone.init", "head.init", "loss.class_weights"):
        config.one_of(key, "")
    config.one_of("head.standardize", "false")
    config.one_of("backbone.dropout", "auto", "0")
    config.one_of("loss.gradient", "exact")


def train(training: Training, options: argparse.Namespace) -> list[float]:
    """The duration of each step in milliseconds. A thread loads the next batch meanwhile."""
    import torch
    times = []
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as loader:
        pending = loader.submit(training.load)
        pending.result()
        torch.set_num_threads(options.threads)  # OpenMP counts the threads of each thread, so the loader keeps one
        begin = first = time.perf_counter()
        for number in range(1, options.steps + 1):
            images, labels = pending.result()
            pending = loader.submit(training.load)
            loss = training.step(number, images, labels)
            if not math.isfinite(loss):
                sys.exit(f"pytorch_train.py: the loss of step {number} is not finite")
            end = time.perf_counter()
            times.append((end - begin) * 1e3)
            begin = end
            if not options.quiet and (number % 100 == 0 or number == options.steps):
                print(f"step {number} of {options.steps}: loss {loss:.3f}", file=sys.stderr)
            if options.seconds is not None and end - first >= options.seconds:
                break
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path, help="what arcshard train run.yaml --dry-run prints")
    parser.add_argument("--steps", type=measurement.positive, help="end after so many steps (default: schedule.epochs)")
    parser.add_argument("--seconds", type=float, help="end after the step that lasts beyond so many seconds")
    parser.add_argument("--keep-decoded", action="store_true", help="decode each image once, and keep all in memory")
    parser.add_argument("--channels-last", action="store_true", help="memory format of images and convolutions")
    parser.add_argument("--save", metavar="FILE", help="safetensors file for the trained backbone")
    parser.add_argument("--quiet", action="store_true", help="do not print the loss now and then")
    measurement.add_run_options(parser)
    options = parser.parse_args()
    if not options.config.is_file():
        parser.error(f"{options.config} is not a file")
    config = RunConfig(options.config)
    check(config)
    measurement.require_torch(parser)
    measurement.require_device(parser, options.device)
    training = Training(config, options)
    options.steps = options.steps or training.schedule.steps
    if options.steps <= measurement.WARM_UP_STEPS:
        parser.error(f"{options.steps} steps: the first {measurement.WARM_UP_STEPS} are not measured")
    all_times = train(training, options)
    times = all_times[measurement.WARM_UP_STEPS:]
    if not times:
        parser.error(f"{len(all_times)} steps in {options.seconds:g} s: the first {measurement.WARM_UP_STEPS} are not measured")
    state_mb = 2 * 4 * training.centers.numel() / 2**20
    measured = measurement.Measured(times, measurement.memory_mb("VmHWM"), training.before_mb, state_mb,
                                    measurement.peak_gpu_mb(options.device))
    options.config = str(options.config)
    result = measurement.result_of("pytorch_train", [measured], options, training.batch)
    result |= {"steps": training.schedule.steps, "trained_steps": len(all_times), "seconds": sum(all_times) / 1e3}
    measurement.print_result(result, options.json)
    if options.save:
        training.save(options.save)


if __name__ == "__main__":
    main()

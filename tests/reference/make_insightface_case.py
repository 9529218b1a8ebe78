#!/usr/bin/env python3
"""Records tests/data/insightface: files as InsightFace's arcface_torch leaves them, written by PyTorch.

    python make_insightface_case.py ../data/insightface     (needs torch, numpy, safetensors, pillow)

The state is a backbone (iresnet18 with width 1 for 16×16 pixels) and a classifier of 11 classes on 3 ranks (4, 4 and 3 rows,
by arcface_torch's rule) after two steps of SGD with momentum. The script writes

    checkpoint/checkpoint_gpu_<r>.pt         as train_v2.py with save_all_states, in the archive format of PyTorch since 1.6
    checkpoint/model.pt                      as train_v2.py
    softmax/rank_<r>_softmax_weight.pt       as partial_fc.py until 2022, in PyTorch's format before 1.6
    softmax/rank_<r>_softmax_weight_mom.pt   likewise
    softmax/backbone.pth                     likewise, saved inside DistributedDataParallel, which prefixes names by "module."
    adamw/checkpoint_gpu_<r>.pt              as checkpoint/, for 2 ranks with AdamW and a network that is unknown to arcshard
    odd.pt, odd_stream.pt                    tensors of other types and strides, and views, in both formats
    company/checkpoint_gpu_0.pt              weights among objects of many classes, under the names that PyTorch's wrappers give
    company_<protocol>.pt, company_stream_<protocol>.pt   the same objects beside a tensor, in both formats
    images/<i>.png                           random pixels

and expected.safetensors with centers, momentum, backbone.<key>, backbone_momentum.<parameter>, odd.<name>, adamw.<centers,
first_moment or second_moment>, adamw.backbone.<first_moment or second_moment>.<parameter>, and embeddings, which are those
of the images, (pixel - 127.5) / 127.5, in order, by the backbone in evaluation mode.
"""
import argparse
import collections
import datetime
import fractions
import pathlib
import sys
import types

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from make_backbone_case import Flavour, ResidualNet

WIDTH, IMAGE_SIZE, DIM, CLASSES, RANKS, BATCH = 1, 16, 8, 11, 3, 4
STEPS = 2


def rows_of(rank):
    """PartialFC_V2's num_local and class_start."""
    begin = CLASSES // RANKS * rank + min(rank, CLASSES % RANKS)
    return begin, begin + CLASSES // RANKS + int(rank < CLASSES % RANKS)


class PartialFC(nn.Module):
    def __init__(self, rank):
        super().__init__()
        begin, end = rows_of(rank)
        self.weight = nn.Parameter(torch.normal(0, 0.01, (end - begin, DIM)))


def train():
    """Returns the backbone, and the classifiers, optimizers and schedulers of all ranks, after STEPS steps."""
    torch.manual_seed(7)
    net = ResidualNet(Flavour(1e-5, True, True), WIDTH, IMAGE_SIZE, DIM)
    heads = [PartialFC(rank) for rank in range(RANKS)]
    optimizers = [torch.optim.SGD([{"params": net.parameters()}, {"params": head.parameters()}], lr=0.1, momentum=0.9,
                                  weight_decay=5e-4) for head in heads]
    schedulers = [torch.optim.lr_scheduler.PolynomialLR(optimizer, 10) for optimizer in optimizers]
    images, labels = torch.randn(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), torch.randint(0, CLASSES, (BATCH,))
    for _ in range(STEPS):
        before = {key: value.clone() for key, value in net.state_dict().items()}
        for optimizer in optimizers:  # every rank's optimizer makes the same step of the backbone
            net.load_state_dict(before)
            optimizer.zero_grad()
            weight = torch.cat([nn.functional.normalize(head.weight) for head in heads])
            cosine = nn.functional.normalize(net(images)) @ weight.T
            nn.functional.cross_entropy(8 * cosine, labels).backward()
            stashed = [head.weight.detach().clone() for head in heads]
            optimizer.step()
            for head, old in zip(heads, stashed):
                head.weight.data = head.weight.data if head is heads[optimizers.index(optimizer)] else old
        for scheduler in schedulers:
            scheduler.step()
    return net, heads, optimizers, schedulers


def save_adamw(folder):
    """Saves ranks with 3 and 2 classes after STEPS steps, and returns the expected tensors."""
    torch.manual_seed(8)
    net = nn.Sequential(nn.Linear(4, DIM), nn.BatchNorm1d(DIM))
    heads = [nn.Linear(DIM, rows, bias=False) for rows in (3, 2)]
    expected = collections.defaultdict(list)
    for rank, head in enumerate(heads):
        optimizer = torch.optim.AdamW([{"params": net.parameters()}, {"params": head.parameters()}], lr=1e-3)
        for _ in range(STEPS):
            optimizer.zero_grad()
            head(net(torch.randn(BATCH, 4))).square().sum().backward()
            optimizer.step()
        torch.save({"epoch": 1, "global_step": STEPS, "state_dict_backbone": net.state_dict(),
                    "state_dict_softmax_fc": head.state_dict(), "state_optimizer": optimizer.state_dict(),
                    "state_lr_scheduler": {}}, folder / f"checkpoint_gpu_{rank}.pt")
        expected["adamw.centers"].append(head.weight.detach().clone())
        for name, key in (("first_moment", "exp_avg"), ("second_moment", "exp_avg_sq")):
            expected[f"adamw.{name}"].append(optimizer.state[head.weight][key].clone())
            if rank == 0:
                expected |= {f"adamw.backbone.{name}.{parameter}": [optimizer.state[value][key].clone()]
                             for parameter, value in net.named_parameters()}
    return {name: torch.cat(parts) for name, parts in expected.items()}


def odd_tensors():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7
    return {
        "transposed": base.T, "columns": base[:, 1:5:2], "rows": base[1:3], "half": base.half(),
        "bfloat16": base.bfloat16(), "double": base.double(), "parameter": nn.Parameter(base.clone()),
        "channels_last": torch.arange(48.0).reshape(2, 2, 3, 4).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "long": torch.arange(5), "tiny": torch.tensor(
            [6e-8, -6e-8, 6e-5, 65504.0, float("inf"), -0.0]).half()}


class Counted(torch.Tensor):
    pass


def company():
    """What trainings keep beside weights: nothing of it is needed to read them."""
    parameter = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([parameter], 0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler
    return {
        "multi_step": schedule.MultiStepLR(optimizer, [10, 20]).state_dict(),  # a collections.Counter
        "one_cycle": schedule.OneCycleLR(optimizer, 0.1, total_steps=9).state_dict(),
        "numpy": [np.float64(0.1), np.int64(7), np.zeros(3), np.array("a"), np.random.get_state()],
        "arguments": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("/x"), when=datetime.date(2026, 11, 29)),
        "torch": [torch.device("cuda:0"), torch.float16, torch.Size([1, 2]), torch.get_rng_state(), torch.strided],
        "python": [{1, 2}, frozenset("a"), b"x", bytearray(b"y"), 1 + 2j, 10 ** 40, -10 ** 40, None, True, 1.5, ..., range(3),
                   collections.defaultdict(list, a=[1]), collections.deque([1, 2]), fractions.Fraction(1, 3), print],
        "modules": nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
        "others": [torch.tensor([1 + 2j]), torch.eye(2).to_sparse()],
    }


def attributed(tensor):
    tensor.is_sharded = True
    return tensor


def tensors_in_company():
    values = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4
    return {"plain": values, "parameter": attributed(nn.Parameter(values.clone())), "attributed": attributed(values.clone()),
            "subclass": values.as_subclass(Counted), "number": torch.tensor(7, dtype=torch.int16),
            "float8": values.to(torch.float8_e4m3fn), "uint16": torch.tensor([1, 65535], dtype=torch.uint16)}


def save_company(folder):
    Counted.__module__ = "somebody.elses"
    sys.modules |= {"somebody": types.ModuleType("somebody"), "somebody.elses": types.ModuleType("somebody.elses")}
    sys.modules["somebody.elses"].Counted = Counted
    for protocol in (2, 5):
        torch.save(company() | tensors_in_company(), folder / f"company_{protocol}.pt", pickle_protocol=protocol)
    streamed = {key: value for key, value in tensors_in_company().items() if key not in ("float8", "uint16")}
    for protocol in (1, 2, 5):  # not 0, which PyTorch writes but cannot read
        torch.save(company() | streamed, folder / f"company_stream_{protocol}.pt", pickle_protocol=protocol,
                   _use_new_zipfile_serialization=False)
    (folder / "company").mkdir(exist_ok=True)
    values = tensors_in_company()["plain"]
    backbone = collections.OrderedDict({
        "module._orig_mod.module.0._orig_mod.weight": nn.Parameter(values.half()),
        "module._orig_mod.module.1.module.bias": attributed(nn.Parameter(values[0].double())),
        "module._orig_mod.module.1.num_batches_tracked": torch.tensor(7).half()})
    torch.save(company() | {"epoch": np.float64(3), "global_step": np.int64(2 ** 40), "state_dict_backbone": backbone,
                            "state_dict_softmax_fc": {"module.weight": nn.Parameter(values)}},
               folder / "company/checkpoint_gpu_0.pt")


def main(folder):
    folder = pathlib.Path(folder)
    for name in ("checkpoint", "softmax", "adamw", "images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    net, heads, optimizers, schedulers = train()
    momentum_of = lambda optimizer, parameter: optimizer.state[parameter]["momentum_buffer"]
    for rank, (head, optimizer, scheduler) in enumerate(zip(heads, optimizers, schedulers)):
        torch.save({"epoch": 1, "global_step": STEPS, "state_dict_backbone": net.state_dict(),
                    "state_dict_softmax_fc": head.state_dict(), "state_optimizer": optimizer.state_dict(),
                    "state_lr_scheduler": scheduler.state_dict()}, folder / f"checkpoint/checkpoint_gpu_{rank}.pt")
        stream = dict(_use_new_zipfile_serialization=False)
        torch.save(head.weight.data, folder / f"softmax/rank_{rank}_softmax_weight.pt", **stream)
        torch.save(momentum_of(optimizer, head.weight), folder / f"softmax/rank_{rank}_softmax_weight_mom.pt", **stream)
    torch.save(net.state_dict(), folder / "checkpoint/model.pt")
    wrapped = collections.OrderedDict(("module." + key, value) for key, value in net.state_dict().items())
    torch.save(wrapped, folder / "softmax/backbone.pth", **stream)
    odd = odd_tensors()
    torch.save(odd, folder / "odd.pt")
    torch.save(odd, folder / "odd_stream.pt", **stream)
    save_company(folder)

    expected = {"centers": torch.cat([head.weight.data for head in heads]),
                "momentum": torch.cat([momentum_of(o, h.weight) for o, h in zip(optimizers, heads)])}
    expected |= {f"backbone.{key}": value for key, value in net.state_dict().items()}
    expected |= {f"backbone_momentum.{name}": momentum_of(optimizers[0], parameter)
                 for name, parameter in net.named_parameters() if parameter.requires_grad}
    expected |= {f"odd.{name}": (value if name == "long" else value.float()).detach().contiguous().clone()
                 for name, value in odd.items()}
    expected |= save_adamw(folder / "adamw")
    net.eval()
    pixels = torch.randint(0, 256, (BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"images/{i}.png")
    expected["embeddings"] = net((pixels.float() - 127.5) / 127.5).detach()
    save_file({name: value.contiguous() for name, value in expected.items()}, folder / "expected.safetensors",
              {"torch": torch.__version__, "steps": str(STEPS)})


if __name__ == "__main__":
    main(*sys.argv[1:])

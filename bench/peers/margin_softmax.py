"""The loss that the plain programs train with: a softmax over all classes with a margin in the target's logit."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MARGINS = {"cosface": 0.4, "arcface": 0.5}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def margin_softmax(cosines: Tensor, labels: Tensor, margin: str, m: float, scale: float) -> Tensor:
    """The mean loss of B×N cosines. margin: softmax (none), cosface (cos θ − m) or arcface (cos(θ + m))."""
    rows = torch.arange(len(labels), device=labels.device)
    target = cosines[rows, labels]
    if margin == "cosface":
        target = target - m
    elif margin == "arcface":
        target = torch.cos(torch.acos(target.clamp(-1 + 1e-7, 1 - 1e-7)) + m)
    return F.cross_entropy(scale * cosines.index_put((rows, labels), target), labels)


def cosines_of(embeddings: Tensor, centers: Tensor, compute: str) -> Tensor:
    """B×N cosines in float32; the product's factors are of the type `compute`."""
    with torch.autocast(embeddings.device.type, TYPES[compute], enabled=compute != "float32"):
        cosines = F.linear(F.normalize(embeddings), F.normalize(centers))
    return cosines.float().clamp(-1, 1)

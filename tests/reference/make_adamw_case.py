#!/usr/bin/env python3
"""Records tests/data/adamw_head_case.safetensors: class centers under torch.optim.AdamW, in float64.

    make_adamw_case.py OUT.safetensors

Every class center is a separate parameter, so that a class that takes no part in a step keeps its weight, moments and step
count, because its gradient is None. The loss is the plain normalised softmax over the classes that take part, which are drawn
as in tests/data/golden/make_golden.py. Recorded for each step i: E_i, labels_i, active_i (which classes take part), alpha_i =
dL/dlse, t_i = dL/dcos of the own center, and W_i, M_i, V_i, counts_i after it. Weights and embeddings are float32 values.
"""
import math
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "data" / "golden"))
from make_golden import philox  # noqa: E402

CLASSES, DIM, BATCH, STEPS = 41, 24, 10, 6
SCALE, SEED, RATE = 8.0, 77, 0.4
LR, BETA1, BETA2, EPSILON, WEIGHT_DECAY = 0.001, 0.9, 0.999, 1e-8, 0.01


def main():
    rng = np.random.default_rng(5)
    single = lambda x: x.astype(np.float32).astype(np.float64)
    centers = [torch.nn.Parameter(torch.tensor(single(rng.normal(size=DIM)))) for _ in range(CLASSES)]
    optimizer = torch.optim.AdamW(centers, lr=LR, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=WEIGHT_DECAY)
    tensors = {"W_0": torch.stack(list(centers)).detach().numpy()}
    for i in range(1, STEPS + 1):
        embedding = single(rng.normal(size=(BATCH, DIM)))
        labels = rng.integers(0, CLASSES, BATCH)
        active = philox(SEED, i, np.arange(CLASSES)) < math.floor(RATE * 2**32)
        active[labels] = True
        chosen = np.flatnonzero(active)
        e = torch.tensor(embedding)
        w = torch.stack([centers[j] for j in chosen])
        cosine = (e / e.norm(dim=1, keepdim=True)) @ (w / w.norm(dim=1, keepdim=True)).T
        own = torch.tensor(chosen[None, :] == labels[:, None])
        lse = torch.logsumexp((SCALE * cosine).masked_fill(own, -math.inf), dim=1)
        own_cosine = cosine[own]
        lse.retain_grad()
        own_cosine.retain_grad()
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.softplus(lse - SCALE * own_cosine).mean().backward()
        optimizer.step()
        state = [optimizer.state.get(center, {}) for center in centers]
        moment = lambda name: np.stack([s[name].numpy() if s else np.zeros(DIM) for s in state])
        tensors |= {
            f"E_{i}": embedding,
            f"labels_{i}": labels.astype(np.int64),
            f"active_{i}": active.astype(np.uint8),
            f"alpha_{i}": lse.grad.numpy(),
            f"t_{i}": own_cosine.grad.numpy(),
            f"W_{i}": torch.stack(list(centers)).detach().numpy(),
            f"M_{i}": moment("exp_avg"),
            f"V_{i}": moment("exp_avg_sq"),
            f"counts_{i}": np.array([int(s["step"]) if s else 0 for s in state], dtype=np.int64),
        }
    meta = {"steps": STEPS, "scale": SCALE, "seed": SEED, "sample_rate": RATE, "lr": LR, "beta1": BETA1, "beta2": BETA2,
            "epsilon": EPSILON, "weight_decay": WEIGHT_DECAY, "torch": torch.__version__}
    save_file(tensors, sys.argv[1], {key: str(value) for key, value in meta.items()})


if __name__ == "__main__":
    main()

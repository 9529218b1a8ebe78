#!/usr/bin/env python3
"""Records tests/data/adamw.safetensors: eight steps of PyTorch's AdamW.

    python make_optimizer_case.py ../data/adamw.safetensors     (needs torch, safetensors)

The sizes of the gradients range from below epsilon to 1000, and the learning rate changes in each step. Recorded: before (P),
gradients (steps×P), lr (steps; powers of two, which are exact in float32), after (steps×P).
"""

import sys

import torch
from safetensors.torch import save_file

P = 48
RATES = [2.0**-8, 2.0**-4, 2.0**-5, 0.0, 2.0**-6, 2.0**-5, 2.0**-9, 2.0**-7]
BETA1, BETA2, EPSILON, WEIGHT_DECAY = 0.85, 0.97, 1e-6, 0.05


def main(path):
    torch.manual_seed(1)
    values = torch.nn.Parameter(torch.randn(P))
    before = values.detach().clone()
    gradients = torch.randn(len(RATES), P) * 10.0 ** torch.linspace(-8, 3, P)
    adamw = torch.optim.AdamW([values], lr=0.0, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=WEIGHT_DECAY,
                              foreach=False, fused=False)
    after = []
    for rate, gradient in zip(RATES, gradients):
        adamw.param_groups[0]["lr"] = rate
        values.grad = gradient.clone()
        adamw.step()
        after.append(values.detach().clone())
    case = dict(before=before, gradients=gradients, lr=torch.tensor(RATES), after=torch.stack(after))
    numbers = dict(beta1=BETA1, beta2=BETA2, epsilon=EPSILON, weight_decay=WEIGHT_DECAY, torch=torch.__version__)
    save_file(case, path, {key: str(value) for key, value in numbers.items()})
    print(f"{path}: from {before[:3].tolist()} to {after[-1][:3].tolist()}")


if __name__ == "__main__":
    main(*sys.argv[1:])

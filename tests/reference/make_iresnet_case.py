#!/usr/bin/env python3
"""Records tests/data/iresnet18_small.safetensors: three training steps of a small iresnet18 in PyTorch.

    python make_iresnet_case.py ../data/iresnet18_small.safetensors     (needs torch, safetensors)

The network is InsightFace's iresnet18 (BN-conv-BN-PReLU-conv-BN blocks) with the channel counts divided; weights, BatchNorm's
averages included, are random. The loss is sum(embeddings * direction). Each step: forward and backward in training mode,
clip_grad_norm_, SGD. Recorded:

    images, direction                 the inputs of every step
    before.<name>                     state_dict before the first step
    train_output, gradient.<name>     of the first step, before clipping
    norm                              what clip_grad_norm_ returned in each step
    after.<name>, eval_output         state_dict after three steps, and the embeddings in evaluation mode then

The metadata holds the numbers that a reader needs to repeat it.
"""

import sys

import torch
from safetensors.torch import save_file
from torch import nn

WIDTH, IMAGE_SIZE, EMBEDDING_SIZE, BATCH = 6, 32, 16, 8
BLOCKS = (2, 2, 2, 2)
STEPS, LR, MOMENTUM, WEIGHT_DECAY, MAX_NORM = 3, 0.05, 0.9, 5e-4, 2.0


class Block(nn.Module):
    def __init__(self, in_channels, channels, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels, eps=1e-5)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels, eps=1e-5)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels, eps=1e-5)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels, eps=1e-5))

    def forward(self, x):
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH, eps=1e-5)
        self.prelu = nn.PReLU(WIDTH)
        in_channels = WIDTH
        for i, blocks in enumerate(BLOCKS):
            channels = WIDTH << i
            layer = [Block(in_channels if b == 0 else channels, channels, 2 if b == 0 else 1) for b in range(blocks)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
            in_channels = channels
        self.bn2 = nn.BatchNorm2d(in_channels, eps=1e-5)
        self.fc = nn.Linear(in_channels * (IMAGE_SIZE // 16) ** 2, EMBEDDING_SIZE)
        self.features = nn.BatchNorm1d(EMBEDDING_SIZE, eps=1e-5)
        self.features.weight.requires_grad = False

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        for i in range(len(BLOCKS)):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.features(self.fc(torch.flatten(self.bn2(x), 1)))


def randomise(net):
    """Values that let no term vanish: with BatchNorm's first weights (1, 0) many mistakes do not show."""
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked") or name == "features.weight":
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.dim() == 1 and name.endswith("weight"):
            tensor.uniform_(0.1, 0.4) if "prelu" in name else tensor.uniform_(0.5, 1.5)
        else:
            tensor.normal_(0, 0.1)


def main(path):
    torch.manual_seed(1)
    net = IResNet()
    randomise(net)
    images, direction = torch.randn(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), torch.randn(BATCH, EMBEDDING_SIZE)
    case = {"images": images, "direction": direction}
    case |= {f"before.{name}": tensor.clone() for name, tensor in net.state_dict().items()}

    parameters = [p for p in net.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    norms = []
    for step in range(STEPS):
        sgd.zero_grad()
        output = net(images)
        (output * direction).sum().backward()
        if step == 0:
            case["train_output"] = output.detach()
            case |= {f"gradient.{n}": p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
        norms.append(nn.utils.clip_grad_norm_(parameters, MAX_NORM))
        sgd.step()
    case["norm"] = torch.stack(norms)
    case |= {f"after.{name}": tensor for name, tensor in net.state_dict().items()}
    net.eval()
    case["eval_output"] = net(images).detach()

    numbers = dict(width=WIDTH, image_size=IMAGE_SIZE, embedding_size=EMBEDDING_SIZE, steps=STEPS, lr=LR,
                   momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, max_norm=MAX_NORM, torch=torch.__version__)
    save_file(case, path, {key: str(value) for key, value in numbers.items()})
    print(f"{path}: norms {case['norm'].tolist()}")


if __name__ == "__main__":
    main(*sys.argv[1:])

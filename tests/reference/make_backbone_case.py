#!/usr/bin/env python3
"""Records three training steps of a small backbone in PyTorch as tests/data/<name>_small.safetensors.

    python make_backbone_case.py iresnet18 ../data/iresnet18_small.safetensors     (needs torch, safetensors)

The networks are InsightFace's iresnet18 and mobilefacenet and the seed chapter's FaceResNet-18, with fewer channels. All
weights, including BatchNorm's averages, are random. The loss is sum(embeddings * direction). Each step is a forward and a
backward pass in training mode, clip_grad_norm_ and SGD. Recorded:

    images, direction                 the inputs of every step
    before.<name>                     state_dict before the first step
    train_output, gradient.<name>     of the first step, before clipping
    bfloat16_output                   train_output with the convolutional part under autocast(bfloat16)
    norm                              the result of clip_grad_norm_ in each step
    after.<name>, eval_output         state_dict after three steps, and the embeddings in evaluation mode after them

The metadata has the numbers that are needed to repeat the steps.
"""

import copy
import sys

import torch
from safetensors.torch import save_file
from torch import nn

BLOCKS = (2, 2, 2, 2)
WIDTH, IMAGE_SIZE, EMBEDDING_SIZE, BATCH = 2, 32, 8, 8
STEPS, LR, MOMENTUM, WEIGHT_DECAY, MAX_NORM = 3, 0.05, 0.9, 5e-4, 2.0


class Flavour:
    """The differences between iresnet and FaceResNet."""

    def __init__(self, eps, slope_per_channel, embedding_bn):
        self.eps, self.slope_per_channel, self.embedding_bn = eps, slope_per_channel, embedding_bn

    def bn(self, channels):
        return nn.BatchNorm2d(channels, eps=self.eps)

    def prelu(self, channels):
        return nn.PReLU(channels if self.slope_per_channel else 1)


class Block(nn.Module):
    def __init__(self, flavour, in_channels, channels, stride):
        super().__init__()
        self.bn1 = flavour.bn(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
        self.bn2 = flavour.bn(channels)
        self.prelu = flavour.prelu(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn3 = flavour.bn(channels)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), flavour.bn(channels))

    def forward(self, x):
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        return y + (x if self.downsample is None else self.downsample(x))


class ResidualNet(nn.Module):
    def __init__(self, flavour, width, image_size, embedding_size):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = flavour.bn(width)
        self.prelu = flavour.prelu(width)
        in_channels = width
        for i, blocks in enumerate(BLOCKS):
            channels = width << i
            layer = [Block(flavour, in_channels if b == 0 else channels, channels, 2 if b == 0 else 1)
                     for b in range(blocks)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
            in_channels = channels
        self.bn2 = flavour.bn(in_channels)
        self.fc = nn.Linear(in_channels * (image_size // 16) ** 2, embedding_size)
        self.features = None
        if flavour.embedding_bn:
            self.features = nn.BatchNorm1d(embedding_size, eps=flavour.eps)
            self.features.weight.requires_grad = False

    def forward(self, x, bfloat16=False):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            x = self.prelu(self.bn1(self.conv1(x)))
            for i in range(len(BLOCKS)):
                x = getattr(self, f"layer{i + 1}")(x)
            x = torch.flatten(self.bn2(x), 1)
        x = self.fc(x.float())
        return x if self.features is None else self.features(x)


class MobileFaceNet(nn.Module):
    def __init__(self, width, image_size, embedding_size):
        super().__init__()
        w = width

        def conv(in_channels, channels, kernel_size=3, stride=1, groups=1, linear=False, padding=None):
            padding = kernel_size // 2 if padding is None else padding
            layers = [nn.Conv2d(in_channels, channels, kernel_size, stride, padding, groups=groups, bias=False),
                      nn.BatchNorm2d(channels)]
            return nn.ModuleDict({"layers": nn.Sequential(*layers, *([] if linear else [nn.PReLU(channels)]))})

        def bottleneck(in_channels, inner, channels, stride):
            return nn.ModuleDict({"layers": nn.Sequential(
                conv(in_channels, inner, 1), conv(inner, inner, 3, stride, inner), conv(inner, channels, 1, linear=True))})

        def residual(channels, blocks):
            return nn.ModuleDict({"layers": nn.Sequential(
                *[bottleneck(channels, channels, channels, 1) for _ in range(blocks)])})

        self.layers = nn.ModuleList([
            conv(3, 2 * w, stride=2), conv(2 * w, 2 * w, groups=w),
            bottleneck(2 * w, 2 * w, 2 * w, 2), residual(2 * w, 4),
            bottleneck(2 * w, 4 * w, 4 * w, 2), residual(4 * w, 6),
            bottleneck(4 * w, 8 * w, 4 * w, 2), residual(4 * w, 2)])
        self.conv_sep = conv(4 * w, 8 * w, 1)
        self.features = nn.ModuleDict({"layers": nn.Sequential(
            conv(8 * w, 8 * w, image_size // 16, groups=8 * w, linear=True, padding=0), nn.Flatten(),
            nn.Linear(8 * w, embedding_size, bias=False), nn.BatchNorm1d(embedding_size))})

    def forward(self, x, bfloat16=False):
        def run_bottleneck(block, x):
            for part in block["layers"]:
                x = part["layers"](x)
            return x

        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            x = self.layers[1]["layers"](self.layers[0]["layers"](x))
            for i in (2, 4, 6):
                x = run_bottleneck(self.layers[i], x)
                for block in self.layers[i + 1]["layers"]:
                    x = x + run_bottleneck(block, x)
        x = self.conv_sep["layers"](x.float())
        whole, flatten, linear, bn = self.features["layers"]
        return bn(linear(flatten(whole["layers"](x))))


def iresnet(**sizes):
    return ResidualNet(Flavour(1e-5, True, True), **sizes)


def face_resnet(**sizes):
    return ResidualNet(Flavour(2e-5, False, False), **sizes)


NETWORKS = {"iresnet18": iresnet, "faceresnet18": face_resnet, "mobilefacenet": MobileFaceNet}


def randomise(net):
    """Draws values for which no term vanishes. With BatchNorm's first weights (1, 0) many mistakes would have no effect."""
    slopes = {f"{name}.weight" for name, module in net.named_modules() if isinstance(module, nn.PReLU)}
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked") or name in frozen:
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.dim() == 1 and name.endswith("weight"):
            tensor.uniform_(0.1, 0.4) if name in slopes else tensor.uniform_(0.5, 1.5)
        else:
            tensor.normal_(0, 0.1)


def count(name):
    """The numbers of keys and parameters of the published size, which architectures_test.cc expects."""
    net = NETWORKS[name](width=64, image_size=112, embedding_size=512)
    return len(net.state_dict()), sum(parameter.numel() for parameter in net.parameters())


def main(name, path):
    torch.manual_seed(1)
    net = NETWORKS[name](width=WIDTH, image_size=IMAGE_SIZE, embedding_size=EMBEDDING_SIZE)
    randomise(net)
    images, direction = torch.randn(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), torch.randn(BATCH, EMBEDDING_SIZE)
    case = {"images": images, "direction": direction}
    case |= {f"before.{key}": tensor.clone() for key, tensor in net.state_dict().items()}
    case["bfloat16_output"] = copy.deepcopy(net)(images, bfloat16=True).detach()

    parameters = [p for p in net.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    norms = []
    for step in range(STEPS):
        sgd.zero_grad()
        output = net(images)
        (output * direction).sum().backward()
        if step == 0:
            case["train_output"] = output.detach()
            case |= {f"gradient.{key}": p.grad.clone() for key, p in net.named_parameters() if p.grad is not None}
        norms.append(nn.utils.clip_grad_norm_(parameters, MAX_NORM))
        sgd.step()
    case["norm"] = torch.stack(norms)
    case |= {f"after.{key}": tensor for key, tensor in net.state_dict().items()}
    net.eval()
    case["eval_output"] = net(images).detach()

    numbers = dict(name=name, width=WIDTH, image_size=IMAGE_SIZE, embedding_size=EMBEDDING_SIZE, steps=STEPS, lr=LR,
                   momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, max_norm=MAX_NORM, torch=torch.__version__)
    save_file(case, path, {key: str(value) for key, value in numbers.items()})
    print(f"{path}: norms {case['norm'].tolist()}; the published size has %d keys, %d parameters" % count(name))


if __name__ == "__main__":
    main(*sys.argv[1:])

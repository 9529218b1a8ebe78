"""Training images for pytorch_train.py: a packed set (train.rec, train.idx, property) or random images."""
from __future__ import annotations

import io
import math
import pathlib
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from read_records import header_of, records_of
from run_config import RunConfig
from torch import Tensor


class PackedSet:
    """The images of a packed set, in memory as they are in its files. With keep_decoded each is decoded once only."""

    def __init__(self, folder: pathlib.Path, side: int, keep_decoded: bool) -> None:
        records = dict(records_of(folder))  # type: ignore[no-untyped-call]
        labels, rest = header_of(records[0])  # type: ignore[no-untyped-call]
        numbers = sorted(records) if rest else range(1, int(labels[0]))  # a header says where the images end
        self.classes = int((folder / "property").read_text().split(",")[0])
        self.encoded: list[bytes] = []
        of_image = []
        for number in numbers:
            (label, *_), image = header_of(records[number])  # type: ignore[no-untyped-call]
            of_image.append(int(label))
            self.encoded.append(image)
        self.labels = torch.tensor(of_image)
        self.side = side
        self.decoded = torch.stack([self.decode(image) for image in self.encoded]) if keep_decoded else None

    def decode(self, image: bytes) -> Tensor:
        """3 × side × side bytes."""
        from PIL import Image
        picture = Image.open(io.BytesIO(image)).convert("RGB")
        if picture.size != (self.side, self.side):
            picture = picture.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)

    def images(self, samples: Tensor) -> Tensor:
        if self.decoded is not None:
            return self.decoded[samples]
        return torch.stack([self.decode(self.encoded[i]) for i in samples.tolist()])


class RandomImages:
    """Random pixels and labels; nothing can be learned from them."""

    def __init__(self, samples: int, classes: int, side: int) -> None:
        self.classes, self.side = classes, side
        self.labels = torch.randint(classes, (samples,))

    def images(self, samples: Tensor) -> Tensor:
        return torch.randint(256, (len(samples), 3, self.side, self.side), dtype=torch.uint8)


def open_data(config: RunConfig, keep_decoded: bool) -> PackedSet | RandomImages:
    side = config.whole("data.image_size")
    if config.text("data.format") == "synthetic":
        return RandomImages(config.whole("data.synthetic_samples"), config.whole("head.classes"), side)
    folder = pathlib.Path(config.text("data.train"))
    if not (folder / "train.rec").is_file():
        config.refuse("data.train", "only packed sets (a folder with train.rec) and synthetic data are read here")
    return PackedSet(folder, side, keep_decoded)


def batches(samples: int, batch: int) -> Iterator[Tensor]:
    """Sample numbers of one step after another, in a new order in each epoch. An incomplete last batch is left out."""
    while True:
        order = torch.randperm(samples)
        for begin in range(0, samples - batch + 1, batch):
            yield order[begin:begin + batch]


class Augmentation:
    """Mirrors, turns, enlarges and shifts images as arcshard's data.flip, rotate_degrees, scale and translate do."""

    def __init__(self, config: RunConfig) -> None:
        self.flip = config.text("data.flip") == "true"
        self.degrees, self.translate, self.scale = (
            config.number(f"data.{key}") for key in ("rotate_degrees", "translate", "scale"))
        self.mean, self.std = config.number("data.pixel_mean"), config.number("data.pixel_std")

    def __call__(self, images: Tensor) -> Tensor:
        """Bytes to normalised float32."""
        count = len(images)
        x = images.to(torch.float32).sub_(self.mean).div_(self.std)
        mirror = torch.ones(count) if not self.flip else 1 - 2 * torch.randint(2, (count,)).float()
        if not (self.degrees or self.translate or self.scale):
            return torch.where((mirror < 0).view(-1, 1, 1, 1), x.flip(3), x)
        angle, zoom, dx, dy = (2 * torch.rand(4, count) - 1).unbind()
        angle, zoom = angle * self.degrees * (math.pi / 180), 1 / (1 + self.scale * zoom)
        cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        dx, dy = 2 * self.translate * dx, 2 * self.translate * dy  # grid_sample's image goes from -1 to 1
        rows = torch.stack([mirror * cosine, mirror * sine, -mirror * (cosine * dx + sine * dy),
                            -sine, cosine, sine * dx - cosine * dy], dim=1)
        grid = F.affine_grid(rows.view(count, 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)

#!/usr/bin/env python3
"""Computes embeddings in PyTorch with a backbone that arcshard exported, and compares them with arcshard's embeddings.

    check_embeddings.py BACKBONE.safetensors IMAGES EMBEDDINGS.safetensors     (needs torch, safetensors, pillow)

Loads BACKBONE, strictly, into the tests' PyTorch definition of iresnet18. IMAGES is a folder of images, and EMBEDDINGS is the
output of `arcshard embed BACKBONE IMAGES EMBEDDINGS`. The largest difference may be 1e-5 of the largest value.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from make_backbone_case import Flavour, ResidualNet


def main(backbone, images, embeddings):
    with safe_open(backbone, "pt") as file:
        metadata = file.metadata()
    assert metadata["backbone"] == "iresnet18", metadata
    net = ResidualNet(Flavour(1e-5, True, True), int(metadata["width"]), int(metadata["image_size"]),
                      int(metadata["embedding_size"]))
    net.load_state_dict(load_file(backbone), strict=True)
    net.eval()
    ours = load_file(embeddings)
    names = json.loads(bytes(ours["names"].numpy()))
    pixels = np.stack([np.asarray(Image.open(pathlib.Path(images) / name).convert("RGB")) for name in names])
    with torch.no_grad():
        theirs = net((torch.tensor(pixels).permute(0, 3, 1, 2).float() - 127.5) / 127.5)
    difference = (theirs - ours["embeddings"]).abs().max() / theirs.abs().max()
    print(f"{len(names)} embeddings, largest difference {difference:.1e} of the largest value")
    assert len(names) > 0 and difference <= 1e-5


if __name__ == "__main__":
    main(*sys.argv[1:])

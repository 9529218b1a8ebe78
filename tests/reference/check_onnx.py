#!/usr/bin/env python3
"""Runs an exported ONNX model with onnxruntime and compares its embeddings with arcshard's.

    check_onnx.py MODEL.onnx DATA.safetensors EMBEDDINGS.safetensors     (needs onnxruntime, safetensors, numpy)

DATA has the tensor data (images×3×S×S, normalised), and EMBEDDINGS is the output of `arcshard embed` for the same images. The
model is run on all images at once and on each alone. The largest difference may be 1e-4 of the largest value.
"""
import sys

import numpy as np
import onnxruntime
from safetensors.numpy import load_file


def main(model, data, embeddings):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert given.name == "data" and made.name == "embedding", (given.name, made.name)
    images, expected = load_file(data)["data"], load_file(embeddings)["embeddings"]
    assert isinstance(given.shape[0], str) and list(given.shape[1:]) == list(images.shape[1:]), given.shape
    assert isinstance(made.shape[0], str) and list(made.shape[1:]) == list(expected.shape[1:]), made.shape
    together = session.run(None, {"data": images})[0]
    alone = np.concatenate([session.run(None, {"data": image[None]})[0] for image in images])
    for what, found in (("together", together), ("alone", alone)):
        difference = np.abs(found - expected).max() / np.abs(expected).max()
        print(f"{len(images)} images {what}: largest difference {difference:.1e} of the largest value")
        assert found.shape == expected.shape and difference <= 1e-4


if __name__ == "__main__":
    main(*sys.argv[1:])

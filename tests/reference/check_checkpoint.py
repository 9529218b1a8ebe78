#!/usr/bin/env python3
"""A reference reader of checkpoints. It uses Python's safetensors and standard library, and no code of arcshard.

    check_checkpoint.py CHECKPOINT CENTERS.safetensors

Reads CHECKPOINT/manifest.json and every file that it names. Checks the CRC-32C of the manifest, the size and CRC-32C of each
file, the CRC-32C of each MiB, and that safetensors opens each file. The rows of all tensors class_centers.<begin>-<end>
together must equal the tensor class_centers of CENTERS, which `arcshard checkpoint export` wrote.
"""
import json
import pathlib
import sys

import numpy as np
import safetensors

BLOCK = 1 << 20
TYPES = {"F32": np.float32, "I64": np.int64, "U32": np.uint32}


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return f"{crc ^ 0xFFFFFFFF:08x}"


def array_of(tensor):
    if tensor["dtype"] == "BF16":
        return (np.frombuffer(tensor["data"], np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(tensor["shape"])
    return np.frombuffer(tensor["data"], TYPES[tensor["dtype"]]).reshape(tensor["shape"])


def tensors_of(data):
    return {name: array_of(tensor) for name, tensor in safetensors.deserialize(data)}


def check_manifest(text):
    manifest = json.loads(text)
    assert list(manifest)[-1] == "crc32c"
    body = text[: text.rindex(b'  "crc32c"')]
    assert manifest["crc32c"] == crc32c(body), "the manifest's CRC-32C"
    return manifest


def main(checkpoint, centers):
    checkpoint = pathlib.Path(checkpoint)
    manifest = check_manifest((checkpoint / "manifest.json").read_bytes())
    names = {path.name for path in checkpoint.iterdir()} - {"manifest.json"}
    assert names == {file["name"] for file in manifest["files"]}, names
    rows = {}
    for file in manifest["files"]:
        data = (checkpoint / file["name"]).read_bytes()
        assert len(data) == file["bytes"] and crc32c(data) == file["crc32c"], file["name"]
        blocks = "".join(crc32c(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))
        assert blocks == file["block_crc32c"], file["name"]
        for name, values in tensors_of(data).items():
            if name.startswith("class_centers."):
                begin, end = map(int, name.split(".")[1].split("-"))
                assert values.shape == (end - begin, manifest["embedding_size"]), name
                rows[begin] = values
    assert "backbone.safetensors" in names and rows, names
    exported = tensors_of(pathlib.Path(centers).read_bytes())
    assert list(exported) == ["class_centers"]
    together = np.concatenate([rows[begin] for begin in sorted(rows)])
    assert together.shape == (manifest["num_classes"], manifest["embedding_size"]), together.shape
    assert np.array_equal(exported["class_centers"], together)
    print(f"{checkpoint}: {len(names)} files, {len(rows)} with class centers {together.shape}")


if __name__ == "__main__":
    main(*sys.argv[1:])

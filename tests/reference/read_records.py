#!/usr/bin/env python3
"""A reference reader of packed training sets and verification sets. It uses only Python's standard library and was written
from the descriptions of the formats, without any code of arcshard.

    read_records.py records FOLDER OUT    train.rec, train.idx -> OUT/<record>.<label>.image, OUT/identities.txt
    read_records.py pairs SET.bin OUT     a pickle -> OUT/<i>.image, OUT/flags.txt
"""
import pathlib
import pickle
import struct
import sys

MAGIC = 0xCED7230A


def records_of(folder):
    """Yields (record number, payload) in the order of the index, and checks that the records fill the file without gaps."""
    data = (folder / "train.rec").read_bytes()
    at = 0
    for line in (folder / "train.idx").read_text().splitlines():
        number, offset = map(int, line.split("\t"))
        assert offset == at, f"record {number} begins at {offset}, but the one before it ends at {at}"
        parts = []
        while True:
            magic, word = struct.unpack_from("<II", data, at)
            flag, length = word >> 29, word & (1 << 29) - 1
            assert magic == MAGIC, f"record {number}: no magic number at {at}"
            assert flag in ((0, 1) if not parts else (2, 3)), f"record {number}: flag {flag} at {at}"
            part = data[at + 8 : at + 8 + length]
            assert len(part) == length, f"record {number} is cut off"
            parts.append(part)
            at += 8 + (length + 3) // 4 * 4
            if flag in (0, 3):
                break
        yield number, struct.pack("<I", MAGIC).join(parts)
    assert at == len(data), f"{len(data) - at} bytes after the last record"


def header_of(payload):
    """Returns the labels of an IRHeader and the bytes that follow it."""
    flag, label, _, _ = struct.unpack_from("<IfQQ", payload)
    if flag == 0:
        return (label,), payload[24:]
    return struct.unpack_from(f"<{flag}f", payload, 24), payload[24 + 4 * flag :]


def read_records(folder, out):
    records = dict(records_of(folder))
    classes = int((folder / "property").read_text().split(",")[0])
    labels, rest = header_of(records[0])
    if rest:  # no header: every record is an image
        images, identities = sorted(records), []
    else:
        first, end = map(int, labels)
        images, identities = range(1, first), range(first, end)
        assert len(identities) == classes, f"{len(identities)} identities, but {classes} classes"
    label_of = {}
    for number in images:
        (label,), image = header_of(records[number])
        label_of[number] = int(label)
        (out / f"{number}.{int(label)}.image").write_bytes(image)
    ranges = []
    for label, number in enumerate(identities):
        (begin, end), rest = header_of(records[number])
        assert not rest, f"identity {number} has {len(rest)} bytes after its labels"
        assert all(label_of[i] == label for i in range(int(begin), int(end))), f"identity {label} has images of other classes"
        ranges.append((int(begin), int(end)))
    assert sum(end - begin for begin, end in ranges) in (0, len(label_of)), "some images belong to no identity"
    (out / "identities.txt").write_text("".join(f"{begin} {end}\n" for begin, end in ranges))


def read_pairs(path, out):
    with open(path, "rb") as file:
        images, same = pickle.load(file)
    assert isinstance(images, list) and all(type(image) is bytes for image in images)
    assert isinstance(same, list) and all(type(flag) is bool for flag in same)
    assert len(images) == 2 * len(same)
    for i, image in enumerate(images):
        (out / f"{i}.image").write_bytes(image)
    (out / "flags.txt").write_text("".join(f"{int(flag)}\n" for flag in same))


if __name__ == "__main__":
    what, source, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    {"records": read_records, "pairs": read_pairs}[what](source, out)

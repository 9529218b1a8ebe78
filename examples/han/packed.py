"""Writes a training set and verification sets as InsightFace packs them, which arcshard reads."""
import pathlib
import pickle
import struct
import types
from typing import Self

MAGIC = struct.pack("<I", 0xCED7230A)


class TrainingSet:
    """OUT/train.rec, train.idx and property. They appear at the end; after an error nothing is left.

    Record 0 is a header, the images follow, class by class, and then one record for each class, with its images' numbers."""

    def __init__(self, folder: pathlib.Path, side: int):
        self.folder, self.side = folder, side
        self.records, self.images, self.bytes = 0, 0, 0
        self.ranges: list[tuple[int, int]] = []
        self.parts = {name: folder / f"{name}.part" for name in ("train.idx", "property", "train.rec")}
        self.rec = open(self.parts["train.rec"], "wb")  # noqa: SIM115, __exit__ closes both
        self.idx = open(self.parts["train.idx"], "w", encoding="ascii")  # noqa: SIM115

    def __enter__(self) -> Self:
        self._add(struct.pack("<IfQQff", 2, 0.0, 0, 0, 0.0, 0.0))  # finish() fills it in
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None) -> None:
        self.rec.close()
        self.idx.close()
        for part in self.parts.values():
            part.unlink(missing_ok=True)

    def add_class(self, images: list[bytes]) -> None:
        begin = self.records
        for image in images:
            self._add(struct.pack("<IfQQ", 0, float(len(self.ranges)), self.records, 0) + image)
        self.images += len(images)
        self.ranges.append((begin, self.records))

    def finish(self) -> None:
        first = self.records
        for begin, end in self.ranges:
            self._add(struct.pack("<IfQQff", 2, float(begin), self.records, 0, float(begin), float(end)))
        self.rec.seek(8)  # behind the magic number and the length
        self.rec.write(struct.pack("<IfQQff", 2, float(first), 0, 0, float(first), float(self.records)))
        self.rec.close()
        self.idx.close()
        self.parts["property"].write_text(f"{len(self.ranges)},{self.side},{self.side}\n", encoding="ascii")
        (self.folder / "train.rec").unlink(missing_ok=True)  # with a new index the old records would be no data set
        for name, part in self.parts.items():
            part.replace(self.folder / name)

    def _add(self, payload: bytes) -> None:
        """Writes a record. Its payload is cut where the magic number occurs in it at a multiple of 4."""
        pieces, begin = [], 0
        at = payload.find(MAGIC)
        while at >= 0:
            if at % 4 == 0:
                pieces.append(payload[begin:at])
                begin = at + 4
            at = payload.find(MAGIC, max(begin, at + 1))
        pieces.append(payload[begin:])
        self.idx.write(f"{self.records}\t{self.bytes}\n")
        for i, piece in enumerate(pieces):
            flag = 0 if len(pieces) == 1 else 1 if i == 0 else 3 if i == len(pieces) - 1 else 2
            self.bytes += self.rec.write(MAGIC + struct.pack("<I", flag << 29 | len(piece)) + piece + bytes(-len(piece) % 4))
        self.records += 1


def write_pairs(path: pathlib.Path, images: list[bytes], same: list[bool]) -> None:
    """A verification set: images 2i and 2i + 1 are pair i, and same[i] says whether they are of one class."""
    part = path.with_suffix(".part")
    try:
        with open(part, "wb") as file:
            pickle.dump((images, same), file, protocol=3)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

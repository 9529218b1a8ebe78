"""Counts how few of the class centers hold the exponentials' mass: whether a step could leave out the others.

skip_counts.py --centers CLASS_CENTERS.safetensors... --embeddings EMBEDDINGS.safetensors --scale S --margin M
skip_counts.py --synthetic N --scale S --margin M

The first form reads what a run writes into its folder `model` and what `arcshard embed` makes of its training set. The
second makes N classes as a well-trained model would have them: directions drawn at random, in families of similar ones.

For each batch of random samples, with z_i the sum over negatives: the share of the classes (rows) and of the blocks of
consecutive classes that must be kept so that no sample loses more than a bound of its z. Three ways to choose them:

  best       as few as a search after the fact finds: rows in the order of their largest share of any sample's z
  threshold  what a pass can decide as it goes: a row is kept where one of its exponentials exceeds bound·z_i/N
  weighted   as threshold, but an exponential counts times its sample's softmax error α_i, relative to the largest α of
             the batch: what pass 2 may leave out of the gradient

Printed with each: how much of a step's three products is left if S is computed for all rows, and U and H for these.
"""
import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Iterator

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float32]
Labels = NDArray[numpy.int64]
BOUNDS = {"2^-24": 2.0**-24, "2^-16": 2.0**-16, "2^-12": 2.0**-12}
TYPES = {"F32": numpy.float32, "BF16": numpy.uint16, "I64": numpy.int64}


@dataclasses.dataclass(frozen=True)
class Model:
    centers: Floats  # unit vectors
    embeddings: Floats  # unit vectors
    labels: Labels


def tensors_of(path: pathlib.Path) -> Iterator[tuple[str, NDArray[numpy.float32 | numpy.int64]]]:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    for name, tensor in header.items():
        if tensor["dtype"] not in TYPES:
            continue
        begin, end = tensor["data_offsets"]
        values = numpy.frombuffer(data[8 + size + begin:8 + size + end], TYPES[tensor["dtype"]])
        if tensor["dtype"] == "BF16":
            values = (values.astype(numpy.uint32) << 16).view(numpy.float32)
        yield name, values.reshape(tensor["shape"])


def unit(rows: NDArray[numpy.float32 | numpy.float64]) -> Floats:
    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / numpy.maximum(lengths, 1e-12)).astype(numpy.float32)


def trained(center_files: list[pathlib.Path], embedding_file: pathlib.Path) -> Model:
    def first_class(path: pathlib.Path) -> int:
        return int(path.stem.split("-")[-2])

    centers = [next(values for name, values in tensors_of(path) if name.startswith("class_centers"))
               for path in sorted(center_files, key=first_class)]
    tensors = dict(tensors_of(embedding_file))
    return Model(unit(numpy.concatenate(centers)), unit(tensors["embeddings"]), tensors["labels"].astype(numpy.int64))


def synthetic(classes: int, dim: int, family: int, likeness: float, cosine: float) -> Model:
    """Centers of one family have a mean cosine of `likeness` to each other; a sample has `cosine` to its own center."""
    draw = numpy.random.default_rng(1)
    families = unit(draw.standard_normal((classes // family + 1, dim)))
    own = unit(draw.standard_normal((classes, dim)))
    centers = unit(likeness**0.5 * families[numpy.arange(classes) // family] + (1 - likeness)**0.5 * own)
    labels = draw.integers(0, classes, 4096)
    noise = unit(draw.standard_normal((len(labels), dim)))
    return Model(centers, unit(cosine * centers[labels] + (1 - cosine**2)**0.5 * noise), labels)


@dataclasses.dataclass(frozen=True)
class Counts:
    best: float
    blocks: float
    threshold: float
    weighted: float


def kept_of_best(shares: Floats, bound: float) -> float:
    """`shares` (n×B) of n rows or blocks in each sample's z; returns the share of the n that must be kept."""
    order = numpy.argsort(shares.max(axis=1))
    lost = numpy.cumsum(shares[order].astype(numpy.float64), axis=0).max(axis=1)
    return 1.0 - float(numpy.searchsorted(lost, bound, side="right")) / len(shares)


def count(model: Model, samples: Labels, scale: float, margin: float, block_rows: int) -> dict[str, Counts]:
    embeddings, labels = model.embeddings[samples], model.labels[samples]
    cosines = model.centers @ embeddings.T
    own = cosines[labels, numpy.arange(len(samples))].astype(numpy.float64)
    exponentials = numpy.exp(scale * (cosines - 1.0))
    exponentials[labels, numpy.arange(len(samples))] = 0.0
    z = exponentials.sum(axis=0, dtype=numpy.float64)
    target = scale * (own - margin - 1.0)
    alpha = 1.0 / (1.0 + numpy.exp(target - numpy.log(z)))
    shares = (exponentials / z).astype(numpy.float32)
    blocks = numpy.add.reduceat(shares, range(0, len(shares), block_rows), axis=0)
    largest, weighted = shares.max(axis=1), (shares * (alpha / alpha.max())).max(axis=1)
    classes = len(shares)
    return {name: Counts(kept_of_best(shares, bound), kept_of_best(blocks, bound),
                         float(numpy.mean(largest > bound / classes)), float(numpy.mean(weighted > bound / classes)))
            for name, bound in BOUNDS.items()}


def report(model: Model, arguments: argparse.Namespace) -> None:
    draw = numpy.random.default_rng(2)
    batches = [count(model, draw.choice(len(model.labels), arguments.batch), arguments.scale, arguments.margin,
                     arguments.block_rows) for _ in range(arguments.batches)]
    print(f"{len(model.centers)} classes of {model.centers.shape[1]} dimensions, scale {arguments.scale:g}, batches of "
          f"{arguments.batch}, blocks of {arguments.block_rows}; means of {arguments.batches} batches")
    print("bound   kept rows: best  threshold  weighted   blocks: best   products left: best  threshold  weighted")
    for bound in BOUNDS:
        kept = [float(numpy.mean([getattr(batch[bound], way) for batch in batches]))
                for way in ("best", "threshold", "weighted", "blocks")]
        left = [(1 + 2 * share) / 3 for share in kept[:3]]
        print(f"{bound}  {kept[0]:14.1%} {kept[1]:10.1%} {kept[2]:9.1%} {kept[3]:14.1%} "
              f"{left[0]:20.2f} {left[1]:10.2f} {left[2]:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--centers", type=pathlib.Path, nargs="+", metavar="FILE")
    parser.add_argument("--embeddings", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--synthetic", type=int, metavar="N")
    parser.add_argument("--dim", type=int, default=512, help="dimensions of synthetic classes")
    parser.add_argument("--family", type=int, default=10, help="synthetic classes that are similar to each other")
    parser.add_argument("--likeness", type=float, default=0.3, help="cosine of two synthetic classes of one family")
    parser.add_argument("--cosine", type=float, default=0.7, help="cosine of a synthetic sample to its own class")
    parser.add_argument("--scale", type=float, default=64.0)
    parser.add_argument("--margin", type=float, default=0.4, help="CosFace's m")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--block-rows", type=int, default=256)
    arguments = parser.parse_args()
    if arguments.synthetic is not None:
        model = synthetic(arguments.synthetic, arguments.dim, arguments.family, arguments.likeness, arguments.cosine)
    elif arguments.centers and arguments.embeddings:
        model = trained(arguments.centers, arguments.embeddings)
    else:
        sys.exit("skip_counts.py: give either --centers and --embeddings, or --synthetic")
    report(model, arguments)


if __name__ == "__main__":
    main()

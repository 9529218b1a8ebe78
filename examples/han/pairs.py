"""Draws the pairs of the three verification sets."""
import dataclasses
import itertools
import random
from collections.abc import Callable

import numpy
from pictures import SIDE, Ink

LEAST_PAIRS = 20  # two for each fold of LFW's protocol
PRECISION = 2000  # of a row's whole numbers: products of rows are below 2^24, exact in float32 on every machine


@dataclasses.dataclass(frozen=True)
class Character:
    code: int
    trained: list[int]  # the faces of training that draw it, without those that draw it the same
    unseen: list[int]  # likewise of the faces that are kept out of training
    mean: Ink  # of its pictures in the faces of training


Drawing = tuple[int, int]  # a character's code and a face
Pair = tuple[Drawing, Drawing, bool]
Differ = Callable[[Drawing, Drawing], bool]


def most_similar(characters: list[Character]) -> list[int]:
    """Of each character the position of the one that looks most like it: the largest cosine of their mean pictures, less
    the mean over all characters. Requires: two characters or more."""
    rows = numpy.asarray([one.mean for one in characters], numpy.int64).reshape(len(characters), SIDE * SIDE)
    rows -= rows.sum(axis=0) // len(characters)
    norms = numpy.sqrt(numpy.maximum((rows * rows).sum(axis=1), 1).astype(numpy.float64))
    units = numpy.rint(rows * (PRECISION / norms)[:, None]).astype(numpy.float32)
    found: list[int] = []
    for begin in range(0, len(units), 1024):
        products = units[begin : begin + 1024] @ units.T
        products[numpy.arange(len(products)), numpy.arange(begin, begin + len(products))] = -numpy.inf
        found += products.argmax(axis=1).tolist()
    return found


def draw_pairs(pool: list[Character], faces: Callable[[Character], list[int]], other: Callable[[int, random.Random], int],
               differ: Differ, count: int, draw: random.Random) -> list[Pair]:
    """At most `count` pairs, none of them twice, by turns of the same character and of two, always in two faces. faces: of a
    character, which may be used; at least two. other: to a position in the pool, the one of another character."""
    pairs: list[Pair] = []
    known: set[frozenset[Drawing]] = set()
    order = list(range(len(pool)))
    draw.shuffle(order)
    for position in itertools.islice(itertools.cycle(order), 20 * count):
        if len(pairs) + 2 > count:
            break
        character, partner = pool[position], pool[other(position, draw)]
        first, second = draw.sample(faces(character), 2)
        third = draw.choice([face for face in faces(partner) if face != first])
        one, same, different = (character.code, first), (character.code, second), (partner.code, third)
        if known & {frozenset((one, same)), frozenset((one, different))} or not differ(one, different):
            continue
        known |= {frozenset((one, same)), frozenset((one, different))}
        pairs += [(one, same, True), (one, different, False)]
    return pairs


def draw_sets(classes: list[Character], others: list[Character], differ: Differ, count: int, seed: int) -> dict[str, list[Pair]]:
    """The sets by name. classes: the characters of training; others: those that are kept out of it. differ: whether two
    drawings look different; pairs of different characters that do not are left out."""

    def at_random(pool: list[Character]) -> Callable[[int, random.Random], int]:
        return lambda position, draw: (position + draw.randrange(1, len(pool))) % len(pool)

    known = [one for one in classes if len(one.unseen) >= 2]
    new = [one for one in others if len(one.trained) >= 2]
    similar = most_similar(known) if len(known) >= 2 else []
    plans = {"unseen_faces": (known, lambda one: one.unseen, at_random(known)),
             "unseen_characters": (new, lambda one: one.trained, at_random(new)),
             "hard_pairs": (known, lambda one: one.unseen, lambda position, _: similar[position])}
    return {name: draw_pairs(pool, faces, other, differ, count, random.Random(f"{seed} {name}")) if len(pool) >= 2 else []
            for name, (pool, faces, other) in plans.items()}

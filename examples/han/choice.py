"""Chooses the faces that draw differently, and which faces and characters are kept out of training."""
import collections
import dataclasses
import random
import sys

import numpy
from faces import Face
from pictures import SAME, SIDE, Pen

LEAST_CHARACTERS = 300  # of a face that is used
SAMPLE = 200  # characters by which faces are compared
ENOUGH = 20  # characters of the sample that two faces must share to be compared
REFUSED = 0.5  # a face of which more is missing, although its character map has it, is left out
COPY = 0.5  # a face that draws more of them as another one does is left out
KIN = 0.05  # faces that draw more of them alike belong to one family, as do those of one package or family name
UNSEEN_FACES = 0.15  # share of the faces that is kept out of training, in whole families
LARGEST_UNSEEN = 0.1  # families with a larger share of all pictures are trained on
LEAST_FACES = 8  # of training that have a character
GROUP = 10  # one of so many characters is kept out of training


@dataclasses.dataclass(frozen=True)
class Faces:
    used: list[Face]
    family: list[int]  # of each used face: the number of its family
    unseen: frozenset[int]  # positions of the faces that are kept out of training
    copies: list[tuple[Face, Face]]  # faces that are left out, with the one that draws alike

    def trained(self) -> list[int]:
        return [i for i in range(len(self.used)) if i not in self.unseen]


def choose_faces(loaded: list[Face], seed: int) -> Faces:
    candidates = sorted((face for face in loaded if len(face.characters) >= LEAST_CHARACTERS),
                        key=lambda face: (-len(face.characters), face.path.rsplit("/", 1)[-1], face.index))
    sample = sample_of(candidates, seed)
    used: list[Face] = []
    drawn: list[Drawn] = []
    copies: list[tuple[Face, Face]] = []
    family = Families()
    for face in candidates:
        try:
            own = Drawn(face, sample)
        except OSError as error:
            print(f"han: {face.path} is left out, because FreeType cannot read it: {error}", file=sys.stderr)
            continue
        if own.refused() > REFUSED:
            print(f"han: {face.path} ({face.name}) is left out, because FreeType refuses {own.refused():.0%} of its glyphs", file=sys.stderr)
            continue
        alike = [own.share_alike(other) for other in drawn]
        # A copy is of a family too: it may be what two faces have in common that are drawn in other weights.
        names = [("family", face.family), ("source", face.source.name)]
        family.join([*names, *(("face", i) for i, share in enumerate(alike) if share > KIN)])
        if alike and max(alike) > COPY:
            copies.append((face, used[alike.index(max(alike))]))
            continue
        family.join([*names, ("face", len(used))])
        used.append(face)
        drawn.append(own)
    families = family.of([("face", i) for i in range(len(used))])
    return Faces(used, families, unseen_faces(used, families, seed), copies)


class Families:
    """Groups of faces and of what they have in common."""

    def __init__(self) -> None:
        self.group: dict[tuple[str, str | int], int] = {}

    def join(self, members: list[tuple[str, str | int]]) -> None:
        for member in members:
            self.group.setdefault(member, len(self.group))
        joined = {self.group[member] for member in members}
        self.group = {member: min(joined) if group in joined else group for member, group in self.group.items()}

    def of(self, members: list[tuple[str, str | int]]) -> list[int]:
        return [self.group[member] for member in members]


def sample_of(faces: list[Face], seed: int) -> list[int]:
    """Characters that many faces have."""
    counts = collections.Counter(code for face in faces for code in face.characters)
    common = sorted(counts, key=lambda code: (-counts[code], code))[: 5 * SAMPLE]
    return sorted(random.Random(f"{seed} sample").sample(common, min(SAMPLE, len(common))))


class Drawn:
    """The pictures of a sample of characters in a face."""

    def __init__(self, face: Face, sample: list[int]):
        pen = Pen(face)
        inks = [pen.draw(code) for code in sample]
        self.has = numpy.asarray([ink is not None for ink in inks])
        empty = numpy.zeros((SIDE, SIDE), numpy.uint8)
        self.rows = numpy.asarray([empty if ink is None else ink for ink in inks], numpy.float64).reshape(len(inks), SIDE * SIDE)
        self.squares = (self.rows * self.rows).sum(axis=1)
        self.claimed = sum(code in face.characters for code in sample)

    def refused(self) -> float:
        """The share of the characters in the face's map that are not drawn."""
        return 1.0 - self.has.sum() / self.claimed if self.claimed else 0.0

    def share_alike(self, other: "Drawn") -> float:
        """Of the characters that both faces draw, the share that they draw the same."""
        both = self.has & other.has
        if both.sum() < ENOUGH:
            return 0.0
        products = numpy.einsum("ij,ij->i", self.rows, other.rows)
        return float((products**2 > SAME**2 * self.squares * other.squares)[both].mean())


def unseen_faces(used: list[Face], family: list[int], seed: int) -> frozenset[int]:
    """Whole families, drawn until they have UNSEEN_FACES of the faces."""
    members = collections.defaultdict(list)
    for i, first in enumerate(family):
        members[first].append(i)
    pictures = sum(len(face.characters) for face in used)
    order = sorted(members)
    random.Random(f"{seed} faces").shuffle(order)
    unseen: list[int] = []
    for first in order:
        if len(unseen) >= UNSEEN_FACES * len(used):
            break
        if sum(len(used[i].characters) for i in members[first]) <= LARGEST_UNSEEN * pictures:
            unseen += members[first]
    return frozenset(unseen)


def rank_characters(faces: Faces, seed: int) -> tuple[list[int], frozenset[int]]:
    """The characters that at least LEAST_FACES of training have, those that most of them have first, and which of them are
    kept out of training: one of each GROUP. Of fewer classes the characters are the first ones of more classes."""
    counts = collections.Counter(code for i in faces.trained() for code in faces.used[i].characters)
    ranked = sorted((code for code, count in counts.items() if count >= LEAST_FACES), key=lambda code: (-counts[code], code))
    draw = random.Random(f"{seed} characters")
    unseen = {group[draw.randrange(len(group))] for group in (ranked[i : i + GROUP] for i in range(0, len(ranked), GROUP))}
    return ranked, frozenset(unseen)

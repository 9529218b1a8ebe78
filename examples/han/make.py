#!/usr/bin/env python3
"""Makes a training set of Han characters: their pictures in many faces, 32 × 32 pixels, and three verification sets.

    scripts/setup --fonts                                      # installs the faces: Debian packages, listed in packages.txt
    .deps/python/bin/python examples/han/make.py [OUT]         # default: examples/han/data
    .deps/python/bin/python examples/han/make.py --classes 2000 /data/han

docs/han.md describes what is made. The same fonts, seed and versions of Pillow give the same bytes.
"""
import argparse
import collections
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

import choice
import faces
import numpy
import packed
import pairs
import pictures

HERE = pathlib.Path(__file__).resolve().parent
CHUNK = 32  # characters that a process draws at a time
FILES = ("train.rec", "train.idx", "property", "unseen_faces.bin", "unseen_characters.bin", "hard_pairs.bin", "fonts.tsv", "characters.tsv")


class Refusal(Exception):
    """Why nothing can be made, in a sentence."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What a process has drawn of a character."""

    character: pairs.Character
    images: list[bytes]  # of the faces of training, as PNG


class Artist:
    """Draws characters in all faces."""

    def __init__(self, chosen: choice.Faces):
        self.chosen = chosen
        self.order = [*chosen.trained(), *sorted(chosen.unseen)]  # a picture that training has is never one of the others
        self.pen = functools.cache(lambda face: pictures.Pen(chosen.used[face]))

    def draw(self, code: int) -> Drawn:
        inks = [(face, ink) for face in self.order if (ink := self.pen(face).draw(code)) is not None]
        kept = [inks[i] for i in pictures.distinct([ink for _, ink in inks])]
        trained = [(face, ink) for face, ink in kept if face not in self.chosen.unseen]
        mean = numpy.zeros((pictures.SIDE, pictures.SIDE), numpy.int64)
        for _, ink in trained:
            mean += ink
        mean //= max(1, len(trained))
        character = pairs.Character(code, [face for face, _ in trained], [face for face, _ in kept if face in self.chosen.unseen],
                                    mean.astype(numpy.uint8))
        return Drawn(character, [pictures.png(ink) for _, ink in trained])

    def ink(self, drawing: pairs.Drawing) -> pictures.Ink:
        """A picture that draw() has made before."""
        code, face = drawing
        ink = self.pen(face).draw(code)
        assert ink is not None
        return ink

    def differ(self, a: pairs.Drawing, b: pairs.Drawing) -> bool:
        return not pictures.same(self.ink(a), self.ink(b))


ARTIST: list[Artist] = []  # of a process that draws


def draw_chunk(codes: list[int]) -> list[Drawn]:
    return [ARTIST[0].draw(code) for code in codes]


def draw_all(artist: Artist, codes: list[int], processes: int) -> Iterator[Drawn]:
    """In the order of the codes."""
    ARTIST[:] = [artist]
    chunks = [codes[i : i + CHUNK] for i in range(0, len(codes), CHUNK)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for chunk in pool.imap(draw_chunk, chunks):
            yield from chunk


def arguments() -> argparse.Namespace:
    def at_least(least: int) -> Callable[[str], int]:
        def read(text: str) -> int:
            value = int(text)
            if value < least:
                raise argparse.ArgumentTypeError(f"{value} is less than {least}")
            return value

        read.__name__ = "whole number"
        return read

    parser = argparse.ArgumentParser(prog="han", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=pathlib.Path, default=HERE / "data", help="the folder to write")
    parser.add_argument("--classes", type=at_least(2), help="characters of training (default: all that enough faces have)")
    parser.add_argument("--seed", type=at_least(0), default=1, help="decides which faces, characters and pairs verify (default: 1)")
    parser.add_argument("--pairs", type=at_least(pairs.LEAST_PAIRS), default=6000, help="of each verification set (default: 6000)")
    parser.add_argument("--fonts", type=pathlib.Path, help="take the fonts in this folder instead of Debian's packages")
    parser.add_argument("--processes", type=at_least(1), default=os.cpu_count() or 1, help="that draw (default: one for each processor)")
    parser.add_argument("--force", action="store_true", help="replace a set that is there")
    return parser.parse_args()


def prepare(out: pathlib.Path, force: bool) -> None:
    """Finds out before anything takes long whether the folder can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Refusal(f"{out} cannot be written: {error.strerror}") from error
    there = [name for name in FILES if (out / name).exists()]
    if there and not force:
        raise Refusal(f"{out / there[0]} already exists; --force replaces it")


def find_sources(folder: pathlib.Path | None) -> list[faces.Source]:
    if folder is not None:
        found = faces.in_folder(folder)
        if not found:
            raise Refusal(f"there are no fonts (.ttf, .otf, .ttc) in {folder}")
        return found
    lines = (line.partition("#")[0].strip() for line in (HERE / "packages.txt").read_text(encoding="utf-8").splitlines())
    try:
        sources, missing = faces.installed([line for line in lines if line])
    except FileNotFoundError as error:
        raise Refusal("this is no Debian: there is no dpkg-query; --fonts FOLDER takes the fonts in a folder") from error
    if not sources:
        raise Refusal("no package with Han faces is installed: scripts/setup --fonts installs them, or --fonts FOLDER names others")
    if missing:
        print(f"han: not installed, so the set is another one than with all packages: {', '.join(missing)}", file=sys.stderr)
    return sources


def choose(loaded: list[faces.Face], wanted: int | None, seed: int) -> tuple[choice.Faces, list[int], frozenset[int]]:
    chosen = choice.choose_faces(loaded, seed)
    if len(chosen.unseen) < 2 or len(chosen.trained()) < choice.LEAST_FACES:
        raise Refusal(f"{len(chosen.used)} distinct faces with Han characters are too few: at least {choice.LEAST_FACES} are needed for "
                      f"training and 2 of other families for verification")
    ranked, unseen = choice.rank_characters(chosen, seed)
    most = len(ranked) - len(unseen)
    if most < 2 or wanted is not None and wanted > most:
        raise Refusal(f"{wanted or 'all'} classes were asked for, but the faces have {most}: characters that at least "
                      f"{choice.LEAST_FACES} faces of training draw, less those kept for verification")
    return chosen, ranked, unseen


def draw_classes(training: packed.TrainingSet, artist: Artist, ranked: list[int], unseen: frozenset[int],
                 options: argparse.Namespace) -> tuple[list[pairs.Character], list[pairs.Character]]:
    """The classes in the order of their labels, whose pictures are added to the training set, and the characters kept out."""
    classes: list[pairs.Character] = []
    others: list[pairs.Character] = []
    for drawn in draw_all(artist, ranked, options.processes):
        if len(classes) == options.classes:
            break
        if len(drawn.images) < 2:
            continue  # nearly all faces draw it the same
        if drawn.character.code in unseen:
            others.append(drawn.character)
            continue
        training.add_class(drawn.images)
        classes.append(drawn.character)
        if len(classes) % 1000 == 0:
            print(f"  {len(classes)} classes, {training.images} pictures", flush=True)
    if len(classes) < (options.classes or 2):
        raise Refusal(f"only {len(classes)} characters have two distinct pictures")
    return classes, others


def write_sets(out: pathlib.Path, artist: Artist, sets: dict[str, list[pairs.Pair]]) -> None:
    for name, drawn in sets.items():
        if len(drawn) < pairs.LEAST_PAIRS:
            raise Refusal(f"{name}.bin would have {len(drawn)} pairs, fewer than {pairs.LEAST_PAIRS}: more classes or faces are needed")
    for name, drawn in sets.items():
        images = [pictures.png(artist.ink(drawing)) for first, second, _ in drawn for drawing in (first, second)]
        packed.write_pairs(out / f"{name}.bin", images, [same for _, _, same in drawn])


def write_tables(out: pathlib.Path, chosen: choice.Faces, classes: list[pairs.Character]) -> None:
    counts = collections.Counter(face for one in classes for face in (*one.trained, *one.unseen))
    lines = ["use\tface\tcharacters\tpictures\tpackage\tversion\tlicence\tfile"]
    for i, face in enumerate(chosen.used):
        use = "verification" if i in chosen.unseen else "training"
        lines.append("\t".join((use, face.name, str(len(face.characters)), str(counts[i]), face.source.name, face.source.version,
                                face.source.licence, f"{face.path}:{face.index}")))
    for face, other in chosen.copies:
        lines.append("\t".join((f"left out, draws like {other.name}", face.name, str(len(face.characters)), "0", face.source.name,
                                face.source.version, face.source.licence, f"{face.path}:{face.index}")))
    (out / "fonts.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    similar = pairs.most_similar(classes)
    lines = ["label\tcharacter\tcode\tpictures\tmost_similar"]
    lines += [f"{label}\t{chr(one.code)}\tU+{one.code:04X}\t{len(one.trained)}\t{chr(classes[similar[label]].code)}"
              for label, one in enumerate(classes)]
    (out / "characters.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def print_fonts(chosen: choice.Faces) -> None:
    by_source: dict[faces.Source, list[int]] = {}
    for i, face in enumerate(chosen.used):
        by_source.setdefault(face.source, []).append(i)
    print(f"{len(chosen.used)} distinct faces of {len(set(chosen.family))} families; {len(chosen.copies)} more draw like one of them "
          f"and are left out; {len(chosen.unseen)} faces are kept for verification:")
    for source, members in sorted(by_source.items(), key=lambda entry: entry[0].name):
        kept = sum(i in chosen.unseen for i in members)
        note = f", {kept} of them for verification" if kept else ""
        print(f"  {source.name} {source.version}: {len(members)} {'face' if len(members) == 1 else 'faces'}{note}; licence: {source.licence}")


def make(options: argparse.Namespace) -> None:
    begun = time.monotonic()
    prepare(options.out, options.force)
    chosen, ranked, unseen = choose(faces.load(find_sources(options.fonts)), options.classes, options.seed)
    print_fonts(chosen)
    artist = Artist(chosen)
    with packed.TrainingSet(options.out, pictures.SIDE) as training:
        classes, others = draw_classes(training, artist, ranked, unseen, options)
        sets = pairs.draw_sets(classes, others, artist.differ, options.pairs, options.seed)
        write_sets(options.out, artist, sets)
        write_tables(options.out, chosen, classes)
        training.finish()
    print(f"{options.out}: {len(classes)} classes, {training.images} pictures of {pictures.SIDE} × {pictures.SIDE} pixels, "
          f"{training.bytes / 1e6:.1f} MB; " + ", ".join(f"{name}.bin {len(drawn)} pairs" for name, drawn in sets.items()) +
          f"; {time.monotonic() - begun:.0f} s. fonts.tsv has the faces and their licences, characters.tsv the classes.")


def main() -> None:
    try:
        make(arguments())
    except Refusal as refusal:
        sys.exit(f"han: {refusal}")
    except OSError as error:
        sys.exit(f"han: {error.filename or 'a file'} could not be read or written: {error.strerror or error}")


if __name__ == "__main__":
    main()

"""The faces that can draw Han characters: finds them in Debian's packages or a folder, and tells which are distinct."""
import collections
import dataclasses
import logging
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable

from fontTools.ttLib import TTCollection, TTFont, TTLibError  # type: ignore[import-untyped]

SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
# CJK unified ideographs and their extensions. Compatibility ideographs look like unified ones, so they are no classes.
HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2A6DF), (0x2A700, 0x2EBE0), (0x30000, 0x323AF))


@dataclasses.dataclass(frozen=True)
class Source:
    """Font files that belong together: those of a Debian package, or in a folder."""

    name: str
    version: str
    licence: str
    files: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Face:
    path: str
    index: int  # in a collection of faces
    family: str
    name: str
    source: Source
    characters: frozenset[int]  # the Han characters that it has glyphs of their own for


def installed(packages: Iterable[str]) -> tuple[list[Source], list[str]]:
    """The sources that are installed as Debian packages, and the names of those that are not."""
    sources, missing = [], []
    for package in packages:
        status, _, version = query("-W", "-f=${db:Status-Status} ${Version}", package).partition(" ")
        if status != "installed":
            missing.append(package)
            continue
        files = sorted(line for line in query("-L", package).splitlines() if is_font(pathlib.Path(line)))
        sources.append(Source(package, version, licence_of(pathlib.Path("/usr/share/doc", package, "copyright")), tuple(files)))
    return sources, missing


def query(*arguments: str) -> str:
    """What dpkg-query prints; nothing about a package that it does not know."""
    return subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True, check=False).stdout


def in_folder(folder: pathlib.Path) -> list[Source]:
    """The fonts in a folder and in those below it, each of which is a source."""
    files: dict[pathlib.Path, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if is_font(path):
            files.setdefault(path.parent, []).append(str(path))
    return [Source(str(parent), "", "not stated", tuple(paths)) for parent, paths in files.items()]


def is_font(path: pathlib.Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink()


def licence_of(copyright_file: pathlib.Path) -> str:
    """The licences that a Debian package names for its files, except for the packaging's own; or where to read them."""
    try:
        text = copyright_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "not stated"
    names: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        files = re.search(r"^Files:[ \t]*(.*)$", paragraph, re.MULTILINE)
        licence = re.search(r"^License:[ \t]*(\S.*)$", paragraph, re.MULTILINE)
        if files and licence and not files[1].startswith("debian/") and licence[1].strip() not in names:
            names.append(licence[1].strip())
    return ", ".join(names) if names else f"see {copyright_file}"


def load(sources: Iterable[Source]) -> list[Face]:
    """All faces of the sources that have glyphs for Han characters. Files that are no fonts are named on stderr."""
    logging.getLogger("fontTools").setLevel(logging.CRITICAL)  # it warns of dates and sizes that do not matter here
    faces = []
    for source in sources:
        for path in source.files:
            try:
                several = pathlib.Path(path).suffix.lower() in {".ttc", ".otc"}
                fonts = TTCollection(path, lazy=True).fonts if several else [TTFont(path, lazy=True)]
                faces += [face for face in (face_of(font, path, i, source) for i, font in enumerate(fonts)) if face.characters]
            except (TTLibError, OSError, AssertionError, LookupError, ValueError) as error:
                print(f"han: {path} is left out, because it cannot be read: {error}", file=sys.stderr)
    return faces


def face_of(font: TTFont, path: str, index: int, source: Source) -> Face:
    # Glyphs are told apart by their numbers. Their names, which take seconds to read, are not needed.
    font.setGlyphOrder([str(glyph) for glyph in range(font["maxp"].numGlyphs)])
    cmap = font.getBestCmap() or {}
    names = font["name"]
    family = names.getDebugName(16) or names.getDebugName(1) or pathlib.Path(path).stem
    style = names.getDebugName(17) or names.getDebugName(2) or "Regular"
    glyphs = {code: int(glyph) for code, glyph in cmap.items() if any(first <= code <= last for first, last in HAN)}
    return Face(path, index, family, f"{family} {style}", source, with_own_glyph(glyphs, outlines_of(font)))


def outlines_of(font: TTFont) -> Callable[[int], object]:
    """What tells the shape of a glyph: its bytes, or its number where the format of the outlines is another one."""
    if "glyf" not in font:
        return lambda glyph: glyph
    shapes, begins = font.reader["glyf"], font["loca"]
    return lambda glyph: shapes[begins[glyph] : begins[glyph + 1]]


def with_own_glyph(glyphs: dict[int, int], outline: Callable[[int], object]) -> frozenset[int]:
    """Without the characters that share a shape with another one, be it nothing, the box of a missing character or that of a
    variant: such a picture shows no single class. Glyph 0 is the one of missing characters."""
    users = collections.Counter(outline(glyph) for glyph in glyphs.values())
    return frozenset(code for code, glyph in glyphs.items() if glyph != 0 and users[outline(glyph)] == 1)

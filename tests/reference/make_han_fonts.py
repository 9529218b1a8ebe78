"""Makes fonts for the test of examples/han, so that it needs none that is installed.

    make_han_fonts.py FOLDER

Twelve faces, each in a folder of its own, draw CHARACTERS made-up characters from U+4E00 on, each in its own way. The characters 2k and 2k + 1 differ in one
stroke of several. One more font is a copy of the first one under another name. Faulty.ttf draws some characters as a font
does that lacks them:

    0   is not in its character map        3, 4   share a glyph
    1   is a box like that of glyph 0      5      is glyph 0
    2   has a glyph without ink
"""
import pathlib
import random
import sys

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

FIRST = 0x4E00
CHARACTERS = 320
EM = 1024
CELL = 96
Stroke = tuple[int, int, int, int]  # cells: x, y, width, height


def strokes_of(character: int) -> list[Stroke]:
    def stroke(draw: random.Random) -> Stroke:
        long = draw.randrange(3, 8)
        x, y = draw.randrange(0, 9 - long), draw.randrange(0, 8)
        return (x, y, long, 1) if draw.random() < 0.5 else (y, x, 1, long)

    shared = random.Random(f"pair {character // 2}")
    own = random.Random(f"character {character}")
    return [(0, 0, 8, 1), (0, 7, 8, 1)] + [stroke(shared) for _ in range(5)] + [stroke(own)]


def glyph(strokes: list[Stroke], style: random.Random):
    pen = TTGlyphPen(None)
    thin, slant = style.uniform(0.3, 0.9), style.uniform(-0.2, 0.2)
    for x, y, width, height in strokes:
        left, bottom = CELL * (x + style.uniform(-0.3, 0.3)) + 100, CELL * (y + style.uniform(-0.3, 0.3)) + 50
        right = left + CELL * (thin if width == 1 else width)
        top = bottom + CELL * (thin if height == 1 else height)
        corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
        points = [(round(px + slant * (py - EM / 2)), round(py)) for px, py in corners]
        pen.moveTo(points[0])
        for point in points[1:]:
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


def box():
    pen = TTGlyphPen(None)
    for corners in ([(100, 0), (100, 800), (700, 800), (700, 0)], [(150, 50), (650, 50), (650, 750), (150, 750)]):
        pen.moveTo(corners[0])
        for point in corners[1:]:
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


def write_font(folder: pathlib.Path, name: str, style: str, faulty: bool = False) -> None:
    order = [".notdef", *(f"c{i}" for i in range(CHARACTERS))]
    glyphs = {".notdef": box()}
    for i in range(CHARACTERS):
        # The slant and the weight are the face's, the places of the strokes a little different in each character.
        glyphs[f"c{i}"] = glyph(strokes_of(i), random.Random(f"{style} {i // 2}"))
    cmap = {FIRST + i: f"c{i}" for i in range(CHARACTERS)}
    if faulty:
        del cmap[FIRST]
        glyphs["c1"] = box()
        glyphs["c2"] = TTGlyphPen(None).glyph()
        cmap[FIRST + 4] = "c3"
        cmap[FIRST + 5] = ".notdef"
    font = FontBuilder(EM, isTTF=True)
    font.setupGlyphOrder(order)
    font.setupCharacterMap(cmap)
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics({one: (EM, 0) for one in order})
    font.setupHorizontalHeader(ascent=EM, descent=0)
    font.setupNameTable({"familyName": name, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    (folder / name).mkdir()
    font.save(folder / name / f"{name}.ttf")


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True)
    for i in range(11):
        write_font(folder, f"Face{i}", f"style {i}")
    write_font(folder, "Faulty", "style of the faulty one", faulty=True)
    write_font(folder, "ZCopy", "style 0")


if __name__ == "__main__":
    main()

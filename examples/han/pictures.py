"""Draws characters as pictures of 32 × 32 pixels, black on white, and tells which pictures are the same."""
import io
import statistics

import numpy
import numpy.typing
from faces import Face
from PIL import Image, ImageDraw, ImageFont

SIDE = 32
FINE = 4  # a picture is drawn so many times as large, and each of its pixels is the mean of FINE × FINE
EXTENT = 28  # pixels: the longer side of a face's typical character
SAME = 0.985  # pictures whose ink has a larger cosine count as the same one
NO_CHARACTER = "\U0010ffff"  # never assigned, so that a face draws what it has for a missing character

Ink = numpy.typing.NDArray[numpy.uint8]  # SIDE × SIDE; 255 is black


class Pen:
    """Draws the characters of one face. All faces are brought to the same size of a typical character."""

    def __init__(self, face: Face):
        self.face = face
        size = EXTENT * FINE
        self.font = self._font(size)
        codes = sorted(face.characters)
        boxes = [self._box(chr(code)) for code in codes[:: max(1, len(codes) // 50)]]
        extents = [max(right - left, bottom - top) for left, top, right, bottom in boxes if right > left and bottom > top]
        self.font = self._font(max(1, round(size * size / statistics.median(extents or [size]))))
        self.missing = self._draw(NO_CHARACTER)

    def draw(self, code: int) -> Ink | None:
        """The character, its ink in the middle. None: the face lacks it, or draws nothing or a box for missing ones."""
        if code not in self.face.characters:
            return None
        ink = self._draw(chr(code))
        return None if ink is None or self.missing is not None and numpy.array_equal(ink, self.missing) else ink

    def _font(self, size: int) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(self.face.path, size, self.face.index, layout_engine=ImageFont.Layout.BASIC)

    def _box(self, text: str) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the ink. Empty if FreeType refuses the glyph, mostly for its program."""
        try:
            return self.font.getbbox(text)
        except OSError:
            return (0.0, 0.0, 0.0, 0.0)

    def _draw(self, text: str) -> Ink | None:
        left, top, right, bottom = self._box(text)
        if right <= left or bottom <= top:
            return None
        side = max(SIDE * FINE, round(right - left), round(bottom - top))
        canvas = Image.new("L", (side, side))
        corner = ((side - left - right) // 2, (side - top - bottom) // 2)
        ImageDraw.Draw(canvas).text(corner, text, fill=255, font=self.font)
        ink: Ink = numpy.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))
        return ink if ink.max() > 64 else None


def same(a: Ink, b: Ink) -> bool:
    """Whether the cosine is above SAME. All sums are of whole numbers below 2^53, so that every machine says the same."""
    x, y = a.astype(numpy.float64).ravel(), b.astype(numpy.float64).ravel()
    return bool((x @ y) ** 2 > SAME**2 * (x @ x) * (y @ y))


def distinct(inks: list[Ink]) -> list[int]:
    """The positions of the pictures that are not the same as one before them that is in the result."""
    if not inks:
        return []
    rows = numpy.asarray(inks, numpy.float64).reshape(len(inks), SIDE * SIDE)
    products = rows @ rows.T
    squares = numpy.diag(products)
    alike = products**2 > SAME**2 * squares[:, None] * squares
    kept: list[int] = []
    for i in range(len(inks)):
        if not alike[i, kept].any():
            kept.append(i)
    return kept


def png(ink: Ink) -> bytes:
    out = io.BytesIO()
    Image.fromarray(255 - ink).save(out, "PNG")
    return out.getvalue()

"""Draws dashboards as SVG, so that a page can show them without Grafana. The layout is Grafana's grid."""
import html
import math
import time

COLUMN, ROW, GAP = 50, 30, 8  # pixels of a grid cell, and between panels
COLORS = ["#3274d9", "#e0752d", "#37872d", "#c4162a", "#8f3bb8", "#b5860b", "#0e8f8f", "#b877d9", "#6b6b6b", "#5794f2"]
SCALED = {"short": ("", 1000), "bytes": ("B", 1024), "Bps": ("B/s", 1024)}
PLAIN = {"none": "", "ops": " ops/s", "cps": "/s", "rps": "/s"}


def number(value, significant=3):
    if value == 0:
        return "0"
    digits = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(digits, 7)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_unit(value, unit):
    if unit == "percentunit":
        return f"{number(100 * value, 4)}%"
    if unit == "s":
        for seconds, name in ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= seconds:
                return f"{number(value / seconds)} {name}"
        return "0 s"
    if unit in SCALED:
        name, base = SCALED[unit]
        prefixes = ["", "Ki", "Mi", "Gi", "Ti"] if base == 1024 else ["", "K", "M", "G", "T"]
        power = 0 if abs(value) < 1 else min(int(math.log(abs(value), base)), len(prefixes) - 1)
        return f"{number(value / base ** power)} {prefixes[power]}{name}".rstrip()
    return number(value) + PLAIN.get(unit, "")


def ticks(low, high, count, unit=""):
    """Round numbers from low to high, round in KiB, MiB, ... where the unit counts bytes."""
    if SCALED.get(unit, ("", 1000))[1] == 1024 and high >= 1024:
        scale = 1024 ** int(math.log(high, 1024))
        return [scale * tick for tick in ticks(low / scale, high / scale, count)]
    span = (high - low) / count or 1.0
    base = 10 ** math.floor(math.log10(span))
    step = next(base * m for m in (1, 2, 5, 10) if base * m >= span)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


class Svg:
    def __init__(self):
        self.parts = []

    def text(self, x, y, text, size=11, color="#5a6068", anchor="start", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
                          f'font-weight="{weight}">{html.escape(text)}</text>')

    def rect(self, x, y, width, height, fill, stroke="none"):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3" '
                          f'fill="{fill}" stroke="{stroke}"/>')

    def line(self, points, color, width=1.3, fill="none"):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        kind, opacity = ("polyline", 1) if fill == "none" else ("polygon", 0.9)
        self.parts.append(f'<{kind} points="{path}" fill="{fill}" fill-opacity="{opacity}" stroke="{color}" '
                          f'stroke-width="{width}" stroke-linejoin="round"/>')


def stacked(series):
    """Stacks each series on those before it: [(name, [(time, value)])]; a missing value counts as 0."""
    times = sorted({t for _, points in series for t, _ in points})
    below, result = dict.fromkeys(times, 0.0), []
    for name, points in series:
        values = dict(points)
        below = {t: below[t] + values.get(t, 0.0) for t in times}
        result.append((name, list(below.items())))
    return result


def pieces(path, step):
    """Splits a path where values are missing, so that no line is drawn there."""
    piece = [path[0]]
    for before, point in zip(path, path[1:]):
        if point[0] - before[0] > 1.5 * step:
            yield piece
            piece = []
        piece.append(point)
    yield piece


def graph(svg, panel, series, box, start, end):
    left, top, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    is_stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    drawn = stacked(series) if is_stacked else series
    values = [value for _, points in drawn for _, value in points]
    low, high = min(values), max(values)
    low = min(low, defaults.get("min", low))
    if high - low < 1e-12:
        high, low = high + (abs(high) or 1.0) * 0.5, low - (0 if "min" in defaults else abs(low) * 0.5)
    high += (high - low) * 0.05

    lines = list(legend_lines(series, width))[:3]
    plot_left, plot_right = left + 58, left + width - 10
    plot_top, plot_bottom = top + 6, top + height - 24 - 15 * len(lines)
    to_x = lambda t: plot_left + (plot_right - plot_left) * (t - start) / max(end - start, 1e-9)  # noqa: E731
    to_y = lambda v: plot_bottom - (plot_bottom - plot_top) * (v - low) / (high - low)  # noqa: E731
    for value in ticks(low, high, 4, defaults["unit"]):
        svg.line([(plot_left, to_y(value)), (plot_right, to_y(value))], "#e6e8eb", 1)
        svg.text(plot_left - 6, to_y(value) + 4, with_unit(value, defaults["unit"]), 10, anchor="end")
    minutes = ticks(0, (end - start) / 60, 4)
    for minute in minutes:
        x = to_x(start + 60 * minute)
        svg.text(x, plot_bottom + 14, f"{number(minute)} min", 10, anchor="end" if x > plot_right - 20 else "middle")
    step = min((b[0] - a[0] for _, points in drawn for a, b in zip(points, points[1:])), default=0)
    order = list(enumerate(drawn))
    for index, (_, points) in reversed(order) if is_stacked else order:
        color = COLORS[index % len(COLORS)]
        path = [(to_x(t), to_y(v)) for t, v in points]
        if is_stacked:
            svg.line([(path[0][0], plot_bottom), *path, (path[-1][0], plot_bottom)], color, 0.5, fill=color)
        else:
            for piece in pieces(path, to_x(start + step) - plot_left):
                svg.line(piece if len(piece) > 1 else [piece[0], (piece[0][0] + 2, piece[0][1])], color)
    y = plot_bottom + 32
    for line in lines:
        x = left + 10
        for index, name in line:
            svg.rect(x, y - 8, 10, 3, COLORS[index % len(COLORS)])
            svg.text(x + 14, y - 3, name, 10)
            x += 26 + 6 * len(name)
        y += 15


def legend_lines(series, width):
    line, used = [], 0
    for index, (name, _) in enumerate(series):
        needed = 26 + 6 * len(name)
        if line and used + needed > width - 20:
            yield line
            line, used = [], 0
        line.append((index, name))
        used += needed
    yield line


def stat(svg, panel, series, box):
    left, top, width, height = box
    # The last value of the last moment that has one: a state that has passed is none.
    latest = max(points[-1][0] for _, points in series)
    now = [(name, points[-1][1]) for name, points in series if points[-1][0] == latest]
    if panel["options"]["textMode"] == "name":
        texts = [name for name, _ in now]
    else:
        texts = [with_unit(value, panel["fieldConfig"]["defaults"]["unit"]) for _, value in now]
    for index, text in enumerate(texts[:2]):
        size = 26 if len(texts) == 1 else 16
        svg.text(left + width / 2, top + height / (len(texts[:2]) + 1) * (index + 1) + 2, text, size, "#1f2428", "middle",
                 "bold")


def dashboard(board, data, start, end):
    """`data`: [(legend, [(time, value)])] by the panel's id; a panel without data shows that. Times are Unix seconds."""
    svg = Svg()
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"]) * ROW + 50
    svg.rect(0, 0, 24 * COLUMN, height, "#f4f5f6")
    svg.text(12, 26, board["title"], 18, "#1f2428", weight="bold")
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(start))
    svg.text(24 * COLUMN - 12, 26, f"{when}, {(end - start) / 60:.1f} min", 12, anchor="end")
    for panel in board["panels"]:
        grid = panel["gridPos"]
        left, top = grid["x"] * COLUMN + GAP / 2, grid["y"] * ROW + 40
        width, tall = grid["w"] * COLUMN - GAP, grid["h"] * ROW - GAP
        if panel["type"] == "row":
            svg.text(left + 6, top + 19, panel["title"], 14, "#1f2428", weight="bold")
            continue
        svg.rect(left, top, width, tall, "#ffffff", "#dcdfe3")
        svg.text(left + 10, top + 18, panel["title"], 12, "#1f2428", weight="bold")
        box = (left, top + 24, width, tall - 24)
        series = data.get(panel["id"], [])
        if not series:
            svg.text(left + width / 2, top + tall / 2 + 10, "no data", 12, anchor="middle")
        elif panel["type"] == "stat":
            stat(svg, panel, series, box)
        else:
            graph(svg, panel, series, box, start, end)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}" width="{24 * COLUMN}" '
            f'font-family="Helvetica, Arial, sans-serif">\n' + "\n".join(svg.parts) + "\n</svg>\n")

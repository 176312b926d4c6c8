"""Figures as inline SVG and embedded PNG; colours come from the page's style sheet.

Every figure is 360 units wide, so that its text stays readable on a phone.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.evaluate.evaluation import Bin, ClassScore, Measure
from facetell.report.markup import Markup, join, tag

__all__ = [
    "answered_curve",
    "class_bars",
    "coverage_bars",
    "data_uri",
    "interval_bars",
    "interval_line",
    "leak_bars",
    "looked_at",
    "reliability_diagram",
    "selective_diagram",
    "size_bars",
]

WIDTH = 360


def data_uri(face: NDArray[np.uint8]) -> str:
    """A (S, S) or (S, S, 3) face as a PNG in a data URI."""
    if face.ndim == 3 and (face == face[..., :1]).all():
        face = face[..., 0]  # a grey face needs a third of the bytes
    file = io.BytesIO()
    Image.fromarray(face).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _svg(height: float, *children: object, title: str, **attributes: Any) -> Markup:
    return tag(
        "svg",
        tag("title", title),
        *children,
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_label=title,
        **attributes,
    )


def _text(x: float, y: float, content: str, **attributes: Any) -> Markup:
    return tag("text", content, x=x, y=y, **attributes)


def _whisker(measure: Measure, y: float, scale: float, left: float) -> Markup:
    low, high = left + scale * measure.low, left + scale * measure.high
    ends = "".join(f"M{x:.1f} {y - 4:.1f}v8" for x in (low, high))
    return tag("path", d=f"M{low:.1f} {y:.1f}H{high:.1f}{ends}", class_="whisker")


def interval_line(measure: Measure, mark: float | None = None) -> Markup:
    """A 0-1 scale with the interval, the value, and a tick for the baseline."""
    x = [float(4 + 352 * np.clip(value, 0, 1)) for value in measure]
    tick = None if mark is None else 4 + 352 * mark
    return tag(
        "svg",
        tag("path", d="M4 8H356", class_="track"),
        None if tick is None else tag("path", d=f"M{tick:.1f} 2v12", class_="tick"),
        tag("path", d=f"M{x[1]:.1f} 8H{x[2]:.1f}", class_="range"),
        tag("circle", cx=x[0], cy=8, r=5, class_="dot"),
        viewBox=f"0 0 {WIDTH} 16",
        aria_hidden="true",
        class_="scale",
    )


def class_bars(scores: list[ClassScore]) -> Markup:
    """Horizontal bars of every emotion's recall with its interval."""
    left, right, step, top = 66, 318, 30, 8
    scale, bottom = right - left, top + step * len(scores)
    grid = [
        join(
            tag("path", d=f"M{left + scale * share:.1f} {top}V{bottom}", class_="grid"),
            _text(left + scale * share, bottom + 14, f"{100 * share:.0f}", class_="axis mid"),
        )
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    bars = [_bar(score, top + step * row, left, scale) for row, score in enumerate(scores)]
    axis = _text((left + right) / 2, bottom + 29, "recall, %", class_="axis mid")
    title = "Recall of every emotion with its 95 % interval; the numbers are in the table"
    return _svg(bottom + 36, *grid, *bars, axis, title=title)


def _bar(score: ClassScore, y: float, left: float, scale: float) -> Markup:
    name = _text(left - 8, y + 19, score.label, class_="end")
    if score.recall is None:
        return join(name, _text(left + 6, y + 19, "no faces", class_="axis"))
    return join(
        name,
        tag("rect", x=left, y=y + 6, width=scale * score.recall.value, height=18, class_="bar"),
        _whisker(score.recall, y + 15, scale, left),
        _text(WIDTH - 2, y + 19, f"{100 * score.recall.value:.1f}", class_="end number"),
    )


def interval_bars(rows: list[tuple[str, Measure]], mark: float | None = None) -> Markup:
    """Horizontal bars of shares 0-1 with their intervals, and a dashed line to compare with."""
    left, step, top = 4, 40, 4
    scale, bottom = 310, top + step * len(rows)
    parts: list[Markup] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + scale * share
        parts.append(tag("path", d=f"M{x:.1f} {top}V{bottom}", class_="grid"))
        parts.append(_text(x, bottom + 14, f"{100 * share:.0f}", class_="axis mid"))
    for row, (name, measure) in enumerate(rows):
        y = top + step * row
        parts += [
            _text(left, y + 13, name),
            tag("rect", x=left, y=y + 18, width=scale * measure.value, height=14, class_="bar"),
            _whisker(measure, y + 25, scale, left),
            _text(WIDTH - 2, y + 29, f"{100 * measure.value:.1f}", class_="end number"),
        ]
    if mark is not None:
        x = left + scale * mark
        parts.append(tag("path", d=f"M{x:.1f} {top}V{bottom}", class_="diagonal"))
    title = "Shares with their 95 % intervals; the numbers are in the table"
    return _svg(bottom + 20, *parts, title=title)


def leak_bars(
    groups: Sequence[tuple[str, Sequence[tuple[str, Measure, bool]]]], mark: float, mark_name: str
) -> Markup:
    """Bars under a heading for each group; those that a leak lifts are set off.

    Args:
        groups: heading, and for each bar its name, its share 0-1 and whether copies lift it.
        mark: a share to compare with, dashed.
        mark_name: what is written at it.
    """
    left, top, step = 4, 22, 34
    scale = 318
    x = left + scale * mark
    parts: list[Markup] = [_text(x, 10, mark_name, class_="axis end")]
    y = top
    for heading, bars in groups:
        parts.append(_text(left, y + 13, heading, class_="heading"))
        y += 24
        for name, measure, is_leaky in bars:
            kind = "bar leak" if is_leaky else "bar"
            parts += [
                _text(left, y + 10, name, class_="axis"),
                tag("rect", x=left, y=y + 14, width=scale * measure.value, height=12, class_=kind),
                _whisker(measure, y + 20, scale, left),
                _text(WIDTH - 2, y + 25, f"{100 * measure.value:.1f}", class_="end number"),
            ]
            y += step
        y += 8
    parts.append(tag("path", d=f"M{x:.1f} 14V{y - 8}", class_="diagonal"))
    title = (
        "Shares with their 95 % intervals, with and without copies; the numbers are in the table"
    )
    return _svg(y, *parts, title=title)


def _plot(x_name: str, y_name: str, *marks: object, title: str) -> Markup:
    """A square plot of two shares; marks are in `_place` coordinates."""
    lines = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = _place(share, share)
        lines += [
            tag("path", d=f"M{x:g} 10V{290:g}M46 {y:g}H{346:g}", class_="grid"),
            _text(x, 306, f"{100 * share:.0f}", class_="axis mid"),
            _text(40, y + 4, f"{100 * share:.0f}", class_="axis end"),
        ]
    names = (
        _text(196, 324, x_name, class_="axis mid"),
        _text(0, 0, y_name, class_="axis mid", transform="translate(12 150) rotate(-90)"),
    )
    return _svg(330, *lines, *marks, *names, title=title)


def _place(x: float, y: float) -> tuple[float, float]:
    """Shares -> SVG units inside `_plot`."""
    return 46 + 300 * x, 290 - 280 * y


def reliability_diagram(bins: tuple[Bin, ...]) -> Markup:
    """Confidence against accuracy: on the diagonal, scores can be taken at their word."""
    (x1, y1), (x2, y2) = _place(0, 0), _place(1, 1)
    diagonal = tag("path", d=f"M{x1:g} {y1:g}L{x2:g} {y2:g}", class_="diagonal")
    largest = max((row.size for row in bins), default=1)
    marks = [_reliability_mark(row, largest) for row in bins]
    title = (
        f"Reliability diagram of {len(bins)} bins: confidence on the horizontal axis, accuracy "
        "on the vertical one; the numbers are in the table"
    )
    return _plot("confidence, %", "accuracy, %", diagonal, *marks, title=title)


def _reliability_mark(row: Bin, largest: int) -> Markup:
    x, y = _place(row.confidence, row.accuracy.value)
    low, high = _place(0, row.accuracy.low)[1], _place(0, row.accuracy.high)[1]
    start, end = _place(row.low, 0)[0], _place(row.high, 0)[0]
    ends = f"M{x - 3:.1f} {low:.1f}h6M{x - 3:.1f} {high:.1f}h6"
    return join(
        tag("path", d=f"M{start:.1f} {y:.1f}H{end:.1f}", class_="span"),
        tag("path", d=f"M{x:.1f} {low:.1f}V{high:.1f}{ends}", class_="whisker thin"),
        tag("circle", cx=x, cy=y, r=1.5 + 3 * (row.size / largest) ** 0.5, class_="dot"),
    )


def selective_diagram(bins: tuple[Bin, ...]) -> Markup:
    """Accuracy on the surest faces against the share of faces that get an answer."""
    sizes = np.array([row.size for row in reversed(bins)], np.float64)
    hits = np.cumsum([row.size * row.accuracy.value for row in reversed(bins)])
    kept = np.cumsum(sizes)
    points = [_place(x, y) for x, y in zip(kept / max(sizes.sum(), 1), hits / kept, strict=True)]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    marks = [tag("circle", cx=x, cy=y, r=3, class_="dot") for x, y in points]
    title = (
        "Accuracy on the faces with the highest scores, against the share of faces answered; "
        "computed from the bins in the table"
    )
    path = tag("path", d=line, class_="line") if points else None
    return _plot("faces answered, surest first, %", "accuracy, %", path, *marks, title=title)


def coverage_bars(rows: Sequence[tuple[str, float | None]], level: float) -> Markup:
    """How often the sets hold each emotion, 0-1, beside the level that was asked for (dashed)."""
    title = (
        f"Share of each emotion's faces whose set holds it, asked for {level:.0%}; the numbers "
        "are in the table"
    )
    return _share_bars(rows, "faces whose set holds their label, %", title, mark=level)


def size_bars(shares: Sequence[float]) -> Markup:
    """Share of the faces, 0-1, whose set has 1, 2, ... labels."""
    rows = [(f"{n} label{'s' * (n > 1)}", share) for n, share in enumerate(shares, 1)]
    title = "Share of the faces by the number of labels in their set; the numbers are in the table"
    return _share_bars(rows, "faces, %", title)


def _share_bars(
    rows: Sequence[tuple[str, float | None]], axis: str, title: str, mark: float | None = None
) -> Markup:
    """Horizontal bars of shares 0-1, and perhaps a dashed line to compare with."""
    left, right, step, top = 66, 318, 26, 8
    scale, bottom = right - left, top + step * len(rows)
    parts: list[Markup] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + scale * share
        parts.append(tag("path", d=f"M{x:g} {top}V{bottom}", class_="grid"))
        parts.append(_text(x, bottom + 14, f"{100 * share:.0f}", class_="axis mid"))
    for row, (name, value) in enumerate(rows):
        y = top + step * row
        parts.append(_text(left - 8, y + 17, name, class_="end"))
        if value is None:
            parts.append(_text(left + 6, y + 17, "no faces", class_="axis"))
            continue
        width = round(scale * value, 2)
        parts.append(tag("rect", x=left, y=y + 5, width=width, height=16, class_="bar"))
        parts.append(_text(WIDTH - 2, y + 17, f"{100 * value:.1f}", class_="end number"))
    if mark is not None:
        x = left + scale * mark
        parts.append(tag("path", d=f"M{x:.1f} {top}V{bottom}", class_="diagonal"))
    parts.append(_text((left + right) / 2, bottom + 29, axis, class_="axis mid"))
    return _svg(bottom + 36, *parts, title=title)


def answered_curve(curve: Sequence[tuple[float, float]]) -> Markup:
    """Accuracy of the answers against the share of faces that get one, surest first."""
    points = [_place(x, y) for x, y in curve]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    path = tag("path", d=line, class_="line") if points else None
    title = (
        "Accuracy of the answers against the share of faces that are answered; the numbers are "
        "in the table"
    )
    return _plot("faces answered, surest first, %", "accuracy, %", path, title=title)


def looked_at(uri: str, corners: NDArray[np.float64], side: float, title: str) -> Markup:
    """A face with the quadrilateral that the spatial transformer samples from.

    Args:
        uri: the face as a data URI.
        corners: (4, 2) x, y in px of a face that covers 0 to `side`, clockwise from the
            output's top left.
    """
    margin = 0.16 * side
    edge = " ".join(f"{x:.2f},{y:.2f}" for x, y in corners)
    (x1, y1), (x2, y2) = corners[0], corners[1]
    size = side + 2 * margin
    return tag(
        "svg",
        tag("title", title),
        tag("rect", x=-margin, y=-margin, width=size, height=size, class_="void"),
        tag("image", href=uri, x=0, y=0, width=side, height=side),
        tag("polygon", points=edge, class_="area-under"),
        tag("polygon", points=edge, class_="area"),
        tag("path", d=f"M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}", class_="area-top"),
        viewBox=f"{-margin:g} {-margin:g} {size:g} {size:g}",
        role="img",
        aria_label=title,
        class_="looked",
    )

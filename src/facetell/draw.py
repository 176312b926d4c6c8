"""A photo with its faces' boxes, labels and scores drawn in."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facetell.files import refuse_overwriting, write_atomically
from facetell.images import read_image
from facetell.results import Face, Reading

__all__ = ["ClipDrawing", "Font", "colour_of", "draw_reading", "fitted", "write_annotated"]

# Okabe and Ito's colours, told apart by most colour-blind eyes; the label says the same in words.
_COLOURS: dict[str, tuple[int, int, int]] = {
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "happy": (240, 228, 66),
    "sad": (86, 180, 233),
    "surprise": (230, 159, 0),
    "neutral": (200, 200, 200),
    "contempt": (0, 114, 178),
}
_OTHER = (255, 255, 255)
_OUTSIDE = (140, 140, 140)  # labels that are not in a face's set
_DARK = (20, 20, 20)
_BARS = 3  # scores shown per face; more where its set has more
_STAYS = 1.0  # widths of a face: so much nearer must another place be for a panel to move there
_SMALLEST = 320  # px; smaller pictures are enlarged, their panels would hide them
_LARGEST = 4096  # px; no picture is enlarged beyond that

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class _Style:
    """Sizes in px, from the image's size."""

    line: int
    text: int
    pad: int
    font: Font

    @classmethod
    def for_size(cls, width: int, height: int) -> _Style:
        text = int(np.clip(min(width, height) / 30, 11, 64))
        return cls(max(1, text // 8), text, max(2, text // 3), ImageFont.load_default(text))


def fitted(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> str:
    """The text, its beginning cut off where it is too long: the end of a path says more."""
    cut = text
    while cut and draw.textlength(cut if cut == text else f"...{cut}", font=font) > width:
        cut = cut[1:]
    return cut if cut == text else f"...{cut}"


def draw_reading(image: NDArray[np.uint8], reading: Reading) -> NDArray[np.uint8]:
    """A copy of the photo with numbered boxes and, for each face, its highest scores.

    Each face has a panel: its number (as in `facetell read`) and label, with a question mark where
    the model is not sure and with what to beware of, and a bar for each of its three highest
    scores and for each label of its set; labels outside the set are grey. Panels stay inside the
    picture and, while there is room, off each other and off the faces; a line joins a panel with
    its face if it had to move away.

    Args:
        image: (H, W, 3) uint8, the photo that was read.
        reading: what was read from it.

    Returns:
        (H', W', 3) uint8. H' and W' are H and W, but pictures under 320 px are enlarged by a
        whole number, to be readable (to 4,096 px at most), and a picture that a face fills gets
        a strip below it.
    """
    factor = _factor(*image.shape[:2]) if reading.faces else 1
    boxes = [_scaled(face.box_xyxy, factor) for face in reading.faces]
    large = _enlarged(image, factor)
    style = _Style.for_size(large.shape[1], large.shape[0])
    sizes = [_panel_size(n, face, style) for n, face in _numbered(reading)]
    picture = _with_strip(large, boxes, sizes, style)
    panels = _place(sizes, boxes, picture.size, style.pad)
    _draw_faces(picture, reading, boxes, panels, style)
    return np.array(picture)


class ClipDrawing:
    """Draws the readings of one clip: one size for all frames, panels that stay beside faces.

    Pictures under 320 px are enlarged by a whole number. Where a face fills the first frame, all
    frames get a strip below for the panel.

    Example:
        drawing = ClipDrawing()
        for frame in clip:
            image = drawing.draw(frame.image, follower.read(frame.image, frame.time_s))
    """

    def __init__(self) -> None:
        self._size_wh: tuple[int, int] | None = None
        self._factor = 1
        self._strip = 0
        self._beside: dict[int, tuple[float, float]] = {}  # person -> panel's place, see _kept

    def draw(self, image: NDArray[np.uint8], reading: Reading) -> NDArray[np.uint8]:
        """A frame with its people's boxes and panels.

        Args:
            image: (H, W, 3) uint8; scaled to the first frame's size if it has another.
            reading: what was read from it.

        Returns:
            (H', W', 3) uint8, of one shape for the whole clip.
        """
        if self._size_wh is None:
            self._begin(image, reading)
        wide = self._size_wh[0] / image.shape[1] if self._size_wh else 1.0
        if self._size_wh is not None and (image.shape[1], image.shape[0]) != self._size_wh:
            image = np.asarray(Image.fromarray(image).resize(self._size_wh))
        boxes = [_scaled(face.box_xyxy, wide * self._factor) for face in reading.faces]
        large = _enlarged(image, self._factor)
        style = _Style.for_size(large.shape[1], large.shape[0])
        picture = Image.fromarray(np.pad(large, ((0, self._strip), (0, 0), (0, 0))))
        sizes = [_panel_size(n, face, style, all_labels=True) for n, face in _numbered(reading)]
        panels = self._place(reading, sizes, boxes, picture.size, style)
        _draw_faces(picture, reading, boxes, panels, style)
        return np.array(picture)

    def _begin(self, image: NDArray[np.uint8], reading: Reading) -> None:
        height, width = image.shape[:2]
        self._size_wh = (width, height)
        self._factor = _factor(width, height)
        boxes = [_scaled(face.box_xyxy, self._factor) for face in reading.faces]
        large = (height * self._factor, width * self._factor)
        if _is_filled(boxes, large):
            style = _Style.for_size(large[1], large[0])
            size = _panel_size(1, reading.faces[0], style, all_labels=True)
            self._strip = size[1] + 2 * style.pad

    def _place(
        self,
        reading: Reading,
        sizes: Sequence[tuple[int, int]],
        boxes: Sequence[Box],
        size_wh: tuple[int, int],
        style: _Style,
    ) -> list[Box]:
        people = [face.person or n for n, face in enumerate(reading.faces, 1)]
        kept = [_kept(self._beside.get(n), box) for n, box in zip(people, boxes, strict=True)]
        panels = _place(sizes, boxes, size_wh, style.pad, kept)
        self._beside = {
            n: ((panel[0] - box[0]) / (box[2] - box[0]), (panel[1] - box[1]) / (box[3] - box[1]))
            for n, panel, box in zip(people, panels, boxes, strict=True)
            if box[2] > box[0] and box[3] > box[1]
        }
        return panels


def _kept(beside: tuple[float, float] | None, box: Box) -> tuple[float, float] | None:
    """Where a panel's corner lies if it moves with its face; `beside` is in shares of the box."""
    if beside is None:
        return None
    x1, y1, x2, y2 = box
    return x1 + beside[0] * (x2 - x1), y1 + beside[1] * (y2 - y1)


def _numbered(reading: Reading) -> list[tuple[int, Face]]:
    """Faces with their person's number, or else with their place."""
    return [(face.person or place, face) for place, face in enumerate(reading.faces, 1)]


def _factor(side: int, other: int) -> int:
    """By how much a picture is enlarged to be readable, and does not grow beyond all bounds."""
    wanted = math.ceil(_SMALLEST / min(side, other))
    return max(1, min(wanted, _LARGEST // max(side, other)))


def _enlarged(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    if factor == 1:
        return image
    return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)


def _draw_faces(
    picture: Image.Image,
    reading: Reading,
    boxes: Sequence[Box],
    panels: Sequence[Box],
    style: _Style,
) -> None:
    draw = ImageDraw.Draw(picture)
    for face, box, panel in zip(reading.faces, boxes, panels, strict=True):
        _draw_box(draw, _clipped(box, picture.size), panel, colour_of(face.label), style)
    for (number, face), panel in zip(_numbered(reading), panels, strict=True):
        _draw_panel(draw, number, face, panel, style)


def write_annotated(reading: Reading, path: Path, *, force: bool = False) -> None:
    """Write the annotated copy of a photo, read anew from `reading.source`, as a JPEG.

    The file appears whole or not at all; folders on the way are made.

    Raises:
        InputError: the file exists and `force` is off.
        ImageError: the photo can no longer be read.
    """
    refuse_overwriting(path, force)
    drawn = Image.fromarray(draw_reading(read_image(reading.source), reading))
    jpeg = io.BytesIO()
    drawn.save(jpeg, "JPEG", quality=92)
    write_atomically(path, jpeg.getvalue())


def _scaled(box: Box, factor: float) -> Box:
    x1, y1, x2, y2 = box
    return (x1 * factor, y1 * factor, x2 * factor, y2 * factor)


def _with_strip(
    image: NDArray[np.uint8], boxes: Sequence[Box], sizes: Sequence[tuple[int, int]], style: _Style
) -> Image.Image:
    """The picture, with room for a panel below it where a face leaves none."""
    filled = _is_filled(boxes, image.shape[:2])
    below = max(height for _, height in sizes) + 2 * style.pad if filled else 0
    return Image.fromarray(np.pad(image, ((0, below), (0, 0), (0, 0))))


def _is_filled(boxes: Sequence[Box], shape: tuple[int, ...]) -> bool:
    """Whether a face covers most of a picture of that height and width."""
    height, width = shape
    covered = _shared(np.array(boxes).reshape(-1, 4), np.array([[0.0, 0.0, width, height]]))
    return bool((covered > width * height / 2).any())


def colour_of(label: str) -> Colour:
    """The colour of an emotion in every picture; white for other words."""
    return _COLOURS.get(label, _OTHER)


def _title(number: int, face: Face) -> str:
    doubt = "?" if face.sure is False else ""
    return f"{number} {face.label}{doubt}" + f" ({', '.join(face.warnings)})" * bool(face.warnings)


def _top(face: Face) -> list[tuple[str, float]]:
    """The highest scores and those of the face's set, highest first."""
    ranked = sorted(face.scores.items(), key=lambda item: item[1], reverse=True)
    held = face.set or ()
    return [item for n, item in enumerate(ranked) if n < _BARS or item[0] in held]


def _panel_size(
    number: int, face: Face, style: _Style, *, all_labels: bool = False
) -> tuple[int, int]:
    """Width and height; with `all_labels` they do not depend on what the face looks like."""
    title = style.font.getlength(_title(number, face))
    names = [*face.scores] if all_labels else [name for name, _ in _top(face)]
    rows = len(names if all_labels and face.set is not None else _top(face))  # a set may hold all
    longest = max(style.font.getlength(name) for name in names)
    width = max(title, longest + 6 * style.text)  # name, bar, percentage
    return (
        round(width + 2 * style.pad),
        round((1 + rows) * 1.3 * style.text + 2 * style.pad),
    )


def _place(
    sizes: Sequence[tuple[int, int]],
    faces: Sequence[Box],
    size_wh: tuple[int, int],
    gap: int,
    kept: Sequence[tuple[float, float] | None] = (),
) -> list[Box]:
    """One rectangle per face: inside the picture; clear of others and of faces if possible.

    `kept` are corners of rectangles that should stay while they are as good as others.
    """
    placed = np.empty((0, 4))
    for (width, height), face, corner in zip_longest(sizes, faces, kept):
        spots = _spots(face, width, height, size_wh, gap)
        if corner is not None:
            low = np.clip(corner, 0, np.maximum(np.array(size_wh) - (width, height), 0))
            spots = np.vstack([spots, np.hstack([low, low + np.array([width, height])])])
        costs = _costs(spots, face, placed, np.array(faces))
        if corner is not None:
            costs[-1] -= _STAYS
        best = spots[np.argmin(costs)]
        placed = np.vstack([placed, best])
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in placed.tolist()]


def _spots(
    face: Box, width: int, height: int, size_wh: tuple[int, int], gap: int
) -> NDArray[np.float64]:
    """(n, 4) rectangles to try: around the face first, then a grid over the picture."""
    x1, y1, x2, y2 = face
    near = [
        (x1, y2 + gap), (x1, y1 - gap - height), (x2 + gap, y1), (x1 - gap - width, y1),
        (x2 - width, y2 + gap), (x2 - width, y1 - gap - height),
        (x2 + gap, y2 - height), (x1 - gap - width, y2 - height),
    ]  # fmt: skip
    room = np.maximum(np.array(size_wh) - (width, height), 0)
    grid = np.stack(np.meshgrid(*np.linspace(0, room, 24).T), axis=2).reshape(-1, 2)
    corners = np.clip(np.vstack([near, grid]), 0, room)
    return np.hstack([corners, corners + np.array([width, height])])


def _costs(
    spots: NDArray[np.float64], face: Box, placed: NDArray[np.float64], faces: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,). Covering a panel is worst, then covering a face; among equals the nearest wins."""
    area = (spots[0, 2] - spots[0, 0]) * (spots[0, 3] - spots[0, 1])
    over_panels = _shared(spots, placed).sum(axis=1) / area
    over_faces = _shared(spots, faces).sum(axis=1) / area
    before, after = spots[:, :2] - face[2:], np.array(face[:2]) - spots[:, 2:]
    apart = np.maximum(np.maximum(before, after), 0).sum(axis=1) / max(face[2] - face[0], 1.0)
    return np.asarray(1e6 * over_panels + 1e3 * over_faces + apart)


def _shared(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) and (m, 4) rectangles -> (n, m) areas that they share, px²."""
    corner1 = np.maximum(a[:, None, :2], b[None, :, :2])
    corner2 = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.prod(np.clip(corner2 - corner1, 0, None), axis=2))


def _draw_box(
    draw: ImageDraw.ImageDraw, box: Box, panel: Box, colour: Colour, style: _Style
) -> None:
    ends = [_nearest(box, panel), _nearest(panel, box)]
    # A dark line under the coloured one: one of the two shows on any background.
    for width, shade in ((3 * style.line, _DARK), (style.line, colour)):
        draw.line(ends, fill=shade, width=width)
        grown = (width - style.line) // 2
        draw.rectangle(
            (box[0] - grown, box[1] - grown, box[2] + grown, box[3] + grown),
            outline=shade,
            width=width,
        )


def _clipped(box: Box, size_wh: tuple[int, int]) -> Box:
    """The part of a box inside the picture, at least a point of it."""
    x1, x2 = (min(max(0.0, x), size_wh[0] - 1.0) for x in (box[0], box[2]))
    y1, y2 = (min(max(0.0, y), size_wh[1] - 1.0) for y in (box[1], box[3]))
    return (x1, y1, x2, y2)


def _nearest(box: Box, other: Box) -> tuple[float, float]:
    """The point of a box nearest to the middle of another."""
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))


def _draw_panel(
    draw: ImageDraw.ImageDraw, number: int, face: Face, panel: Box, style: _Style
) -> None:
    colour = colour_of(face.label)
    draw.rectangle(panel, fill=_DARK, outline=colour, width=style.line)
    x, y = panel[0] + style.pad, panel[1] + style.pad
    draw.text((x, y), _title(number, face), fill=colour, font=style.font)
    names = max(style.font.getlength(name) for name, _ in _top(face))
    bar, end = x + names + style.pad, panel[2] - style.pad
    percent = style.font.getlength("100%")
    for name, score in _top(face):
        y += 1.3 * style.text
        outside = face.set is not None and name not in face.set
        draw.text((x, y), name, fill=_OUTSIDE if outside else _OTHER, font=style.font)
        draw.text((end, y), f"{score:.0%}", fill=(255, 255, 255), font=style.font, anchor="ra")
        length = (end - percent - style.pad - bar) * score
        if length >= 1:
            rows = (y + 0.3 * style.text, y + 0.95 * style.text)
            draw.rectangle((bar, rows[0], bar + length, rows[1]), fill=colour_of(name))

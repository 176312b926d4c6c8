"""Drawn faces with known emotions: a dataset without any download, licence or person.

Every character has its own head, hair, eyes, nose and pen; an emotion moves brows, lids,
pupils and mouth. The same seed draws the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facetell.datasets.form import Form
from facetell.datasets.sample import Dataset, Sample, Side
from facetell.errors import InputError
from facetell.labels import EMOTIONS

__all__ = ["FORM", "make_toon", "toon_from_text"]

Points = NDArray[np.float64]  # (P, 2) x, y; the head's centre is (0, 0), its half height 1
Colour = tuple[int, int, int]

_SUPERSAMPLE = 4
_SKINS = (
    (255, 224, 196), (241, 194, 150), (224, 172, 125), (198, 134, 86),
    (150, 98, 62), (108, 68, 44), (250, 210, 120), (214, 190, 170),
)  # fmt: skip
_HAIRS = (
    (35, 28, 25), (80, 50, 30), (140, 90, 45), (215, 180, 95),
    (170, 70, 35), (150, 150, 155), (60, 60, 90), (235, 230, 220),
)  # fmt: skip
_STYLES = ("cap", "fringe", "long", "spiky", "parted", "bald")
_NOSES = ("line", "round", "triangle", "hook")


@dataclass(frozen=True, kw_only=True)
class _Look:
    """An expression, in head units; the neutral face by default.

    Attributes:
        brow: brows up. inner: their inner ends up. arch: their middle up.
        lid: share of the eye under the upper lid. slant: that lid's inner end down.
        lower_lid: share under the lower lid. eye: eye height factor. pupil: pupil factor.
        gaze: pupils down, in eye heights.
        mouth_width: factor. curve: corners up. gape: mouth opening. upper: share of the
            opening above the line. wave: tremble of the lips. skew: one corner up.
        teeth: share of the opening filled with upper teeth. clenched: a row of both teeth.
        tongue: its length. wrinkle: folds on the nose. frown: folds between the brows.
        cheek: folds beside the mouth. tear: a drop under the eye.
    """

    brow: float = 0.0
    inner: float = 0.0
    arch: float = 0.05
    lid: float = 0.12
    slant: float = 0.0
    lower_lid: float = 0.0
    eye: float = 1.0
    pupil: float = 1.0
    gaze: float = 0.0
    mouth_width: float = 1.0
    curve: float = 0.0
    gape: float = 0.0
    upper: float = 0.4
    wave: float = 0.0
    skew: float = 0.0
    teeth: float = 0.0
    clenched: float = 0.0
    tongue: float = 0.0
    wrinkle: float = 0.0
    frown: float = 0.0
    cheek: float = 0.0
    tear: float = 0.0


_NEUTRAL = _Look()
#: Each emotion has two ways to look; a face is drawn between them.
_LOOKS: dict[str, tuple[_Look, _Look]] = {
    "angry": (
        _Look(brow=-0.10, inner=-0.20, arch=-0.03, lid=0.2, slant=0.45, lower_lid=0.1, pupil=0.85,
              mouth_width=0.95, curve=-0.12, gape=0.24, upper=0.5, clenched=1.0, frown=1.0),
        _Look(brow=-0.11, inner=-0.23, arch=-0.03, lid=0.2, slant=0.5, lower_lid=0.15, pupil=0.8,
              mouth_width=0.8, curve=-0.12, frown=1.0),
    ),
    "disgust": (
        _Look(brow=-0.10, inner=-0.06, lid=0.42, lower_lid=0.3, pupil=0.9, mouth_width=0.85,
              curve=-0.16, gape=0.16, upper=0.7, skew=0.05, tongue=0.32, wrinkle=1.0, cheek=0.7),
        _Look(brow=-0.11, inner=-0.05, lid=0.45, lower_lid=0.32, pupil=0.9, mouth_width=0.9,
              curve=-0.12, gape=0.1, upper=0.75, skew=0.10, tongue=0.26, wrinkle=1.0, cheek=1.0),
    ),
    "fear": (
        _Look(brow=0.17, inner=0.13, arch=0.0, lid=0.0, eye=1.38, pupil=0.55, mouth_width=1.0,
              curve=-0.07, gape=0.22, upper=0.5, wave=0.05, clenched=0.8),
        _Look(brow=0.15, inner=0.15, arch=0.0, lid=0.0, eye=1.32, pupil=0.5, mouth_width=1.05,
              curve=-0.10, gape=0.19, upper=0.5, wave=0.06, clenched=0.7),
    ),
    "happy": (
        _Look(brow=0.05, arch=0.09, lid=0.12, lower_lid=0.25, mouth_width=1.25, curve=0.26,
              gape=0.34, upper=0.1, teeth=0.55, cheek=1.0),
        _Look(brow=0.03, arch=0.09, lid=0.12, lower_lid=0.22, mouth_width=1.2, curve=0.27,
              gape=0.0, cheek=1.0),
    ),
    "sad": (
        _Look(brow=0.02, inner=0.19, arch=-0.02, lid=0.36, slant=-0.3, gaze=0.2, mouth_width=0.75,
              curve=-0.2, tear=1.0),
        _Look(brow=0.0, inner=0.21, arch=-0.02, lid=0.42, slant=-0.3, gaze=0.22, mouth_width=0.8,
              curve=-0.22),
    ),
    "surprise": (
        _Look(brow=0.24, arch=0.13, lid=0.0, eye=1.35, pupil=1.0, mouth_width=0.55, gape=0.5,
              upper=0.45),
        _Look(brow=0.21, arch=0.12, lid=0.0, eye=1.28, pupil=0.95, mouth_width=0.5, gape=0.38,
              upper=0.45),
    ),
    "neutral": (_NEUTRAL, _Look(mouth_width=0.9, lid=0.16, arch=0.03)),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Character:
    """What stays when the expression changes."""

    width: float
    jaw: float
    skin: Colour
    hair: Colour
    style: str
    nose: str
    nose_size: float
    eye_width: float
    eye_height: float
    eye_gap: float
    eye_y: float
    brow_weight: float
    brow_length: float
    mouth_y: float
    mouth_width: float
    pen: float
    glasses: bool
    ears: bool


def make_toon(
    characters: int = 80, per_emotion: int = 4, seed: int = 0, face_px: int = 48
) -> Dataset:
    """Drawn faces: characters x seven emotions x drawings, read in RGB.

    Every drawing has its own intensity, pose, light and noise. About 70 % of the characters
    train, 15 % validate, 15 % test, and none is on two sides.

    Args:
        characters: at least 3, one for each side.
        per_emotion: drawings of each character in each emotion.
        seed: other characters and drawings for another number.
        face_px: side of the images, px.

    Raises:
        InputError: a count too small.

    Example:
        dataset = make_toon(characters=6, per_emotion=5)
    """
    for name, value, least in (
        ("characters", characters, 3),
        ("per_emotion", per_emotion, 1),
        ("seed", seed, 0),
        ("face_px", face_px, 16),
    ):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}.", actual=value)
    cast = [_character(np.random.default_rng([seed, c])) for c in range(characters)]
    sides = _sides(characters, seed)
    keys = [
        (c, label, n)
        for c in range(characters)
        for label in range(len(EMOTIONS))
        for n in range(per_emotion)
    ]

    def read(index: int) -> NDArray[np.uint8]:
        c, label, n = keys[index]
        return _drawing(cast[c], label, np.random.default_rng([seed, c, label, n]), face_px)

    return Dataset(
        name="toon",
        samples=tuple(
            Sample(id=f"{c:03d}/{EMOTIONS[k]}/{n:04d}", label=k, side=sides[c], subject=f"{c:03d}")
            for c, k, n in keys
        ),
        read=read,
        source=f"toon:characters={characters},per_emotion={per_emotion},seed={seed},face_px={face_px}",
        licence="Drawn by facetell; free of rights.",
    )


def toon_from_text(text: str) -> Dataset:
    """The dataset that `toon` or `toon:characters=80,per_emotion=4,seed=3` stands for.

    Raises:
        InputError: an unknown word or a value that is no whole number.
    """
    options: dict[str, int] = {}
    for part in filter(None, text.partition(":")[2].split(",")):
        name, _, value = part.strip().partition("=")
        if name not in ("characters", "per_emotion", "seed", "face_px") or not value.isdigit():
            raise InputError(
                f"expected toon:characters=80,per_emotion=4,seed=0,face_px=48, got {part!r} "
                f"in {text!r}. Each value is a whole number.",
                actual=part,
            )
        options[name] = int(value)
    return make_toon(**options)


def _sides(characters: int, seed: int) -> list[Side]:
    others = max(1, round(0.15 * characters))
    sides: list[Side] = ["train"] * characters
    order = np.random.default_rng([seed, characters]).permutation(characters)
    for c in order[:others]:
        sides[c] = "test"
    for c in order[others : 2 * others]:
        sides[c] = "validation"
    return sides


def _character(rng: np.random.Generator) -> _Character:
    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    return _Character(
        width=rng.uniform(0.74, 0.94),
        jaw=rng.uniform(0.0, 0.28),
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        style=pick(_STYLES),
        nose=pick(_NOSES),
        nose_size=rng.uniform(0.8, 1.25),
        eye_width=rng.uniform(0.17, 0.23),
        eye_height=rng.uniform(0.12, 0.165),
        eye_gap=rng.uniform(0.31, 0.39),
        eye_y=rng.uniform(-0.16, -0.06),
        brow_weight=rng.uniform(0.055, 0.10),
        brow_length=rng.uniform(1.1, 1.4),
        mouth_y=rng.uniform(0.48, 0.56),
        mouth_width=rng.uniform(0.32, 0.40),
        pen=rng.uniform(0.035, 0.06),
        glasses=bool(rng.random() < 0.2),
        ears=bool(rng.random() < 0.7),
    )


def _look(label: int, rng: np.random.Generator) -> _Look:
    """The emotion at a random intensity, between its two ways to look, with a little jitter."""
    first, second = _LOOKS[EMOTIONS[label]]
    share = rng.random()
    strength = rng.uniform(0.8, 1.15)
    values = {}
    for item in fields(_Look):
        rest = getattr(_NEUTRAL, item.name)
        full = (1 - share) * getattr(first, item.name) + share * getattr(second, item.name)
        values[item.name] = rest + strength * (full - rest)
    for name, spread in (("brow", 0.015), ("inner", 0.015), ("lid", 0.03), ("curve", 0.015)):
        values[name] += rng.normal(0, spread)
    return _Look(**values)


class _Pen:
    """Draws shapes given in head units onto the canvas, under the pose of one drawing."""

    def __init__(self, canvas: Image.Image, rng: np.random.Generator) -> None:
        self.draw = ImageDraw.Draw(canvas)
        roll = np.deg2rad(rng.normal(0, 6))
        self.scale = canvas.width * 0.45 * rng.uniform(0.9, 1.1)
        shear = rng.normal(0, 0.05)
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        self.map = self.scale * turn @ np.array([[1.0, shear], [0.0, 1.0]])
        self.centre = canvas.width * (np.array([0.5, 0.53]) + rng.normal(0, 0.025, 2))
        self.yaw, self.pitch = rng.normal(0, 0.10), rng.normal(0, 0.05)

    def place(self, points: Points, *, on_face: bool = True) -> list[tuple[float, float]]:
        """Canvas coordinates; what lies on the face turns with the head, as on a ball."""
        if on_face:
            height = np.sqrt(np.clip(1 - (points**2).sum(axis=1, keepdims=True), 0, None))
            points = points + height * np.array([self.yaw, self.pitch])
        return [(float(x), float(y)) for x, y in points @ self.map.T + self.centre]

    def fill(self, points: Points, colour: Colour, *, on_face: bool = True) -> None:
        self.draw.polygon(self.place(points, on_face=on_face), fill=colour)

    def line(self, points: Points, colour: Colour, width: float, *, on_face: bool = True) -> None:
        placed = self.place(points, on_face=on_face)
        thick = max(1, round(width * self.scale))
        self.draw.line(placed, fill=colour, width=thick, joint="curve")
        for x, y in (placed[0], placed[-1]):  # round ends
            r = thick / 2
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _drawing(
    character: _Character, label: int, rng: np.random.Generator, face_px: int
) -> NDArray[np.uint8]:
    """RGB uint8 (face_px, face_px, 3)."""
    side = face_px * _SUPERSAMPLE
    canvas = Image.new("RGB", (side, side), _ground(rng))
    pen = _Pen(canvas, rng)
    look = _look(label, rng)
    _draw_head(pen, character)
    for outward in (-1.0, 1.0):
        _draw_eye(pen, character, look, outward)
        _draw_brow(pen, character, look, outward)
    _draw_nose(pen, character, look)
    _draw_folds(pen, character, look)
    _draw_mouth(pen, character, look)
    if character.glasses:
        _draw_glasses(pen, character)
    _draw_hair(pen, character)
    small = canvas.resize((face_px, face_px), Image.Resampling.BOX)
    return _lit(np.asarray(small, np.float64), rng)


def _ground(rng: np.random.Generator) -> Colour:
    """A muted colour of any brightness."""
    grey, tint = rng.integers(50, 225), rng.integers(-25, 26, 3)
    return int(grey + tint[0]), int(grey + tint[1]), int(grey + tint[2])


def _lit(pixels: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Under a light from one side, with its own contrast and noise."""
    side = pixels.shape[0]
    axis = np.linspace(-1, 1, side)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.28)
    light = 1 + depth * (np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]) / 1.4
    contrast, brightness = rng.uniform(0.75, 1.15), rng.normal(0, 12)
    out = (pixels * light[..., None] - 128) * contrast + 128 + brightness
    out += rng.normal(0, rng.uniform(0, 6), (side, side, 1))
    rounded: NDArray[np.uint8] = np.clip(np.rint(out), 0, 255).astype(np.uint8)
    return rounded


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = (min(255, max(0, round(value * factor))) for value in colour)
    return r, g, b


def _oval(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Points:
    angle = np.deg2rad(np.linspace(start, end, 41))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def _outline(c: _Character, grow: float = 1.0) -> Points:
    """The head: an oval, squarer below with a larger jaw."""
    points = _oval(0, 0, 1, 1)
    x, y = points[:, 0], points[:, 1]
    below = np.clip(y, 0, 1)
    wide = c.width * (1 + c.jaw * below * (1 - below) * 2)
    return np.stack([x * wide * grow, y * grow], axis=1)


def _draw_head(pen: _Pen, c: _Character) -> None:
    dark = _shade(c.skin, 0.35)
    if c.style == "long":
        pen.fill(_oval(0, 0.05, c.width * 1.22, 1.12), c.hair, on_face=False)
    if c.ears and c.style != "long":
        for outward in (-1, 1):
            ear = _oval(outward * c.width, 0.05, 0.13, 0.2)
            pen.fill(ear, c.skin, on_face=False)
            pen.line(ear, dark, c.pen * 0.7, on_face=False)
    pen.fill(_outline(c), c.skin, on_face=False)
    pen.line(_outline(c), dark, c.pen, on_face=False)


def _draw_hair(pen: _Pen, c: _Character) -> None:
    if c.style == "bald":
        return
    low = {"cap": -0.62, "fringe": -0.5, "long": -0.6, "spiky": -0.66, "parted": -0.56}[c.style]
    angle = np.arcsin(-low) * 180 / np.pi
    top = _oval(0, 0, c.width * 1.06, 1.1, 180 + angle, 360 - angle)
    ends = np.linspace(top[-1, 0], top[0, 0], 13)
    edge = np.stack([ends, np.full(13, low)], axis=1)
    if c.style in ("fringe", "spiky"):
        edge[1:-1:2, 1] += 0.08
    elif c.style == "parted":
        edge[:, 1] -= 0.25 * (1 - (ends / ends[0] - 0.3) ** 2).clip(0)
    else:
        edge[:, 1] -= 0.2 * (1 - (ends / ends[0]) ** 2)
    if c.style == "spiky":
        top[2:-2:3] *= 1.14
    pen.fill(np.concatenate([top, edge]), c.hair, on_face=False)


def _draw_eye(pen: _Pen, c: _Character, look: _Look, outward: float) -> None:
    x, y = outward * c.eye_gap, c.eye_y
    rx, ry = c.eye_width, c.eye_height * look.eye
    dark = _shade(c.skin, 0.25)
    white = _oval(x, y, rx, ry)
    pen.fill(white, (250, 250, 250))
    r = 0.62 * c.eye_height * look.pupil
    pen.fill(_oval(x, y + look.gaze * ry, r, r), (25, 22, 25))
    pen.fill(_oval(x - 0.3 * r, y + look.gaze * ry - 0.35 * r, 0.3 * r, 0.3 * r), (255, 255, 255))
    _draw_lids(pen, c, look, outward, ry)
    pen.line(white, dark, c.pen * 0.6)


def _draw_lids(pen: _Pen, c: _Character, look: _Look, outward: float, ry: float) -> None:
    """Skin over the top and the bottom of the eye; the upper edge is a dark line."""
    x, y, rx = outward * c.eye_gap, c.eye_y, c.eye_width
    across = np.linspace(-1, 1, 15)  # -1 is the inner end
    arc = ry * np.sqrt(1 - across**2)
    xs = x + outward * across * rx
    edge = y - ry + 2 * ry * (look.lid - 0.5 * look.slant * across)
    upper = np.clip(edge, y - arc, y + arc)
    rim = np.stack([xs, y - arc - 0.02], axis=1)
    pen.fill(np.concatenate([rim, np.stack([xs, upper], axis=1)[::-1]]), _shade(c.skin, 0.9))
    pen.line(np.stack([xs, upper], axis=1), _shade(c.skin, 0.2), c.pen * 0.9)
    if look.lower_lid > 0.03:
        lower = np.clip(y + ry - 2 * ry * look.lower_lid, y - arc, y + arc)
        rim = np.stack([xs, y + arc + 0.02], axis=1)
        pen.fill(np.concatenate([rim, np.stack([xs, lower], axis=1)[::-1]]), c.skin)
        pen.line(np.stack([xs, lower], axis=1), _shade(c.skin, 0.4), c.pen * 0.6)


def _draw_brow(pen: _Pen, c: _Character, look: _Look, outward: float) -> None:
    across = np.linspace(-1, 1, 13)  # -1 is the inner end
    x = outward * (c.eye_gap + across * c.eye_width * c.brow_length)
    rest = c.eye_y - c.eye_height - 0.15
    y = rest - look.brow - look.inner * (0.4 - across) / 1.4 - look.arch * (1 - across**2)
    colour = _shade(c.hair, 0.75) if sum(c.hair) < 0.8 * sum(c.skin) else _shade(c.skin, 0.3)
    pen.line(np.stack([x, y], axis=1), colour, c.brow_weight)


def _draw_nose(pen: _Pen, c: _Character, look: _Look) -> None:
    size, dark = 0.1 * c.nose_size, _shade(c.skin, 0.45)
    y = 0.2 - 0.03 * look.wrinkle
    shapes = {
        "line": np.array([[0.02, y - 2 * size], [size, y], [0.0, y + 0.3 * size]]),
        "round": _oval(0, y, size, 0.8 * size, -20, 200),
        "triangle": np.array([[0, y - 1.6 * size], [size, y], [-size, y], [0, y - 1.6 * size]]),
        "hook": np.array([[-0.3 * size, y - 2 * size], [-size, y], [size, y]]),
    }
    pen.line(shapes[c.nose], dark, c.pen * 0.8)


def _draw_folds(pen: _Pen, c: _Character, look: _Look) -> None:
    dark = _shade(c.skin, 0.5)
    for outward in (-1, 1):
        if look.wrinkle > 0.3:
            for step in (0, 1):
                y = c.eye_y + 0.05 + 0.09 * step
                fold = np.array([[0.03, y], [0.09, y + 0.01], [0.16, y + 0.07]])
                pen.line(fold * [outward, 1], dark, c.pen * 0.6)
        if look.frown > 0.3:
            y = c.eye_y - c.eye_height
            pen.line(
                np.array([[0.055 * outward, y - 0.12], [0.045 * outward, y + 0.04]]),
                dark,
                c.pen * 0.6,
            )
        if look.cheek > 0.3:
            fold = np.array([[0.2, 0.25], [0.36, 0.36], [0.43, 0.52]])
            pen.line(fold * [outward, 1], _shade(c.skin, 0.65), c.pen * 0.6)
    if look.tear > 0.55:
        y = c.eye_y + c.eye_height * look.eye
        drop = _oval(c.eye_gap, y + 0.14, 0.055, 0.09)
        pen.fill(drop, (225, 240, 255))
        pen.line(drop, (90, 120, 160), c.pen * 0.4)


def _lips(c: _Character, look: _Look) -> tuple[Points, Points]:
    """The upper and the lower edge of the mouth, (21, 2) each, from left to right."""
    across = np.linspace(-1, 1, 21)
    x = across * c.mouth_width * look.mouth_width
    middle = c.mouth_y - look.curve * (across**2 - 0.5) - look.skew * across
    middle = middle + look.wave * np.sin(3 * np.pi * across)
    bow = np.sqrt(1 - across**2)
    upper = middle - look.gape * look.upper * bow
    lower = middle + look.gape * (1 - look.upper) * bow
    return np.stack([x, upper], axis=1), np.stack([x, lower], axis=1)


def _draw_mouth(pen: _Pen, c: _Character, look: _Look) -> None:
    upper, lower = _lips(c, look)
    dark, lip = _shade(c.skin, 0.22), c.pen * 1.05
    if look.gape > 0.05:
        ring = np.concatenate([upper, lower[::-1]])
        pen.fill(ring, (70, 20, 28))
        _draw_teeth(pen, c, look, upper, lower)
        pen.line(np.concatenate([ring, ring[:1]]), dark, lip)
    else:
        pen.line((upper + lower) / 2, dark, lip * 1.2)
    if look.tongue > 0.1:
        y = float(lower[10, 1]) - 0.04
        tongue = _oval(0, y, 0.5 * c.mouth_width * look.mouth_width, look.tongue, 0, 180)
        pen.fill(tongue, (225, 110, 120))
        pen.line(tongue, dark, c.pen * 0.8)


def _draw_teeth(pen: _Pen, c: _Character, look: _Look, upper: Points, lower: Points) -> None:
    white = (250, 250, 245)
    if look.clenched > 0.35:
        inner = np.concatenate([0.88 * upper + 0.12 * lower, (0.12 * upper + 0.88 * lower)[::-1]])
        pen.fill(inner, white)
        pen.line((upper + lower)[1:-1] / 2, (90, 80, 80), c.pen * 0.5)
        for k in (4, 8, 12, 16):
            pen.line(np.stack([upper[k], lower[k]]), (120, 110, 110), c.pen * 0.35)
    elif look.teeth > 0.15:
        pen.fill(
            np.concatenate([upper, ((1 - look.teeth) * upper + look.teeth * lower)[::-1]]), white
        )


def _draw_glasses(pen: _Pen, c: _Character) -> None:
    frame = (35, 35, 40)
    rx, ry = c.eye_width * 1.42, c.eye_height * 1.75
    for outward in (-1, 1):
        pen.line(_oval(outward * c.eye_gap, c.eye_y + 0.02, rx, ry), frame, c.pen * 0.7)
    gap = c.eye_gap - rx
    if gap > 0:
        pen.line(np.array([[-gap, c.eye_y], [gap, c.eye_y]]), frame, c.pen * 0.7)


FORM = Form(
    name="toon",
    holds="the word toon, or toon:characters=80,per_emotion=4,seed=0: drawn faces",
    where="no download, no licence, no person",
    recognise=lambda _: False,  # a word, not a path: open_dataset knows it
    read=lambda path, *, label_order=None: toon_from_text(str(path)),
)

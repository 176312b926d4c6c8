"""Readings of a clip -> who was seen when, and with which emotions; in numbers and as a picture.

Memory does not grow with the clip: time is kept in at most 1,200 steps, which get longer.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.ImageFont import load_default

from facetell.draw import colour_of, fitted
from facetell.files import write_atomically
from facetell.results import Face, Reading

__all__ = ["Person", "Timeline", "draw_timeline", "write_timeline"]

_STEPS = 1200
_FIRST_STEP_S = 0.05
_PORTRAIT_PX = 96
_LARGER = 1.3  # a portrait is taken anew from a face that much larger

_SHOWN = 24  # people in a picture; the others are counted
_WIDTH, _LEFT, _RIGHT = 1400, 170, 30  # px
_BAND, _RIBBON, _GAP = 116, 28, 26
_TOP, _BOTTOM = 96, 92
_WHITE, _INK, _FAINT, _ABSENT = (255, 255, 255), (30, 30, 34), (120, 120, 128), (243, 243, 245)
_TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)

_CAPTION = (
    "A colour's height is the emotion's score; the ribbon below names the label. Blank: out of "
    "sight. Scores say how a face looks, not what the person feels."
)


@dataclass
class Person:
    """One person of a clip.

    Attributes:
        number: as in `Face.person`; 0 where faces have none.
        first_s: when first seen.
        last_s: when last seen.
        label_s: seconds of each label.
        steps: step of time -> seconds seen in it, and the scores' sum weighted by them.
        portrait: (96, 96, 3) uint8, one of the largest views of the face, or None.
    """

    number: int
    first_s: float
    last_s: float
    label_s: dict[str, float] = field(default_factory=dict)
    steps: dict[int, tuple[float, NDArray[np.float64]]] = field(default_factory=dict)
    step_labels: dict[int, dict[str, float]] = field(default_factory=dict)
    portrait: NDArray[np.uint8] | None = None
    portrait_px: float = 0.0

    @property
    def seen_s(self) -> float:
        """Seconds in sight."""
        return sum(self.label_s.values())

    def shares(self) -> list[tuple[str, float]]:
        """Labels and their shares of the time in sight, the largest first."""
        whole = max(self.seen_s, 1e-9)
        found = [(label, seconds / whole) for label, seconds in self.label_s.items()]
        return sorted(found, key=lambda item: item[1], reverse=True)


class Timeline:
    """Collects the readings of one clip.

    Args:
        labels: the model's emotions, in its order.

    Attributes:
        people: number -> person, in the order of appearance.
        frames: readings so far.
        end_s: time of the last reading.
        step_s: length of a step of time.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.people: dict[int, Person] = {}
        self.frames = 0
        self.end_s = 0.0
        self.step_s = _FIRST_STEP_S
        self._last: Reading | None = None
        self._pause_s = 0.04

    def add(self, reading: Reading, image: NDArray[np.uint8] | None = None) -> None:
        """Take in the next reading; what the one before shows lasts until this one's time.

        Args:
            reading: with `time_s`.
            image: its frame, for portraits.
        """
        time_s = reading.time_s or 0.0
        if self._last is not None and time_s > self.end_s:
            self._pause_s = time_s - self.end_s
            self._credit(self._last, self.end_s, time_s)
        for face in reading.faces:
            person = self._person(face, time_s)
            person.last_s = time_s
            if image is not None:
                _take_portrait(person, face, image)
        self._last, self.end_s = reading, time_s
        self.frames += 1

    def finish(self) -> Timeline:
        """Give the last frame the length of the one before; for a clip that has ended."""
        if self._last is not None:
            end_s = self.end_s + self._pause_s
            self._credit(self._last, self.end_s, end_s)
            self.end_s, self._last = end_s, None
        return self

    def _person(self, face: Face, time_s: float) -> Person:
        number = face.person or 0
        return self.people.setdefault(number, Person(number, time_s, time_s))

    def _credit(self, reading: Reading, start_s: float, end_s: float) -> None:
        while end_s > _STEPS * self.step_s:
            self._lengthen_steps()
        for face in reading.faces:
            person = self.people[face.person or 0]
            person.label_s[face.label] = person.label_s.get(face.label, 0.0) + end_s - start_s
            scores = np.array([face.scores.get(label, 0.0) for label in self.labels])
            for step, seconds in self._steps_between(start_s, end_s):
                before_s, before = person.steps.get(step, (0.0, np.zeros(len(self.labels))))
                person.steps[step] = (before_s + seconds, before + seconds * scores)
                labels = person.step_labels.setdefault(step, {})
                labels[face.label] = labels.get(face.label, 0.0) + seconds

    def _steps_between(self, start_s: float, end_s: float) -> Iterator[tuple[int, float]]:
        """Steps that an interval touches, and the seconds it has of each."""
        step = int(start_s / self.step_s)
        while step * self.step_s < end_s:
            low, high = max(start_s, step * self.step_s), min(end_s, (step + 1) * self.step_s)
            if high > low:
                yield step, high - low
            step += 1

    def _lengthen_steps(self) -> None:
        self.step_s *= 2
        for person in self.people.values():
            steps: dict[int, tuple[float, NDArray[np.float64]]] = {}
            labels: dict[int, dict[str, float]] = {}
            for step, (seconds, scores) in person.steps.items():
                before = steps.get(step // 2, (0.0, np.zeros(len(self.labels))))
                steps[step // 2] = (before[0] + seconds, before[1] + scores)
                found = labels.setdefault(step // 2, {})
                for label, part in person.step_labels[step].items():
                    found[label] = found.get(label, 0.0) + part
            person.steps, person.step_labels = steps, labels


def _take_portrait(person: Person, face: Face, image: NDArray[np.uint8]) -> None:
    x1, y1, x2, y2 = face.box_xyxy
    side = max(x2 - x1, y2 - y1)
    if person.portrait is not None and side < _LARGER * person.portrait_px:
        return
    half, x, y = 0.65 * side, (x1 + x2) / 2, (y1 + y2) / 2
    height, width = image.shape[:2]
    left, right = max(0, round(x - half)), min(width, round(x + half))
    top, bottom = max(0, round(y - half)), min(height, round(y + half))
    if right - left < 2 or bottom - top < 2:
        return
    cut = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    cut.thumbnail((_PORTRAIT_PX, _PORTRAIT_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
    person.portrait, person.portrait_px = np.asarray(cut), side


def write_timeline(timeline: Timeline, path: Path, *, title: str = "") -> Path:
    """Write the picture of `draw_timeline` as a PNG, whole or not at all."""
    png = io.BytesIO()
    Image.fromarray(draw_timeline(timeline, title=title)).save(png, "PNG", optimize=True)
    write_atomically(path, png.getvalue())
    return path


def draw_timeline(timeline: Timeline, *, title: str = "") -> NDArray[np.uint8]:
    """Each person's emotions over time.

    For each person a band of the scores, stacked so that they fill its height, and below it a
    ribbon of the labels; blank where the person is out of sight.

    Args:
        timeline: of a clip that has ended.
        title: what the clip is called.

    Returns:
        (H, 1400, 3) uint8. H grows with the number of people, up to 24; who is seen shortest is
        left out beyond.
    """
    people = sorted(timeline.people.values(), key=lambda p: p.seen_s, reverse=True)[:_SHOWN]
    people.sort(key=lambda person: person.number)
    each = _BAND + _RIBBON + _GAP
    height = _TOP + max(1, len(people)) * each + _BOTTOM
    picture = Image.new("RGB", (_WIDTH, height), _WHITE)
    draw = ImageDraw.Draw(picture)
    _draw_head(draw, timeline, len(people), title)
    _draw_axis(draw, timeline.end_s, _TOP, height - _BOTTOM - _GAP)
    draw.text((_LEFT, height - 34), _CAPTION, fill=_FAINT, font=load_default(16), anchor="lm")
    for row, person in enumerate(people):
        _draw_person(picture, draw, timeline, person, _TOP + row * each)
    if not people:
        draw.text(
            (_WIDTH / 2, _TOP + each / 2),
            "no face",
            fill=_FAINT,
            font=load_default(24),
            anchor="mm",
        )
    return np.array(picture)


def _draw_head(draw: ImageDraw.ImageDraw, timeline: Timeline, shown: int, title: str) -> None:
    count = len(timeline.people)
    about = f"{count} {'person' if count == 1 else 'people'}, {_clock(timeline.end_s)}"
    if shown < count:
        about += f"; the {shown} seen longest are shown"
    size = draw.textlength(about, font=load_default(18))
    draw.text((_WIDTH - _RIGHT, 20), about, fill=_FAINT, font=load_default(18), anchor="ra")
    name = fitted(draw, title, load_default(22), _WIDTH - _LEFT - _RIGHT - size - 30)
    draw.text((_LEFT, 16), name, fill=_INK, font=load_default(22))
    x = float(_LEFT)
    for label in timeline.labels:
        draw.rectangle((x, 56, x + 18, 74), fill=colour_of(label), outline=_FAINT)
        draw.text((x + 25, 55), label, fill=_INK, font=load_default(18))
        x += 25 + draw.textlength(label, font=load_default(18)) + 26


def _draw_axis(draw: ImageDraw.ImageDraw, end_s: float, top: int, bottom: int) -> None:
    pause = next((t for t in _TICKS_S if end_s / t <= 12), _TICKS_S[-1])
    for number in range(int(end_s / pause + 1e-9) + 1):
        x = _x_of(number * pause, end_s)
        draw.line((x, top, x, bottom + 6), fill=(225, 225, 229))
        text = _clock(number * pause, tenths=pause < 1)
        draw.text((x, bottom + 10), text, fill=_FAINT, font=load_default(16), anchor="ma")
    draw.line((_LEFT, bottom, _WIDTH - _RIGHT, bottom), fill=_FAINT)


def _clock(time_s: float, *, tenths: bool = False) -> str:
    """4.2 s, 1:05, 1:01:05."""
    if time_s < 60:
        return f"{time_s:.1f} s" if tenths or time_s != round(time_s) else f"{time_s:.0f} s"
    hours, rest = divmod(round(time_s), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _x_of(time_s: float, end_s: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * time_s / max(end_s, 1e-9)


def _draw_person(
    picture: Image.Image,
    draw: ImageDraw.ImageDraw,
    timeline: Timeline,
    person: Person,
    top: int,
) -> None:
    name = f"person {person.number}" if person.number else "face"
    draw.text((20, top + 2), name, fill=_INK, font=load_default(20))
    if person.portrait is not None:
        picture.paste(Image.fromarray(person.portrait), (20, top + 30))
    ribbon = top + _BAND
    whole = (_LEFT, top, _WIDTH - _RIGHT, ribbon + _RIBBON)
    draw.rectangle(whole, fill=_ABSENT)
    for step, (seconds, scores) in person.steps.items():
        x1, x2 = _columns(step, timeline)
        low = float(ribbon)
        for label, share in zip(timeline.labels, scores / max(seconds, 1e-12), strict=True):
            high = low - _BAND * float(share)
            if round(low) > round(high):
                draw.rectangle((x1, round(high), x2, round(low) - 1), fill=colour_of(label))
            low = high
    _draw_ribbon(draw, timeline, person, ribbon)
    draw.line((_LEFT, ribbon, _WIDTH - _RIGHT, ribbon), fill=_WHITE, width=2)


def _columns(step: int, timeline: Timeline) -> tuple[int, int]:
    """First and last column of a step; neighbours touch."""
    x1 = _x_of(step * timeline.step_s, timeline.end_s)
    x2 = _x_of(min((step + 1) * timeline.step_s, timeline.end_s), timeline.end_s)
    return round(x1), max(round(x1), round(x2) - 1)


def _draw_ribbon(draw: ImageDraw.ImageDraw, timeline: Timeline, person: Person, top: int) -> None:
    for label, first, last in _runs(person):
        x1, x2 = _columns(first, timeline)[0], _columns(last, timeline)[1]
        draw.rectangle((x1, top + 1, x2, top + _RIBBON), fill=colour_of(label))
        if draw.textlength(label, font=load_default(16)) + 12 <= x2 - x1:
            draw.text(
                ((x1 + x2) / 2, top + 1 + _RIBBON / 2), label, fill=_INK, font=load_default(16),
                anchor="mm",
            )  # fmt: skip
        if x2 - x1 >= 3:
            draw.line((x2 + 1, top + 1, x2 + 1, top + _RIBBON), fill=_WHITE)


def _runs(person: Person) -> Iterator[tuple[str, int, int]]:
    """Label, first and last step of each stretch in which the label stays."""
    run: tuple[str, int, int] | None = None
    for step in sorted(person.step_labels):
        label = max(person.step_labels[step].items(), key=lambda item: item[1])[0]
        if run is not None and run[0] == label and step == run[2] + 1:
            run = (label, run[1], step)
            continue
        if run is not None:
            yield run
        run = (label, step, step)
    if run is not None:
        yield run

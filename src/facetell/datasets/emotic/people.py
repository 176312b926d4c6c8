"""People in photos as EMOTIC annotates them: one record for each, whatever the files look like.

Readers (`mat`, `tables`) yield `Row`s, as they stand in the file; `gather` finds the pixels,
clips the boxes, and counts what cannot be used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.decode import named
from facetell.datasets.emotic.categories import CATEGORIES, category_index, flags
from facetell.datasets.emotic.pixels import (
    Array,
    array_pixels,
    broken_arrays,
    measured,
    stored_pixels,
)
from facetell.datasets.sample import Side
from facetell.errors import DataError
from facetell.results import Box

__all__ = ["People", "Person", "Row", "gather"]

Vad = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One annotated person as the file says it.

    Attributes:
        side: of the official split.
        folder: of the image, "mscoco/images"; "" where the file does not say.
        filename: of the image.
        box: x1, y1, x2, y2 in px of the photo; may reach outside, be empty or hold nans.
        categories: names of what was seen, by whom ever.
        vad: valence, arousal, dominance, 1-10 or nan.
        annotators: the names given by each annotator.
        gender: "Male", "Female" or "".
        age: "Kid", "Teenager", "Adult" or "".
        size_wh: the recorded size of the photo, px; sometimes swapped.
        body: the body as a picture in a .npy file.
    """

    side: Side
    folder: str
    filename: str
    box: tuple[float, ...]
    categories: tuple[str, ...]
    vad: Vad = (math.nan, math.nan, math.nan)
    annotators: tuple[tuple[str, ...], ...] = ()
    gender: str = ""
    age: str = ""
    size_wh: tuple[float, float] | None = None
    body: Array | None = None

    @property
    def image(self) -> str:
        """Folder and name of the photo: what people of one photo share."""
        return f"{self.folder}/{self.filename}" if self.folder else self.filename


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One annotated person.

    Attributes:
        id: photo and number in it, "mscoco/images/COCO_val2014_000000000042.jpg#0".
        image: the photo, by which people must be kept on one side.
        box_xyxy: the body, px of the photo, inside it.
        categories: (26,) whether each of CATEGORIES was seen. In training by one annotator, on
            the other sides by any of several, so that these are labelled more densely.
        vad: valence, arousal, dominance from 1 to 10; nan where not annotated.
        annotators: (A,) the categories of each annotator, (26,) each.
        side: of the official split.
        gender: "Male", "Female" or "".
        age: "Kid", "Teenager", "Adult" or "".
        path: the photo; None where only the body's pixels are there.
        body: the body's pixels, where there is no photo.
    """

    id: str
    image: str
    box_xyxy: Box
    categories: tuple[bool, ...]
    vad: Vad
    annotators: tuple[tuple[bool, ...], ...]
    side: Side
    gender: str = ""
    age: str = ""
    path: Path | None = None
    body: Array | None = None

    @property
    def key(self) -> str:
        """Photo, number and box."""
        return f"{self.id} {self.box_xyxy}"

    @property
    def file(self) -> Path | None:
        """Where the pixels are from."""
        return self.path or (self.body.path if self.body else None)

    @property
    def place(self) -> Hashable:
        """The same for the people in one photo."""
        return self.path or self.body

    def pixels(self) -> NDArray[np.uint8]:
        """The photo, or the body where there is no photo; RGB uint8 (H, W, 3).

        Raises:
            ImageError: the file is gone or cannot be read.
        """
        if self.path is not None:
            return stored_pixels(self.path)
        assert self.body is not None
        return array_pixels(self.body)

    def box_in(self, size_wh: tuple[int, int]) -> Box:
        """The body in px of `pixels`, whose size is given."""
        whole = (0.0, 0.0, float(size_wh[0]), float(size_wh[1]))
        return whole if self.path is None else self.box_xyxy


@dataclass(frozen=True, kw_only=True)
class People:
    """Everyone in EMOTIC who can be used.

    Attributes:
        persons: in the order of the files.
        source: what was read.
        notes: defects met while reading, one sentence each.
    """

    persons: tuple[Person, ...]
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.persons)

    @property
    def categories(self) -> NDArray[np.bool_]:
        """(N, 26)."""
        table = [person.categories for person in self.persons]
        return np.array(table, np.bool_).reshape(-1, len(CATEGORIES))

    @property
    def vad(self) -> NDArray[np.float64]:
        """(N, 3) valence, arousal, dominance from 1 to 10, or nan."""
        return np.array([p.vad for p in self.persons], np.float64).reshape(-1, 3)

    @property
    def images(self) -> NDArray[np.int64]:
        """(N,) number of each person's photo: the groups for splits and intervals."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(p.image, len(numbers)) for p in self.persons], np.int64)

    def on(self, side: Side) -> NDArray[np.int64]:
        """(M,) indices of the people on one side."""
        return np.flatnonzero([person.side == side for person in self.persons])

    def take(self, indices: Iterable[int]) -> People:
        """The chosen people, in the given order."""
        return replace(self, persons=tuple(self.persons[int(i)] for i in indices))


def gather(
    rows: Sequence[Row],
    locate: Callable[[Row], Path | None],
    source: Path,
    notes: Sequence[str] = (),
) -> People:
    """The people among the rows who have pixels and a box in them.

    A photo's own size counts, not the recorded one. Boxes are clipped to it.

    Args:
        rows: as read.
        locate: where a row's photo should be, None if nowhere.
        source: what the user named.
        notes: of the reader.

    Raises:
        DataError: nobody can be used.
    """
    places = {row.image: locate(row) for row in rows}
    photos = measured({image: path for image, path in places.items() if path is not None})
    cut_off = broken_arrays(row.body.path for row in rows if row.body is not None)
    tally = _Tally(list(notes))
    persons = []
    seen: Counter[str] = Counter()
    for row in rows:
        number = seen[row.image]
        seen[row.image] += 1
        size = photos.get(row.image)
        if size is None and row.body is not None and row.body.path in cut_off:
            size = "its array cannot be read"
        person = _person(row, number, places[row.image], size, tally)
        if person is not None:
            persons.append(person)
    if not persons:
        raise DataError(
            f"expected annotated people with their photos in {source}, found {len(rows)} "
            f"annotations but not one usable photo (first: {rows[0].image if rows else 'none'}). "
            "Put the folders ade20k, emodb_small, framesdb and mscoco beside the annotations.",
            path=source,
        )
    return People(
        persons=tuple(persons), source=str(source), notes=(*tally.notes(), *_sides_note(persons))
    )


@dataclass
class _Tally:
    """What was passed over or put right, by the name of the photo."""

    before: list[str]
    missing: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)
    swapped: set[str] = field(default_factory=set)
    resized: set[str] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)
    unlabelled: list[str] = field(default_factory=list)
    without_vad: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        kinds: tuple[tuple[Iterable[str], str], ...] = (
            (self.missing, "people were left out, as their photo is missing"),
            (self.broken, "people were left out, as their photo could not be read"),
            (self.empty, "people were left out, as nothing of their body box is in the photo"),
            (self.clipped, "body boxes reached outside the photo and were clipped"),
            (sorted(self.swapped), "photos are recorded with width and height swapped"),
            (sorted(self.resized), "photos have another size than recorded"),
            (sorted(self.unknown), "category names are unknown and were passed over"),
            (self.unlabelled, "people carry no category and are judged by none"),
            (self.without_vad, "people lack valence, arousal or dominance"),
        )
        found = [(list(names), what) for names, what in kinds]
        return [*self.before, *(named(len(names), names, what) for names, what in found if names)]


def _person(
    row: Row, number: int, path: Path | None, size: tuple[int, int] | str | None, tally: _Tally
) -> Person | None:
    if size is None and row.body is None:
        tally.missing.append(row.image)
        return None
    if isinstance(size, str):
        tally.broken.append(row.image)
        return None
    _compare_sizes(row, size, tally)
    box = _clipped(row, size or _recorded(row), tally)
    if box is None:
        return None
    names = {name for names in (row.categories, *row.annotators) for name in names}
    tally.unknown.update(name for name in names if category_index(name) is None)
    person = Person(
        id=f"{row.image}#{number}",
        image=row.image,
        box_xyxy=box,
        categories=flags(row.categories),
        vad=row.vad,
        annotators=tuple(flags(names) for names in row.annotators),
        side=row.side,
        gender=row.gender,
        age=row.age,
        path=path if size is not None else None,
        body=row.body if size is None else None,
    )
    if not any(person.categories):
        tally.unlabelled.append(person.id)
    if any(map(math.isnan, person.vad)):
        tally.without_vad.append(person.id)
    return person


def _compare_sizes(row: Row, size: tuple[int, int] | None, tally: _Tally) -> None:
    if size is None or row.size_wh is None or size == row.size_wh:
        return
    (tally.swapped if size == row.size_wh[::-1] else tally.resized).add(row.image)


def _recorded(row: Row) -> tuple[float, float] | None:
    """The recorded size, turned where only so the box fits into it."""
    if row.size_wh is None:
        return None
    width, height = row.size_wh
    x2, y2 = row.box[2:4]
    turn = (x2 > width or y2 > height) and x2 <= height and y2 <= width
    return (height, width) if turn else (width, height)


def _clipped(row: Row, size: tuple[float, float] | None, tally: _Tally) -> Box | None:
    """The box inside a picture of that size (any, where unknown); None if nothing is left."""
    width, height = size or (math.inf, math.inf)
    if len(row.box) != 4 or any(map(math.isnan, row.box)):
        tally.empty.append(row.image)
        return None
    x1, y1, x2, y2 = row.box
    box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        tally.empty.append(row.image)
        return None
    if box != tuple(row.box):
        tally.clipped.append(row.image)
    return box


def _sides_note(persons: list[Person]) -> list[str]:
    sides: dict[str, set[str]] = {}
    for person in persons:
        sides.setdefault(person.image, set()).add(person.side)
    several = sorted(image for image, found in sides.items() if len(found) > 1)
    return [named(len(several), several, "photos are on two sides")] if several else []

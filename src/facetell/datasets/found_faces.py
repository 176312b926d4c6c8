"""The faces in pictures that show more than a face: searched once, remembered on disk.

34,000 people of EMOTIC take about half an hour on one thread. What was found is written down
every few hundred pictures, so that an interrupted search goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.datasets.decode import as_rgb, decode
from facetell.datasets.sample import Dataset
from facetell.faces.crop import crop_faces, whole_face
from facetell.files import cache_folder, write_atomically
from facetell.results import Box, Detection
from facetell.tensors import grey

if TYPE_CHECKING:
    from facetell.faces.detect import Detector

__all__ = ["FaceCounts", "FoundFaces", "Picture", "cut_to_faces", "faces_note"]

#: Part of the cache's name: change it when the search changes.
_METHOD = "faces 1"
#: The longer side at which pictures are searched, px: a face is a fifth of a standing body or more.
_SIDE = 640
#: The searched region reaches beyond the box by this share, so that no face is cut off.
_MARGIN = 0.1
_CROP_PX = (48, 224)  # a cut-out face keeps its size within these
_EVERY = 256  # pictures between two writes
_UNKNOWN, _FACE, _NONE = 0, 1, 2


class FaceCounts(NamedTuple):
    """In how many pictures there is a face, there is none, and nobody looked yet."""

    found: int
    none: int
    unknown: int


class Picture(Protocol):
    """Pixels, and where in them to look for one face: a photo, or a person in it."""

    @property
    def key(self) -> str:
        """What it is, for the memory of what was found: name and box, no folder."""
        ...

    @property
    def file(self) -> Path | None:
        """Where the pixels are from, if they are from a file."""
        ...

    @property
    def place(self) -> Hashable:
        """The same for all that are in the same pixels."""
        ...

    def pixels(self) -> NDArray[np.uint8]:
        """RGB uint8 (H, W, 3)."""
        ...

    def box_in(self, size_wh: tuple[int, int]) -> Box:
        """The body, or all there is, in px of `pixels`."""
        ...


class FoundFaces:
    """Finds, remembers and cuts out one face per picture.

    Args:
        pictures: where to look.
        detector: finds faces in an image. By default the packaged one, whose findings are
            kept in $XDG_CACHE_HOME/facetell (~/.cache/facetell), by a hash over the pictures'
            keys and the sizes of their files; another one's findings are not kept.
        threads: threads for the packaged detector; None takes every processor.

    Example:
        faces = FoundFaces(people.persons)
        faces.find(progress=lambda done, total: print(done, total))
        print(faces.counts())
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        detector: Detector | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self.pictures = pictures
        self._detector = detector
        self._threads = threads
        self._cache = None if detector else cache_folder() / f"faces-{_digest(pictures)}.npz"
        self._known = _load(self._cache, len(pictures)) or _Found.nothing(len(pictures))
        self._unsaved = 0
        self._last: tuple[Hashable, NDArray[np.uint8]] | None = None

    def find(
        self,
        indices: Sequence[int] | NDArray[np.int64] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Look for the faces in the chosen pictures (all by default) that are not known yet.

        Args:
            indices: of pictures.
            progress: called with (pictures done, pictures in all).

        Raises:
            ImageError: a photo cannot be read any more.
        """
        chosen = range(len(self.pictures)) if indices is None else indices
        for done, index in enumerate(chosen, 1):
            self.face(int(index))
            if progress is not None and (done % 64 == 0 or done == len(chosen)):
                progress(done, len(chosen))
        self._save()

    def counts(self, indices: Sequence[int] | NDArray[np.int64] | None = None) -> FaceCounts:
        """How far the search is, among the chosen pictures (all by default)."""
        state = self._known.state
        chosen = state if indices is None else state[np.asarray(indices, np.int64)]
        return FaceCounts(*(int((chosen == kind).sum()) for kind in (_FACE, _NONE, _UNKNOWN)))

    def face(self, index: int) -> Detection | None:
        """A picture's face in px of its pixels, None where none is visible."""
        if self._known.state[index] == _UNKNOWN:
            self._known.put(index, _face_in(*self._view(index), self._open()))
            self._unsaved += 1
            if self._unsaved >= _EVERY or _UNKNOWN not in self._known.state:
                self._save()
        return self._known.get(index)

    def read(self, index: int) -> NDArray[np.uint8]:
        """The face upright as a square, or else the box; RGB uint8 (H, W, 3)."""
        face = self.face(index)
        pixels, body = self._view(index)
        if face is None:
            return np.ascontiguousarray(_part(pixels, body)[0])
        x1, y1, x2, y2 = face.box_xyxy
        side = min(max(math.ceil(max(x2 - x1, y2 - y1)), _CROP_PX[0]), _CROP_PX[1])
        return np.asarray(crop_faces(pixels, [face], Contract(name="found", face_px=side))[0])

    def stack(
        self, indices: Sequence[int] | NDArray[np.int64], *, face_px: int = 48
    ) -> NDArray[np.uint8]:
        """(N, S, S) grey faces (the box where no face is visible), as `Dataset.faces` gives."""
        out = np.empty((len(indices), face_px, face_px), np.uint8)
        for row, index in enumerate(indices):
            out[row] = grey(whole_face(self.read(int(index)), face_px))
        return out

    def _view(self, index: int) -> tuple[NDArray[np.uint8], Box]:
        """Pixels and box; the photo of the person before is not decoded again."""
        picture = self.pictures[index]
        if self._last is None or self._last[0] != picture.place:
            self._last = (picture.place, picture.pixels())
        pixels = self._last[1]
        return pixels, picture.box_in((pixels.shape[1], pixels.shape[0]))

    def _open(self) -> Detector:
        if self._detector is None:
            # Not at the top: listing the forms of data must not load the network runtime.
            from facetell.faces.detect import CenterFace

            self._detector = CenterFace(side=_SIDE, threads=self._threads)
        return self._detector

    def _save(self) -> None:
        """Write what is new; a cache that cannot be written is no reason to fail."""
        if self._cache is None or not self._unsaved:
            return
        self._unsaved = 0
        self._known.learn(_load(self._cache, len(self.pictures)))
        try:
            write_atomically(self._cache, self._known.to_bytes())
        except OSError:
            return


def cut_to_faces(dataset: Dataset, folder: Path, detector: Detector | None = None) -> Dataset:
    """The dataset of photos read as the faces in them; those without one are read whole.

    Args:
        dataset: its sample ids are file names relative to `folder`. A stack of it is let go.
        folder: where the files are.
        detector: as in `FoundFaces`.
    """
    photos = [_Photo(key=sample.id, file=folder / sample.id) for sample in dataset.samples]
    faces = FoundFaces(photos, detector)
    note = faces_note(faces.counts(), "pictures", "the picture as a whole")
    return replace(dataset, read=faces.read, stack=None, notes=(*dataset.notes, note))


def faces_note(counts: FaceCounts, of: str, instead: str) -> str:
    """How far the search is, for the notes of a dataset."""
    return (
        f"faces are searched as they are read; of {counts.found + counts.none} {of} searched so "
        f"far, {counts.none} have no visible face and are read from {instead}"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Photo:
    """A whole image file as a `Picture`."""

    key: str
    file: Path

    @property
    def place(self) -> Hashable:
        return self.file

    def pixels(self) -> NDArray[np.uint8]:
        return as_rgb(decode(self.file))

    def box_in(self, size_wh: tuple[int, int]) -> Box:
        return (0.0, 0.0, float(size_wh[0]), float(size_wh[1]))


def _face_in(pixels: NDArray[np.uint8], body: Box, detector: Detector) -> Detection | None:
    """The face that belongs to a body: of those with their centre in its box the one that is
    large and near the middle line of the box."""
    x1, y1, x2, y2 = body
    margin = _MARGIN * max(x2 - x1, y2 - y1)
    region, (left, top) = _part(pixels, (x1 - margin, y1 - margin, x2 + margin, y2 + margin))
    found = [_shifted(face, left, top) for face in detector.detect(np.ascontiguousarray(region))]

    def weight(face: Detection) -> float:
        fx1, fy1, fx2, fy2 = face.box_xyxy
        aside = abs((fx1 + fx2) / 2 - (x1 + x2) / 2) / ((x2 - x1) / 2)
        inside = aside <= 1 and y1 <= (fy1 + fy2) / 2 <= y2
        return (fx2 - fx1) * (fy2 - fy1) * (1.25 - aside) if inside else 0.0

    best = max(found, key=weight, default=None)
    return best if best is not None and weight(best) > 0 else None


def _part(pixels: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The pixels a box touches, and their upper left corner (x, y); at least one pixel."""
    height, width = pixels.shape[:2]
    left, top = (
        min(max(math.floor(box[0]), 0), width - 1),
        min(max(math.floor(box[1]), 0), height - 1),
    )
    right, bottom = max(math.ceil(box[2]), left + 1), max(math.ceil(box[3]), top + 1)
    return pixels[top:bottom, left:right], (left, top)


def _shifted(face: Detection, left: int, top: int) -> Detection:
    x1, y1, x2, y2 = face.box_xyxy
    return Detection(
        box_xyxy=(x1 + left, y1 + top, x2 + left, y2 + top),
        score=face.score,
        landmarks_xy=tuple((x + left, y + top) for x, y in face.landmarks_xy),
    )


class _Found:
    """(N,) states and (N, 15) numbers: box, score, five landmarks (nan where there are none)."""

    def __init__(self, state: NDArray[np.uint8], numbers: NDArray[np.float32]) -> None:
        self.state = state
        self.numbers = numbers

    @classmethod
    def nothing(cls, count: int) -> _Found:
        return cls(np.zeros(count, np.uint8), np.full((count, 15), np.nan, np.float32))

    def put(self, index: int, face: Detection | None) -> None:
        self.state[index] = _NONE if face is None else _FACE
        if face is not None:
            self.numbers[index, :5] = (*face.box_xyxy, face.score)
            marks = np.array(face.landmarks_xy, np.float32).ravel()[:10]
            self.numbers[index, 5 : 5 + len(marks)] = marks

    def get(self, index: int) -> Detection | None:
        if self.state[index] != _FACE:
            return None
        x1, y1, x2, y2, score, *marks = self.numbers[index].tolist()
        points = tuple(zip(marks[::2], marks[1::2], strict=True))
        known = not any(map(math.isnan, marks))
        return Detection(
            box_xyxy=(x1, y1, x2, y2), score=score, landmarks_xy=points if known else ()
        )

    def learn(self, other: _Found | None) -> None:
        """Take over what is known to another search of the same people, and unknown here."""
        if other is not None:
            new = self.state == _UNKNOWN
            self.state[new], self.numbers[new] = other.state[new], other.numbers[new]

    def to_bytes(self) -> bytes:
        content = io.BytesIO()
        np.savez_compressed(content, state=self.state, numbers=self.numbers)
        return content.getvalue()


def _digest(pictures: Sequence[Picture]) -> str:
    digest = hashlib.sha256(f"{_METHOD} {_SIDE} {_MARGIN}".encode())
    sizes: dict[Path, int] = {}
    for picture in pictures:
        digest.update(f"{picture.key} {_size(picture.file, sizes)}\n".encode())
    return digest.hexdigest()


def _size(path: Path | None, sizes: dict[Path, int]) -> int:
    """Bytes of the file with the pixels, asked once for each file."""
    if path is None:
        return 0
    if path not in sizes:
        sizes[path] = path.stat().st_size
    return sizes[path]


def _load(path: Path | None, count: int) -> _Found | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = _Found(stored["state"], stored["numbers"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, or cut off: found anew
    return found if found.state.shape == (count,) and found.numbers.shape == (count, 15) else None

"""What was found, image by image and pair by pair; `summary` counts it.

Letters: N images, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets.candidates import is_flat
from facetell.datasets.duplicates import NearCopies, cached_near_copies, near_copies, union
from facetell.datasets.sample import Dataset
from facetell.errors import DataError, require
from facetell.faces.detect import Detector
from facetell.labels import FERPLUS

__all__ = [
    "FACE_PX", "KINDS", "SIDES", "Findings", "Kind", "inspect", "make_face_finder", "sides_of",
    "voted_no_face",
]  # fmt: skip

Progress = Callable[[str, float], None]
Kind = Literal["exact", "near", "mirrored"]
#: From the closest kind of copy to the farthest.
KINDS: tuple[Kind, ...] = get_args(Kind)
SIDES = ("train", "validation", "test")

FACE_PX = 48
#: A face is enlarged to this side and laid on an even ground of the canvas, as CenterFace looks
#: for heads with something around them.
_ENLARGED_PX, _CANVAS_PX = 96, 192
#: Images on which no spot scores higher are no face. On FER2013 (32,298 images; 153 that are not
#: blank have no FER+ votes or more than half for "not a face") 0.05 names 76, of which 63 are
#: among those; 0.1 names 121 and 75, 0.5 names 617 and 93. The others are profiles and drawings.
_NO_FACE_SCORE = 0.05
_NO_FACE = FERPLUS.index("not a face")


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """Everything an audit looked at.

    Attributes:
        dataset: what was looked at.
        quick: only copies that agree in a hash were looked for.
        faces: (N, 48, 48) grey uint8.
        sides: (N,) index into SIDES, -1 for none.
        copies: pairs and groups of copies.
        kinds: (P,) index into KINDS, of each pair.
        blank: (N,) black, white or nearly even.
        no_face_votes: (N,) more than half of the FER+ votes say "not a face"; None without votes.
        no_face_detector: (N,) a detector saw no face; None where none was asked.
        lookups: judged side -> the label index that the nearest training face gives each of its
            images, in the order of the dataset; empty where it was not asked or there is nothing
            to compare.
    """

    dataset: Dataset
    quick: bool
    faces: NDArray[np.uint8]
    sides: NDArray[np.int64]
    copies: NearCopies
    kinds: NDArray[np.int64]
    blank: NDArray[np.bool_]
    no_face_votes: NDArray[np.bool_] | None
    no_face_detector: NDArray[np.bool_] | None
    lookups: Mapping[str, NDArray[np.int64]]

    def groups(self, kind: Kind) -> NDArray[np.int64]:
        """(N,) groups connected by pairs of this kind and of closer ones."""
        chosen = self.kinds <= KINDS.index(kind)
        return union(self.copies.pairs[chosen], len(self.faces))


def inspect(
    dataset: Dataset,
    *,
    quick: bool = False,
    detector: Detector | None = None,
    canary: bool = True,
    progress: Progress = lambda phase, share: None,
) -> Findings:
    """Look at every image of a dataset and at all pairs of them.

    Args:
        dataset: with or without sides, subjects and votes.
        quick: search as `near_copies(quick=True)` does; the thorough search remembers its answer
            on disk for the splits and the next audit.
        detector: asked for a face in every image, see `make_face_finder`.
        canary: see what the nearest training face says about the judged sides.
        progress: called with a phase and its share done, 0-1.

    Raises:
        DataError: no image.
        MissingExtra: `canary` without scikit-image.

    Example:
        audit = Audit.of(inspect(open_dataset("fer2013.csv")))
    """
    if not len(dataset):
        raise DataError(f"expected images to look at, got none from {dataset.source}. Check it.")
    if canary:  # before minutes of work, not after
        require("skimage", extra="evaluate", purpose="the leak canary (--no-canary leaves it out)")
    faces = dataset.faces(face_px=FACE_PX)
    sides = sides_of(dataset)
    search = partial(near_copies, quick=True) if quick else cached_near_copies
    copies = search(faces, progress)
    return Findings(
        dataset=dataset,
        quick=quick,
        faces=faces,
        sides=sides,
        copies=copies,
        kinds=_kinds(faces, copies),
        blank=is_flat(faces),
        no_face_votes=voted_no_face(dataset),
        no_face_detector=None if detector is None else _undetected(faces, detector, progress),
        lookups=_look_up(faces, sides, dataset.targets, progress) if canary else {},
    )


def sides_of(dataset: Dataset) -> NDArray[np.int64]:
    """(N,) index of each sample's side in SIDES, -1 for none."""
    index: dict[str | None, int] = {name: i for i, name in enumerate(SIDES)}
    return np.array([index.get(sample.side, -1) for sample in dataset.samples], np.int64)


def voted_no_face(dataset: Dataset) -> NDArray[np.bool_] | None:
    """(N,) more than half of the FER+ votes say "not a face"; None where nobody voted.

    Images without votes in a dataset that has some are not counted: nobody looked at them.
    """
    votes = [sample.votes for sample in dataset.samples]
    if not any(votes):
        return None
    return np.array([2 * cast[_NO_FACE] > sum(cast) if cast else False for cast in votes])


def make_face_finder(threads: int | None = None) -> Detector:
    """The packaged detector, set to images that are nothing but a face.

    Args:
        threads: threads for the network; None takes every processor.
    """
    from facetell.faces.detect import CenterFace

    return CenterFace(side=_CANVAS_PX, min_score=_NO_FACE_SCORE, threads=threads)


def _kinds(faces: NDArray[np.uint8], copies: NearCopies) -> NDArray[np.int64]:
    first, second = copies.pairs.T
    same = [np.array_equal(faces[a], faces[b]) for a, b in zip(first, second, strict=True)]
    return np.where(same, 0, np.where(copies.mirrored, 2, 1)).astype(np.int64)


def _undetected(
    faces: NDArray[np.uint8], detector: Detector, progress: Progress
) -> NDArray[np.bool_]:
    out = np.zeros(len(faces), np.bool_)
    for row, face in enumerate(faces):
        out[row] = not detector.detect(_on_canvas(face))
        if row % 100 == 0 or row + 1 == len(faces):
            progress("looking for faces", (row + 1) / len(faces))
    return out


def _on_canvas(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(192, 192, 3) the enlarged face in the middle of its own mean."""
    size = (_ENLARGED_PX, _ENLARGED_PX)
    large = np.asarray(Image.fromarray(face).resize(size, Image.Resampling.BICUBIC))
    margin = (_CANVAS_PX - _ENLARGED_PX) // 2
    canvas = np.full((_CANVAS_PX, _CANVAS_PX), int(large.mean()), np.uint8)
    canvas[margin:-margin, margin:-margin] = large
    return np.repeat(canvas[..., None], 3, axis=2)


def _look_up(
    faces: NDArray[np.uint8],
    sides: NDArray[np.int64],
    targets: NDArray[np.int64],
    progress: Progress,
) -> dict[str, NDArray[np.int64]]:
    """Judged side -> labels of the nearest training faces, mirror images included."""
    train = sides == 0
    judged = {name: sides == i for i, name in enumerate(SIDES) if i and (sides == i).any()}
    if not train.any() or not judged:
        return {}
    from facetell.evaluate.canary import nearest_labels
    from facetell.evaluate.descriptors import describe

    def described(chosen: NDArray[np.uint8], phase: str) -> NDArray[np.float32]:
        return describe(chosen, "hog", progress=lambda done, all_: progress(phase, done / all_))

    table = described(faces[train], "describing training faces")
    return {
        name: nearest_labels(
            table,
            targets[train],
            described(faces[chosen], f"describing {name} faces"),
            mirrored=described(faces[chosen][:, :, ::-1], f"describing mirrored {name} faces"),
        )
        for name, chosen in judged.items()
    }

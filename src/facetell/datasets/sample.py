"""One interface for every dataset: samples that are cheap to list, images read on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facetell.labels import EMOTIONS

__all__ = ["Dataset", "Sample", "Side"]

Side = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One labelled face.

    Attributes:
        id: unique within the dataset, stable between runs (row number, relative path).
        label: index into the dataset's labels.
        side: the dataset's own split, None where it has none.
        subject: who is shown, or else what must share a side for another reason (the photo
            that several faces come from, the film); None where unknown.
        votes: counts per label of `facetell.labels.FERPLUS`, empty where there are none.
    """

    id: str
    label: int
    side: Side | None = None
    subject: str | None = None
    votes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Samples plus a way to read each one's image.

    Attributes:
        name: for people and file names, e.g. "fer2013".
        samples: all samples, in the order of the source.
        read: index -> RGB uint8 (H, W, 3).
        labels: K emotion names.
        source: what was read, for people.
        licence: terms of the data, one sentence.
        notes: defects met while reading, one sentence each ("3 files could not be opened: ...").
        stack: (N, S, S) grey uint8 with the pixels of every sample, where they are all in
            memory at one size; `faces` then copies them instead of reading one by one.
    """

    name: str
    samples: tuple[Sample, ...]
    read: Callable[[int], NDArray[np.uint8]]
    labels: tuple[str, ...] = EMOTIONS
    source: str = ""
    licence: str = ""
    notes: tuple[str, ...] = field(default=())
    stack: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def targets(self) -> NDArray[np.int64]:
        """(N,) label indices."""
        return np.array([sample.label for sample in self.samples], np.int64)

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> Dataset:
        """The dataset of the chosen samples, in the given order."""
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            samples=tuple(self.samples[i] for i in chosen),
            read=lambda index: self.read(int(chosen[index])),
            stack=None if self.stack is None else self.stack[chosen],
        )

    def faces(
        self, indices: Iterable[int] | None = None, *, face_px: int = 48, channels: int = 1
    ) -> NDArray[np.uint8]:
        """The samples' images as square faces: (N, S, S) grey or (N, S, S, 3) RGB, uint8.

        Images of another size are resized by `facetell.faces.crop.whole_face`, the same
        function that `facetell read --detector none` uses.
        """
        chosen = range(len(self)) if indices is None else [int(i) for i in indices]
        if self.stack is not None and self.stack.shape[1:] == (face_px, face_px):
            planes = self.stack[np.asarray(chosen, np.int64)]  # (N, S, S), a copy
            return np.repeat(planes[..., None], 3, axis=3) if channels == 3 else planes

        from facetell.faces.crop import whole_face
        from facetell.tensors import grey

        shape = (len(chosen), face_px, face_px) + ((3,) if channels == 3 else ())
        out = np.empty(shape, np.uint8)
        for row, index in enumerate(chosen):
            face = whole_face(self.read(index), face_px)
            out[row] = face if channels == 3 else grey(face)
        return out

"""Several models on the same faces, in the few numbers that a table of speeds has room for."""

from __future__ import annotations

from dataclasses import dataclass

from facetell.datasets.duplicates import known_near_copies
from facetell.datasets.sample import Dataset, Side
from facetell.datasets.splits import Split, split
from facetell.evaluate.judged import judge, may_have_seen, restrict
from facetell.predictor import Predictor

__all__ = ["Accuracies", "accuracies", "known_clean"]


@dataclass(frozen=True, kw_only=True)
class Accuracies:
    """How often a model is right.

    Attributes:
        side: the judged side.
        faces: on it.
        accuracy: 0-1.
        clean_faces: of them without a near-copy among the training faces; 0 where not known.
        clean_accuracy: on those, 0-1; None where near-copies are not known.
        judged_with_flip: whether each face was averaged with its mirror image.
        note: why it may have been trained on these faces, "" where it was kept from them.
    """

    side: Side
    faces: int
    accuracy: float
    clean_faces: int
    clean_accuracy: float | None
    judged_with_flip: bool
    note: str


def known_clean(dataset: Dataset) -> Split | None:
    """The `clean` protocol if the dataset's near-copies were searched before, else None.

    None, too, where a seed draws the judged faces, as the protocols then judge different ones.

    Raises:
        DataError: there are no training faces to have copies of.
    """
    known = known_near_copies(dataset.faces())
    if known is None:
        return None
    clean = split(dataset, "clean", groups=known.groups)
    return None if clean.held_out else clean


def accuracies(predictor: Predictor, official: Split, clean: Split | None) -> Accuracies:
    """A model on the official side, test if there is one and else validation, and its clean part.

    Args:
        official: how the faces are kept apart, under `official` or another protocol.
        clean: the same less near-copies, None where they are not known.
    """
    judged = judge(predictor, official.dataset, official)
    part = None if clean is None else restrict(judged, clean)
    return Accuracies(
        side=judged.side,
        faces=len(judged),
        accuracy=float(judged.correct.mean()),
        clean_faces=0 if part is None else len(part),
        clean_accuracy=None if part is None else float(part.correct.mean()),
        judged_with_flip=judged.contract.flip,
        note=may_have_seen(judged),
    )

"""Foreign label values and side names -> ours, without guessing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.sample import Side
from facetell.errors import DataError
from facetell.labels import EMOTIONS, canonical, label_order

__all__ = [
    "SIDE_NAMES",
    "are_numbers",
    "named_labels",
    "numbered_labels",
    "refuse_order",
    "side_in_name",
    "side_of",
]

#: What people call the three sides; the names of fer2013.csv among them.
SIDE_NAMES: dict[str, Side] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "public": "validation", "publictest": "validation",
    "private": "test", "privatetest": "test",
    "test": "test", "testing": "test",
}  # fmt: skip


def side_of(name: str) -> Side | None:
    """The side a folder or a `Usage` value names, None if it names none.

    >>> side_of(" PublicTest ")
    'validation'
    """
    return SIDE_NAMES.get(name.strip().lower())


def side_in_name(stem: str) -> Side | None:
    """The side that a word of a file name names: "train-00000-of-00002" -> "train"."""
    words = re.findall(r"[a-z]+", stem.lower())
    # "public_test" is the public half, whatever the second word says.
    words.sort(key=lambda word: not word.startswith(("public", "private")))
    return next((SIDE_NAMES[word] for word in words if word in SIDE_NAMES), None)


def are_numbers(values: Sequence[str]) -> bool:
    """True if every label value is a whole number (and so says nothing by itself)."""
    return all(value.strip().lstrip("-").isdigit() for value in values)


def numbered_labels(
    numbers: NDArray[np.int64], names: Sequence[str], source: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Indices into EMOTIONS for label numbers whose names are known, -1 for other emotions.

    Returns:
        (N,) int64 labels and the notes about what was left out.

    Raises:
        DataError: a number outside the order, or an order without two known emotions.
    """
    if sum(index is not None for index in label_order(names)) < 2:
        raise DataError(
            f"label_order must name at least two of {', '.join(EMOTIONS)}, got "
            f"{', '.join(names)}. Give the names in the order of the numbers in {source}.",
            actual=tuple(names),
        )
    outside = numbers[(numbers < 0) | (numbers >= len(names))]
    if len(outside):
        raise DataError(
            f"{source} holds the label number {int(outside[0])}, but the order "
            f"{', '.join(names)} has only 0 to {len(names) - 1}. Pass label_order= "
            "(--label-order) with one name for each number.",
            actual=int(outside[0]),
        )
    table = np.array([-1 if i is None else i for i in label_order(names)], np.int64)
    labels = table[numbers]
    return labels, _left_out([names[number] for number in numbers[labels < 0]])


def refuse_order(order: Sequence[str] | None, source: str | Path) -> None:
    """Names of label numbers are a mistake for labels that have names already.

    Raises:
        DataError: an order is given.
    """
    if order is not None:
        raise DataError(
            "expected label_order (--label-order) only for data whose labels are numbers without "
            f"names, got {','.join(order)} for {source}, whose labels have names. Leave it out.",
            actual=tuple(order),
        )


def named_labels(names: Sequence[str], source: str) -> tuple[NDArray[np.int64], list[str]]:
    """Indices into EMOTIONS for label names, -1 for names of none of them, and the notes.

    Raises:
        DataError: not one name is known.
    """
    known = {name: canonical(name) for name in set(names)}
    if not any(known.values()):
        raise DataError(
            f"expected labels such as {', '.join(EMOTIONS)} in {source}, got "
            f"{', '.join(sorted(known)[:8]) or 'none'}. Rename them, or pass label_order= "
            "(--label-order) if they are numbers.",
            actual=tuple(sorted(known)),
        )
    index = {
        name: -1 if emotion is None else EMOTIONS.index(emotion) for name, emotion in known.items()
    }
    labels = np.array([index[name] for name in names], np.int64)
    return labels, _left_out([name for name in names if index[name] < 0])


def _left_out(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    counts = ", ".join(f"{count} {name!r}" for name, count in Counter(names).most_common(8))
    return [f"{len(names)} images with other labels were left out: {counts}"]

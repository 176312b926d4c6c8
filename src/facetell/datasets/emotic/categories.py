"""EMOTIC's 26 categories and the ways in which their names are written."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["CATEGORIES", "category_index", "flags"]

#: Alphabetical, as in the files of its authors; their site and papers list them otherwise, so
#: data are read by name and never by position.
CATEGORIES = (
    "Affection", "Anger", "Annoyance", "Anticipation", "Aversion", "Confidence", "Disapproval",
    "Disconnection", "Disquietment", "Doubt/Confusion", "Embarrassment", "Engagement", "Esteem",
    "Excitement", "Fatigue", "Fear", "Happiness", "Pain", "Peace", "Pleasure", "Sadness",
    "Sensitivity", "Suffering", "Surprise", "Sympathy", "Yearning",
)  # fmt: skip


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


_INDEX = {_letters(name): i for i, name in enumerate(CATEGORIES)}
_INDEX["doubt"] = _INDEX["doubtconfusion"]  # some tables shorten it


def category_index(name: str) -> int | None:
    """The place of a category in CATEGORIES, None for a name that is none of them.

    >>> category_index("Doubt") == category_index("doubt / confusion") == 9
    True
    """
    return _INDEX.get(_letters(name))


def flags(names: Iterable[str]) -> tuple[bool, ...]:
    """(26,) whether each category is among the names; unknown names are passed over."""
    found = {category_index(name) for name in names}
    return tuple(i in found for i in range(len(CATEGORIES)))

"""The seven basic emotions, their order, and the names other people give them.

Labels say how a face looks to annotators, not what a person feels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["ALIASES", "EMOTIONS", "FERPLUS", "PAPER_ORDER", "canonical", "label_order"]

#: The order of fer2013.csv, and of every score vector in facetell.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

#: The order of the paper's confusion matrices (alphabetical).
PAPER_ORDER = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")

#: The order of the ten FER+ vote columns.
FERPLUS = (
    "neutral", "happy", "surprise", "sad", "angry", "disgust", "fear",
    "contempt", "unknown", "not a face",
)  # fmt: skip

ALIASES = {
    "angry": ("anger", "an", "ang"),
    "disgust": ("disgusted", "di", "dis"),
    "fear": ("fearful", "afraid", "scared", "fe", "fea", "af"),
    "happy": ("happiness", "joy", "ha", "hap"),
    "sad": ("sadness", "sa"),
    "surprise": ("surprised", "su", "sur"),
    "neutral": ("ne", "neu"),
}
_CANONICAL = {alias: emotion for emotion, others in ALIASES.items() for alias in (emotion, *others)}


def canonical(name: str) -> str | None:
    """The emotion a name stands for, or None if it names none of the seven.

    >>> canonical(" Happiness ")
    'happy'
    >>> canonical("contempt") is None
    True
    """
    return _CANONICAL.get(name.strip().lower())


def label_order(names: Iterable[str], target: Sequence[str] = EMOTIONS) -> tuple[int | None, ...]:
    """For each foreign label name its index in `target`, None where it has no place there.

    >>> label_order(["anger", "contempt", "joy"])
    (0, None, 3)
    """
    index = {name: i for i, name in enumerate(target)}
    return tuple(index.get(canonical(name) or "") for name in names)

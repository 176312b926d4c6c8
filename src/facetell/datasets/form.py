"""What every form of data says about itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facetell.datasets.sample import Dataset

__all__ = ["Form"]


class Reader(Protocol):
    """Reads the dataset at a path that `Form.recognise` has recognised."""

    def __call__(self, path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
        """The dataset; raises `DataError`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of data that `open_dataset` reads.

    Attributes:
        name: short, lower case, unique: "fer2013", "raf-db".
        holds: what the path must hold, for people.
        where: where to get the data and under which terms, for people.
        recognise: whether a path that exists is of this form; looks at names and headers only.
        read: reads it.
    """

    name: str
    holds: str
    where: str
    recognise: Callable[[Path], bool]
    read: Reader

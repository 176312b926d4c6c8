"""The paper's datasets, or the drawn faces that stand in where the user has none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from facetell.datasets import Dataset, open_dataset
from facetell.datasets.fingerprint import fingerprint
from facetell.datasets.splits import Protocol
from facetell.reproduce.effort import Effort

__all__ = ["STAND_INS", "Source", "open_source"]

#: What is drawn where the user has no data: as many characters as FERG, or many people.
STAND_INS = {
    "emotic": "toon:characters=80,per_emotion=4,seed=1",
    "fer2013": "toon:characters=80,per_emotion=4,seed=2",
    "ferg": "toon:characters=6,per_emotion=40,seed=3",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One of the paper's datasets, or what stands in for it.

    Attributes:
        paper: the paper's dataset.
        path: what was read.
        stand_in: whether drawn faces stand in.
        dataset: the faces.
        fingerprint: what they are, in numbers.
    """

    paper: str
    path: str
    stand_in: bool
    dataset: Dataset
    fingerprint: dict[str, Any]

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"toon for {self.paper}" if self.stand_in else self.paper

    @cached_property
    def protocol(self) -> Protocol:
        """The one that the hybrid is trained under."""
        if self.paper == "ferg":
            return "leave-one-subject-out"
        sides = {sample.side for sample in self.dataset.samples}
        return "official" if "train" in sides else "random-80-10-10"

    def facts(self) -> dict[str, Any]:
        """JSON-ready, for the report."""
        return {
            "name": self.name,
            "path": self.path,
            "stand_in": self.stand_in,
            "faces": len(self.dataset),
            "licence": self.dataset.licence,
            "fingerprint": self.fingerprint,
        }


def open_source(paper: str, path: str | None, effort: Effort, seed: int) -> Source:
    """The user's data for one of the paper's datasets, or the stand-in."""
    chosen = path or STAND_INS[paper]
    dataset = open_dataset(chosen)
    if effort.faces is not None and len(dataset) > effort.faces:
        dataset = _part(dataset, effort.faces, seed)
    return Source(
        paper=paper,
        path=chosen,
        stand_in=path is None,
        dataset=dataset,
        fingerprint=dict(fingerprint(dataset)),
    )


def _part(dataset: Dataset, count: int, seed: int) -> Dataset:
    """`count` samples drawn at random, in their order."""
    drawn = np.random.default_rng(seed).choice(len(dataset), count, replace=False)
    part = dataset.take(np.sort(drawn))
    note = f"{count:,} of {len(dataset):,} faces, drawn at random, to be quick"
    return replace(part, notes=(*part.notes, note))

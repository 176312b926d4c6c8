"""The figures that the source paper prints, and what can be said of them without its code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetell.labels import PAPER_ORDER

__all__ = ["DATASETS", "DEEP_EMOTION", "VERDICTS", "PrintedTable", "printed", "protocol"]

#: The datasets in the order of the paper's tables 1, 2 and 3.
DATASETS = ("emotic", "fer2013", "ferg")

#: What the paper prints for the attentional network that it compares itself with, on FER2013.
DEEP_EMOTION = 70.04

#: dataset -> (plausible?, why): one word for a table, then the reasons.
VERDICTS: dict[str, tuple[str, str]] = {
    "emotic": (
        "compares with nothing",
        "EMOTIC has 26 categories of which a person carries several; there is no standard way "
        "to seven classes, and the paper does not say which one it took. Its own measure is the "
        "mean average precision over the 26, where published models reach 25 to 39. Under some "
        "mappings most people fall into one class, so the majority class has to be shown beside "
        "any accuracy.",
    ),
    "fer2013": (
        "not plausible",
        "Ten annotators pooled agree with FER2013's labels on less than 70 % of the faces, and "
        "near-copies of one photo carry the same label in about 82 % of the pairs: a model that "
        "reads unseen faces cannot come near 94. A lookup table can, if faces were repeated or "
        "mirrored before the split. The paper describes oversampling and a split of its own but "
        "not their order, so a leak is a hypothesis about the cause and not proof.",
    ),
    "ferg": (
        "too low for a random split, good for unseen characters",
        "Neighbouring frames of FERG are nearly the same picture: under a random split nearest "
        "neighbour and published networks reach 97 to 100. 68 would be a weak result there and a "
        "respectable one on a character kept out of training. The paper does not say which it is.",
    ),
}


@dataclass(frozen=True, eq=False)
class PrintedTable:
    """One printed confusion matrix.

    Attributes:
        table: number of the table in the paper.
        overall: the printed overall accuracy, percent.
        confusion: (7, 7) percent of the row, in the order of `PAPER_ORDER`.
        note: how an unclear figure was read.
    """

    table: int
    overall: float
    confusion: NDArray[np.float64]
    note: str = ""

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the diagonal, percent: what the paper calls overall accuracy."""
        return float(self.confusion.diagonal().mean())


def printed(dataset: str) -> PrintedTable:
    """What the paper prints for one of DATASETS."""
    values = _figures()["tables"][dataset]
    return PrintedTable(
        table=values["table"],
        overall=values["overall"],
        confusion=np.array(values["confusion"]),
        note=values.get("note", ""),
    )


def protocol() -> dict[str, Any]:
    """The printed split, treatment of imbalance and the two trainings."""
    return dict(_figures()["protocol"])


@cache
def _figures() -> dict[str, Any]:
    text = resources.files("facetell.evaluate").joinpath("paper.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)
    assert tuple(figures["classes"]) == PAPER_ORDER
    return figures

"""The paper's experiments on whatever data is at hand, step by step, resumable.

Every step writes its measurements into a JSON file of its own, so that a killed run goes on
where it stopped; the report is made from those files alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facetell.errors import InputError
from facetell.evaluate.measured import Measured, Reproduction
from facetell.evaluate.paper import DATASETS
from facetell.reproduce.book import Book
from facetell.reproduce.effort import FULL, QUICK, Effort
from facetell.reproduce.source import open_source
from facetell.reproduce.steps import experiments
from facetell.train.loop import Progress

__all__ = ["FULL", "QUICK", "Effort", "reproduce"]

#: What is done first is seen first: the dataset that most people have.
_ORDER = ("fer2013", "ferg", "emotic")


def reproduce(
    data: dict[str, str],
    out: Path,
    *,
    effort: Effort = FULL,
    seed: int = 0,
    accelerator: str = "auto",
    progress: Progress | None = None,
) -> Reproduction:
    """Train and judge what the paper does, as far as the data allows.

    Args:
        data: path of `fer2013`, `ferg`, `emotic`; drawn faces stand in for absent ones.
        out: folder of the runs and of the finished steps. A second call with the same
            arguments goes on where the first stopped.
        effort: how long to train, and on how many faces.
        seed: of everything random.
        accelerator: as Lightning Fabric takes it.
        progress: told what is going on.

    Raises:
        InputError: an unknown dataset, or `out` holds steps of other data or settings.
        DataError: data that cannot be read.
    """
    unknown = sorted(set(data) - set(DATASETS))
    if unknown:
        raise InputError(
            f"expected data for {', '.join(DATASETS)}, got {', '.join(unknown)}. "
            "Write e.g. --data fer2013=PATH.",
            actual=unknown,
        )
    progress = progress or Progress()
    sources = [open_source(name, data.get(name), effort, seed) for name in _ORDER]
    book = Book(
        out,
        {"effort": effort.name, "seed": seed, "data": {s.name: s.fingerprint for s in sources}},
    )
    measured: list[Measured] = []
    copies: dict[str, dict[str, Any]] = {}
    emotic: dict[str, Any] | None = None
    for source in sources:
        for step in experiments(source, out, effort, seed, accelerator, progress):
            found = book.once(step, progress.say)
            measured += [Measured.from_dict(values) for values in found.get("measured", ())]
            if "copies" in found:
                copies[source.name] = found["copies"]
            emotic = found.get("emotic", emotic)
    return Reproduction(
        measured=tuple(measured),
        sources={source.paper: source.facts() for source in sources},
        copies=copies,
        emotic=emotic,
        quick=effort.name == "quick",
        seed=seed,
        seconds=book.seconds,
    )

"""Collections of photos: how they are read, said once for every engine, and what a run is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from facetell.contract import Contract
from facetell.faces.detect import DETECT_SIDE
from facetell.results import Reading
from facetell.rows import about_sources
from facetell.runtime.analyzer import Analyzer

__all__ = ["Engine", "Reader", "Settings", "about_run", "make_reader"]

Engine = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How photos are read: the arguments of an `Analyzer`, which can be sent to other machines.

    Attributes:
        model: path of an .onnx file.
        detector: "centerface", or "none" (each image is one face).
        detect_side: photos are searched for faces at this size of the longer side, px.
        min_score: faces whose highest score is lower are left out, 0-1.
        threads: threads for the networks; None takes every processor.
        sets, abstain: as an `Analyzer` takes them.
    """

    model: Path
    detector: Literal["centerface", "none"] = "centerface"
    detect_side: int = DETECT_SIDE
    min_score: float = 0.0
    threads: int | None = None
    sets: float | None = None
    abstain: float | None = None

    def analyzer(self) -> Analyzer:
        """An analyzer with these settings."""
        return Analyzer(**{name: getattr(self, name) for name in self.__slots__})


class Reader(Protocol):
    """What reads a collection: an `Analyzer`, or something that has many of them."""

    @property
    def contract(self) -> Contract:
        """The model's contract."""

    def read_many(self, sources: Sequence[Path], /) -> Iterator[Reading]:
        """Readings of files, in their order, as they get ready; one for each, also on error."""


def make_reader(settings: Settings, *, engine: Engine = "local") -> Reader:
    """A reader on this machine ("local"), or on a Ray cluster ("ray").

    Raises:
        MissingExtra: "ray" without the `scale` extra.
    """
    if engine == "ray":
        from facetell.runtime.scale import RayReader

        return RayReader(settings)
    return settings.analyzer()


def about_run(sources: Sequence[Path], settings: Settings) -> dict[str, Any]:
    """What decides what the rows will be, for `open_rows`: files, model and options.

    Neither the engine nor the threads do: a run may go on with others.
    """
    options = asdict(settings)
    del options["threads"]
    options["model"] = hashlib.sha256(settings.model.read_bytes()).hexdigest()
    return {"sources": about_sources(sources), **options}

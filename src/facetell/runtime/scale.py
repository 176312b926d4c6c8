"""Collections beyond one machine: many analyzers on a Ray cluster, fed by Ray Data."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from facetell.contract import Contract
from facetell.errors import require
from facetell.graph import open_graph
from facetell.results import Reading
from facetell.runtime.collection import Settings
from facetell.runtime.session import read_contract

__all__ = ["RayReader"]

_CROPS, _PHOTOS = 256, 32  # sources of a block: some seconds of work, and what a kill can cost
# Two actors of one processor each on a machine with two leave none for Ray's own tasks: it waits
# for ever and says nothing. Halves leave room, and the actors still keep every processor busy.
_SHARE = 0.5


class RayReader:
    """Reads collections on the Ray cluster that RAY_ADDRESS names, or on one of its own.

    Every node needs facetell, the files and the model under the same paths. The rows are those
    of an `Analyzer`, in the order of the sources, so a table that one engine began the other can
    go on with.

    Args:
        settings: how photos are read; `threads` counts for each actor, None is 1.

    Raises:
        MissingExtra: Ray Data is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._ray = require("ray", extra="scale", purpose="reading on Ray")
        self._data = require("ray.data", extra="scale", purpose="reading on Ray")
        self._settings = replace(settings, model=settings.model.resolve())
        self.contract: Contract = read_contract(
            open_graph(settings.model, threads=1), settings.model
        )

    def read_many(self, sources: Sequence[Path], /) -> Iterator[Reading]:
        """Readings of files, in their order, as blocks of them get ready."""
        if not sources:
            return
        with _quiet(), _cluster(self._ray):
            actors = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
            block = _CROPS if self._settings.detector == "none" else _PHOTOS
            names = self._data.from_items(
                [{"source": os.fsencode(source)} for source in sources],
                override_num_blocks=-(-len(sources) // block),
            )
            names.context.execution_options.preserve_order = True
            names.context.enable_progress_bars = False
            readings = names.map_batches(
                _Actor,
                fn_constructor_args=(self._settings, os.getcwd()),
                batch_size=None,  # a block
                batch_format="pyarrow",
                num_cpus=_SHARE,
                compute=self._data.ActorPoolStrategy(size=actors),
            )
            for table in readings.iter_batches(batch_size=None, batch_format="pyarrow"):
                for text in table.column("reading").to_pylist():
                    yield Reading.from_dict(json.loads(text))


class _Actor:
    """One analyzer in a process of its own; blocks of file names -> blocks of readings."""

    def __init__(self, settings: Settings, folder: str) -> None:
        with suppress(OSError):  # on another machine names may be absolute, and the folder missing
            os.chdir(folder)
        self._analyzer = replace(settings, threads=settings.threads or 1).analyzer()

    def __call__(self, block: Any) -> Any:
        # Bytes on both ways, because Arrow's strings cannot hold every file name.
        sources = [Path(os.fsdecode(name)) for name in block.column("source").to_pylist()]
        texts = [
            json.dumps(reading.to_dict()).encode() for reading in self._analyzer.read_many(sources)
        ]
        arrow = require("pyarrow", extra="scale", purpose="reading on Ray")
        return arrow.table({"reading": arrow.array(texts, arrow.binary())})


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """A cluster to work on; one that was started here ends here."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    # Ray starts its workers at nice 15. Here they are the work, not the background: beside two
    # busy processes, 600 faces took over four minutes instead of half of one.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="warning")
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data tells its plans, and that its own progress bars are off; errors are raised."""
    logger = logging.getLogger("ray.data")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)

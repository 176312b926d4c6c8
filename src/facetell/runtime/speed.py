"""How fast a model file is on this machine; ours or anybody's."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facetell.contract import METADATA_KEY, Contract
from facetell.graph import available_cpus, open_graph
from facetell.runtime.foreign import Description, read_interface
from facetell.runtime.session import BATCH, read_contract

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["Speed", "Tuning", "measure_speed", "tune"]

#: Faces a call that `tune` tries.
BATCHES = (1, 8, BATCH)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What one model costs, measured in a process of its own.

    Attributes:
        name: the model's name.
        path: its file.
        threads: threads inside one operator.
        single_ms: milliseconds a face, one face a call, median over repeats.
        batch_ms: milliseconds a face, 64 faces a call, median over repeats.
        faces_per_s: faces a second at 64 a call; with flip on, reading takes twice the time.
        flip: whether reading scores each face twice, as it is and mirrored.
        file_bytes: size of the file.
        parameters: learned numbers, as the contract says; 0 when it does not.
        multiply_adds: for one face without flip, as the contract says; 0 when it does not.
        memory_bytes: largest memory of the process, Python and onnxruntime included; 0 where
            the system does not tell.
    """

    name: str
    path: str
    threads: int
    single_ms: float
    batch_ms: float
    faces_per_s: float
    flip: bool
    file_bytes: int
    parameters: int
    multiply_adds: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What one model costs by threads and faces a call.

    Attributes:
        name: the model's name.
        path: its file.
        ms: (threads, faces a call, milliseconds a face), median over repeats.
    """

    name: str
    path: str
    ms: tuple[tuple[int, int, float], ...]

    def best(self, faces: int | None = None) -> tuple[int, int, float]:
        """The row with the least time a face: with so many faces a call, or with any."""
        rows = [row for row in self.ms if faces in (None, row[1])]
        return min(rows, key=lambda row: row[2])


def measure_speed(
    path: Path,
    *,
    threads: int | None = None,
    repeats: int = 30,
    said: Description | None = None,
) -> Speed:
    """Time the graph alone, without decoding or finding faces.

    Runs in a fresh process, so that the peak of memory is the model's own.

    Args:
        path: an ONNX file; ours, or anybody's.
        threads: threads inside one operator; None takes every processor.
        repeats: timed calls of 64 faces; single faces get ten times as many.
        said: what its user says of a model without a contract.
    """
    return _alone(_measure, path, threads, repeats, said or Description())


def tune(path: Path, *, repeats: int = 30, said: Description | None = None) -> Tuning:
    """Time the graph for each number of threads (1, 2, 4, ... to all processors) and batch.

    Args:
        path: an ONNX file; ours, or anybody's.
        repeats: timed calls of each; of single faces ten times as many.
        said: what its user says of a model without a contract.
    """
    return _alone(_tune, path, repeats, said or Description())


def _alone(measure: Callable[..., T], *arguments: object) -> T:
    """What a function returns in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, *arguments).result()


def _measure(path: Path, threads: int | None, repeats: int, said: Description) -> Speed:
    graph = open_graph(path, threads=threads)
    contract = _contract(graph, path)
    single = _milliseconds(graph, _feeds(graph, path, said, 1), 10 * repeats)
    batch = _milliseconds(graph, _feeds(graph, path, said, BATCH), repeats) / BATCH
    return Speed(
        name=contract.name if contract else path.stem,
        path=str(path),
        threads=threads or available_cpus(),
        single_ms=single,
        batch_ms=batch,
        faces_per_s=1000 / batch,
        flip=contract.flip if contract else False,
        file_bytes=path.stat().st_size,
        parameters=contract.parameters if contract else 0,
        multiply_adds=contract.multiply_adds if contract else 0,
        memory_bytes=_peak_memory(),
    )


def _tune(path: Path, repeats: int, said: Description) -> Tuning:
    rows = []
    for threads in _counts(available_cpus()):
        graph = open_graph(path, threads=threads)
        for faces in BATCHES:
            calls = repeats * (10 if faces == 1 else 1)
            time_ms = _milliseconds(graph, _feeds(graph, path, said, faces), calls)
            rows.append((threads, faces, time_ms / faces))
    contract = _contract(graph, path)
    return Tuning(name=contract.name if contract else path.stem, path=str(path), ms=tuple(rows))


def _counts(most: int) -> list[int]:
    """1, 2, 4, ... and `most`."""
    return sorted({1 << power for power in range(most.bit_length())} | {most})


def _contract(graph: onnxruntime.InferenceSession, path: Path) -> Contract | None:
    """The contract, None for anybody else's model."""
    ours = METADATA_KEY in graph.get_modelmeta().custom_metadata_map
    return read_contract(graph, path) if ours else None


def _feeds(
    graph: onnxruntime.InferenceSession, path: Path, said: Description, faces: int
) -> list[dict[str, NDArray[Any]]]:
    """Inputs of the calls that it takes to score so many faces: one, or more by a fixed batch."""
    draw = np.random.default_rng(0).standard_normal
    contract = _contract(graph, path)
    if contract is None:
        taken = read_interface(graph, said, path)
        calls = -(-faces // taken.batch) if taken.batch else 1
        shape = taken.shape(taken.batch or faces)
        return [{taken.name: draw(shape).astype(taken.dtype)}] * calls
    side = contract.face_px
    inputs = {"faces": draw((faces, 1, contract.channels, side, side)).astype(np.float32)}
    if contract.memory:
        inputs["memory"] = np.zeros((faces, 2, contract.memory), np.float32)
        inputs["elapsed_s"] = np.zeros(faces, np.float32)
    return [inputs]


def _milliseconds(
    graph: onnxruntime.InferenceSession, feeds: list[dict[str, NDArray[Any]]], calls: int
) -> float:
    """Time of all feeds, median over the calls."""
    times = []
    for _ in range(calls + 3):  # the first three warm up
        start = time.perf_counter()
        for feed in feeds:
            graph.run(None, feed)
        times.append(time.perf_counter() - start)
    return float(np.median(times[3:])) * 1000


def _peak_memory() -> int:
    """Largest memory of this process, bytes; 0 where the system does not tell."""
    # On Linux, getrusage also counts what the parent held when it started this process.
    status = Path("/proc/self/status")
    if status.is_file():
        peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(peak[0].split()[1]) * 1024 if peak else 0
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_rss if sys.platform == "darwin" else peak_rss * 1024

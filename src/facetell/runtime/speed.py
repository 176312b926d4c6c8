"""How fast a model file is on this machine."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from facetell.graph import available_cpus, open_graph
from facetell.runtime.session import BATCH, read_contract

__all__ = ["Speed", "measure_speed"]


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


def measure_speed(path: Path, *, threads: int | None = None, repeats: int = 30) -> Speed:
    """Time the graph alone, without decoding or finding faces.

    Runs in a fresh process, so that the peak of memory is the model's own.

    Args:
        path: a facetell ONNX file.
        threads: threads inside one operator; None takes every processor.
        repeats: timed calls of 64 faces; single faces get ten times as many.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_measure, path, threads, repeats).result()


def _measure(path: Path, threads: int | None, repeats: int) -> Speed:
    graph = open_graph(path, threads=threads)
    contract = read_contract(graph, path)
    shape = (1, contract.channels, contract.face_px, contract.face_px)
    inputs = {"faces": np.random.default_rng(0).standard_normal((BATCH, *shape))}
    if contract.memory:
        inputs |= {"memory": np.zeros((BATCH, 2, contract.memory)), "elapsed_s": np.zeros(BATCH)}
    inputs = {name: value.astype(np.float32) for name, value in inputs.items()}

    def milliseconds(count: int, calls: int) -> float:
        times = []
        for _ in range(calls + 3):  # the first three warm up
            start = time.perf_counter()
            graph.run(None, {name: value[:count] for name, value in inputs.items()})
            times.append(time.perf_counter() - start)
        return float(np.median(times[3:])) * 1000 / count

    single, batch = milliseconds(1, 10 * repeats), milliseconds(BATCH, repeats)
    return Speed(
        name=contract.name,
        path=str(path),
        threads=threads or available_cpus(),
        single_ms=single,
        batch_ms=batch,
        faces_per_s=1000 / batch,
        flip=contract.flip,
        file_bytes=path.stat().st_size,
        parameters=contract.parameters,
        multiply_adds=contract.multiply_adds,
        memory_bytes=_peak_memory(),
    )


def _peak_memory() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

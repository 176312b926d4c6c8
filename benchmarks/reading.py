"""How much of a model's speed is left when a folder of face crops is read.

    python benchmarks/reading.py MODEL.onnx [--faces 20000] [--threads 1]

Writes synthetic 48 x 48 crops (half PNG, half JPEG) to a temporary folder, times the bare
onnxruntime calls on as many ready tensors (twice a face where the contract says flip), then
reads the folder with `Analyzer(detector="none")`, and prints both rates and the memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from facetell.graph import open_graph
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.session import BATCH, locate, read_contract
from facetell.tensors import to_tensor


def write_crops(folder: Path, count: int, side: int) -> None:
    """Smooth random faces-to-be: blurred noise, as compressible as a real crop."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8))
        crop = coarse.resize((side, side), Image.Resampling.BICUBIC)
        crop.save(folder / (f"{i:06d}.png" if i % 2 else f"{i:06d}.jpg"))


def raw_rate(path: Path, count: int, threads: int) -> float:
    """Faces a second of the graph alone, batches of 64, all tensors ready."""
    graph = open_graph(path, threads=threads)
    contract = read_contract(graph, path)
    side = contract.face_px
    faces = np.random.default_rng(1).integers(0, 256, (BATCH, side, side), np.uint8)
    tensor = to_tensor(faces, contract)
    graph.run(None, {"faces": tensor})
    start = time.perf_counter()
    for _ in range(count // BATCH * (2 if contract.flip else 1)):
        graph.run(None, {"faces": tensor})
    return count // BATCH * BATCH / (time.perf_counter() - start)


def memory_mb() -> tuple[float, float]:
    """Resident memory now and its peak, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    now = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def reading_rate(path: Path, folder: Path, threads: int) -> float:
    """Faces a second from files to readings."""
    analyzer = Analyzer(path, detector="none", threads=threads)
    start, count, marks = time.perf_counter(), 0, []
    for reading in analyzer.read_many(folder):
        count += len(reading.faces)
        if count % 2000 == 0:
            marks.append(round(memory_mb()[0]))
    print(f"memory every 2000 faces, MB: {marks}")
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--faces", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    path = locate(arguments.model)
    with tempfile.TemporaryDirectory() as name:
        write_crops(Path(name), arguments.faces, 48)
        raw = raw_rate(path, arguments.faces, arguments.threads)
        read = reading_rate(path, Path(name), arguments.threads)
    print(f"raw onnxruntime   {raw:8.0f} faces/s, threads: {arguments.threads}")
    print(f"reading a folder  {read:8.0f} faces/s, {read / raw:.0%} of raw")
    print(f"memory            {memory_mb()[0]:8.0f} MB at the end, {memory_mb()[1]:.0f} MB peak")


if __name__ == "__main__":
    main()

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


def raw_rate(path: Path, count: int, threads: int) -> tuple[float, float]:
    """Faces a second of the graph alone, batches of 64; and its processor time a face, ms."""
    graph = open_graph(path, threads=threads)
    contract = read_contract(graph, path)
    side = contract.face_px
    faces = np.random.default_rng(1).integers(0, 256, (BATCH, side, side), np.uint8)
    tensor = to_tensor(faces, contract)
    graph.run(None, {"faces": tensor})
    done = max(1, count // BATCH)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(done * (2 if contract.flip else 1)):
        graph.run(None, {"faces": tensor})
    return _rates(done * BATCH, start, cpu)


def _rates(faces: int, start: float, cpu: float) -> tuple[float, float]:
    """Faces a second, and milliseconds of processor time a face, since two clock readings."""
    return (
        faces / (time.perf_counter() - start),
        (time.process_time() - cpu) / faces * 1000,
    )


def memory_mb() -> tuple[float, float]:
    """Resident memory now and its peak, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    now = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def reading_rate(path: Path, folder: Path, threads: int) -> tuple[float, float]:
    """Faces a second from files to readings; and the processor time a face, ms."""
    analyzer = Analyzer(path, detector="none", threads=threads)
    start, cpu, count, marks = time.perf_counter(), time.process_time(), 0, []
    for reading in analyzer.read_many(folder):
        count += len(reading.faces)
        if count % 2000 == 0:
            marks.append(round(memory_mb()[0]))
    print(f"memory every 2000 faces, MB: {marks}")
    return _rates(count, start, cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--faces", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    path = locate(arguments.model)
    with tempfile.TemporaryDirectory() as name:
        write_crops(Path(name), arguments.faces, 48)
        # Raw calls before and after, halves: other work on the machine then hits both alike.
        first = raw_rate(path, arguments.faces // 2, arguments.threads)
        read = reading_rate(path, Path(name), arguments.threads)
        second = raw_rate(path, arguments.faces // 2, arguments.threads)
    raw = (2 / (1 / first[0] + 1 / second[0]), (first[1] + second[1]) / 2)
    print(f"threads: {arguments.threads}")
    print(f"raw onnxruntime   {raw[0]:8.0f} faces/s  {raw[1]:.3f} ms processor time a face")
    print(f"reading a folder  {read[0]:8.0f} faces/s  {read[1]:.3f} ms processor time a face")
    print(f"share of raw      {read[0] / raw[0]:8.0%}          {raw[1] / read[1]:.0%}")
    print(f"memory            {memory_mb()[0]:8.0f} MB at the end, {memory_mb()[1]:.0f} MB peak")


if __name__ == "__main__":
    main()

"""How much of a model's speed is left when a folder of face crops is read.

    python benchmarks/reading.py MODEL.onnx [--faces 20000] [--threads 1] [--form csv]

Writes synthetic 48 x 48 crops (half PNG, half JPEG) to a temporary folder, times the bare
onnxruntime calls on as many ready tensors (twice a face where the contract says flip), then
reads the folder with `Analyzer(detector="none")`, without and with a table written beside it, and
prints the rates and the memory.
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
from facetell.images import find_images
from facetell.rows import FORMS, Form, open_rows
from facetell.runtime.collection import Settings, about_run
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


def reading_rate(settings: Settings, folder: Path, form: Form | None) -> tuple[float, float]:
    """Faces a second from files to readings, or to a table; and the processor time a face, ms."""
    files = list(find_images([folder]))
    analyzer = settings.analyzer()
    start, cpu = time.perf_counter(), time.process_time()
    if form is None:
        count = sum(len(reading.faces) for reading in analyzer.read_many(files))
    else:
        run = about_run(files, settings)
        labels = analyzer.contract.labels
        with open_rows(folder.parent / f"out.{form}", form, labels=labels, run=run) as out:
            for reading in analyzer.read_many(files):
                out.add(reading)
            count = out.done
            out.finish()
    print(f"memory after reading: {memory_mb()[0]:.0f} MB")
    return _rates(count, start, cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--faces", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--form", choices=FORMS, default="csv")
    arguments = parser.parse_args()
    path = locate(arguments.model)
    settings = Settings(model=path, detector="none", threads=arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "crops"
        folder.mkdir()
        write_crops(folder, arguments.faces, 48)
        # Raw calls before, between and after: other work on the machine then hits all alike.
        raws = [raw_rate(path, arguments.faces // 3, arguments.threads)]
        reads = []
        for form in (None, arguments.form):
            reads.append(reading_rate(settings, folder, form))
            raws.append(raw_rate(path, arguments.faces // 3, arguments.threads))
    raw = (3 / sum(1 / rate for rate, _ in raws), sum(cpu for _, cpu in raws) / 3)
    print(f"threads: {arguments.threads}")
    print(f"raw onnxruntime   {raw[0]:8.0f} faces/s  {raw[1]:.3f} ms processor time a face")
    for what, read in zip(("reading a folder", f"... into {arguments.form}"), reads, strict=True):
        print(f"{what:<17} {read[0]:8.0f} faces/s  {read[1]:.3f} ms processor time a face")
        print(f"  share of raw    {read[0] / raw[0]:8.0%}          {raw[1] / read[1]:.0%}")
    print(f"memory            {memory_mb()[0]:8.0f} MB at the end, {memory_mb()[1]:.0f} MB peak")


if __name__ == "__main__":
    main()

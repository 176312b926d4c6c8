"""How the plain engine and Ray grow with a collection.

    python benchmarks/engines.py [--data FER2013|toon] [--sizes 1000 10000 100000] [--model NAME]

For each size, writes as many face crops (from the dataset, again and again once it is used up) to a
temporary folder, runs `facetell read --detector none --csv` on it with each engine in a process of
its own, checks that the tables are the same to the byte, and prints a Markdown table. Seconds are
from the first line of the command to the last, so they hold what an engine needs to start; "rows/s
beyond" compares a size with the one before and leaves that out.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from facetell.datasets import open_dataset
from facetell.runtime import DEFAULT_MODEL

ENGINES = ("local", "ray")


def write_crops(folder: Path, data: str, sizes: list[int]) -> Iterator[tuple[int, Path]]:
    """The folder of crops as it grows from size to size."""
    dataset = open_dataset(data)
    crops = folder / "crops"
    crops.mkdir()
    done = 0
    for size in sizes:
        for i in range(done, size):
            image = Image.fromarray(dataset.read(i % len(dataset.samples)))
            image.save(crops / (f"{i:07d}.png" if i % 2 else f"{i:07d}.jpg"))
        done = size
        yield size, crops


def seconds_to_read(engine: str, crops: Path, out: Path, model: str, threads: int) -> float:
    """Wall-clock seconds of one command."""
    command = [sys.executable, "-W", "ignore", "-m", "facetell", "read", "--detector", "none"]
    command += ["--model", model, "--threads", str(threads), "--engine", engine]
    start = time.perf_counter()
    subprocess.run([*command, "--csv", out, crops], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="toon")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=1, help="of the plain engine, per actor")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, "
          f"threads {arguments.threads}, model {arguments.model}\n")  # fmt: skip
    print("| faces | engine | seconds | rows/s | rows/s beyond the size before |")
    print("|---|---|---|---|---|")
    before = dict.fromkeys(ENGINES, (0, 0.0))
    with tempfile.TemporaryDirectory() as name:
        for size, crops in write_crops(Path(name), arguments.data, sorted(arguments.sizes)):
            tables = []
            for engine in ENGINES:
                out = Path(name) / f"{size}.{engine}.csv"
                took = seconds_to_read(engine, crops, out, arguments.model, arguments.threads)
                rows, earlier = before[engine]
                beyond = f"{(size - rows) / (took - earlier):.0f}" if rows else ""
                print(f"| {size:,} | {engine} | {took:.1f} | {size / took:.0f} | {beyond} |",
                      flush=True)  # fmt: skip
                before[engine] = (size, took)
                tables.append(out.read_bytes())
            if len(set(tables)) != 1:
                sys.exit(f"the tables of {size} faces differ")
    print("\nThe tables are the same to the byte.")


if __name__ == "__main__":
    main()

"""How many photos a server reads, how long its clients wait, and whether its memory stays flat.

    python benchmarks/serving.py [--model NAME] [--requests 1000] [--memory-requests 10000]

Starts `facetell serve` on loopback as its users would, with face crops of 48 x 48 px (half PNG,
half JPEG) and `--detector none`, or with `--photo FILE` and the detector. For 1, 8 and 64 clients
that each ask again on a connection of their own as soon as they are answered, prints requests per
second, the wait (median and 99th percentile), the processor time that the server and that the
clients took for each request, and the faces in each call of the model. Where the clients take more
processor time than the server, it is they that are measured. Then floods a queue of 4 images with
64 clients, and counts refusals; then reads on, and prints the server's memory. Everything ends by
itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from facetell.runtime import DEFAULT_MODEL


def make_crops(count: int = 64, side: int = 48) -> list[tuple[bytes, str]]:
    """Smooth random faces-to-be, as compressible as a real crop, and their content types."""
    rng, crops = np.random.default_rng(0), []
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8))
        out, kind = io.BytesIO(), ("png", "jpeg")[i % 2]
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(out, kind)
        crops.append((out.getvalue(), f"image/{kind}"))
    return crops


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, int]]:
    """Address and process id of a server."""
    command = [sys.executable, "-m", "facetell", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        greeting = process.stderr.readline()
        if not greeting.startswith("serving"):
            sys.exit(greeting + process.stderr.read())
        yield greeting.split()[3].rstrip("/"), process.pid
    finally:
        process.terminate()
        process.communicate()


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return float("nan")


def processor_ms(pid: int) -> float:
    """Processor time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1000


async def load(
    url: str, images: list[tuple[bytes, str]], clients: int, requests: int
) -> tuple[list[float], Counter[int], float]:
    """Waits in ms of the requests that were done, how many had which status, and seconds in all."""
    waits, statuses, left = [], Counter[int](), iter(range(requests))

    async def ask(client: httpx.AsyncClient) -> None:
        for i in left:
            data, kind = images[i % len(images)]
            start = time.perf_counter()
            answer = await client.post("/v1/read", content=data, headers={"content-type": kind})
            statuses[answer.status_code] += 1
            if answer.status_code == 200:
                waits.append((time.perf_counter() - start) * 1000)

    async with contextlib.AsyncExitStack() as stack:
        asking = []
        for _ in range(clients):
            # Not one client with many connections: it searches them all at every request, which
            # with 64 took 5 to 7 ms of processor time where the server takes 2 to 4.
            client = httpx.AsyncClient(base_url=url, timeout=120, verify=False)
            asking.append(await stack.enter_async_context(client))
            await client.get("/healthz")  # opens the connection
        start = time.perf_counter()
        await asyncio.gather(*map(ask, asking))
        return waits, statuses, time.perf_counter() - start


def report(url: str, pid: int, images: list[tuple[bytes, str]], requests: int) -> None:
    asyncio.run(load(url, images, 4, max(8, requests // 10)))  # warm
    print(f"{'':>7}  {'':>10}  {'':>8}  {'':>8}  {'processor ms/request':>20}  {'faces':>8}")
    print(f"{'clients':>7}  {'requests/s':>10}  {'p50 ms':>8}  {'p99 ms':>8}  "
          f"{'server':>9}  {'clients':>9}  {'per call':>8}  statuses")  # fmt: skip
    for clients in (1, 8, 64):
        faces, calls = scored(url)
        own, others = processor_ms(pid), processor_ms(os.getpid())
        waits, statuses, seconds = asyncio.run(load(url, images, clients, requests))
        own, others = processor_ms(pid) - own, processor_ms(os.getpid()) - others
        more_faces, more_calls = scored(url)
        batch = (more_faces - faces) / max(more_calls - calls, 1)
        p50, p99 = np.percentile(waits, [50, 99]) if waits else (np.nan, np.nan)
        print(f"{clients:>7}  {len(waits) / seconds:>10.1f}  {p50:>8.1f}  {p99:>8.1f}  "
              f"{own / requests:>9.2f}  {others / requests:>9.2f}  {batch:>8.1f}  "
              f"{dict(statuses)}", flush=True)  # fmt: skip


def scored(url: str) -> tuple[float, float]:
    """Faces that the model was given so far, and in how many calls."""
    values = dict(
        line.rsplit(" ", 1) for line in httpx.get(f"{url}/metrics").text.splitlines()
        if line.startswith("facetell_batch_faces_")
    )  # fmt: skip
    return float(values["facetell_batch_faces_sum"]), float(values["facetell_batch_faces_count"])


def watch_memory(url: str, pid: int, images: list[tuple[bytes, str]], requests: int) -> None:
    marks = [memory_mb(pid)]
    for _ in range(10):
        asyncio.run(load(url, images, 8, requests // 10))
        marks.append(memory_mb(pid))
    print(f"memory before and after each tenth of {requests} requests, MB: "
          f"{[round(mark, 1) for mark in marks]}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--requests", type=int, default=1000, help="for each number of clients")
    parser.add_argument("--memory-requests", type=int, default=10_000, help="0: leave it out")
    parser.add_argument("--photo", type=Path, help="a photo to be searched, instead of face crops")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    images, detector = make_crops(), "none"
    if arguments.photo:
        images, detector = [(arguments.photo.read_bytes(), "image/jpeg")], "centerface"
    base = ["--model", arguments.model, "--detector", detector]
    base += ["--threads", str(arguments.threads)]
    with serving(*base, "--timeout", "120") as (url, pid):
        report(url, pid, images, arguments.requests)
        if arguments.memory_requests:
            watch_memory(url, pid, images, arguments.memory_requests)
    with serving(*base, "--max-queue", "4", "--max-images", "4") as (url, _):
        _, statuses, seconds = asyncio.run(load(url, images, 64, arguments.requests))
        print(f"64 clients, a queue of 4: {dict(statuses)} in {seconds:.1f} s")


if __name__ == "__main__":
    main()

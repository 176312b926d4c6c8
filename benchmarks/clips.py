"""Frames a second of a 720p clip with one and with five people, step by step.

    python benchmarks/clips.py [--photo examples/four_portraits.jpg] [--model NAME] [--frames 120]

Writes clips from the faces of a photo that wander over a 1280 x 720 ground (the fifth is the
first one again, mirrored), then reads them as `facetell read --annotate` does, and prints
milliseconds a frame, by the clock and of processor time: decode, detect (whole frames), track
(windows and numbers), score, draw, and encode.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.clips.frames import open_clip
from facetell.clips.writer import ClipWriter
from facetell.draw import ClipDrawing
from facetell.images import read_image
from facetell.runtime import DEFAULT_MODEL
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.clip import clip_detect_side
from facetell.runtime.follower import Follower

RATE = 30
SIZE_WH = (1280, 720)


def people_of(photo: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """So many portraits of 240 x 300 px, from the four of the photo and their mirror images."""
    portraits = np.split(photo, 4, axis=1)
    chosen = [portraits[i % 4][:, :: 1 if i < 4 else -1] for i in range(count)]
    return [np.asarray(Image.fromarray(p).resize((240, 300), Image.Resampling.BICUBIC))
            for p in map(np.ascontiguousarray, chosen)]  # fmt: skip


def scene(people: list[NDArray[np.uint8]], number: int) -> NDArray[np.uint8]:
    """One frame: each person at a place of its own, moving by up to 3 px a frame."""
    frame = np.full((SIZE_WH[1], SIZE_WH[0], 3), 96, np.uint8)
    for i, person in enumerate(people):
        x = 8 + i * 252 + round(6 * np.sin(number / 5 + i))
        y = 200 + round(120 * np.sin(number / 40 + 2 * i))
        height, width = person.shape[:2]
        left, right = max(0, x), min(SIZE_WH[0], x + width)
        frame[y : y + height, left:right] = person[:, left - x : right - x]
    return frame


def write_scene(path: Path, people: list[NDArray[np.uint8]], frames: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4, (SIZE_WH[1], SIZE_WH[0], 1))
    with ClipWriter(path) as out:
        for i in range(frames):
            shaken = scene(people, i) + np.roll(noise, rng.integers(999), axis=1)
            out.add(np.uint8(np.clip(shaken, 0, 255)), i / RATE)


class Stopwatch:
    """Wall and processor seconds by step."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[step] += time.perf_counter() - wall
        self.cpu[step] += time.process_time() - cpu


def measure(path: Path, folder: Path, model: str, threads: int) -> tuple[Stopwatch, Follower, int]:
    watch, drawing, count = Stopwatch(), ClipDrawing(), 0
    with open_clip(path) as clip, ClipWriter(folder / "out.mp4", force=True) as out:
        side = clip_detect_side(clip.size_wh)
        follower = Follower(Analyzer(model, detect_side=side, threads=threads))
        frames = iter(clip)
        while True:
            with watch.time("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            with watch.time("read"):
                reading = follower.read(frame.image, frame.time_s)
            with watch.time("draw"):
                image = drawing.draw(frame.image, reading)
            with watch.time("encode"):
                out.add(image, frame.time_s)
            count += 1
    return watch, follower, count


def report(people: int, watch: Stopwatch, follower: Follower, frames: int) -> list[str]:
    cpu_share = watch.cpu["read"] / watch.wall["read"]
    lines = [f"{people} {'person' if people == 1 else 'people'}, {frames} frames, "
             f"{follower.searched} searched as a whole"]  # fmt: skip
    steps = [("decode", watch.wall["decode"], watch.cpu["decode"])]
    steps += [(step, s, s * cpu_share) for step, s in follower.spent_s.items()]
    steps += [(step, watch.wall[step], watch.cpu[step]) for step in ("draw", "encode")]
    for step, wall, cpu in steps:
        lines.append(
            f"  {step:<8} {1000 * wall / frames:8.1f} ms {1000 * cpu / frames:8.1f} ms processor"
        )
    for name, left_out in (("reading", ("draw", "encode")), ("with --annotate", ())):
        wall = sum(s for step, s in watch.wall.items() if step not in left_out)
        cpu = sum(s for step, s in watch.cpu.items() if step not in left_out)
        lines.append(
            f"  {name}: {frames / wall:.1f} frames/s, {frames / cpu:.1f} on a free processor"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=Path("examples/four_portraits.jpg"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    photo = read_image(arguments.photo)
    with tempfile.TemporaryDirectory() as name:
        for count in (1, 5):
            path = Path(name) / f"{count}.mp4"
            write_scene(path, people_of(photo, count), arguments.frames)
            print(
                "\n".join(
                    report(count, *measure(path, Path(name), arguments.model, arguments.threads))
                )
            )


if __name__ == "__main__":
    main()

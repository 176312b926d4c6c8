"""How often labels switch, and how late a true change is shown.

    python benchmarks/steadiness.py DATA [--clips 60] [--tremble 0.03] [--shake 1]

Makes clips from stills: a face trembles, drifts, turns, is lit anew and gets a sensor's noise;
half way it gives way to another person's face with another label, in one frame. DATA is a
dataset (its validation faces are used), or the word toon. Frame by frame and steadied labels
are compared on the same scores:

- switches a minute, in the two parts where nothing changes but the nuisances;
- delay: from the change to the first frame with the label that the second part has most often,
  in clips whose parts differ in that label; what steadying adds is the difference. A change is
  clear where all single frames of the first 200 ms with the new label agree on it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets import open_dataset
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import split
from facetell.runtime import DEFAULT_MODEL
from facetell.runtime.session import load
from facetell.runtime.steady import Steady

RATE = 30  # frames a second
PART_S = 5.0  # seconds of each of the two faces
LATEST_S = 0.2  # the delay that steadying may add, seconds
_EDGE = 8  # pixels repeated around a still that moves
Series = NDArray[np.float64]  # (F,) one value a frame


def wander(rng: np.random.Generator, frames: int, spread: float, lasting_s: float) -> Series:
    """A quantity that wanders around 0 with that deviation and correlation time."""
    keep = np.exp(-1 / (RATE * lasting_s))
    steps = rng.normal(0, spread * np.sqrt(1 - keep**2), frames)
    out = np.empty(frames)
    now = rng.normal(0, spread)
    for i, step in enumerate(steps):
        now = out[i] = keep * now + step
    return out


def clip(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    tremble_s: float = 0.03,
    shake: float = 1.0,
) -> NDArray[np.uint8]:
    """(F, S, S) grey frames: the first face, then the second, through the same nuisances."""
    frames = 2 * round(PART_S * RATE)
    side = first.shape[0]

    def path(spread: float, lasting_s: float) -> Series:
        return wander(rng, frames, shake * spread, lasting_s)

    x, y = (path(0.02, 0.7) + path(0.01, tremble_s) for _ in "xy")
    turn, size = path(3.0, 0.7), path(0.03, 0.5)
    light, tilt = path(0.12, 1.0), path(0.15, 1.0)
    blur = np.clip(path(0.5, 0.3), 0, 1)
    out = np.empty((frames, side, side), np.uint8)
    for i in range(frames):
        face = first if i < frames // 2 else second
        moved = _moved(face, x[i] * side, y[i] * side, turn[i], 1 + size[i], blur[i])
        ramp = 1 + light[i] + tilt[i] * np.linspace(-1, 1, side)[None]
        out[i] = np.clip(moved * ramp + rng.normal(0, 5 * shake, moved.shape), 0, 255)
    return out


def _moved(
    face: NDArray[np.uint8], x: float, y: float, degrees: float, size: float, blur: float
) -> NDArray[np.float64]:
    side, angle = face.shape[0], np.deg2rad(degrees)
    a, b = np.cos(angle) / size, np.sin(angle) / size
    middle = (side - 1) / 2
    left = _EDGE + middle - a * (middle + x) - b * (middle + y)
    top = _EDGE + middle + b * (middle + x) - a * (middle + y)
    padded = Image.fromarray(np.pad(face, _EDGE, mode="edge"))
    moved = padded.transform(
        (side, side), Image.Transform.AFFINE, (a, b, left, -b, a, top), Image.Resampling.BICUBIC
    )
    sharp = np.asarray(moved, np.float64)
    small = moved.resize((side // 2, side // 2), Image.Resampling.BOX)
    soft = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.float64)
    return (1 - blur) * sharp + blur * soft


def faces_of(dataset: Dataset, rng: np.random.Generator, pairs: int) -> Iterator[tuple[int, int]]:
    """Pairs of validation faces with different labels, all pairs of labels alike."""
    indices = split(dataset, "official").validation
    labels = dataset.targets[indices]
    for _ in range(pairs):
        one, other = rng.choice(np.unique(labels), 2, replace=False)
        yield tuple(int(rng.choice(indices[labels == label])) for label in (one, other))


def grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 2 else np.asarray(Image.fromarray(image).convert("L"))


def scored(
    data: str, model_name: str, clips: int, *, seed: int, tremble_s: float, shake: float
) -> NDArray[np.float32]:
    """(clips, F, K) the model's scores of every frame."""
    dataset, model = open_dataset(data), load(model_name, threads=1)
    rng = np.random.default_rng(seed)
    out = []
    for one, other in faces_of(dataset, rng, clips):
        faces = (grey(dataset.read(index)) for index in (one, other))
        frames = clip(*faces, rng, tremble_s=tremble_s, shake=shake)
        out.append(model.predict(frames).scores)
    return np.stack(out)


def steadied(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """(F, K) -> (F,) labels."""
    steady = Steady()
    return np.array([steady.update(s, s, i / RATE).label for i, s in enumerate(scores)])


def switches(labels: NDArray[np.intp]) -> int:
    """In the two parts, without the change itself (and the second after it, where it passes)."""
    half = len(labels) // 2
    return sum(int((np.diff(part) != 0).sum()) for part in (labels[:half], labels[half + RATE :]))


def delays(single: NDArray[np.intp], steady: NDArray[np.intp]) -> tuple[float, float, bool] | None:
    """Seconds until each shows what the second part mostly shows, and whether it is clear.

    None if nothing changed.
    """
    half = len(single) // 2
    before, after = (np.bincount(part).argmax() for part in (single[:half], single[half:]))
    if before == after or steady[half - 1] == after:
        return None
    found = [np.flatnonzero(labels[half:] == after) for labels in (single, steady)]
    first, second = (f[0] if len(f) else half for f in found)
    lasting = single[half + first :][: 1 + round(LATEST_S * RATE)]
    return first / RATE, second / RATE, bool((lasting == after).all())


def report(scores: NDArray[np.float32]) -> list[str]:
    single = scores.argmax(axis=2)
    steady = np.stack([steadied(one) for one in scores])
    minutes = len(scores) * (2 * PART_S - 1) / 60
    rates = [sum(map(switches, labels)) / minutes for labels in (single, steady)]
    waits = np.array([w for w in map(delays, single, steady) if w is not None])
    added = (waits[:, 1] - waits[:, 0]) * 1000
    clear = added[waits[:, 2] > 0]
    in_time = added <= LATEST_S * 1000 + 1e-6
    return [
        f"clips: {len(scores)} of {2 * PART_S:.0f} s at {RATE} frames a second",
        f"label switches a minute, frame by frame: {rates[0]:.1f}",
        f"label switches a minute, steady:         {rates[1]:.1f}",
        f"ratio:                                   {rates[0] / max(rates[1], 1e-9):.1f}",
        f"clips whose label changes: {len(waits)}",
        f"delay frame by frame, ms: median {np.median(waits[:, 0]) * 1000:.0f}, "
        f"mean {waits[:, 0].mean() * 1000:.0f}",
        f"added delay, ms: median {np.median(added):.0f}, mean {added.mean():.0f}, "
        f"90th percentile {np.percentile(added, 90):.0f}",
        f"within {LATEST_S * 1000:.0f} ms: {np.mean(in_time):.0%}",
        f"within {LATEST_S * 1000:.0f} ms, of the {len(clear)} clear changes: "
        f"{np.mean(in_time[waits[:, 2] > 0]):.0%}; the latest after {clear.max():.0f} ms",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tremble", type=float, default=0.03, help="how long a tremor of the box lasts, seconds"
    )
    parser.add_argument("--shake", type=float, default=1.0, help="scales all that disturbs")
    parser.add_argument("--scores", type=Path, help="keep the scores here, and use them again")
    arguments = parser.parse_args()
    if arguments.scores and arguments.scores.exists():
        scores = np.load(arguments.scores, allow_pickle=False)
    else:
        scores = scored(
            arguments.data,
            arguments.model,
            arguments.clips,
            seed=arguments.seed,
            tremble_s=arguments.tremble,
            shake=arguments.shake,
        )
        if arguments.scores:
            np.save(arguments.scores, scores)
    print("\n".join(report(scores)))


if __name__ == "__main__":
    main()

"""An LSTM over frames against simpler ways to read a clip, on the same clips.

    python benchmarks/frames.py DATA --memory frames.onnx [--still compact] [--clips 60]

The clips are those of benchmarks/steadiness.py, made of DATA's validation faces, each with one
change of face and label in the middle. The simpler ways read the still model's scores, and each
gets the setting, of all that are tried, with which it is most accurate on these very clips. The
LSTM gets none. Accuracy counts frames against the label of the face that is shown; its interval
and the paired difference come from redrawing clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from steadiness import PART_S, RATE, clip, delays, faces_of, grey, steadied, switches

from facetell.datasets import open_dataset
from facetell.runtime.session import Model, load

WINDOWS = (3, 5, 9, 15, 30)  # frames that mean pooling pools
TIMES = (0.05, 0.1, 0.15, 0.3, 0.6, 1.0)  # seconds that exponential smoothing averages over
Scores = NDArray[np.float64]  # (clips, F, K)
Labels = NDArray[np.intp]  # (clips, F)


def pooled(scores: Scores, window: int) -> Scores:
    """The mean of the last frames, of fewer at the start."""
    total = np.cumsum(scores, axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return total / np.minimum(np.arange(1, scores.shape[1] + 1), window)[None, :, None]


def smoothed(scores: Scores, time_s: float) -> Scores:
    share = 1 - np.exp(-1 / (RATE * time_s))
    out = scores.copy()
    for i in range(1, scores.shape[1]):
        out[:, i] = out[:, i - 1] + share * (scores[:, i] - out[:, i - 1])
    return out


def remembered(model: Model, frames: NDArray[np.uint8]) -> Scores:
    """(clips, F, S, S) -> the scores of every frame, all clips side by side."""
    memory, out = None, []
    for i in range(frames.shape[1]):
        elapsed = np.full(len(frames), 1 / RATE if i else 0.0)
        found, memory = model.predict_next(frames[:, i], memory, elapsed)
        out.append(found.scores)
    return np.stack(out, 1).astype(np.float64)


def best(
    scores: Scores, truth: Labels, way: Callable[[Scores, float], Scores], tried: tuple[float, ...]
) -> tuple[float, Labels]:
    """The most accurate setting on these clips, and its labels."""
    labels = {value: way(scores, value).argmax(2) for value in tried}
    value = max(tried, key=lambda v: float((labels[v] == truth).mean()))
    return value, labels[value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--memory", required=True, help="model with an LSTM over frames")
    parser.add_argument("--still", default="compact")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--tremble", type=float, default=0.03)
    parser.add_argument("--shake", type=float, default=1.0)
    arguments = parser.parse_args()
    dataset, rng = open_dataset(arguments.data), np.random.default_rng(arguments.seed)
    frames, truth = [], []
    for pair in faces_of(dataset, rng, arguments.clips):
        faces = (grey(dataset.read(index)) for index in pair)
        frames.append(clip(*faces, rng, tremble_s=arguments.tremble, shake=arguments.shake))
        truth.append(np.repeat(dataset.targets[list(pair)], round(PART_S * RATE)))
    clips, shown = np.stack(frames), np.stack(truth)
    still = load(arguments.still, threads=1)
    single = np.stack([still.predict(one).scores for one in clips]).astype(np.float64)
    memory = remembered(load(arguments.memory, threads=1), clips)
    window, by_pooling = best(single, shown, pooled, WINDOWS)
    time_s, by_smoothing = best(single, shown, smoothed, TIMES)
    ways = {
        "single frames": single.argmax(2),
        f"mean of {window} frames": by_pooling,
        f"exponential smoothing, {time_s:g} s": by_smoothing,
        "steady (hidden Markov model)": np.stack([steadied(one) for one in single]),
        "LSTM over frames": memory.argmax(2),
        "LSTM over frames, then steady": np.stack([steadied(one) for one in memory]),
    }
    minutes = len(clips) * (2 * PART_S - 1) / 60
    right = {name: (labels == shown).mean(1) for name, labels in ways.items()}
    draws = np.random.default_rng(0).integers(0, len(clips), (2000, len(clips)))
    print("| way | accuracy of frames, % | minus mean pooling | switches a minute | "
          "added delay, ms: median, 90th percentile |\n|---|---|---|---|---|")  # fmt: skip
    for name, labels in ways.items():
        low, high = np.percentile(right[name][draws].mean(1) * 100, [2.5, 97.5])
        gain = right[name] - right[f"mean of {window} frames"]
        worse, better = np.percentile(gain[draws].mean(1) * 100, [2.5, 97.5])
        rate = sum(map(switches, labels)) / minutes
        waits = [delays(a, b) for a, b in zip(single.argmax(2), labels, strict=True)]
        added = np.array([1000 * (w[1] - w[0]) for w in waits if w is not None])
        print(f"| {name} | {100 * right[name].mean():.1f} ({low:.1f}-{high:.1f}) | "
              f"{100 * gain.mean():+.1f} ({worse:+.1f} to {better:+.1f}) | {rate:.0f} | "
              f"{np.median(added):.0f}, {np.percentile(added, 90):.0f} |")  # fmt: skip


if __name__ == "__main__":
    main()

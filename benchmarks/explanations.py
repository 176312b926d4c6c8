"""Do occlusion maps show what a model depends on? Deletion and insertion curves.

    python benchmarks/explanations.py DATA [--faces 200] [--models compact paper] [--flip]

Blocks of a twelfth of a face's side are hidden under the face's mean colour, or revealed from a
face that is nothing but that colour, in the order of the occlusion map, highest first. A map that
says what the score depends on makes the score fall early (deletion: a small area under the curve)
and rise early (insertion: a large one). Beside it stand orders that know nothing of the model:
by chance (mean of three draws), and from the centre of the face outwards, where all faces lie.

DATA is a dataset (correctly read validation faces are drawn from it, as many of each emotion as
there are), or the word toon. Intervals: 2,000 bootstrap resamples of the faces.

Source: Petsiuk, Das & Saenko 2018, "RISE: Randomized input sampling for explanation", section 4.3.
Departs from it by the mean colour in place of black and blur.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from facetell.datasets import open_dataset
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import split
from facetell.evaluate.metrics import bootstrap_mean
from facetell.runtime.occlusion import occlude
from facetell.runtime.session import Model, load

BLOCKS = 12  # along each side
STEPS = 12  # points of a curve after the first
CHANCES = 3  # orders by chance
ORDERS = ("map", "chance", "centre")


def chosen(
    dataset: Dataset, model: Model, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Correctly read validation faces (N, S, S) and their labels' columns."""
    indices = rng.permutation(split(dataset, "official").validation)[: 4 * count]
    faces = dataset.faces(indices, face_px=model.contract.face_px)
    columns = np.array([model.contract.labels.index(name) for name in dataset.labels])
    labels = columns[dataset.targets[indices]]
    right = np.flatnonzero(model.predict(faces).scores.argmax(axis=1) == labels)
    turns = np.zeros(len(right), np.int64)  # first one of each emotion, then the second, ...
    for label in np.unique(labels[right]):
        same = labels[right] == label
        turns[same] = np.arange(same.sum())
    kept = right[np.argsort(turns, kind="stable")][:count]
    return faces[kept], labels[kept]


def order_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """(S, S) -> the blocks, the highest mean first."""
    side = values.shape[0] // BLOCKS
    means = values.reshape(BLOCKS, side, BLOCKS, side).mean(axis=(1, 3))
    return np.argsort(-means.ravel(), kind="stable")


def masks(order: NDArray[np.int64], side: int) -> NDArray[np.bool_]:
    """(STEPS + 1, S, S): the first 0, 1/12, ... of the blocks."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    counts = np.rint(np.linspace(0, len(order), STEPS + 1)).astype(int)
    small = rank.reshape(BLOCKS, BLOCKS)[None] < counts[:, None, None]
    return np.kron(small, np.ones((1, side // BLOCKS, side // BLOCKS), bool))


def areas(
    model: Model, face: NDArray[np.uint8], label: int, order: NDArray[np.int64]
) -> tuple[float, float]:
    """Areas under the deletion and the insertion curve, 0-1."""
    mean = np.full_like(face, round(float(face.mean())))
    first = masks(order, face.shape[0])
    deleted, inserted = np.where(first, mean, face), np.where(first, face, mean)
    scores = model.predict(np.concatenate([deleted, inserted])).scores[:, label]
    curves = scores.reshape(2, -1).astype(np.float64)
    deletion, insertion = ((c[1:] + c[:-1]).mean() / 2 for c in curves)
    return float(deletion), float(insertion)


def measure(
    model: Model, faces: NDArray[np.uint8], labels: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Order -> (N, 2) areas of deletion and insertion."""
    side = faces.shape[1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    centre = order_of(-np.hypot(x, y))
    found: dict[str, list[object]] = {order: [] for order in ORDERS}
    for face, label in zip(faces, labels.tolist(), strict=True):
        drops = occlude(model, face, model.contract.labels[label]).drops
        chances = [areas(model, face, label, rng.permutation(BLOCKS**2)) for _ in range(CHANCES)]
        found["map"].append(areas(model, face, label, order_of(drops)))
        found["chance"].append(np.mean(chances, axis=0))
        found["centre"].append(areas(model, face, label, centre))
    return {order: np.array(values, np.float64) for order, values in found.items()}


def shown(values: NDArray[np.float64]) -> str:
    mean, low, high = bootstrap_mean(values)
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--models", nargs="+", default=["compact", "paper"])
    parser.add_argument("--flip", action="store_true", help="With the mirror image; twice as long.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    print("| model | faces | order | deletion | insertion | map better by: deletion | insertion |")
    print("|---|---|---|---|---|---|---|")
    for name in options.models:
        rng = np.random.default_rng(options.seed)
        model = load(name, threads=1, flip=options.flip)
        faces, labels = chosen(dataset, model, options.faces, rng)
        found = measure(model, faces, labels, rng)
        for order, values in found.items():
            cells = [shown(values[:, 0]), shown(values[:, 1])]
            better = ["", ""]
            if order != "map":
                better = [shown(values[:, 0] - found["map"][:, 0]),
                          shown(found["map"][:, 1] - values[:, 1])]  # fmt: skip
            row = [name, str(len(faces)), order, *cells, *better]
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

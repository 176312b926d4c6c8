"""A dataset whose copies, leaks, conflicts and blank images are known."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from facetell.datasets.candidates import gaussian
from facetell.datasets.sample import Dataset, Sample
from facetell.labels import EMOTIONS

SIZE = 24


def scenes(count, seed=0):
    """(count, 72, 72) smooth random grey images that have nothing in common."""
    noise = np.random.default_rng(seed).normal(size=(count, 72, 72)).astype(np.float32)
    blur = gaussian(72, 2.5)
    smooth = blur @ noise @ blur.T
    smooth /= smooth.std(axis=(1, 2), keepdims=True)
    return np.clip(128 + 45 * smooth, 0, 255).astype(np.uint8)


def crop(scene, x, y):
    return np.asarray(scene[y : y + 48, x : x + 48])


def recompressed(face):
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def dataset_of(rows, **values):
    """rows: (face, side, label[, subject[, votes]])."""
    stack = np.stack([row[0] for row in rows])
    samples = tuple(
        Sample(
            id=f"face/{i}",
            side=row[1],
            label=EMOTIONS.index(row[2]),
            subject=row[3] if len(row) > 3 else None,
            votes=row[4] if len(row) > 4 else (),
        )
        for i, row in enumerate(rows)
    )
    settings = {
        "name": "copied",
        "samples": samples,
        "read": lambda i: np.repeat(stack[i][..., None], 3, axis=2),
        "stack": stack,
        "licence": "drawn by the tests",
        "source": "the tests",
    }
    return Dataset(**{**settings, **values})


def copied_dataset(**values):
    """24 training faces of six labels; validation: two exact, two shifted, a recompressed, a
    mirrored copy and two faces of their own; two blank images in training."""
    large = scenes(SIZE + 2)
    faces = [crop(scene, 12, 12) for scene in large]
    rows = [(faces[i], "train", EMOTIONS[i % 6]) for i in range(SIZE)]
    rows += [
        (faces[0], "validation", "angry"),  # exact
        (faces[1], "validation", "happy"),  # exact, another label than "disgust"
        (crop(large[2], 16, 9), "validation", "fear"),  # shifted
        (crop(large[3], 9, 14), "validation", "neutral"),  # shifted, another label than "happy"
        (recompressed(faces[4]), "validation", "sad"),
        (faces[5][:, ::-1], "validation", "surprise"),
        (faces[24], "validation", "neutral"),
        (faces[25], "validation", "neutral"),
        (np.zeros((48, 48), np.uint8), "train", "neutral"),
        (np.full((48, 48), 200, np.uint8), "train", "neutral"),
    ]
    return dataset_of(rows, **values)

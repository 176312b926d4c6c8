"""What a dataset is, in numbers that travel with a model: counts, hashes, pixel statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetell.datasets.fer2013 import OFFICIAL_COUNTS
from facetell.datasets.sample import Dataset
from facetell.errors import DataError
from facetell.labels import EMOTIONS

__all__ = ["class_counts", "fingerprint", "flatness", "refuse_training_data"]

_SAMPLED = 512
#: Median flatness of FER2013 as published is far above it, of an equalised copy far below.
_EQUALISED = 0.08
_FER2013_PX = 48


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Counts, hashes and pixel statistics of a dataset, JSON-ready.

    Returns:
        name, count, sides (counts per side), classes (counts per side and class),
        labels_sha256 (over labels and sides in order), pixels_sha256 and pixels_hashed (what
        that covers), size_px ([height, width] or None if they differ), pixel_mean and
        pixel_std (0-255), histogram_equalised, fer2013_counts (True or False for data called
        fer2013, else None) and remarks, one sentence each.
    """
    indices, images = _images(dataset)
    sizes = {image.shape[:2] for image in images}
    flat = [flatness(image) for image in images[:: max(1, len(images) // _SAMPLED)]]
    equalised = bool(flat) and float(np.median(flat)) < _EQUALISED
    whole = len(indices) == len(dataset)
    digest = hashlib.sha256()
    for image in images:
        digest.update(str(image.shape).encode())
        digest.update(image.tobytes())
    mean, std = _moments(images)
    classes = class_counts(dataset)
    known = _has_official_counts(classes) if dataset.name == "fer2013" else None
    size = next(iter(sizes)) if len(sizes) == 1 else None
    return {
        "name": dataset.name,
        "count": len(dataset),
        "sides": {side: sum(counts.values()) for side, counts in classes.items()},
        "classes": classes,
        "labels_sha256": _labels_sha256(dataset),
        "pixels_sha256": digest.hexdigest(),
        "pixels_hashed": f"all {len(images)} images"
        if whole
        else f"{len(images)} of {len(dataset)} images, evenly spaced",
        "size_px": None if size is None else list(size),
        "pixel_mean": round(mean, 3),
        "pixel_std": round(std, 3),
        "histogram_equalised": equalised,
        "fer2013_counts": known,
        "remarks": _remarks(dataset, classes, known, equalised, sizes),
    }


def flatness(image: NDArray[np.uint8]) -> float:
    """Largest distance between the image's brightness distribution and an even one, 0-1.

    Close to 0 after histogram equalisation: every brightness is then equally common.
    """
    cumulated = np.bincount(image.ravel(), minlength=256).cumsum() / image.size
    return float(np.abs(cumulated - np.arange(1, 257) / 256).max())


def refuse_training_data(dataset: Dataset, trained_on: Mapping[str, Any]) -> None:
    """Refuse data whose faces shall all be unseen by a model, if it was trained on them.

    Args:
        dataset: the faces.
        trained_on: fingerprint of the model's training data, from its contract.

    Raises:
        DataError: they are the same.
    """
    if _labels_sha256(dataset) != trained_on.get("labels_sha256"):
        return  # without reading a picture
    if fingerprint(dataset)["pixels_sha256"] == trained_on.get("pixels_sha256"):
        raise DataError(
            f"expected faces that the model has not seen, got {dataset.name}, on which it was "
            "trained. Sort the faces into train/ and val/ before training, or bring others."
        )


def _images(dataset: Dataset) -> tuple[NDArray[np.int64], list[NDArray[np.uint8]]]:
    """All images where they are in memory (grey), else an even sample of at most 512 (RGB)."""
    if dataset.stack is not None:
        return np.arange(len(dataset)), list(dataset.stack)
    count = min(_SAMPLED, len(dataset))
    indices = np.linspace(0, len(dataset) - 1, count).round().astype(np.int64)
    return indices, [dataset.read(int(index)) for index in indices]


def _moments(images: list[NDArray[np.uint8]]) -> tuple[float, float]:
    """Mean and standard deviation over all pixels, 0-255."""
    count = sum(image.size for image in images)
    total = sum(float(image.sum(dtype=np.float64)) for image in images)
    squares = sum(float(np.square(image, dtype=np.float64).sum()) for image in images)
    mean = total / max(count, 1)
    return mean, float(np.sqrt(max(0.0, squares / max(count, 1) - mean**2)))


def class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Faces by side ("none" where there is no side) and class name."""
    counts: dict[str, dict[str, int]] = {}
    for side in ("train", "validation", "test", None):
        labels = [sample.label for sample in dataset.samples if sample.side == side]
        if labels:
            numbers = np.bincount(labels, minlength=len(dataset.labels)).tolist()
            counts[side or "none"] = dict(zip(dataset.labels, numbers, strict=True))
    return counts


def _labels_sha256(dataset: Dataset) -> str:
    lines = "".join(f"{dataset.labels[s.label]},{s.side or ''}\n" for s in dataset.samples)
    return hashlib.sha256(lines.encode()).hexdigest()


def _has_official_counts(classes: dict[str, dict[str, int]]) -> bool:
    """Every side that is there has the official class counts; a missing test side is fine."""
    official = {
        side: dict(zip(EMOTIONS, counts, strict=True)) for side, counts in OFFICIAL_COUNTS.items()
    }
    return all(side in official and counts == official[side] for side, counts in classes.items())


def _remarks(
    dataset: Dataset,
    classes: dict[str, dict[str, int]],
    known: bool | None,
    equalised: bool,
    sizes: set[tuple[int, ...]],
) -> list[str]:
    remarks = []
    if known:
        remarks.append(f"Class counts are those of FER2013 ({', '.join(classes)}).")
    elif known is not None:
        remarks.append(f"Class counts differ from FER2013 as published: {_difference(classes)}.")
    if equalised:
        remarks.append(
            "Histograms are flat: the images were histogram-equalised, and scores on them do "
            "not compare with scores on the original pixels."
        )
    if known is not None and sizes != {(_FER2013_PX, _FER2013_PX)}:
        shown = ", ".join(f"{h}x{w}" for h, w in sorted(sizes)[:3])
        remarks.append(f"Images are {shown} px; FER2013 has 48x48: they were resized.")
    if len(sizes) > 1:
        remarks.append(f"Images have {len(sizes)} different sizes.")
    missing = [name for name in dataset.labels if not any(c.get(name) for c in classes.values())]
    if missing:
        remarks.append(f"No image is labelled {', '.join(missing)}.")
    return remarks


def _difference(classes: dict[str, dict[str, int]]) -> str:
    parts = []
    for side, counts in classes.items():
        total, official = sum(counts.values()), sum(OFFICIAL_COUNTS.get(side, (0,)))
        if side not in OFFICIAL_COUNTS:
            parts.append(f"{total} images have no side")
        elif tuple(counts.values()) != OFFICIAL_COUNTS[side]:
            parts.append(f"{side} has {total} images, {official} expected")
    return "; ".join(parts)

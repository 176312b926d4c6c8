"""What a fingerprint says about data that was built or altered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dataset_forms import FORMS, textures
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facetell.datasets import Dataset, Sample, open_dataset
from facetell.datasets.fer2013 import OFFICIAL_COUNTS
from facetell.datasets.fingerprint import fingerprint, flatness
from facetell.datasets.toon import make_toon
from facetell.labels import EMOTIONS


def of(stack: NDArray[np.uint8], **values: object) -> Dataset:
    samples = tuple(Sample(id=str(i), label=i % 7, side="train") for i in range(len(stack)))
    return Dataset(name="made", samples=samples, stack=stack, read=lambda i: stack[i], **values)


def test_it_is_json_and_counts() -> None:
    found = json.loads(json.dumps(fingerprint(of(textures(14)))))
    assert found["count"] == 14
    assert found["sides"] == {"train": 14}
    assert found["classes"]["train"] == dict.fromkeys(EMOTIONS, 2)
    assert found["pixels_hashed"] == "all 14 images"
    assert found["size_px"] == [48, 48]


def test_moments_are_those_of_numpy() -> None:
    stack = textures(9)
    found = fingerprint(of(stack))
    assert found["pixel_mean"] == pytest.approx(stack.mean(), abs=1e-3)
    assert found["pixel_std"] == pytest.approx(stack.std(), abs=1e-3)


def test_the_same_data_in_another_form_has_the_same_hashes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = fingerprint(open_dataset(FORMS["fer2013.csv"](tmp_path / "a")))
    other = fingerprint(open_dataset(FORMS["usage parquet"](tmp_path / "b")))
    assert first == other


def test_one_pixel_changes_the_pixel_hash_only() -> None:
    stack = textures(7)
    changed = stack.copy()
    changed[3, 5, 5] ^= 1
    one, other = fingerprint(of(stack)), fingerprint(of(changed))
    assert one["pixels_sha256"] != other["pixels_sha256"]
    assert one["labels_sha256"] == other["labels_sha256"]


def test_a_label_or_a_side_changes_the_label_hash_only() -> None:
    dataset = of(textures(7))
    for change in ({"label": 6}, {"side": "test"}):
        samples = (replace(dataset.samples[0], **change), *dataset.samples[1:])
        other = fingerprint(replace(dataset, samples=samples))
        assert other["labels_sha256"] != fingerprint(dataset)["labels_sha256"]
        assert other["pixels_sha256"] == fingerprint(dataset)["pixels_sha256"]


def test_equalised_copies_are_recognised() -> None:
    stack = textures(20)
    equalised = np.stack([np.asarray(ImageOps.equalize(Image.fromarray(f))) for f in stack])
    assert not fingerprint(of(stack))["histogram_equalised"]
    found = fingerprint(of(equalised))
    assert found["histogram_equalised"]
    assert any("histogram-equalised" in remark for remark in found["remarks"])


def test_flatness_is_zero_for_every_brightness_once() -> None:
    assert flatness(np.arange(256, dtype=np.uint8)) == 0
    assert flatness(np.zeros(256, np.uint8)) == pytest.approx(255 / 256)


def counted(px: int = 48, *, change: int = 0) -> Dataset:
    samples = [
        Sample(id=f"{side}{label}.{n}", label=label, side=side)
        for side, counts in OFFICIAL_COUNTS.items()
        for label, count in enumerate(counts)
        for n in range(count + (change if (side, label) == ("train", 1) else 0))
    ]
    image = textures(1, px=px)[0]
    return Dataset(name="fer2013", samples=tuple(samples), read=lambda i: image)


def test_the_official_counts_are_recognised() -> None:
    found = fingerprint(counted())
    assert found["fer2013_counts"] is True
    assert found["count"] == 35887
    assert found["pixels_hashed"] == "512 of 35887 images, evenly spaced"


def test_other_counts_are_told() -> None:
    found = fingerprint(counted(change=5))
    assert found["fer2013_counts"] is False
    assert "train has 28714 images, 28709 expected" in " ".join(found["remarks"])


def test_resized_copies_are_recognised() -> None:
    assert "resized" in " ".join(fingerprint(counted(96))["remarks"])


def test_other_data_has_no_verdict_about_fer2013() -> None:
    assert fingerprint(make_toon(3, 1))["fer2013_counts"] is None

"""Drawn faces."""

from __future__ import annotations

import numpy as np
import pytest

from facetell.datasets import open_dataset
from facetell.datasets.toon import make_toon
from facetell.errors import InputError


def test_the_same_seed_draws_the_same_pixels() -> None:
    first, again = make_toon(3, 1, seed=4), make_toon(3, 1, seed=4)
    for index in (0, 10, 20):
        assert np.array_equal(first.read(index), again.read(index))


def test_reading_order_does_not_matter() -> None:
    dataset = make_toon(3, 1)
    later = dataset.read(7)
    dataset.read(0)
    assert np.array_equal(dataset.read(7), later)


def test_another_seed_draws_other_faces() -> None:
    assert not np.array_equal(make_toon(3, 1, seed=0).read(0), make_toon(3, 1, seed=1).read(0))


@pytest.mark.parametrize(
    ("characters", "sides"), [(3, (1, 1, 1)), (12, (8, 2, 2)), (20, (14, 3, 3))]
)
def test_each_character_is_on_one_side(characters: int, sides: tuple[int, int, int]) -> None:
    dataset = make_toon(characters, 1)
    who = [
        {sample.subject for sample in dataset.samples if sample.side == side}
        for side in ("train", "validation", "test")
    ]
    assert tuple(map(len, who)) == sides
    assert not who[0] & who[1] | who[0] & who[2] | who[1] & who[2]


def test_classes_are_balanced() -> None:
    assert np.bincount(make_toon(4, 3).targets).tolist() == [12] * 7


def test_the_word_is_the_function() -> None:
    spoken = open_dataset("toon:characters=4,per_emotion=2,seed=9,face_px=32")
    made = make_toon(4, 2, 9, 32)
    assert spoken.samples == made.samples
    assert np.array_equal(spoken.read(5), made.read(5))
    assert spoken.read(5).shape == (32, 32, 3)


@pytest.mark.parametrize("emotion", range(7))
def test_emotions_look_different_on_one_character(emotion: int) -> None:
    dataset = make_toon(3, 8)
    faces = dataset.faces([i for i, s in enumerate(dataset.samples) if s.subject == "000"])
    means = faces.reshape(7, 8, 48, 48).mean(axis=1)
    others = np.delete(np.arange(7), emotion)
    assert np.abs(means[others] - means[emotion]).mean(axis=(1, 2)).min() > 2


@pytest.mark.parametrize("values", [{"characters": 2}, {"per_emotion": 0}, {"face_px": 4}])
def test_impossible_counts_are_an_error(values: dict[str, int]) -> None:
    with pytest.raises(InputError, match="must be at least"):
        make_toon(**values)

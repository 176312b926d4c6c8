"""Near-copies with answers that were built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_forms import textures
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets import candidates, duplicates
from facetell.datasets.duplicates import cached_near_copies, near_copies, union
from facetell.errors import InputError


def crop(large: NDArray[np.uint8], x: float, y: float, side: float) -> NDArray[np.uint8]:
    """(48, 48) from a 72 x 72 image."""
    box = (x, y, x + side, y + side)
    return np.asarray(Image.fromarray(large).resize((48, 48), Image.Resampling.BICUBIC, box=box))


LARGE = textures(24, px=72, sigma=2.5)
FACES = np.stack([crop(image, 12, 12, 48) for image in LARGE])
COPIES = {
    "shifted": lambda i: crop(LARGE[i], 16, 9, 48),
    "shifted by a part of a pixel": lambda i: crop(LARGE[i], 13.5, 11.3, 48),
    "enlarged": lambda i: crop(LARGE[i], 14, 14, 43),
    "reduced": lambda i: crop(LARGE[i], 10, 10, 53),
    "mirrored": lambda i: FACES[i][:, ::-1],
    "mirrored and shifted": lambda i: crop(LARGE[i], 15, 12, 48)[:, ::-1],
    "noisy": lambda i: np.clip(
        FACES[i] + np.random.default_rng(i).normal(0, 5, (48, 48)), 0, 255
    ).astype(np.uint8),
    "darker": lambda i: (FACES[i] * 0.5 + 10).astype(np.uint8),
    "exact": lambda i: FACES[i],
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_nothing_else(kind: str) -> None:
    chosen = range(8)
    found = near_copies(np.concatenate([FACES, np.stack([COPIES[kind](i) for i in chosen])]))
    assert found.pairs.tolist() == [[i, 24 + i] for i in chosen]
    assert found.mirrored.tolist() == ["mirrored" in kind] * 8
    assert (found.correlation > 0.88).all()
    assert found.groups.tolist() == [*range(24), *chosen]


def test_unrelated_faces_are_no_copies() -> None:
    found = near_copies(FACES)
    assert len(found.pairs) == 0
    assert found.groups.tolist() == list(range(24))


def test_flat_faces_are_copies_of_exact_copies_only() -> None:
    faces = np.zeros((6, 48, 48), np.uint8)
    faces[2:4] = 200
    faces[4] = 100 + (FACES[0].astype(float) - 128) * 0.05  # deviation below three grey levels
    faces[5] = np.roll(faces[4], 1, axis=1)
    found = near_copies(faces)
    assert found.pairs.tolist() == [[0, 1], [2, 3]]
    assert found.groups.tolist() == [0, 0, 2, 2, 4, 5]


@pytest.mark.parametrize("kind", ["noisy", "darker", "mirrored"])
def test_the_hash_alone_finds_the_same_crop(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_by_window", lambda faces: iter(()))
    found = near_copies(np.concatenate([FACES, np.stack([COPIES[kind](i) for i in range(8)])]))
    assert found.pairs.tolist() == [[i, 24 + i] for i in range(8)]


def test_a_quick_search_finds_the_same_crop_and_no_shifted_one() -> None:
    copies = [COPIES[kind](i) for i, kind in enumerate(("noisy", "shifted", "mirrored", "exact"))]
    found = near_copies(np.concatenate([FACES, np.stack(copies)]), quick=True)
    assert found.pairs.tolist() == [[0, 24], [2, 26], [3, 27]]
    assert found.mirrored.tolist() == [False, True, False]


@pytest.mark.parametrize("count", [0, 1])
def test_few_faces_have_no_copies(count: int) -> None:
    assert near_copies(FACES[:count]).groups.tolist() == list(range(count))


def test_groups_join_pairs_through_others() -> None:
    pairs = np.array([[5, 6], [0, 3], [3, 5], [1, 2]])
    assert union(pairs, 7).tolist() == [0, 1, 1, 0, 4, 0, 0]


def test_the_order_of_faces_does_not_matter() -> None:
    faces = np.concatenate([FACES[:8], np.stack([COPIES["shifted"](i) for i in range(8)])])
    order = np.random.default_rng(1).permutation(16)
    groups = near_copies(faces[order]).groups
    same = groups[:, None] == groups[None]
    assert np.array_equal(same, (order[:, None] - order[None]) % 8 == 0)


def test_progress_ends_with_all_done() -> None:
    shares: dict[str, float] = {}
    faces = np.concatenate([FACES, np.roll(FACES, 1, axis=2)])
    near_copies(faces, shares.__setitem__)
    assert shares == {"comparing faces": 1.0, "aligning pairs": 1.0}


@pytest.mark.parametrize(
    "faces", [np.zeros((2, 48, 48), np.float32), np.zeros((2, 48, 48, 3), np.uint8)]
)
def test_other_arrays_are_an_error(faces: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match=r"grey uint8 of shape \(N, 48, 48\)"):
        near_copies(faces)


def test_the_second_search_reads_the_first_ones_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = np.concatenate([FACES, FACES[:3, :, ::-1]])
    first = cached_near_copies(faces)
    monkeypatch.setattr(duplicates, "near_copies", lambda *_: pytest.fail("searched again"))
    again = cached_near_copies(faces)
    for name in ("pairs", "correlation", "mirrored", "groups"):
        assert np.array_equal(getattr(first, name), getattr(again, name))


def test_a_cut_off_cache_is_found_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = cached_near_copies(FACES)
    (path,) = (tmp_path / "facetell").glob("near-copies-*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(cached_near_copies(FACES).groups, first.groups)


def test_a_cache_that_cannot_be_written_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(cached_near_copies(FACES).groups) == 24

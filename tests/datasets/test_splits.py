"""Splits, and what may be done to the training side alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from dataset_forms import textures

from facetell.datasets.sample import Dataset, Sample, Side
from facetell.datasets.splits import (
    Protocol,
    TrainSide,
    copies_across_sides,
    oversample,
    split,
    subjects,
)
from facetell.datasets.toon import make_toon
from facetell.errors import DataError, InputError


def made(
    sides: list[Side | None],
    labels: list[int] | None = None,
    copies: dict[int, int] | None = None,
    subjects: list[str] | None = None,
) -> Dataset:
    """Unrelated textures; `copies` says which image shows another one shifted by a pixel."""
    stack = textures(len(sides), seed=3)
    for copy, original in (copies or {}).items():
        stack[copy] = np.roll(stack[original], 1, axis=1)
    samples = tuple(
        Sample(
            id=str(i),
            label=labels[i] if labels else i % 7,
            side=side,
            subject=subjects[i] if subjects else None,
        )
        for i, side in enumerate(sides)
    )
    return Dataset(
        name="made",
        samples=samples,
        read=lambda i: np.repeat(stack[i][..., None], 3, axis=2),
        stack=stack,
    )


OWN: list[Side | None] = ["train"] * 8 + ["validation"] * 4 + ["test"] * 4


def test_official_keeps_the_datasets_sides() -> None:
    parts = split(made(OWN))
    assert parts.train.indices.tolist() == list(range(8))
    assert parts.validation.tolist() == [8, 9, 10, 11]
    assert parts.test.tolist() == [12, 13, 14, 15]
    assert parts.removed == 0


def test_clean_removes_copies_from_the_later_side_only() -> None:
    dataset = made(OWN, copies={9: 2, 13: 4, 14: 10, 1: 0, 15: 12})
    parts = split(dataset, "clean")
    assert parts.train.indices.tolist() == list(range(8))
    assert parts.validation.tolist() == [8, 10, 11]
    assert parts.test.tolist() == [12, 15]
    assert parts.removed == 3


def test_copies_across_sides_are_counted() -> None:
    dataset = made(OWN, labels=[0, 1] * 8, copies={9: 2, 13: 4, 14: 10, 1: 0})
    assert copies_across_sides(dataset) == {
        "groups": 4, "images": 8, "redundant": 4, "largest": 2,
        "groups_across_sides": 3, "groups_across_sides_conflicting": 2,
        "with_a_copy": {"validation in train": 1, "test in train": 1, "test in validation": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "missing"), [("official", "sides"), ("clean", "training side")]
)
def test_without_sides_all_judge_or_a_seed_draws(protocol: Protocol, missing: str) -> None:
    with pytest.raises(DataError, match=rf"own {missing}, .* use whole; .*random-80-10-10"):
        split(made([None] * 12), protocol)


def test_all_faces_may_judge_whatever_their_side() -> None:
    parts = split(made([*OWN, None]), "whole", groups=np.arange(17) // 2)
    assert parts.test.tolist() == list(range(17))
    assert len(parts.train) == len(parts.validation) == 0
    assert not parts.drawn
    assert parts.groups is not None


def test_people_are_known_where_all_faces_judge() -> None:
    dataset = made([None] * 4, subjects=["ann", "ben", "ann", "cat"])
    groups = split(dataset, "whole").groups
    assert groups is not None
    assert groups.tolist() == [0, 1, 0, 2]
    assert split(made([None] * 4), "whole").groups is None


def test_test_faces_alone_judge() -> None:
    parts = split(made(["test"] * 5), "official")
    assert parts.test.tolist() == [0, 1, 2, 3, 4]
    assert len(parts.train) == 0
    assert not parts.held_out
    with pytest.raises(DataError, match="own training side"):
        split(made(["test"] * 5), "clean")


def test_who_trained_is_told_by_a_digest_of_ids_and_labels() -> None:
    dataset = made(OWN, labels=[0, 1] * 8, copies={9: 2})
    official, clean = split(dataset), split(dataset, "clean")
    assert len(clean.validation) < len(official.validation)
    assert official.trained_on == clean.trained_on
    assert official.trained_on == split(made([*OWN, "test"], labels=[*[0, 1] * 8, 0])).trained_on
    assert official.trained_on != split(made(OWN, labels=[1, 1] * 8)).trained_on
    drawn = [split(dataset, "random-80-10-10", seed=seed) for seed in (0, 0, 1)]
    assert drawn[0].trained_on == drawn[1].trained_on != drawn[2].trained_on
    assert [parts.drawn for parts in (official, clean, drawn[0])] == [False, False, True]


def test_without_a_validation_side_a_tenth_is_held_out_in_whole_groups() -> None:
    copies = {i + 1: i for i in range(0, 20, 2)}
    parts = split(made(["train"] * 210 + ["test"] * 3, copies=copies))
    assert parts.held_out
    assert 18 <= len(parts.validation) <= 24
    assert parts.test.tolist() == [210, 211, 212]
    held = set(parts.validation.tolist())
    assert all((copy in held) == (original in held) for copy, original in copies.items())


def test_a_random_split_has_its_shares_in_every_class() -> None:
    dataset = made([None] * 200, labels=[i % 2 for i in range(200)])
    counts = split(dataset, "random-80-10-10").describe()["classes"]
    assert [counts[side]["angry"] for side in ("train", "validation", "test")] == [80, 10, 10]
    assert [counts[side]["disgust"] for side in ("train", "validation", "test")] == [80, 10, 10]


def test_a_random_split_keeps_subjects_together() -> None:
    dataset = made([None] * 60, subjects=[str(i // 6) for i in range(60)])
    parts = split(dataset, "random-80-10-10")
    who = [
        {int(i) // 6 for i in side} for side in (parts.train.indices, parts.validation, parts.test)
    ]
    assert [len(side) for side in who] == [8, 1, 1]
    assert sum(map(len, who)) == len(set.union(*who))


def test_another_seed_gives_another_split() -> None:
    dataset = made([None] * 60)
    first, other = (split(dataset, "random-80-10-10", seed=seed).test for seed in (0, 1))
    assert not np.array_equal(first, other)


def test_too_few_subjects_are_an_error() -> None:
    with pytest.raises(DataError, match="at least 3 subjects or groups"):
        split(made([None] * 10, subjects=["a", "b"] * 5), "random-80-10-10")


def test_an_unknown_protocol_is_an_error() -> None:
    with pytest.raises(InputError, match=r"official, clean, .*, got 'clear'"):
        split(made(OWN), "clear")


def test_oversampling_makes_classes_equal_and_keeps_every_sample() -> None:
    labels = [0] * 5 + [1] * 2 + [2] * 9
    parts = split(made(OWN, labels=labels))
    side = oversample(parts.train, seed=0)
    assert np.bincount(side.targets).tolist() == [5, 5, 5]
    assert set(side.indices.tolist()) == set(parts.train.indices.tolist())


def test_oversampling_takes_no_unsplit_data() -> None:
    dataset = made(OWN)
    for unsplit in (dataset, dataset.targets, [0, 1]):
        with pytest.raises(InputError, match="takes the train side of a split"):
            oversample(unsplit, seed=0)


def test_a_train_side_is_made_by_split_only() -> None:
    with pytest.raises(InputError, match="come from split"):
        TrainSide(dataset=made(OWN), indices=np.arange(16))


def test_a_description_is_json() -> None:
    parts = split(make_toon(4, 2), "clean", seed=2)
    described = json.loads(json.dumps(parts.describe()))
    assert described["counts"] == {"train": 28, "validation": 14, "test": 14}
    assert described["classes"]["train"]["happy"] == 4
    assert described["groups"] == 4
    assert described["seed"] == 2


def test_leave_one_out_gives_every_subject_its_turn_and_selects_on_another() -> None:
    names = ["b", "a", "c", "a", "b", "c", "d"]
    dataset = made([None] * 7, subjects=names)
    assert subjects(dataset) == ("a", "b", "c", "d")
    judged = []
    for fold in range(4):
        parts = split(dataset, "leave-one-subject-out", fold=fold)
        sides = (parts.train.indices, parts.validation, parts.test)
        people = [{names[i] for i in side} for side in sides]
        assert people[1:] == [{"abcd"[(fold + 1) % 4]}, {"abcd"[fold]}]
        assert people[0] == set("abcd") - people[1] - people[2]
        judged += parts.test.tolist()
    assert sorted(judged) == list(range(7))


def test_leave_one_out_needs_subjects_and_a_fold_that_exists() -> None:
    with pytest.raises(DataError, match="three or more subjects"):
        split(made(OWN), "leave-one-subject-out")
    dataset = made([None] * 3, subjects=["a", "b", "c"])
    with pytest.raises(InputError, match="fold must be 0 to 2"):
        split(dataset, "leave-one-subject-out", fold=3)
    with pytest.raises(InputError, match="only fold 0"):
        split(made(OWN), "official", fold=1)


def test_leaky_balances_and_mirrors_before_it_splits() -> None:
    labels = [0] * 30 + [1] * 10
    dataset = made([None] * 40, labels)
    parts = split(dataset, "leaky-80-10-10", seed=2)
    assert len(parts.dataset) == 2 * 2 * 30
    assert np.bincount(parts.dataset.targets)[:2].tolist() == [60, 60]
    mirrored = parts.dataset.faces([60])[0]
    assert np.array_equal(mirrored, parts.dataset.faces([0])[0][:, ::-1])
    assert np.array_equal(parts.dataset.read(60)[..., 0], mirrored)
    # What it is there to show: nearly every judged face is in training, as it is or mirrored.
    seen: list[bool] = []
    for seed in range(20):
        parts = split(dataset, "leaky-80-10-10", seed=seed)
        original = [sample.id.partition("#")[0] for sample in parts.dataset.samples]
        trained = {original[i] for i in parts.train.indices}
        seen += [original[i] in trained for i in parts.test]
    assert np.mean(seen) > 0.85
    assert len({sample.id for sample in parts.dataset.samples}) == len(parts.dataset)


def test_no_other_protocol_leaks() -> None:
    dataset = made(OWN, [0] * 12 + [1] * 4)
    for protocol in ("official", "clean", "random-80-10-10"):
        assert split(dataset, protocol).dataset is dataset


def test_given_groups_stand_in_for_near_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "facetell.datasets.duplicates.cached_near_copies", lambda *_: pytest.fail("searched")
    )
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 8, 9, 10, 8, 11, 12, 12])
    parts = split(made(OWN), "clean", groups=groups)
    assert parts.validation.tolist() == [9, 10, 11]  # 8 is with 0 of train
    assert parts.test.tolist() == [13, 14, 15]  # 12 is with 9 of validation
    assert parts.groups is groups


def test_what_groups_are_called_changes_nothing() -> None:
    dataset = made([None] * 60)
    pairs = np.arange(60) // 2
    sides = [split(dataset, "random-80-10-10", groups=g) for g in (pairs, 500 - pairs)]
    assert sides[0].test.tolist() == sides[1].test.tolist()
    assert sides[0].trained_on == sides[1].trained_on


def test_given_groups_stand_in_for_subjects() -> None:
    dataset = made([None] * 30, subjects=[str(i) for i in range(30)])
    parts = split(dataset, "random-80-10-10", groups=np.arange(30) // 2)
    for side in (parts.train.indices, parts.validation, parts.test):
        assert len(side)
        assert set(side.tolist()) == {2 * (i // 2) + k for i in side.tolist() for k in (0, 1)}


def test_groups_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(InputError, match=r"one group for each of the 16 samples.*shape \(3,\)"):
        split(made(OWN), "clean", groups=np.arange(3))
    with pytest.raises(InputError, match="leave groups out"):
        split(made(OWN), "leaky-80-10-10", groups=np.arange(16))

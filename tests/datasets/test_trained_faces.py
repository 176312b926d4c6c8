"""Whose training faces are the same."""

from dataclasses import replace

import pytest

from facetell.contract import Contract
from facetell.datasets.fingerprint import fingerprint
from facetell.datasets.splits import split
from facetell.datasets.trained_faces import describe_training, same_training, trained_by
from judging import small_dataset


def trained(dataset, protocol="official", **values):
    parts = split(dataset, protocol)
    settings = {"trained_on": parts.trained_on, "data": fingerprint(dataset)}
    return Contract(name="x", protocol=protocol, **{**settings, **values})


def swapped(dataset):
    """The same faces and as many of each label on each side, but others."""
    samples = list(dataset.samples)
    on = {
        side: next(i for i, s in enumerate(samples) if (s.label, s.side) == (0, side))
        for side in ("train", "validation")
    }
    for side, i in zip(("validation", "train"), on.values(), strict=True):
        samples[i] = replace(samples[i], side=side)
    return replace(dataset, samples=tuple(samples))


def test_equal_counts_of_other_faces_are_not_the_same():
    dataset = small_dataset(280)
    other = swapped(dataset)
    ours, theirs = trained(dataset), trained(other)
    assert ours.learned_from() == theirs.learned_from()

    assert same_training(ours, trained(dataset))
    assert not same_training(ours, theirs)
    assert trained_by(ours, split(dataset))
    assert trained_by(ours, split(dataset, "clean"))
    assert not trained_by(ours, split(other))
    assert not trained_by(ours, split(dataset, "random-80-10-10"))


def test_what_has_no_digest_is_known_by_its_data_on_their_own_sides():
    dataset = small_dataset(280)
    ours, before = trained(dataset), trained(dataset, trained_on="")
    assert same_training(ours, before)
    assert not same_training(ours, trained(swapped(dataset), trained_on=""))
    drawn = trained(dataset, "random-80-10-10", trained_on="")
    assert not same_training(drawn, drawn)
    assert not trained_by(drawn, split(dataset, "random-80-10-10"))


@pytest.mark.parametrize(
    ("name", "sides"),
    [("fer2013", (28709, 3589)), ("ferplus8", (25060, 3199)), ("ferplus", (24941, 3186))],
)
def test_fer2013_in_another_form_is_the_same(name, sides):
    """Its ids differ between forms, its counts do not."""
    data = {"name": name, "sides": dict(zip(("train", "validation"), sides, strict=True))}
    data["classes"] = {"train": {"happy": sides[0]}, "validation": {"happy": sides[1]}}
    csv, parquet = (
        Contract(name="x", protocol="official", data=data, trained_on=form) for form in ("a", "b")
    )
    assert same_training(csv, parquet)
    assert not same_training(csv, replace(parquet, protocol="random-80-10-10"))
    fewer = data | {"sides": {"train": sides[0] - 1, "validation": sides[1] + 1}}
    assert not same_training(replace(csv, data=fewer), replace(parquet, data=fewer))


def test_words_tell_two_trainings_of_one_size_apart():
    words = {describe_training(trained(d)) for d in (small_dataset(), swapped(small_dataset()))}
    assert len(words) == 2
    assert "which is not told" in describe_training(trained(small_dataset(), trained_on=""))

import doctest
from dataclasses import replace

import numpy as np
import pytest

from facetell.datasets.splits import split
from facetell.errors import InputError
from facetell.evaluate import slices as module
from facetell.evaluate.evaluation import Evaluation
from facetell.evaluate.judged import judge
from facetell.evaluate.slices import Slices, slices_of
from facetell.evaluate.table import as_groups_table
from facetell.report.sliced import groups_section
from judging import FakePredictor, small_dataset


@pytest.fixture(autouse=True)
def _fewer_permutations(monkeypatch):
    monkeypatch.setattr(module, "PERMUTATIONS", 300)


@pytest.fixture(scope="module")
def judged():
    dataset = small_dataset(1400)
    return judge(FakePredictor(), dataset, split(dataset, "official"))


@pytest.fixture(scope="module")
def worse_for_b(judged):
    """Answers, and groups a and b; half of what is right in b is made wrong."""
    own = np.array(["a", "b"])[np.arange(len(judged.dataset)) // 4 % 2]
    rows = np.flatnonzero(own[judged.indices] == "b")[::2]
    predicted = judged.predicted.copy()
    predicted[rows] = (judged.labels[rows] + 1) % 7
    return replace(judged, predicted=predicted), own.tolist()


def test_a_group_has_the_numbers_of_an_evaluation_of_its_faces_alone(judged):
    values = ["x" if i % 3 else "y" for i in range(len(judged.dataset))]

    found = slices_of(judged, values, "third")

    for i, group in enumerate(found.groups):
        rows = np.flatnonzero(np.array(values)[judged.indices] == group.name)
        alone = Evaluation.of(judged.of(rows), seed=i)
        assert len(judged.of(rows).margins) == group.n
        assert group.n == alone.n
        assert group.metrics == alone.metrics
        assert group.per_class == alone.per_class


def test_a_group_that_is_read_worse_is_found_and_named(worse_for_b):
    found = slices_of(*worse_for_b, "camera")

    gap = next(gap for gap in found.gaps if gap.metric == "accuracy")
    assert (gap.best, gap.worst) == ("a", "b")
    assert gap.difference.low > 0.1
    assert gap.p_value < 0.01
    assert gap.p_value <= gap.adjusted < 0.05


def test_chance_groups_differ_by_no_more_than_chance(judged):
    p_values = []
    for seed in range(12):
        values = np.random.default_rng(seed).choice(["a", "b", "c"], len(judged.dataset)).tolist()
        found = slices_of(judged, values, "coin", seed=seed)
        p_values.append(next(gap.p_value for gap in found.gaps if gap.metric == "accuracy"))
    assert min(p_values) > 0.005
    assert 0.2 < np.mean(p_values) < 0.8


def test_a_group_with_a_harder_emotion_does_not_differ_for_that_alone(judged):
    """All faces of one emotion are read wrong, and nearly all of them lie in one group."""
    predicted = np.where(judged.labels == 2, 3, judged.labels)
    rng = np.random.default_rng(1)
    hard = judged.dataset.targets == 2
    own = np.where(rng.random(len(hard)) < np.where(hard, 0.9, 0.4), "a", "b").tolist()

    found = slices_of(replace(judged, predicted=predicted), own, "mix")

    gap = next(gap for gap in found.gaps if gap.metric == "accuracy")
    assert gap.difference.value > 0.1
    assert gap.p_value > 0.05


def test_small_groups_are_listed_but_not_tested_and_the_unstated_are_counted(judged):
    values = ["a"] * 700 + ["b"] * 600 + ["tiny"] * 60 + [""] * 40

    found = slices_of(judged, values, "who", fewest=50)

    assert [(group.name, group.tested) for group in found.groups] == [
        ("a", True), ("b", True), ("tiny", False),
    ]  # fmt: skip
    assert found.unstated == 10
    assert not any("tiny" in (gap.best, gap.worst) for gap in found.gaps)
    notes = " ".join(found.notes)
    assert "facetell infers no attribute of any person" in notes
    assert "10 judged faces have no value" in notes
    assert "Fewer than 50 faces, so listed but not tested: tiny (15)" in notes


def test_one_group_is_compared_with_nothing(judged):
    found = slices_of(judged, ["a"] * len(judged.dataset), "one")

    assert found.gaps == ()
    assert "nothing is compared" in " ".join(found.notes)


def test_people_keep_one_name_when_names_are_exchanged(judged):
    """Ten faces each of 35 people: what differs between people is no difference of the groups."""
    people = np.arange(len(judged.dataset)) // 4 % 35
    good = np.random.default_rng(3).random(35) < 0.5
    rows = ~good[people[judged.indices]]
    predicted = np.where(rows, (judged.labels + 1) % 7, judged.labels)
    own = np.where(np.arange(35) % 2, "a", "b")[people].tolist()
    alone = replace(judged, predicted=predicted)
    together = replace(alone, split=replace(judged.split, groups=people))

    p_alone, p_together = (
        next(gap.p_value for gap in slices_of(one, own, "g").gaps if gap.metric == "accuracy")
        for one in (alone, together)
    )

    assert p_together > p_alone
    note = "From fewer than 20 people or groups of near-copies"
    assert not any(note in said for said in slices_of(alone, own, "g").notes)
    assert any(note in said and said.endswith(": a, b.") for said in
               slices_of(together, own, "g").notes)  # fmt: skip


def test_a_lower_calibration_error_is_better(worse_for_b):
    found = slices_of(*worse_for_b, "camera")

    gap = next(gap for gap in found.gaps if gap.metric == "calibration_error")
    by_name = {group.name: group.metrics["calibration_error"].value for group in found.groups}
    assert by_name[gap.best] < by_name[gap.worst]


def test_slices_survive_json(worse_for_b):
    found = slices_of(*worse_for_b, "camera")

    assert Slices.from_dict(found.to_dict()) == found


def test_the_text_names_every_group_emotion_and_gap(worse_for_b):
    found = slices_of(*worse_for_b, "camera")

    text = as_groups_table(found)

    assert text.startswith("by camera\n")
    for group in found.groups:
        assert text.count(f"\n{group.name} ") == 1 + 7
    assert "a against b" in text


def test_other_samples_are_refused(judged):
    with pytest.raises(InputError, match="expected one value for each of the 1400 samples"):
        slices_of(judged, ["a"], "camera")


def test_the_examples_run():
    assert doctest.testmod(module).failed == 0


def test_many_small_groups_are_counted_in_place_of_listed(judged):
    ids = [f"id-{i}" for i in range(len(judged.dataset))]
    rarely = [f"id-{i % 20}" if i % 8 == 7 else "large" for i in range(len(ids))]

    all_small = slices_of(judged, ids, "id")
    mixed = slices_of(judged, ["large"] * 1000 + ids[1000:], "mixed")
    few = slices_of(judged, rarely, "few")

    assert (all_small.shown, all_small.gaps) == ((), ())
    assert len(all_small.groups) == len(judged)
    assert as_groups_table(all_small) == "by id\n\n350 groups of fewer than 50 faces are not listed"
    assert "350 groups have fewer than 50 faces each" in " ".join(all_small.notes)
    assert max(map(len, all_small.notes)) < 200
    assert [group.name for group in mixed.shown] == ["large"]
    assert "\n100 groups of fewer than 50 faces are not listed\n" in as_groups_table(mixed)
    assert "id-" not in as_groups_table(mixed) + " ".join(mixed.notes)
    assert few.shown == few.groups
    assert 1 < len(few.groups) <= 21
    assert "not listed" not in as_groups_table(few)
    assert groups_section(all_small).startswith("<section")
    assert "id-" not in groups_section(mixed)


def test_many_small_groups_of_people_are_not_named_either(judged):
    together = replace(judged, split=replace(judged.split, groups=np.arange(1400) // 100))
    found = slices_of(together, [f"id-{i}" for i in range(len(judged.dataset))], "id")

    assert "id-" not in " ".join(found.notes)

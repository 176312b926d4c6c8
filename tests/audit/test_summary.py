"""The numbers of an audit, on images with known faults."""

from __future__ import annotations

import json

import numpy as np
import pytest

from copied import SIZE, copied_dataset, crop, dataset_of, scenes
from facetell.audit.findings import inspect
from facetell.audit.summary import Audit
from facetell.audit.table import as_table
from facetell.evaluate.metrics import wilson_interval
from facetell.labels import EMOTIONS


@pytest.fixture(scope="module")
def audit():
    return Audit.of(inspect(copied_dataset()))


def faces_of(count, seed=3):
    return [crop(scene, 12, 12) for scene in scenes(count, seed)]


def test_each_image_counts_under_its_closest_copy(audit):
    rows = {row.kind: row._asdict() for row in audit.copies}

    for kind, pairs in {"exact": 2, "near": 3, "mirrored": 1}.items():
        expected = {"pairs": pairs, "pairs_across": pairs, "images": 2 * pairs, "redundant": pairs}
        assert rows[kind] == {"kind": kind, **expected}
    assert (audit.groups, audit.grouped, audit.redundant, audit.largest) == (6, 12, 6, 2)
    assert (audit.groups_across, audit.groups_across_conflicting) == (6, 2)


def test_kinds_add_up_when_a_group_has_several():
    face = faces_of(1)[0]
    noisy = np.clip(face + np.random.default_rng(0).normal(0, 5, face.shape), 0, 255)
    rows = [(image, "train", "sad") for image in (face, face, noisy.astype(np.uint8))]

    audit = Audit.of(inspect(dataset_of(rows)))

    assert [row.images for row in audit.copies] == [2, 1, 0]
    assert [row.redundant for row in audit.copies] == [1, 1, 0]
    assert [row.pairs_across for row in audit.copies] == [0, 0, 0]
    assert (audit.grouped, audit.redundant) == (3, 2)
    assert audit.leaks == ()


def test_copies_between_sides_are_counted_on_the_later_one(audit):
    (leak,) = audit.leaks

    assert (leak.side, leak.within, leak.n) == ("validation", "train", 8)
    assert (leak.exact, leak.near, leak.mirrored, leak.total) == (2, 3, 1, 6)
    assert leak.same_label == 4


def test_three_sides_have_three_leaks():
    faces = faces_of(4)
    rows = [(face, "train", "sad") for face in faces[:3]]
    rows += [(faces[0], "validation", "sad"), (faces[3], "validation", "sad")]
    rows += [(faces[i], "test", "sad") for i in (0, 1, 3)]

    leaks = Audit.of(inspect(dataset_of(rows), canary=False)).leaks

    assert {(leak.side, leak.within): leak.total for leak in leaks} == {
        ("validation", "train"): 1,
        ("test", "train"): 2,
        ("test", "validation"): 2,
    }


def test_conflicting_labels_are_counted_by_pair_and_kind(audit):
    assert (audit.groups_conflicting, audit.images_conflicting) == (2, 4)
    assert {(c.first, c.second): c.pairs for c in audit.conflicts} == {
        ("disgust", "happy"): 1,
        ("happy", "neutral"): 1,
    }
    assert {a.kind: (a.pairs, a.same) for a in audit.agreement} == {
        "exact": (2, 1),
        "near": (4, 3),
    }


def test_all_pairs_of_a_group_count_for_agreement():
    face = faces_of(1)[0]
    rows = [(face, "train", label) for label in ("sad", "sad", "fear", "happy")]

    audit = Audit.of(inspect(dataset_of(rows)))

    assert audit.agreement[0][1:] == (6, 1)
    assert audit.agreement[1][1:] == (0, 0)
    assert [tuple(row) for row in audit.conflicts] == [
        ("fear", "sad", 2),
        ("happy", "sad", 2),
        ("fear", "happy", 1),
    ]


def test_blank_images_are_named(audit):
    assert audit.blank == (f"face/{SIZE + 8}", f"face/{SIZE + 9}")
    assert audit.no_face_votes is None
    assert audit.no_face_detector is None


def test_subjects_on_two_sides_are_a_leak():
    faces = faces_of(5)
    rows = [
        (faces[0], "train", "sad", "ann"),
        (faces[1], "test", "happy", "ann"),
        (faces[2], "train", "sad", "bob"),
        (faces[2], "train", "sad", "cid"),  # the same photograph, said to show two people
        (faces[3], "test", "sad", "dan"),
        (faces[4], None, "sad", "dan"),
    ]

    audit = Audit.of(inspect(dataset_of(rows), canary=False))

    assert audit.subjects == 4
    assert [tuple(row) for row in audit.shared_subjects] == [("ann", {"train": 1, "test": 1})]
    assert audit.groups_across_subjects == 1
    assert any("subjects on more than one side: 1." in flag for flag in audit.flags)


def test_without_subjects_none_are_counted(audit):
    assert audit.subjects is None
    assert audit.shared_subjects == ()
    assert audit.groups_across_subjects == 0


def lookup_of(audit):
    return {row.faces: row for row in audit.lookups}


def test_the_canary_is_always_right_on_copies_and_at_chance_without():
    faces = faces_of(140)
    labels = [EMOTIONS[i % 7] for i in np.random.default_rng(5).permutation(140)]
    train = [(face, "train", label) for face, label in zip(faces[:70], labels, strict=False)]
    copies = [(row[0][:, ::-1], "test", row[2]) for row in train]
    others = [(f, "test", label) for f, label in zip(faces[70:], labels[70:], strict=True)]

    leaky = Audit.of(inspect(dataset_of(train + copies)))
    fair = Audit.of(inspect(dataset_of(train + others)))

    assert lookup_of(leaky)["all"].accuracy.value == 1.0
    assert lookup_of(leaky)["without a copy in train"].accuracy is None
    assert lookup_of(leaky)["with a copy in train"].n == 70
    everything = lookup_of(fair)["all"]
    assert everything.accuracy.value < 0.3  # 1 / 7 by chance
    assert lookup_of(fair)["with a copy in train"].n == 0
    assert fair.flags == ()
    assert len(leaky.flags) == 2
    assert "images of test with a copy in train: 70 of 70 (100.0 %)" in leaky.flags[0]
    assert "right on 100.0 % of test" in leaky.flags[1]


def test_the_canary_is_taken_apart_by_copies(audit):
    rows = lookup_of(audit)

    assert [rows[k].n for k in rows] == [8, 6, 2]
    hits = round(rows["all"].accuracy.value * 8)
    parts = ("with a copy in train", "without a copy in train")
    assert hits == sum(round(rows[k].accuracy.value * rows[k].n) for k in parts)
    low, high = wilson_interval(hits, 8)
    assert rows["all"].accuracy[1:] == (pytest.approx(low), pytest.approx(high))


def test_json_and_back_is_the_same(audit):
    again = Audit.from_dict(json.loads(json.dumps(audit.to_dict(), allow_nan=False)))

    assert again == audit


def test_json_and_back_holds_for_subjects_and_votes():
    rows = [
        (face, side, "sad", "ann", (0,) * 9 + (10,))
        for face, side in zip(faces_of(2), ("train", "test"), strict=True)
    ]
    audit = Audit.of(inspect(dataset_of(rows)))

    assert audit.no_face_votes == ("face/0", "face/1")
    assert Audit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit


def test_the_table_holds_every_number(audit):
    lines = as_table(audit).splitlines()

    assert lines[0] == "copied: 34 images from the tests (train 26, validation 8)"
    assert "near                3             3        6          3" in lines
    row = "validation in train             2       3         1       6           4  (75.0 %)"
    assert row in lines
    assert "conflicting labels: 2 groups, 4 images (2 groups across sides)" in lines
    assert f"blank images: 2 (face/{SIZE + 8}, face/{SIZE + 9})" in lines
    assert lines[-1].startswith("FLAG: images of validation with a copy in train: 6 of 8")


def test_the_table_of_data_without_sides_has_no_leaks():
    table = as_table(Audit.of(inspect(dataset_of([(faces_of(1)[0], None, "sad")]))))

    assert "(none 1)" in table
    assert "with a copy" not in table
    assert "FLAG" not in table

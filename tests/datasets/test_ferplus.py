"""FER+: the rules that make labels of votes, and the join by rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_forms import FORMS, made_faces
from posed_forms import POSED_FORMS, ferplus_rows, votes_of

from facetell.datasets import open_dataset
from facetell.datasets.ferplus import VOTES_FILE, majority_labels, soft_labels
from facetell.errors import DataError, InputError
from facetell.labels import EMOTIONS, FERPLUS

NEUTRAL, HAPPY, SURPRISE, SAD, ANGRY = range(5)
CONTEMPT, UNKNOWN, NO_FACE = 7, 8, 9


def votes(**counts: int) -> list[int]:
    names = [name.replace(" ", "_") for name in FERPLUS]
    return [counts.pop(name, 0) for name in names]


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        (votes(), UNKNOWN),
        (votes(happy=10), HAPPY),
        (votes(happy=6, neutral=4), HAPPY),
        (votes(happy=5, neutral=5), UNKNOWN),
        (votes(happy=5, neutral=3, sad=2), UNKNOWN),  # exactly half is no majority
        (votes(happy=5, neutral=3, sad=1, fear=1), HAPPY),  # single votes do not count
        (votes(happy=1, neutral=1, sad=1, fear=1), UNKNOWN),
        (votes(not_a_face=8, unknown=2), NO_FACE),
        (votes(unknown=7, sad=3), UNKNOWN),
        (votes(contempt=6, neutral=4), CONTEMPT),
    ],
)
def test_a_majority_is_more_than_half_of_the_votes_that_count(
    counts: list[int], label: int
) -> None:
    assert majority_labels([counts]).tolist() == [label]


def test_majority_labels_are_given_in_the_order_asked_for() -> None:
    rows = [votes(happy=10), votes(contempt=10), votes(not_a_face=10), votes(angry=9, sad=1)]
    assert majority_labels(rows, names=EMOTIONS).tolist() == [3, -1, -1, 0]
    assert majority_labels(rows, names=FERPLUS[:8]).tolist() == [HAPPY, CONTEMPT, -1, ANGRY]
    assert majority_labels(rows, names=["anger", "joy"]).tolist() == [1, -1, -1, 0]
    assert majority_labels(np.zeros((0, 10), int)).shape == (0,)


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        (votes(), {}),
        (votes(happy=10), {HAPPY: 1.0}),
        (votes(happy=8, neutral=2), {HAPPY: 1.0}),  # three quarters are enough
        (votes(happy=6, neutral=4), {HAPPY: 0.6, NEUTRAL: 0.4}),
        (votes(happy=4, neutral=3, sad=3), {HAPPY: 0.4, NEUTRAL: 0.3, SAD: 0.3}),
        (votes(happy=4, neutral=2, sad=2, angry=2), {}),  # more than three
        (votes(unknown=6, happy=4), {}),
        (votes(happy=6, unknown=4), {HAPPY: 1.0}),
        (votes(happy=5, unknown=5), {}),  # half of the votes is not enough
        (votes(happy=4, sad=3, unknown=3), {HAPPY: 4 / 7, SAD: 3 / 7}),
        (votes(happy=9, sad=1), {HAPPY: 1.0}),
    ],
)
def test_soft_labels_are_shares_of_the_leading_votes(
    counts: list[int], kept: dict[int, float]
) -> None:
    expected = np.zeros((1, 8), np.float32)
    for label, share in kept.items():
        expected[0, label] = share
    np.testing.assert_allclose(soft_labels([counts]), expected, rtol=1e-6)


def test_soft_labels_without_contempt_still_sum_to_one() -> None:
    rows = [votes(contempt=4, happy=6), votes(contempt=10), votes(sad=10)]
    soft = soft_labels(rows, names=EMOTIONS)
    assert soft.dtype == np.float32
    assert soft.sum(axis=1).tolist() == [1, 0, 1]
    assert soft.argmax(axis=1)[[0, 2]].tolist() == [3, 4]


def test_votes_of_another_shape_are_an_error() -> None:
    with pytest.raises(
        InputError, match=r"shape \(N, 10\) in the order neutral, .* got shape \(8,"
    ):
        majority_labels([0] * 8)


def test_votes_are_joined_by_row_and_not_by_image_name(tmp_path: Path) -> None:
    alone = open_dataset(FORMS["fer2013.csv"](tmp_path))
    joined = open_dataset(POSED_FORMS["fer+ beside fer2013"](tmp_path))
    assert joined.name == "fer2013"
    assert "MIT" in joined.licence
    assert [sample.votes for sample in joined.samples] == [
        tuple(votes_of(face)) for face in made_faces()
    ]
    assert np.array_equal(joined.targets, alone.targets)
    assert [s.id for s in joined.samples] == [s.id for s in alone.samples]
    assert open_dataset(tmp_path / "fer2013.csv").samples == joined.samples


def test_fer2013_with_votes_keeps_every_face(tmp_path: Path) -> None:
    _write(tmp_path, votes(not_a_face=10), votes(), votes(contempt=10))
    dataset = open_dataset(tmp_path)
    assert len(dataset) == len(made_faces())
    assert dataset.notes == ()
    assert dataset.samples[1].votes == ()


def test_majority_labels_leave_out_and_count_what_has_none(tmp_path: Path) -> None:
    _write(
        tmp_path,
        votes(not_a_face=10), votes(), votes(contempt=10), votes(not_a_face=9, sad=1),
        votes(sad=5, happy=5), votes(sad=10),
    )  # fmt: skip
    dataset = open_dataset(f"ferplus:{tmp_path}")
    assert dataset.name == "ferplus"
    assert dataset.source == f"ferplus:{tmp_path / 'fer2013.csv'}"
    assert open_dataset(dataset.source).samples == dataset.samples
    assert [sample.id for sample in dataset.samples] == [f"row{n}" for n in range(5, 56)]
    assert dataset.targets[:2].tolist() == [EMOTIONS.index("sad"), made_faces()[6].label]
    assert np.array_equal(dataset.read(0)[..., 0], made_faces()[5].pixels)
    assert dataset.notes == (
        "2 faces are no face by their FER+ votes and were left out",
        "1 faces have no majority by their FER+ votes and were left out",
        "1 faces show contempt by their FER+ votes and were left out",
        "1 faces have no FER+ votes and were left out",
    )


def test_eight_labels_keep_contempt(tmp_path: Path) -> None:
    _write(tmp_path, votes(contempt=10), votes(sad=10))
    dataset = open_dataset(f"ferplus8:{tmp_path}")
    assert (dataset.name, dataset.labels) == ("ferplus8", (*EMOTIONS, "contempt"))
    assert dataset.targets[:2].tolist() == [7, EMOTIONS.index("sad")]
    assert dataset.notes == ()
    assert open_dataset(dataset.source).samples == dataset.samples


def test_majority_labels_of_a_parquet_file(tmp_path: Path) -> None:
    dataset = open_dataset(f"ferplus:{FORMS['usage parquet'](tmp_path)}")
    assert set(dataset.targets.tolist()) == {EMOTIONS.index("neutral")}


def test_majority_labels_need_votes(tmp_path: Path) -> None:
    path = FORMS["fer2013.csv"](tmp_path)
    with pytest.raises(DataError, match=r"expected FER\+ votes .* none\. Put fer2013new\.csv"):
        open_dataset(f"ferplus:{path}")


def test_an_absent_path_after_ferplus_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a dataset at .*fer2013, found nothing there"):
        open_dataset(f"ferplus:{tmp_path / 'fer2013'}")


@pytest.mark.parametrize("shift", [4, 20])
def test_votes_of_other_rows_are_an_error(shift: int, tmp_path: Path) -> None:
    shifted = np.roll([votes_of(face) for face in made_faces()], shift, axis=0)
    _write(tmp_path, *shifted.tolist())
    with pytest.raises(DataError, match=r"row n of fer2013new\.csv .* rows were moved, added or"):
        open_dataset(tmp_path)


def test_a_row_too_few_is_an_error(tmp_path: Path) -> None:
    POSED_FORMS["fer+ beside fer2013"](tmp_path)
    lines = (tmp_path / VOTES_FILE).read_text().splitlines()
    (tmp_path / VOTES_FILE).write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match="found 55 rows of votes for 56 faces"):
        open_dataset(tmp_path)


def test_votes_that_slip_late_in_the_file_are_an_error(tmp_path: Path) -> None:
    """Most rows agree, so that the mean over the whole file would look well."""
    labels = np.random.default_rng(0).integers(0, 7, 3000)
    rows = [f"{label},1 2 3 4,Training" for label in labels]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    kinds = [FERPLUS.index(EMOTIONS[label]) for label in labels]
    counts = np.eye(10, dtype=int)[kinds] * 10
    counts[2000:] = np.roll(counts[2000:], 1, axis=0)
    header = f"Usage,Image name,{','.join(FERPLUS[:9])},NF"
    text = [f"Training,,{','.join(map(str, row))}" for row in counts.tolist()]
    (tmp_path / VOTES_FILE).write_text("\n".join([header, *text]))
    with pytest.raises(DataError, match=r"agree on \d+ % of some rows where 63 % are usual"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected the columns .* found nothing"),
        ("Usage,Image name,neutral\nTraining,a,1\n", r"found usage, image name, neutral\. Fetch"),
        (f"Usage,Image name,{','.join(FERPLUS[:9])},NF\nTraining,a,x\n", r"ten counts .* 'Trai"),
    ],
)
def test_a_votes_file_of_another_form_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    FORMS["fer2013.csv"](tmp_path)
    (tmp_path / VOTES_FILE).write_text(text)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path)


def test_folders_join_by_name_and_count_what_has_no_image_of_its_own(tmp_path: Path) -> None:
    POSED_FORMS["fer+ folders"](tmp_path)
    whole = open_dataset(tmp_path)
    assert {sample.side for sample in whole.samples} == {"train", "validation", "test"}
    written = {(f.side, f.label, f.pixels.tobytes()) for f in made_faces()}
    read = zip(whole.samples, whole.faces(), strict=True)
    assert {(str(s.side), s.label, face.tobytes()) for s, face in read} == written
    train = tmp_path / "data" / "FER2013Train"
    lines = (train / "label.csv").read_text().splitlines()
    lines += [lines[0], ',"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0', lines[1].replace("fer", "gone")]
    (train / "label.csv").write_text("\n".join(lines))
    dataset = open_dataset(tmp_path)
    assert len(dataset) == len(whole) - 1
    assert [note.partition(":")[0] for note in dataset.notes] == [
        "2 rows have no image and were skipped",
        "2 rows share the name of another one and were skipped",
    ]
    assert open_dataset(f"ferplus:{tmp_path}").samples == dataset.samples


def _write(folder: Path, *first: list[int]) -> None:
    """FER2013 and votes whose first rows are those given, the others' fitting their faces."""
    FORMS["fer2013.csv"](folder)
    faces = made_faces()
    rows = [*first, *(votes_of(face) for face in faces[len(first) :])]
    (folder / VOTES_FILE).write_text(ferplus_rows(faces, rows), newline="")

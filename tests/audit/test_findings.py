"""What an audit looks at, on images with known faults."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from copied import SIZE, copied_dataset, crop, dataset_of, scenes
from facetell.audit import findings
from facetell.audit.findings import KINDS, inspect, make_face_finder, voted_no_face
from facetell.errors import DataError, MissingExtra

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOT_A_FACE, HAPPY = (0,) * 9 + (10,), (0, 10) + (0,) * 8


@pytest.fixture(scope="module")
def found():
    return inspect(copied_dataset())


def test_every_copy_is_found_in_its_kind(found):
    kinds = [KINDS[kind] for kind in found.kinds]

    assert found.copies.pairs.tolist() == [[i, SIZE + i] for i in range(6)]
    assert kinds == ["exact", "exact", "near", "near", "near", "mirrored"]


def test_groups_of_a_kind_hold_closer_kinds_too(found):
    sizes = {kind: int((np.bincount(found.groups(kind)) > 1).sum()) for kind in KINDS}

    assert sizes == {"exact": 2, "near": 5, "mirrored": 6}
    assert np.array_equal(found.groups("mirrored"), found.copies.groups)


def test_a_quick_look_finds_copies_of_the_same_crop_only():
    found = inspect(copied_dataset(), quick=True, canary=False)

    assert found.copies.pairs[:, 0].tolist() == [0, 1, 4, 5]
    assert [KINDS[kind] for kind in found.kinds] == ["exact", "exact", "near", "mirrored"]


def test_blank_images_are_found(found):
    assert np.flatnonzero(found.blank).tolist() == [len(found.faces) - 2, len(found.faces) - 1]


def test_the_nearest_training_face_labels_the_judged_side(found):
    labels = [found.dataset.labels[answer] for answer in found.lookups["validation"]]

    assert list(found.lookups) == ["validation"]
    # Exact, recompressed and mirrored copies are nearest to the face that they were made of.
    assert [labels[i] for i in (0, 1, 4, 5)] == ["angry", "disgust", "sad", "surprise"]


def test_there_is_no_lookup_where_it_was_not_asked_or_has_nothing_to_judge():
    faces = [(crop(scene, 0, 0), None, "happy") for scene in scenes(3)]

    assert inspect(copied_dataset(), canary=False).lookups == {}
    assert inspect(dataset_of(faces)).lookups == {}


def test_more_than_half_of_the_votes_make_an_image_no_face():
    face = crop(scenes(1)[0], 0, 0)
    half = (0, 5) + (0,) * 7 + (5,)
    rows = [(face, "train", "happy", None, cast) for cast in (NOT_A_FACE, HAPPY, half, ())]

    assert voted_no_face(dataset_of(rows)).tolist() == [True, False, False, False]
    assert voted_no_face(copied_dataset()) is None


class Never:
    """A detector that counts what it was shown and sees a face in bright images only."""

    def __init__(self):
        self.shown = []

    def detect(self, image):
        self.shown.append(image)
        return (object(),) if image.mean() > 150 else ()


def test_the_detector_is_shown_every_image_enlarged_on_its_own_mean():
    faces = [np.full((48, 48), value, np.uint8) for value in (100, 200)]
    detector = Never()
    rows = [(face, "train", "happy") for face in faces]

    found = inspect(dataset_of(rows), detector=detector, canary=False)

    assert found.no_face_detector.tolist() == [True, False]
    assert [image.shape for image in detector.shown] == [(192, 192, 3)] * 2
    assert [np.unique(image).tolist() for image in detector.shown] == [[100], [200]]
    assert inspect(dataset_of(rows), canary=False).no_face_detector is None


def test_the_packaged_detector_sees_a_portrait_and_nothing_in_stripes():
    photo = Image.open(EXAMPLES / "four_portraits.jpg").convert("L")
    portrait = np.asarray(photo.crop((0, 0, photo.height, photo.height)).resize((48, 48)))
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 6), (48, 4))
    rows = [(portrait, "train", "happy"), (stripes, "train", "happy")]

    found = inspect(dataset_of(rows), detector=make_face_finder(1), canary=False)

    assert found.no_face_detector.tolist() == [False, True]


def test_no_image_is_an_error():
    nothing = copied_dataset(samples=(), stack=np.zeros((0, 48, 48), np.uint8))

    with pytest.raises(DataError, match="expected images to look at, got none from the tests"):
        inspect(nothing)


def test_the_missing_extra_is_told_before_the_search(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setattr(findings, "cached_near_copies", lambda *_: pytest.fail("searched first"))

    with pytest.raises(MissingExtra, match=r"--no-canary leaves it out.*facetell\[evaluate\]"):
        inspect(copied_dataset())


def test_every_phase_of_progress_ends_with_all_done():
    shares: dict[str, float] = {}

    inspect(copied_dataset(), detector=Never(), progress=shares.__setitem__)

    assert set(shares.values()) == {1.0}
    assert {"comparing faces", "looking for faces", "describing training faces"} < set(shares)

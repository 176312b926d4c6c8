"""The real faces, where they are."""

from __future__ import annotations

import os

import numpy as np
import pytest

from facetell.datasets import open_dataset
from facetell.datasets.duplicates import near_copies
from facetell.datasets.ferplus import majority_labels
from facetell.datasets.fingerprint import fingerprint
from facetell.labels import EMOTIONS, FERPLUS

FOLDER = os.environ.get("FACETELL_FER2013", "")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER, reason="FACETELL_FER2013 names no folder of FER2013 faces"),
]


def test_the_faces_are_those_published() -> None:
    dataset = open_dataset(FOLDER)
    found = fingerprint(dataset)
    assert dataset.name == "fer2013"
    assert found["fer2013_counts"] is True
    assert found["histogram_equalised"] is False
    assert found["size_px"] == [48, 48]
    # FER+ votes go with their rows: its favourite is the label of 62.6 % of FER2013.
    names = {0: 6, 1: 3, 2: 5, 3: 4, 4: 0, 5: 1, 6: 2}
    voted = [(s.label, names.get(int(np.argmax(s.votes)))) for s in dataset.samples if s.votes]
    assert np.mean([label == vote for label, vote in voted]) == pytest.approx(0.626, abs=0.01)


def test_exact_copies_cross_the_official_sides() -> None:
    """280 PublicTest images are byte for byte in Training; a sample keeps the test short."""
    dataset = open_dataset(FOLDER)
    faces = dataset.faces()
    train = np.array([s.side == "train" for s in dataset.samples])
    seen = {face.tobytes() for face in faces[train]}
    shared = np.array([face.tobytes() in seen for face in faces])
    assert (shared & ~train).sum() == 280
    chosen = np.flatnonzero(shared)[-500:]
    assert len(np.unique(near_copies(faces[chosen]).groups)) < len(chosen)


def test_the_majority_of_the_votes_keeps_as_many_faces_as_published() -> None:
    voted = [sample for sample in open_dataset(FOLDER).samples if sample.votes]
    for side, kept, seven in (("train", 25060, 24941), ("validation", 3199, 3186)):
        votes = [sample.votes for sample in voted if sample.side == side]
        assert (majority_labels(votes) < FERPLUS.index("unknown")).sum() == kept
        assert (majority_labels(votes, names=EMOTIONS) >= 0).sum() == seven

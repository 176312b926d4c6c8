"""The contract, results and errors that every part shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetell.contract import Contract
from facetell.errors import (
    ContractError,
    FacetellError,
    ImageError,
    InputError,
    MissingExtra,
    require,
)
from facetell.labels import ALIASES, EMOTIONS, FERPLUS, PAPER_ORDER, canonical, label_order
from facetell.results import Face, Reading

numbers = st.floats(0, 1, allow_nan=False)
points = st.tuples(numbers, numbers)


@given(
    face_px=st.integers(8, 1024), scale=st.floats(0.01, 100), margin=st.floats(-0.4, 2),
    name=st.text(max_size=20), data=st.dictionaries(st.text(), st.integers()),
)  # fmt: skip
def test_a_contract_survives_its_way_through_metadata(face_px, scale, margin, name, data):
    contract = Contract(
        name=name, face_px=face_px, score_scale=scale, crop_margin=margin, data=data
    )

    assert Contract.from_json(contract.to_json()) == contract


@pytest.mark.parametrize(
    "field",
    [
        {"face_px": 4}, {"channels": 2}, {"labels": ("happy",)}, {"labels": ("sad", "sad")},
        {"mean": (0.5, 0.5)}, {"std": (0.0,)}, {"score_scale": 0.0}, {"memory": -1},
        {"crop_margin": -0.6},
    ],
)  # fmt: skip
def test_an_impossible_contract_is_refused(field):
    with pytest.raises(ContractError, match=next(iter(field))):
        Contract(name="x", **field)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "version 2, got None"),
        ('{"version": 99}', "version 2, got 99"),
        ('{"version": 2, "name": "x", "colour": "bgr"}', r"unknown contract fields \['colour'\]"),
    ],
)
def test_a_contract_of_another_kind_is_refused(text, message):
    with pytest.raises(ContractError, match=message):
        Contract.from_json(text)


@given(
    box=st.tuples(numbers, numbers, numbers, numbers),
    scores=st.lists(numbers, min_size=7, max_size=7),
    landmarks=st.lists(points, max_size=5),
    error=st.none() | st.text(),
)
def test_a_reading_comes_back_from_its_dictionary(box, scores, landmarks, error):
    values = dict(zip(EMOTIONS, scores, strict=True))
    face = Face(
        box_xyxy=box, label="happy", scores=values, margins=values, margin=0.5,
        landmarks_xy=tuple(landmarks),
    )  # fmt: skip
    reading = Reading(source="a.jpg", size_wh=(3, 4), faces=(face,), model="m", error=error)

    assert Reading.from_dict(reading.to_dict()) == reading


def test_names_of_emotions_are_understood_and_others_are_not():
    for emotion, others in ALIASES.items():
        assert {canonical(name.upper()) for name in (emotion, *others)} == {emotion}
    assert canonical("contempt") is None
    assert sorted(PAPER_ORDER) == list(PAPER_ORDER)
    assert set(EMOTIONS) == set(PAPER_ORDER) <= set(FERPLUS)
    assert label_order(PAPER_ORDER) == (0, 1, 2, 3, 6, 4, 5)


def test_errors_are_what_a_caller_would_catch_and_carry_facts():
    error = ImageError("broken", path="a.jpg")

    assert isinstance(error, InputError)
    assert isinstance(error, FacetellError)
    assert isinstance(error, ValueError)
    assert error.path == "a.jpg"
    with pytest.raises(AttributeError):
        _ = error.nothing


def test_a_missing_extra_says_what_to_install():
    with pytest.raises(MissingExtra, match=r"flying needs wings.*pip install 'facetell\[air\]'"):
        require("wings.feathers", extra="air", purpose="flying")

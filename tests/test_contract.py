"""The contract, results and errors that every part shares."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetell.contract import METADATA_KEY, Certainty, Contract, replace_contract
from facetell.errors import (
    ContractError,
    FacetellError,
    ImageError,
    InputError,
    MissingExtra,
    require,
)
from facetell.labels import ALIASES, EMOTIONS, FERPLUS, PAPER_ORDER, canonical, label_order
from facetell.predictor import calibrated, softmax
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


def certainty(**changes):
    values = {
        "data": "two faces", "faces": 2, "levels": (0.8, 0.9),
        "least_scores": ((0.2,) * 7, (0.1,) * 7),
        "shares": (0.5, 1.0), "sure_scores": (0.6, 0.0), "accuracies": (0.9, 0.7),
    }  # fmt: skip
    return Certainty(**{**values, **changes})


def test_a_calibrated_contract_survives_its_way_through_metadata():
    contract = Contract(
        name="x", score_factors=(1.0,) * 6 + (2.0,), score_bend=0.5, certainty=certainty()
    )

    assert Contract.from_json(contract.to_json()) == contract


def test_a_contract_from_before_calibration_means_what_it_did():
    values = json.loads(Contract(name="x", score_scale=3.0).to_json())
    for name in ("score_factors", "score_bend", "certainty"):
        del values[name]

    old = Contract.from_json(json.dumps(values))
    assert old == Contract(name="x", score_scale=3.0)
    margins = np.random.default_rng(0).normal(size=(5, 7))
    assert (calibrated(margins, old) == softmax(margins, 3.0)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"levels": (0.9, 0.8)}, {"levels": (0.8,)}, {"levels": (), "least_scores": ()},
        {"levels": (0.8, 1.0)}, {"least_scores": ((0.2,) * 7, (0.1,) * 6)},
        {"least_scores": ((0.2,) * 7, (-0.1,) * 7)}, {"shares": (0.5, 0.5)}, {"accuracies": ()},
    ],
)  # fmt: skip
def test_an_impossible_certainty_is_refused(change):
    with pytest.raises(ContractError, match="'certainty' has the impossible value"):
        Contract(name="x", certainty=certainty(**change))


@pytest.mark.parametrize(
    "change",
    [{"score_factors": (1.0,)}, {"score_factors": (0.0,) * 7}, {"score_bend": -0.1}],
)
def test_an_impossible_calibration_is_refused(change):
    with pytest.raises(ContractError, match=next(iter(change))):
        Contract(name="x", **change)


@pytest.mark.parametrize("broken", ["no", {"levels": [0.9]}, {"colour": "blue"}])
def test_a_certainty_that_cannot_be_read_says_what_to_do(broken):
    text = json.dumps({"version": 2, "name": "x", "certainty": broken})
    with pytest.raises(ContractError, match=r"'certainty' cannot be read.*facetell calibrate"):
        Contract.from_json(text)


@pytest.mark.parametrize(
    "values", [{}, {"name": "x", "face_px": "48"}, {"name": "x", "labels": None},
               {"name": "x", "score_scale": None}],
)  # fmt: skip
def test_a_damaged_contract_is_named_as_one(values):
    with pytest.raises(ContractError, match=r"cannot be read.*Export the model again"):
        Contract.from_json(json.dumps({"version": 2, **values}))


def test_a_replaced_contract_leaves_the_graph_and_other_metadata_alone(tiny_model_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_model_path)
    entry = model.metadata_props.add()
    entry.key, entry.value = "author", "somebody"
    contract = Contract(name="x" * 300)

    got = onnx.load_from_string(replace_contract(model.SerializeToString(), contract))
    assert {e.key: e.value for e in got.metadata_props} == {
        "author": "somebody", METADATA_KEY: contract.to_json(),
    }  # fmt: skip
    assert len(got.metadata_props) == 2
    assert got.graph == model.graph
    assert (got.ir_version, got.opset_import) == (model.ir_version, model.opset_import)


@pytest.mark.parametrize("data", [b"no model at all", b"\xff" * 12, b"\x72\xff", b"\x0b"])
def test_what_is_no_onnx_file_gets_no_contract(data):
    with pytest.raises(ContractError, match="expected the bytes of an ONNX file"):
        replace_contract(data, Contract(name="x"))


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
    names=st.none() | st.lists(st.sampled_from(EMOTIONS), unique=True).map(tuple),
    sure=st.none() | st.booleans(),
)
def test_a_reading_comes_back_from_its_dictionary(box, scores, landmarks, error, names, sure):
    values = dict(zip(EMOTIONS, scores, strict=True))
    face = Face(
        box_xyxy=box, label="happy", scores=values, margins=values, margin=0.5,
        landmarks_xy=tuple(landmarks), set=names, sure=sure, warnings=("dark",),
    )  # fmt: skip
    reading = Reading(source="a.jpg", size_wh=(3, 4), faces=(face,), model="m", error=error)

    assert Reading.from_dict(reading.to_dict()) == reading


def test_a_face_from_before_sets_is_read_without_them():
    face = Face(box_xyxy=(0, 0, 1, 1), label="sad", scores={}, margins={}, margin=0)
    values = face.to_dict()
    for name in ("set", "sure", "warnings"):
        del values[name]

    assert Face.from_dict(values) == face


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

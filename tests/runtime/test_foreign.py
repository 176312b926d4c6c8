"""Models without a contract, described by their users."""

import numpy as np
import pytest

from facetell.errors import InputError
from facetell.graph import open_graph
from facetell.labels import EMOTIONS
from facetell.runtime.foreign import (
    Description,
    ForeignModel,
    load_any,
    read_description,
    read_interface,
)
from facetell.runtime.session import Model
from foreign_models import FERPLUS_NAMES, KERAS_NAMES, write_foreign

KERAS = Description(labels=KERAS_NAMES, range="-1-1")


def faces(values, side):
    """Grey faces of one brightness each."""
    return np.broadcast_to(
        np.array(values, np.uint8)[:, None, None], (len(values), side, side)
    ).copy()


@pytest.mark.parametrize(
    ("shape", "said", "expected"),
    [
        (["n", 64, 64, 1], {}, ("NHWC", 0, 1, 64)),
        (["n", 3, 224, 224], {}, ("NCHW", 0, 3, 224)),
        ([1, 1, 64, 64], {}, ("NCHW", 1, 1, 64)),
        (["n", 3, "h", "w"], {"size": 48}, ("NCHW", 0, 3, 48)),
        (["n", "c", "h", "w"], {"size": 48, "channels": 1, "layout": "NHWC"}, ("NHWC", 0, 1, 48)),
    ],
    ids=["keras", "imagenet", "ferplus", "any size", "nothing known"],
)
def test_the_graph_tells_how_it_takes_faces(tmp_path, shape, said, expected):
    path = write_foreign(tmp_path / "m.onnx", shape)
    found = read_interface(open_graph(path), Description(**said), path)
    assert found[1:5] == expected
    assert found.shape(5)[0] == 5


@pytest.mark.parametrize(
    ("shape", "said", "message"),
    [
        (["n", 3, "h", "w"], {}, r"expected to know its size.*Give --size 48.*m\.toml"),
        (["n", "c", "h", "w"], {}, r"expected to know its layout.*Give --layout NCHW"),
        (["n", "c", 48, 48], {"layout": "NCHW"}, "expected to know its channels"),
        (["n", 1, 48, 48], {"size": 64}, "expected size 48 as in the graph, got 64"),
        (
            ["n", 1, 48, 64],
            {},
            r"expected square faces, .* 48 px high and 64 px wide\. Only models of",
        ),
        (["n", 4, 48, 48], {"layout": "NCHW"}, "1 or 3 channels.* Correct --layout"),
    ],
)
def test_what_the_graph_leaves_open_is_asked_for(tmp_path, shape, said, message):
    path = write_foreign(tmp_path / "m.onnx", shape)
    with pytest.raises(InputError, match=message):
        read_interface(open_graph(path), Description(**said), path)


def test_a_graph_that_takes_no_images_is_refused(tmp_path, make_model):
    path = make_model(tmp_path / "ours.onnx")
    with pytest.raises(InputError, match="one input of images"):
        read_interface(open_graph(path), Description(), path)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"range": "0-1"}, "expected to know its labels"),
        ({"labels": KERAS_NAMES}, "expected to know its range"),
        ({"labels": KERAS_NAMES[:5], "range": "0-1"}, "as many labels as it has outputs, 7, got 5"),
        ({"labels": ("joy", "happy", *"abcde"), "range": "0-1"}, "expected different labels"),
        (
            {"labels": KERAS_NAMES, "mean": (0.5, 0.5)},
            "--mean and --std with 1 number, got 2 and 1",
        ),
        ({"labels": ("happy",), "range": "0-1"}, "two labels or more, got happy.* with --labels"),
        (
            {"labels": ("hapy", *KERAS_NAMES[:3], *KERAS_NAMES[4:]), "range": "0-1"},
            "every label of the data, got none for happy among hapy, angry.* Correct --labels",
        ),
        ({"labels": (*"abcdefg",), "range": "0-1"}, "got none for angry, .* Correct --labels"),
    ],
)
def test_names_and_pixels_are_never_guessed(tmp_path, said, message):
    path = write_foreign(tmp_path / "m.onnx", ["n", 48, 48, 1])
    with pytest.raises(InputError, match=message):
        ForeignModel(path, Description(**said))


@pytest.mark.parametrize(
    ("range_", "expected"), [("0-255", [0, 51, 255]), ("0-1", [0, 0.2, 1]), ("-1-1", [-1, -0.6, 1])]
)
@pytest.mark.parametrize("shape", [["n", 48, 48, 1], ["n", 3, 48, 48], [1, 1, 48, 48]])
def test_pixels_arrive_in_the_range_that_was_said(tmp_path, shape, range_, expected):
    path = write_foreign(tmp_path / "m.onnx", shape, reads=(np.eye(7)[0], np.zeros(7)))
    model = ForeignModel(path, Description(labels=KERAS_NAMES, range=range_))
    margins = model.predict(faces([0, 51, 255], 48)).margins
    assert margins[:, 0] == pytest.approx(expected, abs=1e-5)


def test_mean_and_deviation_do_the_same_as_a_range(tmp_path):
    path = write_foreign(tmp_path / "m.onnx", ["n", 3, 48, 48], reads=(np.eye(7)[0], np.zeros(7)))
    said = Description(labels=KERAS_NAMES, mean=(0.5, 0.5, 0.5), std=(0.5,))
    assert ForeignModel(path, said).predict(faces([255], 48)).margins[0, 0] == pytest.approx(1)


def test_scores_follow_the_names_and_contempt_is_left_out(tmp_path):
    offsets = np.log([0.1, 0.3, 0.05, 0.05, 0.1, 0.1, 0.1, 0.2])
    path = write_foreign(
        tmp_path / "ferplus.onnx", [1, 1, 64, 64], outputs=8, reads=(np.zeros(8), offsets)
    )
    model = ForeignModel(path, Description(labels=FERPLUS_NAMES, range="0-255"))
    scores = model.predict(faces([0, 9], 64)).scores
    assert model.contract.labels == (
        "neutral", "happy", "surprise", "sad", "angry", "disgust", "fear",
    )  # fmt: skip
    assert scores.sum(axis=1) == pytest.approx([1, 1])
    assert scores[1, 1] == pytest.approx(0.3 / 0.8)


def test_data_with_contempt_keep_it(tmp_path):
    path = write_foreign(tmp_path / "m.onnx", ["n", 1, 64, 64], outputs=8)
    said = Description(labels=FERPLUS_NAMES, range="0-255")
    assert "contempt" in ForeignModel(path, said, labels=(*EMOTIONS, "contempt")).contract.labels


def test_probabilities_are_known_by_their_sums_and_kept(tmp_path):
    offsets = np.log([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    path = write_foreign(
        tmp_path / "m.onnx", ["n", 64, 64, 1], probabilities=True, reads=(np.zeros(7), offsets)
    )
    assert ForeignModel(path, KERAS).predict(faces([7], 64)).scores[0, 0] == pytest.approx(0.4)
    said = KERAS.updated(Description(output="logits"))
    assert ForeignModel(path, said).predict(faces([7], 64)).scores[0, 0] < 0.2


@pytest.mark.parametrize("count", [0, 1, 130])
def test_any_number_of_faces_is_scored(tmp_path, count):
    for shape in (["n", 48, 48, 1], [1, 48, 48, 1], [4, 48, 48, 1]):
        model = ForeignModel(write_foreign(tmp_path / "m.onnx", shape), KERAS)
        found = model.predict(faces(np.arange(count) % 256, 48))
        assert found.scores.shape == (count, 7)
        last = model.predict(faces([max(count - 1, 0)], 48)[:count])
        assert np.allclose(found.margins[-1:], last.margins)


def test_flip_averages_with_the_mirror_image(tmp_path):
    path = write_foreign(tmp_path / "m.onnx", ["n", 48, 48, 1], left=True)
    some = np.zeros((1, 48, 48), np.uint8)
    some[:, :, -1] = 255
    plain, flipped = ForeignModel(path, KERAS), ForeignModel(path, KERAS, flip=True)
    assert (plain.contract.flip, flipped.contract.flip) == (False, True)
    assert plain.predict(some).margins[0, 5] == pytest.approx(-0.5)
    assert flipped.predict(some).margins[0, 5] == pytest.approx(0)


def test_other_number_types_are_fed_as_the_graph_wants_them(tmp_path):
    onnx = pytest.importorskip("onnx")
    for dtype in (onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8):
        path = write_foreign(tmp_path / "m.onnx", ["n", 48, 48, 1], dtype=dtype)
        model = ForeignModel(path, Description(labels=KERAS_NAMES, range="0-255"))
        assert model.predict(faces([100], 48)).margins[0, 3] == pytest.approx(30, rel=1e-2)


def test_a_file_beside_the_model_describes_it(tmp_path):
    assert read_description(tmp_path / "m.onnx") == Description()
    (tmp_path / "m.toml").write_text(
        'labels = ["anger", "joy"]\nsize = 48\nmean = [0.5]\n', "utf-8"
    )
    said = read_description(tmp_path / "m.onnx")
    assert said == Description(labels=("anger", "joy"), size=48, mean=(0.5,))
    (tmp_path / "m.toml").write_text('range = "0-1"\nsize = 48\n', "utf-8")
    said = read_description(tmp_path / "m.onnx")
    assert said == Description(range="0-1", size=48)
    assert said.updated(Description(size=64, range="-1-1")).size == 64


def test_options_say_the_pixels_in_place_of_the_file_beside_the_model():
    normal, ranged = Description(mean=(0.5,), std=(0.25,), size=48), Description(range="0-1")

    assert normal.updated(ranged) == Description(range="0-1", size=48)
    assert ranged.updated(normal) == normal
    assert normal.updated(Description(std=(1.0,))) == Description(mean=(0.5,), std=(1.0,), size=48)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"range": "0-1", "mean": (0.5,)}, r"got range 0-1 and mean 0\.5\. Leave one of them out"),
        ({"range": "0-1", "std": (0.5, 1)}, r"got range 0-1 and std 0\.5, 1\. Leave one"),
        ({"std": (0.5, 0.0)}, r"std must be numbers above 0, got 0\.5, 0\."),
        ({"std": (float("nan"),)}, r"std must be numbers above 0, got nan\."),
        ({"mean": (float("inf"),)}, r"mean must be finite numbers, got inf\."),
        ({"channels": 2}, r"channels must be 1 or 3, got 2\."),
    ],
)
def test_what_cannot_be_said_of_pixels_is_an_error(said, message):
    with pytest.raises(InputError, match=message):
        Description(**said)


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ({"range": "0-1"}, "--range 0-1"),
        ({"range": "-1-1"}, "--range -1-1"),
        ({"mean": (0.5,), "std": (0.5,)}, "--mean and --std"),
    ],
)
def test_whole_numbers_are_fed_from_0_to_255_only(tmp_path, said, given):
    onnx = pytest.importorskip("onnx")
    path = write_foreign(tmp_path / "m.onnx", ["n", 48, 48, 1], dtype=onnx.TensorProto.UINT8)

    with pytest.raises(InputError, match=rf"from 0 to 255 .*, got {given}, .* Give --range 0-255"):
        ForeignModel(path, Description(labels=KERAS_NAMES, **said))
    with pytest.raises(InputError, match="Give --range 0-255, or write range"):
        ForeignModel(path, Description(labels=KERAS_NAMES))
    ForeignModel(path, Description(labels=KERAS_NAMES, mean=(0,), std=(1 / 255,)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lables = []", r"unknown key 'lables' in .*m\.toml\. Did you mean 'labels'"),
        ("size = '48'", "size in .* must be a whole number, got '48'"),
        ("labels = 'a,b'", "labels in .* must be a list"),
        ("range = '0-2'", r"m\.toml: range must be one of 0-255, 0-1, -1-1, got '0-2'"),
        ("layout = 'HWC'", "layout must be one of NCHW, NHWC"),
        ("mean = ['half']", "mean must be a list of numbers"),
        ("=", "expected TOML that describes m.onnx"),
    ],
)
def test_a_description_with_a_slip_is_an_error(tmp_path, text, message):
    (tmp_path / "m.toml").write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        read_description(tmp_path / "m.onnx")


def test_a_model_with_a_contract_needs_no_description(tmp_path, tiny_model_path):
    assert isinstance(load_any(tiny_model_path, Description()), Model)
    path = write_foreign(tmp_path / "m.onnx", ["n", 48, 48, 1])
    assert isinstance(load_any(path, KERAS), ForeignModel)


def test_a_model_of_ours_leaves_out_what_the_data_do_not_have(tmp_path, make_model):
    path = make_model(tmp_path / "m.onnx", labels=(*EMOTIONS[:3], "contempt", *EMOTIONS[3:]))
    some = np.random.default_rng(0).integers(0, 256, (9, 48, 48)).astype(np.uint8)
    whole, model = (
        load_any(path, Description(), labels=(*EMOTIONS, "contempt")),
        load_any(path, Description(), labels=EMOTIONS, flip=False),
    )

    assert isinstance(whole, Model)
    assert model.contract.labels == EMOTIONS
    kept = [0, 1, 2, 4, 5, 6, 7]
    alone = load_any(path, Description(), labels=(*EMOTIONS, "contempt"), flip=False).predict(some)
    found = model.predict(some)
    assert np.array_equal(found.margins, alone.margins[:, kept])
    assert found.scores.sum(axis=1) == pytest.approx(np.ones(9))
    parts = alone.scores[:, kept] / (1 - alone.scores[:, 3:4])
    assert np.allclose(found.scores, parts, atol=1e-5)
    assert not model.flip
    assert load_any(path, Description(), labels=EMOTIONS).flip


def test_a_model_of_ours_without_a_label_of_the_data_stays_as_it_is(tiny_model_path):
    model = load_any(tiny_model_path, Description(), labels=(*EMOTIONS, "contempt"))

    assert isinstance(model, Model)

"""Smaller model files."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from dataclasses import replace  # noqa: E402

import onnx  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from facetell import smaller  # noqa: E402
from facetell.cli.export import export as command  # noqa: E402
from facetell.contract import Contract  # noqa: E402
from facetell.datasets.fingerprint import fingerprint  # noqa: E402
from facetell.datasets.splits import split  # noqa: E402
from facetell.errors import ExportError, InputError  # noqa: E402
from facetell.export import graph_of  # noqa: E402
from facetell.model.hybrid import build_model  # noqa: E402
from facetell.recipe import ModelOptions, TrainOptions  # noqa: E402
from facetell.runtime.session import load  # noqa: E402
from facetell.smaller import shrink, split_of  # noqa: E402
from facetell.tensors import to_tensor  # noqa: E402
from judging import small_dataset  # noqa: E402

HYBRID = ModelOptions(
    face_px=16, widths=(4, 8), relu_each=True, batch_norm=True, features=16, hidden=16, grid=2,
    stn_widths=(2, 2, 2), stn_hidden=(4, 4), sequence="rows",
)  # fmt: skip
RESIDUAL = replace(HYBRID, stn=False, sequence="mean", trunk="residual", depths=(1, 1))


def faces(count):
    """Gratings of any direction, contrast and brightness."""
    rng = np.random.default_rng(3)
    turn, width, light, contrast = rng.uniform(0, 1, (4, count, 1, 1))
    y, x = np.mgrid[:16, :16]
    waves = np.sin((x * np.cos(7 * turn) + y * np.sin(7 * turn)) * (0.2 + width))
    return (255 * np.clip(light + contrast * waves / 2, 0, 1)).astype(np.uint8)


def write_model(path, options):
    torch.manual_seed(0)
    network = build_model(options, 7, TrainOptions())
    if network.stn is not None:  # a map that does something
        torch.nn.init.normal_(network.stn.offset.weight, std=0.3)
    if network.memory is not None:
        torch.nn.init.normal_(network.memory.svm.weight)
    some = torch.from_numpy(to_tensor(faces(256), Contract(name="", face_px=16)))
    for _ in range(30):  # statistics for batch normalisation
        network.train()(some)
    contract = Contract(
        name=path.stem, face_px=16, protocol="official", memory=options.memory,
        score_scale=2.5, sequence=options.sequence, flip=not options.memory,
    )  # fmt: skip
    path.write_bytes(graph_of(network.eval(), contract))
    return path


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("hybrid") / "hybrid.onnx", HYBRID)


@pytest.fixture(scope="module")
def residual(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("residual") / "residual.onnx", RESIDUAL)


@pytest.fixture
def parts():
    dataset = small_dataset(280, stack=faces(280))
    return split(dataset)


@pytest.fixture
def _easy(monkeypatch):
    """Random weights answer by a hair; these tests are not about how often."""
    monkeypatch.setattr(smaller, "AGREE", 0.0)


def saved(found, tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(found.graph)
    return path


def kinds(path):
    """Numbers stored by type."""
    counts = {}
    for tensor in onnx.load(path).graph.initializer:
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        counts[name] = counts.get(name, 0) + int(np.prod(tensor.dims))
    return counts


@pytest.mark.usefixtures("_easy")
@pytest.mark.parametrize("kind", ["hybrid", "residual"])
def test_the_int8_file_says_nearly_what_the_float_file_says(tmp_path, parts, kind, request):
    path = request.getfixturevalue(kind)
    found = shrink(path, "int8", parts, most_loss=1.0)

    before, after = load(path), load(saved(found, tmp_path))
    expected, got = before.predict(faces(40)).margins, after.predict(faces(40)).margins
    assert np.corrcoef(expected.ravel(), got.ravel())[0, 1] > 0.95
    assert not np.allclose(expected, got, atol=1e-6)
    stored = kinds(after.path)
    assert stored["INT8"] > 2 * stored["FLOAT"]  # biases and scales
    assert after.contract == replace(
        before.contract, name=f"{kind}-int8", results=after.contract.results
    )


@pytest.mark.usefixtures("_easy")
def test_a_face_scores_the_same_alone_and_in_any_batch(tmp_path, parts, hybrid):
    small = load(saved(shrink(hybrid, "int8", parts, most_loss=1.0), tmp_path))
    some = faces(70)
    together = small.predict(some).margins
    assert small.predict(some[:0]).margins.shape == (0, 7)
    for row in (0, 33, 69):
        alone = small.predict(some[row : row + 1]).margins[0]
        assert np.allclose(alone, together[row], atol=1e-5)


@pytest.mark.usefixtures("_easy")
def test_the_contract_says_what_was_measured_and_what_stayed_in_float(tmp_path, parts, hybrid):
    found = shrink(hybrid, "int8", parts, most_loss=1.0, name="tiny")
    results = load(saved(found, tmp_path)).contract.results
    assert results["precision"] == "int8"
    assert results["side"] == "validation"
    assert results["faces"] == len(parts.validation) == found.comparison.n
    assert results["accuracy"] == pytest.approx(found.comparison.accuracy_b, abs=1e-6)
    assert results["accuracy_in_float"] - results["accuracy"] == pytest.approx(found.loss, abs=2e-6)
    assert results["layers_in_float"] == found.in_float
    assert found.in_float["svm"] == "it decides"
    assert any(name.startswith("LSTM") for name in found.in_float)
    assert found.contract.name == "tiny"


def test_a_layer_that_loses_too_much_goes_back_to_float_and_is_named(parts, residual, monkeypatch):
    said = []
    tried = []
    true_agreement = smaller._Work.agreement

    def agreement(self, graph):
        tried.append(true_agreement(self, graph))
        return 1.0 if len(tried) == 3 else 0.0

    monkeypatch.setattr(smaller._Work, "agreement", agreement)
    found = shrink(residual, "int8", parts, most_loss=1.0, say=said.append)
    released = [name for name, why in found.in_float.items() if "too much" in why]
    assert len(released) == 2
    errors = {
        text.split()[1].rstrip(":"): float(text.split()[-1])
        for text in said
        if text.startswith("without")
    }
    assert released == sorted(errors, key=errors.get)[:2]


def test_with_every_layer_in_float_nothing_is_lost(tmp_path, parts, residual, monkeypatch):
    monkeypatch.setattr(smaller, "AGREE", 1.1)
    found = shrink(residual, "int8", parts, most_loss=1.0)
    assert {"cnn.0", "cnn.3.path.0", "svm"} < set(found.in_float)
    after = load(saved(found, tmp_path)).predict(faces(9)).margins
    assert np.allclose(after, load(residual).predict(faces(9)).margins, atol=1e-2)


def test_ranges_and_the_choice_of_layers_see_training_faces_only(parts, residual, monkeypatch):
    seen = []
    true_faces = type(parts.dataset).faces

    def watched(self, indices=None, **settings):
        seen.append(np.asarray(indices))
        return true_faces(self, indices, **settings)

    monkeypatch.setattr(type(parts.dataset), "faces", watched)
    work = smaller._Work(residual, parts, "int8", None, lambda _: None)
    work.ranges, work.sensitivity()
    assert set(np.concatenate(seen)) <= set(parts.train.indices)
    together = np.concatenate([work.ranging, work.apart]).reshape(-1, 16 * 16)
    assert len(np.unique(together, axis=0)) == len(together)


def test_more_loss_than_allowed_is_an_error(parts, residual, monkeypatch):
    monkeypatch.setattr(smaller, "AGREE", 0.0)
    with pytest.raises(ExportError, match=r"at most -100 points of accuracy lost, got -?\d+\.\d\d"):
        shrink(residual, "int8", parts, most_loss=-1.0)


def test_fp16_halves_the_weights_and_changes_little(tmp_path, parts, hybrid):
    found = shrink(hybrid, "fp16", parts, most_loss=1.0)
    before, after = load(hybrid), load(saved(found, tmp_path))
    assert found.in_float == {}
    assert kinds(after.path)["FLOAT16"] > 2 * kinds(after.path)["FLOAT"]
    for count in (0, 1, 9):
        assert np.allclose(
            before.predict(faces(count)).margins, after.predict(faces(count)).margins, atol=2e-2
        )
    assert after.contract.results["precision"] == "fp16"


def test_a_weight_beyond_half_precision_stays_a_float(hybrid):
    model = onnx.load(hybrid)
    large = next(t for t in model.graph.initializer if np.prod(t.dims) >= 256)
    values = onnx.numpy_helper.to_array(large).copy()
    values.flat[0] = 1e6
    large.CopyFrom(onnx.numpy_helper.from_array(values, large.name))
    halved = {tensor.name: tensor for tensor in smaller._halved(model).graph.initializer}
    assert halved[large.name].data_type == onnx.TensorProto.FLOAT


def test_what_reads_the_memory_stays_in_float(tmp_path, parts, monkeypatch):
    monkeypatch.setattr(smaller, "AGREE", 0.0)
    path = write_model(tmp_path / "clip.onnx", replace(HYBRID, stn=False, memory=5))
    found = shrink(path, "int8", parts, most_loss=1.0)
    before, after = load(path), load(saved(found, tmp_path))
    memory = np.random.default_rng(1).normal(size=(9, 1, 2, 5)).astype(np.float32)
    elapsed = np.full(9, 0.04)
    expected, state = before.predict_next(faces(9), memory, elapsed)
    got, after_state = after.predict_next(faces(9), memory, elapsed)
    assert "it reads the memory" in found.in_float.values()
    assert np.corrcoef(expected.margins.ravel(), got.margins.ravel())[0, 1] > 0.95
    assert np.corrcoef(state.ravel(), after_state.ravel())[0, 1] > 0.95


def test_a_smaller_model_is_not_made_smaller_again(tmp_path, parts, hybrid):
    path = saved(shrink(hybrid, "fp16", parts, most_loss=1.0), tmp_path)
    with pytest.raises(InputError, match=r"expected a model in float, got .* which is fp16"):
        shrink(path, "int8", parts)


@pytest.mark.parametrize("protocol", ["random-80-10-10", "leaky-80-10-10"])
def test_sides_that_a_file_does_not_hold_are_asked_from_the_run(protocol):
    contract = Contract(name="x", protocol=protocol)
    with pytest.raises(ExportError, match="Export from the run's folder"):
        split_of(contract, small_dataset())


def test_sides_that_a_seed_drew_are_asked_from_the_run():
    alone = small_dataset()
    alone = replace(alone, samples=tuple(replace(s, side="train") for s in alone.samples))
    with pytest.raises(ExportError, match="validation faces of their own"):
        split_of(Contract(name="x", protocol="official"), alone)


def test_other_data_than_those_the_model_learned_from_are_refused():
    contract = Contract(name="x", protocol="official", data=fingerprint(small_dataset()))
    assert len(split_of(contract, small_dataset()).validation)
    with pytest.raises(ExportError, match="expected the data that x was trained on"):
        split_of(contract, small_dataset(500))


def test_without_training_faces_there_are_no_ranges(residual, parts):
    nobody = replace(parts, train=replace(parts.train, indices=parts.train.indices[:1]))
    with pytest.raises(ExportError, match="expected training faces to set the ranges by, got 1"):
        shrink(residual, "int8", nobody)


def test_the_command_writes_the_file_and_names_what_stayed(tmp_path, residual):
    out = tmp_path / "small.onnx"
    arguments = [str(residual), "--precision", "int8", "--data", "toon", "--out", str(out)]
    done = CliRunner().invoke(command, [*arguments, "--most-loss", "100"])
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert load(out).contract.results["precision"] == "int8"
    assert f"{out}  {out.stat().st_size:,} bytes, " in done.stdout
    assert "exact McNemar" in done.stdout
    assert "In float: svm (it decides)" in done.stdout
    again = CliRunner().invoke(command, arguments)
    assert "overwrite with --force" in str(again.exception)


def test_a_model_is_never_replaced_by_a_smaller_one(tmp_path, residual):
    model, link = tmp_path / "model.onnx", tmp_path / "link.onnx"
    model.write_bytes(residual.read_bytes())
    link.symlink_to(model)
    for out in (model, link):
        arguments = [str(model), "--precision", "fp16", "--data", "toon", "--out", str(out)]
        done = CliRunner().invoke(command, [*arguments, "--force"])
        assert done.exit_code == 2
        assert f"expected --out to be another file than the model {model}, got {out}" in done.stderr
    assert model.read_bytes() == residual.read_bytes()


def test_a_missing_folder_is_told_before_the_work(tmp_path, residual):
    out = tmp_path / "new" / "x.onnx"
    arguments = [str(residual), "--precision", "fp16", "--data", "toon", "--out", str(out)]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code != 0
    assert f"expected the folder {out.parent} for x.onnx, found none" in str(done.exception)
    assert not out.parent.exists()


def test_the_command_says_what_it_needs(tmp_path, residual):
    out = ["--out", str(tmp_path / "x.onnx")]
    done = CliRunner().invoke(command, [str(residual), "--precision", "int8", *out])
    assert done.exit_code == 2
    assert "expected --data with the faces that the model was trained on" in done.stderr
    done = CliRunner().invoke(command, [str(residual), *out])
    assert "expected the folder of a finished run" in str(done.exception)


@pytest.mark.usefixtures("_easy")
def test_a_runs_smaller_model_lies_beside_its_own(tmp_path, parts, residual, monkeypatch):
    def export_run(source, path, **_):
        path.write_bytes(residual.read_bytes())
        return 1e-6, parts

    monkeypatch.setattr("facetell.cli.export._export_run", export_run)
    arguments = [str(tmp_path), "--precision", "fp16", "--most-loss", "100"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert load(tmp_path / "model-fp16.onnx").contract.name == "residual-fp16"
    assert done.stdout.startswith(str(tmp_path / "model-fp16.onnx"))

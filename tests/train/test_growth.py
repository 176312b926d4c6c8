"""A network that begins with the features of a smaller one."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.ensemble import join  # noqa: E402
from facetell.errors import TrainingError  # noqa: E402
from facetell.export import export  # noqa: E402
from facetell.model.hybrid import build_model  # noqa: E402
from facetell.recipe import recipe_from_dict  # noqa: E402
from facetell.smaller import shrink  # noqa: E402
from facetell.tensors import to_tensor  # noqa: E402
from facetell.train import growth  # noqa: E402
from facetell.train.finish import make_contract, refit_run, split_for  # noqa: E402
from facetell.train.growth import grow, read_trunk  # noqa: E402
from facetell.train.loop import Progress, train  # noqa: E402
from facetell.train.predictor import TorchPredictor, load_run  # noqa: E402
from facetell.train.teachers import check_alike  # noqa: E402


def toon():
    return make_toon(characters=6, per_emotion=4, face_px=16)


def recipe(*, train=None, **model):
    options = {
        "face_px": 16, "trunk": "residual", "widths": [8, 12], "depths": [1, 1], "stn": False,
        "sequence": "mean", "features": 8, "layers": 1, "head": "softmax",
    } | model  # fmt: skip
    return recipe_from_dict(
        {"name": "tiny", "model": options,
         "train": {"epochs": 3, "batch_size": 16, "small_share": 0.0} | (train or {})}
    )  # fmt: skip


LARGER = recipe(widths=[12, 16], depths=[2, 3], sequence="rows", grid=2, hidden=8, head="svm",
                batch_norm=True)  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A trained run and its graph."""
    folder = tmp_path_factory.mktemp("small")
    run = train(recipe(), toon(), folder / "run", accelerator="cpu")
    export(run, folder / "small.onnx", toon().faces(range(8), face_px=16, channels=1))
    return folder


def promised(chosen):
    dataset = toon()
    return make_contract(chosen, dataset, split_for(chosen, dataset, None))


def faces(contract):
    some = toon().faces(range(60), face_px=16, channels=1)
    return torch.from_numpy(to_tensor(some, contract))


def fresh(chosen):
    torch.manual_seed(5)
    return build_model(chosen.model, 7, chosen.train).eval()


def maps(network, x):
    with torch.inference_mode():
        return network.cnn(x.flatten(0, 1))


@pytest.mark.parametrize("start", ["run", "small.onnx"])
def test_a_grown_trunk_computes_what_the_smaller_one_does(small, start):
    contract = promised(LARGER)
    x = faces(contract)
    network = fresh(LARGER)

    grow(network, read_trunk(small / start, LARGER, contract), x)

    expected = maps(load_run(small / "run").model, x)
    found = maps(network, x)
    assert expected.std() > 0.1
    torch.testing.assert_close(found[:, :12], expected, rtol=1e-4, atol=1e-4)
    assert found[:, 12:].std() > 0.1, "the new channels are there"


def test_a_trunk_of_the_same_size_is_taken_over_whole(small):
    same = recipe()
    contract = promised(same)
    x = faces(contract)
    network = fresh(same)

    grow(network, read_trunk(small / "run", same, contract), x)

    expected = maps(load_run(small / "run").model, x)
    torch.testing.assert_close(maps(network, x), expected, rtol=1e-4, atol=1e-4)


def test_normalisations_are_measured_on_what_the_spatial_transformer_hands_on(small):
    """In training a normalisation goes by the batch: it must be the kind that was measured."""
    finer = recipe(stn=True, stn_px=32)
    contract = promised(finer)
    x = faces(contract)
    network = fresh(finer)

    grow(network, read_trunk(small / "run", finer, contract), x)

    with torch.inference_mode():
        straightened, _ = network.stn(x.flatten(0, 1))
        found = network.cnn.train()(straightened)
        expected = load_run(small / "run").model.cnn(straightened)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_all_of_a_grown_trunk_learns(small):
    """The second step reaches what the first step's zeros had cut off."""
    contract = promised(LARGER)
    network = fresh(LARGER)
    grow(network, read_trunk(small / "run", LARGER, contract), faces(contract))
    before = {name: value.clone() for name, value in network.cnn.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)

    network.train()
    for _ in range(2):
        optimiser.zero_grad()
        network(faces(contract)).margins.square().sum().backward()
        optimiser.step()

    for name, value in network.cnn.named_parameters():
        if value.ndim == 4:  # every filter
            assert (value - before[name]).flatten(1).abs().amax(1).min() > 0, name


def test_filters_have_the_length_of_fresh_ones(small):
    contract = promised(LARGER)
    network = fresh(LARGER)

    grow(network, read_trunk(small / "run", LARGER, contract), faces(contract))

    taken = network.cnn[0].weight[:8].flatten(1).norm(dim=1)
    torch.testing.assert_close(taken, torch.full((8,), 2**0.5))


def test_the_model_says_what_it_began_with_and_a_resumed_run_remembers(small, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start = small / "small.onnx"
    done = train(LARGER, toon(), whole, start=start, accelerator="cpu")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(LARGER, toon(), killed, start=start, accelerator="cpu", progress=Progress(step=stop))
    again = train(LARGER, toon(), killed, resume=True, accelerator="cpu")

    assert done.contract.training[-1] == "began with the features of small"
    assert again.contract == done.contract
    assert json.loads((whole / "run.json").read_text())["started_from"] == str(start)
    ours, theirs = again.model.state_dict(), done.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    refitted = refit_run(whole, tmp_path / "refitted", {"fit": "sklearn"}, dataset=toon())
    assert refitted.contract.training == done.contract.training


def test_networks_that_cannot_hold_the_smaller_one_are_refused(small):
    for changes, message in [
        ({"widths": [8, 11]}, r"no wider than the recipe .* Set model.widths"),
        (
            {"widths": [8, 12, 12], "depths": [1, 1, 1]},
            r"got stages of \[1, 1\] blocks for \[1, 1, 1",
        ),
        ({"trunk": "plain", "widths": [8, 8]}, "Set model.trunk=residual, or leave --start out"),
    ]:
        chosen = recipe(**changes)
        contract = promised(chosen)
        with pytest.raises(TrainingError, match=message):
            read_trunk(small / "run", chosen, contract)


@pytest.mark.parametrize(("precision", "within"), [("fp16", 0.001), ("int8", 0.06)])
def test_smaller_files_lend_their_rounded_features(small, tmp_path, precision, within):
    contract = promised(LARGER)
    path = tmp_path / "smaller.onnx"
    parts = split_for(recipe(), toon(), None)
    path.write_bytes(shrink(small / "small.onnx", precision, parts, most_loss=1.0).graph)
    network = fresh(LARGER)
    x = faces(contract)

    grow(network, read_trunk(path, LARGER, contract), x)

    expected = maps(load_run(small / "run").model, x)
    error = (maps(network, x)[:, :12] - expected).square().mean().sqrt()
    assert error < within * expected.square().mean().sqrt()


def called(contract, name, sides):
    """Promised for data of that name with so many training and validation faces."""
    counts = dict(zip(("train", "validation"), sides, strict=True))
    return replace(contract, data=contract.data | {"name": name, "sides": counts})


def test_features_serve_other_labels_of_the_same_photographs(small, monkeypatch):
    """FER2013 by its own labels, and by the majority of its voters."""
    contract = called(promised(LARGER), "ferplus8", (25060, 3199))
    contract = replace(contract, labels=(*contract.labels, "contempt"), trained_on="voted")
    run = load_run(small / "run")

    def seven(sides):
        contract = called(run.contract, "fer2013", sides)
        return TorchPredictor(run.model, contract, recipe=run.recipe)

    monkeypatch.setattr(growth, "load_run", lambda _: seven((28709, 3589)))
    assert read_trunk(small / "run", LARGER, contract)
    with pytest.raises(TrainingError, match="Train all on the same data"):
        check_alike("run", seven((28709, 3589)).contract, contract)

    monkeypatch.setattr(growth, "load_run", lambda _: seven((28710, 3588)))
    with pytest.raises(TrainingError, match="Train all on the same data"):
        read_trunk(small / "run", LARGER, contract)


def test_models_that_no_network_can_begin_with_are_refused(small, tmp_path):
    contract = promised(LARGER)
    both = tmp_path / "both.onnx"
    half = tmp_path / "half.onnx"
    parts = split_for(recipe(), toon(), None)
    half.write_bytes(shrink(small / "small.onnx", "fp16", parts, most_loss=1.0).graph)
    both.write_bytes(join([small / "run", half], toon()))
    with pytest.raises(TrainingError, match=r"one network with a residual trunk at .*both\.onnx"):
        read_trunk(both, LARGER, contract)

    other = replace(contract, trained_on="as another seed draws")
    with pytest.raises(TrainingError, match="may have seen faces that the others are chosen on"):
        read_trunk(small / "run", recipe(), other)

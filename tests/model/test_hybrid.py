"""The whole network, for every bundled recipe."""

from dataclasses import asdict, replace

import pytest

torch = pytest.importorskip("torch")

from facetell.contract import Contract  # noqa: E402
from facetell.model.hybrid import build_model, describe  # noqa: E402
from facetell.recipe import ModelOptions, TrainOptions, load_recipe, recipe_names  # noqa: E402
from facetell.train.finish import count_multiply_adds  # noqa: E402

SMALL = ModelOptions(face_px=16, widths=(4, 6), features=8, hidden=5, grid=2, stn_hidden=(8, 8))


def built(options, train=None):
    torch.manual_seed(0)
    return build_model(options, 7, train or TrainOptions())


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_a_network_that_scores_faces(name):
    recipe = load_recipe(name)
    o = recipe.model
    out = built(o, recipe.train).eval()(torch.randn(3, 1, o.channels, o.face_px, o.face_px))

    assert out.margins.shape == (3, 1, 7)
    assert out.margins.isfinite().all()
    assert (out.theta is not None) == o.stn


@pytest.mark.parametrize("name", recipe_names())
def test_a_face_scores_the_same_alone_and_in_any_batch(name):
    recipe = load_recipe(name)
    o = recipe.model
    model = built(o, recipe.train).eval()
    faces = torch.randn(4, 1, o.channels, o.face_px, o.face_px)

    together = model(faces).margins

    assert torch.allclose(together[:1], model(faces[:1]).margins, atol=1e-4)
    assert torch.allclose(together.flip(0), model(faces.flip(0)).margins, atol=1e-4)


@pytest.mark.parametrize("sequence", ["regions", "rows", "mean", "whole"])
@pytest.mark.parametrize("stn", [True, False])
@pytest.mark.parametrize("trunk", ["six", "four", "plain", "residual"])
def test_every_combination_of_blocks_works(sequence, stn, trunk):
    options = replace(SMALL, sequence=sequence, stn=stn, trunk=trunk, depths=(1, 1))

    out = built(options).eval()(torch.randn(2, 3, 1, 16, 16))

    assert out.margins.shape == (2, 3, 7)
    assert out.features.shape == (2, 3, 8 if sequence in ("mean", "whole") else 5)


def remembering():
    """A network whose LSTM over frames says something, as after training."""
    model = built(replace(SMALL, memory=6)).eval()
    torch.nn.init.normal_(model.memory.svm.weight)
    return model


@pytest.mark.parametrize("memory", [0, 6])
def test_only_an_lstm_over_frames_lets_a_frame_depend_on_those_before(memory):
    model = remembering() if memory else built(SMALL).eval()
    clip = torch.randn(1, 4, 1, 16, 16)
    alone = torch.cat([model(clip[:, i : i + 1]).margins for i in range(4)], 1)

    together = model(clip).margins

    assert torch.allclose(together[:, 0], alone[:, 0], atol=1e-5)
    assert torch.allclose(together[:, 1:], alone[:, 1:], atol=1e-5) is not bool(memory)


def test_frames_one_by_one_with_the_state_in_between_are_the_clip_as_a_whole():
    model = remembering()
    clip, elapsed = torch.randn(2, 4, 1, 16, 16), torch.tensor([[0, 0.04, 0.04, 0.3]] * 2)
    whole = model(clip, elapsed)

    state, margins = None, []
    for i in range(4):
        out = model(clip[:, i : i + 1], elapsed[:, i : i + 1], state)
        state = out.state
        margins.append(out.margins)

    assert torch.allclose(torch.cat(margins, 1), whole.margins, atol=1e-5)
    assert torch.allclose(state, whole.state, atol=1e-5)
    assert not torch.allclose(model(clip, elapsed * 9).margins, whole.margins, atol=1e-3)


def test_an_untrained_lstm_over_frames_changes_nothing():
    model = built(replace(SMALL, memory=6)).eval()
    clip = torch.randn(2, 3, 1, 16, 16)

    assert torch.equal(model(clip).margins, model.svm(model(clip).features))


def test_a_frozen_network_trains_its_lstm_over_frames_and_nothing_else():
    model = built(replace(SMALL, memory=6, batch_norm=True, dropout=0.5))
    model.freeze_faces()
    model.train()
    torch.nn.init.normal_(model.memory.svm.weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.randn(4, 3, 1, 16, 16)).margins.square().mean().backward()
    optimiser.step()

    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith("memory.") for name in changed)


def test_an_lstm_over_regions_or_rows_sees_where_things_are_and_the_mean_does_not():
    maps = torch.randn(1, 6, 2, 2)
    for sequence, sees in (("regions", True), ("rows", True), ("whole", True), ("mean", False)):
        model = built(replace(SMALL, sequence=sequence, stn=False)).eval()
        plain, turned = (model.sequence(model.cells(m)).mean(1) for m in (maps, maps.flip(2, 3)))
        assert torch.allclose(plain, turned, atol=1e-5) is not sees, sequence


def test_a_row_holds_the_cells_of_one_height_from_left_to_right():
    model = built(replace(SMALL, sequence="rows", stn=False)).eval()
    maps = torch.randn(1, 6, 2, 2)
    top, bottom = (torch.cat([maps[0, :, y, x][:, None] for x in (0, 1)], 1) for y in (0, 1))

    expected = model.fully_connected(torch.stack([top.flatten(), bottom.flatten()]))

    assert torch.equal(model.cells(maps)[0], expected)


def test_dropout_does_not_touch_the_features_that_the_svm_is_refitted_on():
    model = built(replace(SMALL, dropout=0.9)).train()
    faces = torch.randn(8, 1, 1, 16, 16)

    first, second = model(faces), model(faces)

    assert torch.equal(first.features, second.features)
    assert not torch.equal(first.margins, second.margins)


@pytest.mark.parametrize("std", [0.07, 0.0065])
def test_gaussian_initialisation_has_the_printed_deviation(std):
    model = built(ModelOptions(widths=(16, 48)), TrainOptions(init="gaussian", init_std=std))

    assert model.cnn[7].weight.std().item() == pytest.approx(std, rel=0.05)
    assert model.reader.lstm.weight_ih_l0.std().item() == pytest.approx(std, rel=0.05)
    assert model.cnn[0].bias.abs().sum() == 0


def test_the_paper_recipe_has_the_printed_blocks():
    model = built(load_recipe("paper-a").model)
    kinds = [type(layer).__name__ for layer in model.cnn]

    assert kinds == (["Conv2d"] * 3 + ["MaxPool2d", "ReLU"]) * 2
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.stn.modules()) == 3
    assert sum(isinstance(m, torch.nn.Linear) for m in model.stn.modules()) == 3
    assert describe(model.options).endswith("LSTM over 6x6 regions > linear SVM")


def test_deep_emotion_has_the_printed_blocks():
    model = built(load_recipe("deep-emotion").model)
    convolutions = [m for m in model.cnn.modules() if isinstance(m, torch.nn.Conv2d)]
    connected = [m for m in (*model.fully_connected, model.svm) if isinstance(m, torch.nn.Linear)]

    assert [(c.out_channels, c.kernel_size) for c in convolutions] == [(10, (3, 3))] * 4
    assert sum(isinstance(m, torch.nn.MaxPool2d) for m in model.cnn) == 2
    assert [layer.out_features for layer in connected] == [50, 7]
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.stn.modules()) == 2
    assert sum(isinstance(m, torch.nn.Linear) for m in model.stn.modules()) == 2
    assert model.reader is None
    assert describe(model.options) == (
        "spatial transformer > four convolutions 10+10 > fully connected 50 > softmax"
    )


def test_the_number_of_fully_connected_layers_is_a_setting():
    for layers in (1, 2, 3):
        model = built(replace(SMALL, layers=layers))
        assert sum(isinstance(m, torch.nn.Linear) for m in model.fully_connected) == layers


def test_compact_keeps_to_its_budget():
    recipe = load_recipe("compact")
    model = built(recipe.model, recipe.train)

    assert sum(p.numel() for p in model.parameters()) <= 500_000
    assert count_multiply_adds(model, Contract(name="compact")) <= 40_000_000


def test_multiply_adds_count_what_a_hand_counts():
    options = ModelOptions(
        face_px=16, stn=False, trunk="residual", widths=(2, 3), depths=(1, 1),
        features=4, sequence="mean",
    )  # fmt: skip
    stem = 8 * 8 * 2 * 25
    first = 2 * 8 * 8 * 2 * 2 * 9
    second = 4 * 4 * 3 * (2 * 9 + 3 * 9 + 2)
    cells = 16 * (3 * 4 + 4 * 4)

    counted = count_multiply_adds(built(options), Contract(name="x", face_px=16))

    assert counted == stem + first + second + cells + 4 * 7


def test_the_reference_of_corruption_errors_has_eight_weight_layers_and_no_augmentation():
    recipe = load_recipe("vgg8")
    model = build_model(recipe.model, 7, recipe.train)
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]

    assert [type(layer).__name__ for layer in layers] == ["Conv2d"] * 6 + ["Linear"] * 2
    assert model.stn is model.reader is None
    assert not any(asdict(recipe.augment).values())


def test_bfloat16_changes_numbers_a_little_and_types_not_at_all():
    torch.manual_seed(0)
    recipe = load_recipe("strong", overrides=["model.widths=[8, 16, 16]", "model.features=16"])
    network = build_model(recipe.model, 7, recipe.train).eval()
    faces = torch.randn(4, 1, 1, 48, 48)
    whole = network(faces)

    network.bf16 = True
    halved = network(faces)
    halved.margins.square().sum().backward()

    assert {value.dtype for value in halved if value is not None} == {torch.float32}
    assert {p.grad.dtype for p in network.parameters()} == {torch.float32}
    assert torch.equal(halved.theta, whole.theta)  # the spatial transformer stays as it is
    difference = (halved.margins - whole.margins).abs().max()
    assert 0 < difference < 0.05 * whole.margins.abs().max()

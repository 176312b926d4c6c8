"""Recipes."""

import pytest

from facetell.errors import RecipeError
from facetell.recipe import (
    Recipe,
    describe_settings,
    load_recipe,
    recipe_from_dict,
    recipe_names,
    recipe_text,
    recorded_recipe,
)


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_the_defaults_under_the_files_name(tmp_path):
    assert load_recipe(written(tmp_path, "")) == Recipe(name="mine")


@pytest.mark.parametrize("name", recipe_names())
def test_every_bundled_recipe_comes_back_from_its_dictionary_and_from_its_settings(name, tmp_path):
    recipe = load_recipe(name)

    assert recipe.name == name
    assert recipe.purpose
    assert recipe_from_dict(recipe.to_dict()) == recipe
    assert load_recipe(written(tmp_path, describe_settings(recipe))) == recipe
    assert f"facetell train {name} --data" in recipe_text(name)[0]


def test_smoothing_of_labels_without_a_softmax_is_refused_but_old_runs_still_open(tmp_path):
    message = r"label_smoothing in .* is for model\.head=softmax: expected 0 .*got 0\.1"
    with pytest.raises(RecipeError, match=message):
        load_recipe("compact", overrides=["model.head=svm"])
    with pytest.raises(RecipeError, match=message):
        load_recipe(written(tmp_path, "[train]\nlabel_smoothing = 0.1\n"))
    load_recipe("compact", overrides=["model.head=svm", "train.label_smoothing=0"])
    recipe_from_dict({"model": {"head": "svm"}, "train": {"label_smoothing": 0.1}})


@pytest.mark.parametrize(
    ("name", "std", "l2", "rate"),
    [("paper-a", 0.07, 0.0018, None), ("paper-b", 0.0065, 0.0015, 0.025)],
)
def test_the_printed_settings_are_the_printed_ones(name, std, l2, rate):
    recipe = load_recipe(name)

    assert (recipe.train.init, recipe.train.init_std, recipe.train.l2) == ("gaussian", std, l2)
    assert rate is None or (recipe.train.optimiser, recipe.train.learning_rate) == ("adam", rate)
    assert recipe.data.oversample
    assert not recipe.model.relu_each
    assert not recipe.model.batch_norm


def test_deep_emotion_keeps_the_optimiser_that_its_paper_prints():
    train = load_recipe("deep-emotion").train

    assert (train.optimiser, train.learning_rate, train.l2) == ("adam", 0.005, 0.001)
    assert (train.init, train.init_std) == ("gaussian", 0.05)


def test_the_other_reading_of_admm_is_rho():
    svm = load_recipe("paper-b-admm").svm

    assert (svm.fit, svm.rho, svm.l2) == ("admm", 0.025, 0.0015)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nlearning_rat = 1", r"'train.learning_rat' in .*, line 2. Did you mean 'learn"),
        ("[trian]\nepochs = 1", r"'trian' in .*, line 1. Did you mean 'train'"),
        ("[train]\nseed = -1", r"train\.seed in .* must be .*, got -1"),
        ("[train]\nseed = 4_294_967_296", r"train\.seed in .* must be .*, got 4294967296"),
        ("seed = 1", r"'seed' in .*, line 1. Did you mean 'train.seed'"),
        ("[train]\nnoise = 0.1", r"'train.noise' in .*, line 2. Did you mean 'augment.noise'"),
        ("[train]\nepochs = 1.5", r"train.epochs in .* must be a whole number .* got 1.5"),
        ("[train]\nepochs = 0", r"train.epochs in .* got 0"),
        ("[model]\nstn = 1", r"model.stn in .* must be true or false"),
        ("[model]\ntrunk = 'seven'", r"'six', 'four', 'plain', 'residual' .* got 'seven'"),
        ("[model]\nwidths = [16, 0.5]", r"must be a list of whole numbers"),
        ("[model]\nstn_widths = [8, 8, 8, 8]", r"convolutions, one to three\), got \[8, 8, 8, 8\]"),
        ("[model]\ntrunk = 'residual'", r"model.depths in .*: expected 2 numbers.*got \[1, 2, 1\]"),
        ("[model]\nface_px = 50", r"a multiple of 8.* got 50"),
        ("[train]\nlearning_rate = true", r"must be a number .* got True"),
        ("train = 3", r"expected a table \[train\]"),
        ("[train", r"is not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_a_way_out(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(written(tmp_path, text))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=0", "a whole number above 0 (passes over the training faces), got 0."),
        ("train.batch_size=1", "a whole number of 2 or more (faces per step), got 1."),
        ("train.ema=1", "a number from 0 to below 1 (decay per step of the averaged weights; 0 ="),
        ("train.l2=-1", "a number of 0 or more (L2"),
        ("train.distil=1.1", "a number from 0 to 1 (share"),
        ("train.seed=-1", "a whole number from 0 to 4294967295 (seed"),
        ("model.dropout=1", "a number from 0 to below 1 (share of features"),
        ("model.widths=[3]", "a list of whole numbers above 0, two or more (channels"),
        ("model.widths=[3, 0]", "a list of whole numbers above 0, two or more (channels"),
        ("model.widths=3", "a list of whole numbers above 0, two or more (channels"),
        ("model.stn_hidden=[1, 2, 3, 4]", "a list of whole numbers above 0, three at most (units"),
        ("model.depths=[0]", "a list of whole numbers above 0 (residual"),
        ("model.face_px=0", "a whole number above 0 that 8 divides (side"),
        ("model.stn_px=-8", "a whole number of 0 or more that 8 divides (side"),
        ("clips.share=0", "a number above 0, 1 at most (share"),
        ("model.stn=1", "true or false (straighten"),
    ],
)
def test_a_value_out_of_range_is_told_with_the_range(override, message):
    key, _, value = override.partition("=")

    with pytest.raises(RecipeError) as told:
        load_recipe("quick", overrides=[override])

    assert str(told.value).startswith(f"{key} in quick must be {message}")
    assert str(told.value).endswith(f"got {value}.")


def test_overrides_come_last_and_are_checked_alike(tmp_path):
    path = written(tmp_path, "[train]\nepochs = 3\nseed = 2")

    recipe = load_recipe(path, overrides=["train.epochs=5", "model.trunk=four", "name=x"])

    assert (recipe.train.epochs, recipe.train.seed, recipe.model.trunk, recipe.name) == (
        5, 2, "four", "x",
    )  # fmt: skip
    with pytest.raises(RecipeError, match=r"section\.key=value"):
        load_recipe(path, overrides=["train.epochs"])
    with pytest.raises(RecipeError, match="Did you mean 'epochs'"):
        load_recipe(path, overrides=["train.epoch=1"])


def test_a_run_from_before_the_sides_had_a_seed_drew_them_by_that_of_the_weights():
    recorded = load_recipe("quick", overrides=["train.seed=5"]).to_dict()
    assert recorded_recipe(recorded).data.seed == 0
    del recorded["data"]["seed"]
    assert recorded_recipe(recorded).data.seed == 5


def test_no_training_has_all_faces_judge():
    with pytest.raises(RecipeError, match=r"data.protocol .* must be one of .*'official'"):
        load_recipe("quick", overrides=["data.protocol=whole"])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(RecipeError, match=r"compact.*Did you mean 'compact'"):
        load_recipe("compcat")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.memory=4"], "belong together: expected both 0 or both above 0, got 4 and 0"),
        (["clips.frames=4"], "belong together: expected both 0 or both above 0, got 0 and 4"),
        (
            ["model.memory=4", "clips.frames=4", "model.channels=3"],
            r"made of grey faces: expected model\.channels = 1, got 3",
        ),
        (["model.memory=4", "clips.frames=4", "data.votes=0.5"], r"data\.votes=0"),
        (["model.memory=4", "clips.frames=4", "train.small_share=0.5"], r"train\.small_share=0"),
    ],
)
def test_what_does_not_go_with_an_lstm_over_frames_is_refused(overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("quick", overrides=overrides)

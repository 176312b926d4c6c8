"""Two-step baselines: they learn, they see the train side only, and they are judged as models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facetell.datasets.splits import oversample, split
from facetell.datasets.toon import make_toon
from facetell.errors import DataError, InputError
from facetell.evaluate import baselines as module
from facetell.evaluate.baselines import BASELINES, Baseline, fit_baseline, judge_baselines
from facetell.evaluate.evaluation import Evaluation, evaluate
from facetell.predictor import Predictor

pytest.importorskip("skimage")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module", autouse=True)
def _small():
    """Few components and trees: the tests are about what is done, not about how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_COMPONENTS", 20)
        patch.setattr(module, "_TREES", 25)
        yield


@pytest.fixture(scope="module")
def toon():
    """Drawn faces of 20 characters, split by character, all in memory."""
    data = make_toon(20, per_emotion=1)
    return replace(data, stack=data.faces())


@pytest.fixture(scope="module")
def parts(toon):
    return split(toon)


@pytest.fixture(scope="module")
def judged(parts):
    """Every baseline on the validation side, with fixed settings."""
    return {one.contract.name: one for one in judge_baselines(parts, side="validation")}


def test_there_are_eighteen_baselines_named_after_their_steps():
    assert len(BASELINES) == 18
    assert all(name == "-".join(method) for name, method in BASELINES.items())


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_judged_on_the_asked_side_and_answers_several_emotions(name, judged):
    assert judged[name].side == "validation"
    assert judged[name].contract.results["chosen"] == "fixed"
    assert len(np.unique(judged[name].predicted)) > 2


def test_designed_features_read_unseen_drawn_characters(judged):
    right = {name: one.correct.mean() for name, one in judged.items()}
    assert right["hog-svm"] > 0.6
    assert np.mean(list(right.values())) > 2 / 7


@pytest.mark.parametrize("name", ["lbp-svm", "zernike-forest", "pca-forest", "ica-svm"])
def test_what_was_trained_on_is_read(name, parts, toon):
    baseline = fit_baseline(name, parts.train)
    answers = baseline.predict(toon.faces(parts.train.indices)).scores.argmax(axis=1)
    assert (answers == parts.train.targets).mean() > 0.6


@pytest.mark.parametrize("name", ["hog-svm", "pca-knn", "zernike-forest"])
def test_faces_are_scored_alone_as_in_any_batch(name, parts, toon, monkeypatch):
    baseline = fit_baseline(name, parts.train)
    faces = toon.faces(parts.test)
    together = baseline.predict(faces)
    monkeypatch.setattr(module, "_BLOCK", 3)
    assert isinstance(baseline, Predictor)
    assert np.abs(together.margins).max() < 100  # the SVM's steps have not diverged
    np.testing.assert_allclose(baseline.predict(faces[:7]).margins, together.margins[:7], atol=1e-4)
    np.testing.assert_allclose(together.scores.sum(axis=1), 1, atol=1e-5)
    assert (together.scores.argmax(axis=1) == together.margins.argmax(axis=1)).all()


def test_no_faces_get_no_scores(parts):
    nobody = fit_baseline("pca-svm", parts.train).predict(np.empty((0, 48, 48), np.uint8))
    assert nobody.margins.shape == nobody.scores.shape == (0, 7)


def test_colour_is_read_as_grey(parts, toon):
    baseline = fit_baseline("pca-svm", parts.train)
    faces = toon.faces(parts.test[:4])
    colour = np.repeat(faces[..., None], 3, axis=3)
    assert np.array_equal(baseline.predict(colour).margins, baseline.predict(faces).margins)


def test_the_margins_of_voters_are_logs_of_their_shares(parts, toon):
    baseline = fit_baseline("pca-knn", parts.train)
    scores = baseline.predict(toon.faces(parts.test)).scores * 15
    np.testing.assert_allclose(scores, scores.round(), atol=0.05)


def test_the_setting_is_fixed_when_validation_judges_and_chosen_when_the_test_side_does(parts):
    (chosen,) = judge_baselines(parts, ["pca-knn"])
    (fixed,) = judge_baselines(parts, ["pca-knn"], side="validation")
    assert chosen.contract.results["chosen"] == "on the validation side"
    assert fixed.contract.results == {"n_neighbors": 15, "chosen": "fixed"}


def test_the_chosen_setting_is_the_best_on_validation(parts, toon):
    held = parts.validation
    chosen = fit_baseline("pca-knn", parts.train, validation=held)
    right = {}
    for value in module._SETTINGS["knn"].tried:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(module._SETTINGS, "knn", module._Setting("n_neighbors", value, ()))
            margins = fit_baseline("pca-knn", parts.train).predict(toon.faces(held)).margins
        right[value] = (margins.argmax(axis=1) == toon.targets[held]).mean()
    assert right[chosen.contract.results["n_neighbors"]] == max(right.values())
    assert len(set(right.values())) > 1


def test_faces_of_the_judged_side_change_nothing_that_is_fitted(parts, toon):
    broken = toon.stack.copy()
    broken[parts.test] = 0
    other = split(replace(toon, stack=broken))
    faces = toon.faces(parts.test)
    for name in ("hog-svm", "ica-knn"):
        ours, theirs = (
            fit_baseline(name, side).predict(faces) for side in (parts.train, other.train)
        )
        assert np.array_equal(ours.margins, theirs.margins)


def test_independent_components_all_vary_alike_and_principal_ones_do_not(parts, toon):
    for descriptor, alike in (("ica", True), ("pca", False)):
        baseline = fit_baseline(f"{descriptor}-knn", parts.train)
        spread = baseline._features(toon.faces(parts.train.indices)).std(axis=0)
        assert bool(spread.max() / spread.min() < 1.1) is alike


def test_an_oversampled_train_side_is_taken_as_it_is(parts):
    baseline = fit_baseline("pca-forest", oversample(parts.train, seed=0), protocol="official")
    assert baseline.contract.protocol == "official"
    assert baseline.contract.results["min_samples_leaf"] == 2


def test_an_emotion_without_training_faces_is_never_answered_and_two_are_told_apart(toon):
    few = toon.take(
        [i for i, s in enumerate(toon.samples) if s.label in (0, 3) or s.side != "train"]
    )
    parts = split(few)
    known = np.isin(few.targets[parts.test], (0, 3))
    for name in ("hog-svm", "pca-knn"):
        margins = fit_baseline(name, parts.train).predict(few.faces(parts.test)).margins
        answers = margins.argmax(axis=1)
        assert set(answers) == {0, 3}
        assert (margins[:, [1, 2, 4, 5, 6]] == -10).all()
        assert name != "hog-svm" or (answers == few.targets[parts.test])[known].mean() > 0.8


def test_an_evaluation_of_a_baseline_tells_what_it_is(parts, toon):
    baseline = fit_baseline("hog-forest", parts.train, protocol="official")
    found = evaluate(baseline, toon, parts)
    assert isinstance(baseline, Baseline)
    assert found.model == "hog-forest"
    assert found.contract["architecture"] == ("histograms of oriented gradients, then random trees")
    assert not any("may have been trained" in note for note in found.notes)


def test_progress_names_what_is_described_and_fitted(parts):
    seen = []
    judged = judge_baselines(
        parts, ["pca-svm", "ica-svm"], progress=lambda phase, share: seen.append((phase, share))
    )
    assert [Evaluation.of(one).n for one in judged] == [len(parts.test)] * 2
    assert seen == [("describing (pixels)", 1.0), ("fitting pca-svm", 0), ("fitting ica-svm", 0)]


def test_an_unknown_baseline_is_told_the_known_ones(parts):
    with pytest.raises(InputError, match=r"one of hog-svm, hog-knn.*got 'sift-svm'"):
        fit_baseline("sift-svm", parts.train)
    with pytest.raises(InputError, match="got 'hog'"):
        next(judge_baselines(parts, ["hog"]))


def test_only_a_train_side_can_be_fitted(toon, parts):
    for wrong in (toon, parts.test):
        with pytest.raises(InputError, match=r"train side of a split, got .*kept apart first"):
            fit_baseline("hog-svm", wrong)


def test_faces_of_one_emotion_are_not_enough(toon):
    happy = toon.take([i for i, s in enumerate(toon.samples) if s.label == 3])
    with pytest.raises(DataError, match=r"two or more emotions .* faces of 1. Add data"):
        fit_baseline("pca-svm", split(happy).train)

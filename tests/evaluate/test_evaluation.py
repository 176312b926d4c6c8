import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as oracle

from facetell.datasets.fingerprint import fingerprint
from facetell.datasets.sample import Sample
from facetell.datasets.splits import split
from facetell.errors import DataError
from facetell.evaluate import metrics
from facetell.evaluate.evaluation import BINS, METRICS, Evaluation, _redraw, count_columns, evaluate
from facetell.evaluate.judged import judge
from facetell.evaluate.raters import rater_score, votes_for
from facetell.evaluate.table import as_table, in_paper_order
from facetell.labels import EMOTIONS, PAPER_ORDER
from judging import FakePredictor, small_dataset


@pytest.fixture(scope="module")
def judged():
    dataset = small_dataset(1400)
    return judge(FakePredictor(), dataset, split(dataset, "official"))


@pytest.fixture(scope="module")
def evaluation(judged):
    return Evaluation.of(judged)


def test_numbers_are_those_of_scikit_learn(judged, evaluation):
    y, p, scores = judged.labels, judged.predicted, judged.scores
    expected = {
        "accuracy": oracle.accuracy_score(y, p),
        "balanced_accuracy": oracle.balanced_accuracy_score(y, p),
        "macro_f1": oracle.f1_score(y, p, average="macro"),
        "negative_log_likelihood": oracle.log_loss(y, scores),
        "brier": oracle.brier_score_loss(y, scores, scale_by_half=False),
    }

    for name, value in expected.items():
        assert evaluation.metrics[name].value == pytest.approx(value)
    assert np.array_equal(evaluation.confusion, oracle.confusion_matrix(y, p))
    assert sum(row.size for row in evaluation.reliability) == evaluation.n == 350


def test_the_columns_that_are_redrawn_sum_to_confusion_and_calibration_error(judged, evaluation):
    bins = metrics.reliability(judged.confidence, judged.correct, BINS)
    sums = count_columns(judged, bins).sum(axis=0)
    assert sums[:49].reshape(7, 7).tolist() == [list(row) for row in evaluation.confusion]
    error = np.abs(sums[49:]).sum() / len(judged)
    assert error == pytest.approx(evaluation.metrics["calibration_error"].value)


def test_every_number_lies_in_its_interval(evaluation):
    assert tuple(evaluation.metrics) == METRICS
    for measure in evaluation.metrics.values():
        assert measure.low < measure.value < measure.high
    for score in evaluation.per_class:
        for measure in (score.recall, score.precision, score.f1):
            assert 0 <= measure.low < measure.value < measure.high <= 1


def test_to_dict_is_json_and_from_dict_its_inverse(evaluation):
    text = json.dumps(evaluation.to_dict(), allow_nan=False)

    assert Evaluation.from_dict(json.loads(text)) == evaluation


def test_the_inverse_holds_with_classes_that_never_occur():
    dataset = small_dataset(140)
    samples = tuple(
        replace(s, side="train") if s.label == 1 and s.side == "test" else s
        for s in dataset.samples
    )
    dataset = replace(dataset, samples=samples)
    found = evaluate(FakePredictor(skill=50), dataset, split(dataset, "official"))

    assert found.per_class[1].recall is None
    assert found.per_class[1].f1 is None
    assert any("No face is labelled disgust" in note for note in found.notes)
    assert found.metrics["balanced_accuracy"].value == 1
    assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_the_order_of_the_faces_changes_no_estimate(judged, evaluation):
    order = np.random.default_rng(1).permutation(len(judged))
    shuffled = replace(
        judged,
        indices=judged.indices[order],
        labels=judged.labels[order],
        predicted=judged.predicted[order],
        scores=judged.scores[order],
    )
    other = Evaluation.of(shuffled)

    assert other.confusion == evaluation.confusion
    for name, measure in evaluation.metrics.items():
        assert other.metrics[name].value == pytest.approx(measure.value)
        assert other.metrics[name].low == pytest.approx(measure.low, abs=0.02)


def test_what_was_judged_is_named(evaluation):
    assert (evaluation.model, evaluation.dataset) == ("fake", "small")
    assert (evaluation.protocol, evaluation.side) == ("official", "test")
    assert evaluation.contract["face_px"] == 48
    assert evaluation.split["counts"]["test"] == 350
    assert evaluation.data


def test_the_baseline_always_answers_the_commonest_training_label():
    rng = np.random.default_rng(0)
    dataset = small_dataset(400)
    skewed = tuple(
        replace(s, label=3) if s.side == "train" and rng.random() < 0.5 else s
        for s in dataset.samples
    )
    dataset = replace(dataset, samples=skewed)
    found = evaluate(FakePredictor(), dataset, split(dataset, "official"))
    support = {score.label: score.support for score in found.per_class}

    assert found.baseline.label == "happy"
    assert found.baseline.accuracy == pytest.approx(support["happy"] / found.n)
    assert found.baseline.balanced_accuracy == pytest.approx(1 / 7)


def test_the_same_seed_gives_the_same_evaluation(judged, evaluation):
    assert Evaluation.of(judged) == evaluation
    assert Evaluation.of(judged, seed=1) != evaluation


def test_groups_of_copies_widen_the_intervals(judged, evaluation):
    groups = np.arange(1400) // 40  # ten test faces each
    found = Evaluation.of(judged, groups=groups)

    assert found.clusters == 35
    assert found.metrics["accuracy"].value == evaluation.metrics["accuracy"].value
    assert found.metrics["accuracy"][1:] != evaluation.metrics["accuracy"][1:]


def test_agreement_with_raters_is_redrawn_by_the_same_groups(judged):
    rng = np.random.default_rng(1)
    votes = rng.multinomial(10, [0.1] * 10, 1400).tolist()
    samples = tuple(
        replace(s, votes=tuple(row)) for s, row in zip(judged.dataset.samples, votes, strict=True)
    )
    voted = replace(judged, dataset=replace(judged.dataset, samples=samples))
    groups = np.arange(1400) // 40
    alone = Evaluation.of(voted).raters
    grouped = Evaluation.of(voted, groups=groups).raters
    expected = rater_score(
        voted.predicted,
        votes_for(voted.dataset, voted.indices, EMOTIONS),
        groups=groups[voted.indices],
    )

    assert grouped == expected
    assert alone.model.value == expected.model.value
    assert alone != expected


def test_a_handful_of_people_is_told_and_not_redrawn():
    people = ["ada", "bo", "cy", "di", "ed", "flo"]
    dataset = small_dataset(600)
    samples = tuple(
        Sample(id=s.id, label=s.label, subject=people[i // 100])
        for i, s in enumerate(dataset.samples)
    )
    dataset = replace(dataset, samples=samples)
    found = evaluate(FakePredictor(), dataset, split(dataset, "random-80-10-10"))

    assert found.clusters == found.n
    assert any("come from only" in note for note in found.notes)


def test_without_redrawing_every_interval_shrinks_to_its_number(judged, monkeypatch):
    monkeypatch.setattr(metrics, "bootstrap_sums", lambda columns, **_: columns.sum(axis=0)[None])
    found = Evaluation.of(judged)
    bins = metrics.reliability(judged.confidence, judged.correct)
    draws = _redraw(judged, bins, None, 0)

    for measure in found.metrics.values():
        assert measure[1:] == pytest.approx([measure.value] * 2)
    assert np.abs(draws.gaps).sum() / len(judged) == pytest.approx(metrics.calibration_error(bins))


def test_a_calibrated_model_shows_about_the_error_of_chance():
    # Margins that are noise with variance 1 plus 2 for the label: the true posterior is
    # softmax(2 * margins).
    class Calibrated(FakePredictor):
        def predict(self, faces):
            found = super().predict(faces)
            sharp = np.exp(2 * found.margins)
            return found._replace(scores=sharp / sharp.sum(axis=1, keepdims=True))

    dataset = small_dataset(4000)
    found = evaluate(Calibrated(), dataset, split(dataset, "official"))
    error = found.metrics["calibration_error"]

    assert error.value == pytest.approx(found.calibration_floor, abs=0.012)
    middle, width = (error.low + error.high) / 2, error.high - error.low
    assert middle == pytest.approx(error.value, abs=width / 5)


@pytest.mark.parametrize(
    ("trained", "used", "told"),
    [
        ("official", "official", False),
        ("official", "clean", False),
        ("clean", "official", True),
        ("random-80-10-10", "official", True),
        ("official", "random-80-10-10", True),
        ("", "official", True),
    ],
)
def test_a_model_trained_under_another_protocol_is_told(judged, trained, used, told):
    contract = replace(judged.contract, protocol=trained)
    parts = replace(judged.split, protocol=used)
    found = Evaluation.of(replace(judged, contract=contract, split=parts))

    assert any("may have been trained on faces" in note for note in found.notes) == told


def seen(predictor, parts, **options):
    """Whether a note says that the model may have been trained on judged faces."""
    found = evaluate(predictor, parts.dataset, parts, **options)
    return [note for note in found.notes if "may have" in note and "trained" in note]


def test_another_seeds_sides_are_told():
    dataset = small_dataset(280)
    drawn = [split(dataset, "random-80-10-10", seed=seed) for seed in (0, 1)]
    model = FakePredictor(protocol="random-80-10-10", trained_on=drawn[0].trained_on)

    assert seen(model, drawn[0]) == []
    assert "random-80-10-10', with other sides: it may have been" in seen(model, drawn[1])[0]


def test_a_held_out_validation_side_of_another_seed_is_told_and_test_faces_are_fine():
    dataset = small_dataset(280)
    own = tuple(replace(s, side="test" if s.side == "test" else "train") for s in dataset.samples)
    dataset = replace(dataset, samples=own)
    drawn = [split(dataset, seed=seed) for seed in (0, 1)]
    model = FakePredictor(trained_on=drawn[0].trained_on)

    assert seen(model, drawn[0], side="validation") == []
    assert len(seen(model, drawn[1], side="validation")) == 1
    assert seen(model, drawn[1], side="test") == []


def test_faces_held_out_of_what_a_model_was_trained_on_are_told():
    """Its own validation side is not there, and another was drawn from its training faces."""
    whole = small_dataset(280)
    model = FakePredictor(data=fingerprint(whole))
    assert seen(model, split(whole), side="validation") == []

    train = whole.take(np.flatnonzero([s.side == "train" for s in whole.samples]))
    assert "may have been trained on faces" in seen(model, split(train))[0]


def test_the_sides_of_another_division_are_told():
    whole = small_dataset(280)
    model = FakePredictor(trained_on=split(whole).trained_on, data=fingerprint(whole))
    sides = {"train": "validation", "validation": "train"}
    others = tuple(replace(s, side=sides.get(s.side, s.side)) for s in whole.samples)

    assert seen(model, split(whole)) == []
    assert "'official', with other sides" in seen(model, split(replace(whole, samples=others)))[0]


@pytest.mark.parametrize("protocol", ["whole", "random-80-10-10"])
def test_on_other_data_a_model_is_told_to_have_seen_what_both_share(protocol):
    model = FakePredictor(data={"name": "fer2013"})

    found = evaluate(model, small_dataset(280), split(small_dataset(280), protocol))

    assert any(note.startswith("The model was trained on fer2013: what is") for note in found.notes)
    assert not any("is judged under" in note for note in found.notes)


def test_all_faces_do_not_judge_a_model_that_they_trained():
    dataset = small_dataset()
    model = FakePredictor(data=fingerprint(dataset))
    with pytest.raises(DataError, match="has not seen, got small, on which it was trained"):
        evaluate(model, dataset, split(dataset, "whole"))
    assert evaluate(model, small_dataset(seed=1), split(small_dataset(seed=1), "whole")).n == 140


def test_the_validation_side_comes_with_a_warning():
    dataset = small_dataset(140)
    found = evaluate(FakePredictor(), dataset, split(dataset, "official"), side="validation")

    assert any("Judged on the validation side" in note for note in found.notes)


def test_defects_of_the_data_are_passed_on():
    dataset = small_dataset(140, notes=("3 files could not be opened.",))
    found = evaluate(FakePredictor(), dataset, split(dataset, "official"))

    assert "3 files could not be opened." in found.notes


def test_remarks_of_the_fingerprint_are_passed_on(judged, monkeypatch):
    remark = "The pixels are histogram-equalised."
    monkeypatch.setattr(
        "facetell.datasets.fingerprint.fingerprint", lambda dataset: {"remarks": [remark]}
    )

    assert remark in Evaluation.of(judged).notes


def test_scores_that_know_nothing_cost_ln_7():
    class Ignorant(FakePredictor):
        def predict(self, faces):
            found = super().predict(faces)
            return found._replace(scores=np.full_like(found.scores, 1 / 7))

    dataset = small_dataset(140)
    found = evaluate(Ignorant(), dataset, split(dataset, "official"))

    assert found.metrics["negative_log_likelihood"].value == pytest.approx(math.log(7))
    assert found.metrics["brier"].value == pytest.approx(6 / 7)


def test_the_table_names_the_protocol_and_puts_intervals_beside_numbers(evaluation):
    table = as_table(evaluation)
    accuracy = evaluation.metrics["accuracy"]

    assert "small, protocol official, test side: 350 faces" in table
    line = next(line for line in table.splitlines() if line.startswith("accuracy"))
    assert f"{100 * accuracy.value:.2f} %" in line
    assert f"{100 * accuracy.low:.2f} to {100 * accuracy.high:.2f}" in line
    assert table.index("neutral") < table.index("\nsad")  # the paper's order


def test_paper_order_puts_labels_into_the_order_of_the_papers_tables():
    assert [EMOTIONS[i] for i in in_paper_order(EMOTIONS)] == list(PAPER_ORDER)
    assert in_paper_order(("contempt", "angry")) == [1, 0]

"""The whole reproduction on a few drawn faces."""

import json
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from click.testing import CliRunner

from datasets.emotic_forms import official
from facetell.cli.reproduce import reproduce as command
from facetell.datasets.toon import make_toon
from facetell.errors import InputError
from facetell.evaluate.emotic_judgement import EmoticJudgement
from facetell.report.reproduction import reproduction_page
from facetell.reproduce import Effort, reproduce, source, steps
from facetell.train.loop import Progress

TINY = Effort(name="tiny", systems=0.01, ablations=0.01, printed=1, folds=2)
FEW = {
    "fer2013": "toon:characters=24,per_emotion=1,seed=2",
    "ferg": "toon:characters=4,per_emotion=2,seed=3",
}


@pytest.fixture(scope="module")
def few():
    """Two systems of each kind, on few faces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "STAND_INS", FEW)
        patch.setattr(steps, "RECIPE", "quick")
        patch.setattr(steps, "SMALLER", ("model.widths=[8, 16, 32]", "svm.fit=end-to-end"))
        patch.setattr(steps, "ABLATIONS", {"no LSTM": ("model.sequence=mean",)})
        patch.setattr(steps, "REFITS", {"SVM fitted by ADMM": {"fit": "admm"}})
        patch.setattr(steps, "PRINTED", {"printed setting B": "paper-b-admm"})
        methods = {name: steps.BASELINES[name] for name in ("hog-svm", "lbp-knn")}
        patch.setattr(steps, "BASELINES", methods)
        yield


class Stop(Exception):
    """What stands for a kill."""


def emotic_of_toon(folder):
    """A miniature EMOTIC whose people are drawn faces."""
    toon = make_toon(characters=12, per_emotion=1, seed=1)
    return official(
        folder,
        [
            SimpleNamespace(name=f"{i}", side=sample.side, label=sample.label, pixels=pixels)
            for i, (sample, pixels) in enumerate(zip(toon.samples, toon.faces(), strict=True))
        ],
    )


@pytest.fixture(scope="module")
def resumed(few, tmp_path_factory):
    """A reproduction that was stopped after its first step and called again: it and its words."""
    out, said = tmp_path_factory.mktemp("out"), []
    data = {"emotic": emotic_of_toon(tmp_path_factory.mktemp("emotic"))}

    def stop(text):
        if text.endswith(" s"):
            raise Stop

    with pytest.raises(Stop):
        reproduce(data, out, effort=TINY, accelerator="cpu", progress=Progress(say=stop))
    with pytest.raises(InputError, match="other data or settings"):
        reproduce(data, out, effort=TINY, seed=1, accelerator="cpu")
    again = Progress(say=said.append)
    return reproduce(data, out, effort=TINY, accelerator="cpu", progress=again), said


@pytest.fixture(scope="module")
def found(resumed):
    return resumed[0]


def systems(found, dataset, kind):
    return {m.system for m in found.measured if m.dataset == dataset and m.kind == kind}


@pytest.mark.slow
def test_every_system_is_measured(found):
    name = "toon for fer2013"
    assert systems(found, name, "hybrid") == {"hybrid"}
    assert systems(found, name, "ablation") == {steps.CONTROL, "no LSTM"}
    assert systems(found, name, "refit") == {"SVM fitted by ADMM"}
    assert systems(found, name, "printed") == {"printed setting B"}
    assert systems(found, name, "deep-emotion") == {"Deep-Emotion"}
    assert systems(found, name, "baseline") == {"hog-svm", "lbp-knn"}
    assert systems(found, name, "leak") == {"lookup table", "hybrid"}
    assert systems(found, "emotic", "hybrid") == {"hybrid"}


@pytest.mark.slow
def test_ablations_are_compared_with_the_hybrid_that_trained_as_long(found):
    bases = {m.kind: m.base for m in found.measured if m.base is not None}

    assert bases == {
        "ablation": steps.CONTROL, "refit": "hybrid", "deep-emotion": "hybrid",
        "baseline": "hybrid",
    }  # fmt: skip


@pytest.mark.slow
def test_every_fold_is_judged_by_one_character_and_all_are_pooled(found):
    rows = [m for m in found.measured if m.dataset == "toon for ferg"]
    folds = [m for m in rows if m.kind == "fold"]
    pooled = next(m for m in rows if m.kind == "hybrid")

    assert len(folds) == 2
    assert pooled.faces == sum(m.faces for m in folds) == 2 * 7 * 2
    assert all(m.protocol.endswith("held out") for m in folds)


@pytest.mark.slow
def test_emotic_is_judged_by_its_own_measures(found):
    judged = EmoticJudgement.from_dict(found.emotic)

    assert len(judged.categories) == 26
    assert set(judged.errors) >= {"valence", "arousal", "dominance"}
    words = reproduction_page(found)
    assert f"{100 * judged.mean_precision.value:.2f}" in words
    assert "mean absolute error of valence" in words


@pytest.mark.slow
def test_the_lookup_table_profits_from_the_leak(found):
    table = {
        m.protocol: m.accuracy.value
        for m in found.measured
        if m.system == "lookup table" and m.dataset == "toon for fer2013"
    }

    assert table["leaky-80-10-10"] > 0.8 > table["official"] + 0.2


@pytest.mark.slow
def test_a_second_call_goes_on_where_the_first_stopped(resumed):
    before = [line for line in resumed[1] if line.endswith("done before")]

    assert before == ["toon for fer2013: hybrid: done before"]


def test_a_dataset_that_the_paper_does_not_have_is_an_error(tmp_path):
    with pytest.raises(InputError, match="expected data for emotic, fer2013, ferg, got raf-db"):
        reproduce({"raf-db": "x"}, tmp_path)


@pytest.mark.parametrize("words", [["fer2013"], ["fer2013=a", "fer2013=b"]])
def test_data_are_given_as_name_and_path_once(words, tmp_path):
    result = CliRunner().invoke(
        command, ["--data", *words, "--report", str(tmp_path / "r.html")], catch_exceptions=True
    )
    assert isinstance(result.exception, InputError)
    assert "expected NAME=PATH once per dataset" in str(result.exception)


@pytest.mark.slow
def test_the_command_writes_report_and_numbers(found, monkeypatch, tmp_path):
    import facetell.reproduce as module

    asked = {}

    def run(data, out, **options):
        asked.update(data=data, **options)
        return found

    monkeypatch.setattr(module, "reproduce", run)
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    words = ["--data", "fer2013=a.csv", "ferg=b", "--quick", "--report", str(report)]
    result = CliRunner().invoke(command, [*words, "--json", str(numbers)], catch_exceptions=False)

    assert result.exit_code == 0
    assert asked["data"] == {"fer2013": "a.csv", "ferg": "b"}
    assert asked["effort"].name == "quick"
    assert "What a leak is worth" in report.read_text()
    assert len(json.loads(numbers.read_text())["measured"]) == len(found.measured)

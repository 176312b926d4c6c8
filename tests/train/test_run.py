"""Real training runs: as a function, as a process, killed and resumed."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from click.testing import CliRunner  # noqa: E402
from tensorboardX.proto.event_pb2 import Event  # noqa: E402

from facetell.cli import _group, main  # noqa: E402
from facetell.datasets.groups import write_groups  # noqa: E402
from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.errors import TrainingError  # noqa: E402
from facetell.model.hybrid import Hybrid  # noqa: E402
from facetell.recipe import load_recipe  # noqa: E402
from facetell.train.checkpoint import load_checkpoint  # noqa: E402
from facetell.train.finish import refit_run  # noqa: E402
from facetell.train.loop import COLUMNS, Progress, learning_rate, train  # noqa: E402
from facetell.train.predictor import load_run  # noqa: E402

TOON = "toon:characters=6,per_emotion=4,face_px=16"
TINY = """
name = "tiny"
[model]
face_px = 16
widths = [4, 6]
relu_each = true
batch_norm = true
stn_widths = [2, 2, 2]
stn_hidden = [4, 4]
features = 8
hidden = 8
grid = 2
[train]
epochs = 6
batch_size = 16
[svm]
fit = "{fit}"
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace("{fit}", "end-to-end"))
    return path


def toon():
    return make_toon(characters=6, per_emotion=4, face_px=16)


def command(*arguments):
    return [sys.executable, "-m", "facetell", "train", *map(str, arguments), "--threads", "1",
            "--accelerator", "cpu"]  # fmt: skip


def rows(folder: Path):
    with (folder / "metrics.csv").open() as file:
        wanted = ("epoch", "loss", "validation_accuracy", "learning_rate")
        return [{key: row[key] for key in wanted} for row in csv.DictReader(file)]


def test_a_killed_run_resumes_to_the_same_numbers(tmp_path, recipe):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(recipe, "--data", TOON, "--out", whole), check=True, capture_output=True)

    with subprocess.Popen(
        command(recipe, "--data", TOON, "--out", killed),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 240
        while not (killed / "last.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "model.safetensors").exists()
    subprocess.run(command("--resume", killed), check=True, capture_output=True)

    assert rows(killed) == rows(whole)
    for name in ("model.safetensors", "best.safetensors"):
        ours, theirs = (load_checkpoint(folder / name)[0] for folder in (killed, whole))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


MEMORY = ["model.memory=4", "clips.frames=5", "train.epochs=2", "clips.share=1.0"]


def test_an_lstm_over_frames_is_trained_on_top_of_a_run_that_stays_as_it_is(tmp_path, recipe):
    faces, frames = tmp_path / "faces", tmp_path / "frames"
    train(load_recipe(recipe), toon(), faces, accelerator="cpu")

    predictor = train(
        load_recipe(recipe, overrides=MEMORY), toon(), frames, start=faces, accelerator="cpu"
    )

    before, after = load_run(faces).model.state_dict(), load_run(frames).model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert after["memory.svm.weight"].abs().max() > 0
    assert predictor.contract.memory == 4
    assert predictor.contract.results["side"] == "frames of clips made of validation"
    assert predictor.contract.results["flip"] is False
    assert json.loads((frames / "run.json").read_text())["started_from"] == str(faces)


def test_an_lstm_over_frames_killed_before_its_first_epoch_knows_what_it_stands_on(
    tmp_path, recipe
):
    faces, whole, killed = (tmp_path / name for name in ("faces", "whole", "killed"))
    train(load_recipe(recipe), toon(), faces, accelerator="cpu")
    chosen = load_recipe(recipe, overrides=MEMORY)
    train(chosen, toon(), whole, start=faces, accelerator="cpu")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(chosen, toon(), killed, start=faces, accelerator="cpu", progress=Progress(step=stop))
    train(chosen, toon(), killed, resume=True, accelerator="cpu")

    assert rows(killed) == rows(whole)


def test_what_an_lstm_over_frames_cannot_stand_on_is_refused(tmp_path, recipe):
    faces = tmp_path / "faces"
    train(load_recipe(recipe, overrides=["train.epochs=1"]), toon(), faces, accelerator="cpu")
    chosen = load_recipe(recipe, overrides=MEMORY)
    other = load_recipe(recipe, overrides=[*MEMORY, "model.hidden=9", "model.stn=false"])

    for options, message in [
        ((chosen, None), "on top of a finished run, and got none. Give one with --start RUN"),
        ((other, faces), r"differs in model\.stn, model\.hidden\. Set these alike"),
        ((load_recipe(recipe), faces), "a recipe with a residual trunk to go with --start"),
    ]:
        with pytest.raises(TrainingError, match=message):
            train(options[0], toon(), tmp_path / "out", start=options[1], accelerator="cpu")


def test_two_processes_train_one_model(tmp_path, recipe):
    out = tmp_path / "run"

    done = subprocess.run(
        [*command(recipe, "--data", TOON, "--out", out, "--set", "train.epochs=2"),
         "--devices", "2"], capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(rows(out)) == 2
    assert load_run(out).contract.results["faces"] > 0


def test_a_run_leaves_everything_needed_to_repeat_it(tmp_path, recipe):
    seen = []
    progress = Progress(epoch=seen.append)

    predictor = train(
        load_recipe(recipe), toon(), tmp_path / "run", accelerator="cpu", progress=progress
    )

    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["recipe"] == load_recipe(recipe).to_dict()
    assert about["data"]["count"] == len(toon())
    assert {"versions", "seed", "commit", "protocol"} <= set(about)
    assert [row["epoch"] for row in seen] == [1, 2, 3, 4, 5, 6]
    assert set(seen[0]) == set(COLUMNS)
    assert list((tmp_path / "run" / "logs").glob("events*"))
    assert predictor.contract.results["accuracy"] == pytest.approx(
        max(row["validation_accuracy"] for row in seen), abs=1e-6
    )


@pytest.mark.parametrize("there", [True, False])
def test_bfloat16_is_for_training_only_and_where_the_processor_has_it(
    tmp_path, recipe, monkeypatch, there
):
    halved, said = [], []
    forward = Hybrid.forward

    def watched(self, *inputs):
        halved.append(self.bf16)
        return forward(self, *inputs)

    monkeypatch.setattr(Hybrid, "forward", watched)
    monkeypatch.setattr("facetell.train.loop._has_bfloat16", lambda device: there)
    chosen = load_recipe(recipe, overrides=["train.precision=bf16", "train.epochs=1"])

    predictor = train(
        chosen, toon(), tmp_path / "run", accelerator="cpu", progress=Progress(say=said.append)
    )

    assert halved[0] is there
    assert halved[-1] is False
    assert any("no bfloat16 arithmetic" in text for text in said) is not there
    assert {p.dtype for p in predictor.model.parameters()} == {torch.float32}
    assert not predictor.model.bf16


@pytest.mark.parametrize("fit", ["sklearn", "admm"])
def test_a_post_hoc_svm_replaces_the_last_layer_only(tmp_path, fit):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace("{fit}", fit))

    train(load_recipe(path), toon(), tmp_path / "run", accelerator="cpu")

    best, _ = load_checkpoint(tmp_path / "run" / "best.safetensors")
    final, _ = load_checkpoint(tmp_path / "run" / "model.safetensors")
    changed = {name for name in best if not torch.equal(best[name], final[name])}
    assert changed == {"svm.weight", "svm.bias"}


def test_refit_makes_a_new_run_and_keeps_the_old(tmp_path, recipe):
    train(load_recipe(recipe), toon(), tmp_path / "run", accelerator="cpu")
    before = (tmp_path / "run" / "model.safetensors").read_bytes()

    done = CliRunner().invoke(
        _group, ["refit", str(tmp_path / "run"), "--svm", "admm", "--data", TOON,
                 "--out", str(tmp_path / "admm")],
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "validation accuracy" in done.output
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    assert load_run(tmp_path / "admm").recipe.svm.fit == "admm"
    other = make_toon(characters=7, per_emotion=4, face_px=16)
    with pytest.raises(TrainingError, match=r"expected the data that the run in .* was trained on"):
        refit_run(tmp_path / "run", tmp_path / "other", {"fit": "admm"}, dataset=other)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["end-to-end", "--l2", "1"], "--l2 goes with --svm sklearn or admm and does nothing"),
        (["end-to-end", "--rho", "1"], "--rho goes with --svm admm and does nothing"),
        (["sklearn", "--rho", "1"], "does nothing with --svm sklearn. Leave it out."),
        (["end-to-end", "--not-balanced"], "--balanced goes with --svm sklearn or admm"),
    ],
)
def test_a_refit_refuses_what_would_do_nothing(tmp_path, options, message):
    out = str(tmp_path / "out")
    done = CliRunner().invoke(_group, ["refit", str(tmp_path), "--out", out, "--svm", *options])
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (False, r"Error: .* got the file .*photo\.jpg\. Choose another place"),
        (True, r"Error: .* got: .* at .*photo\.jpg.*Choose another place"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_in_a_line(
    tmp_path, recipe, capsys, monkeypatch, later, message
):
    (tmp_path / "photo.jpg").touch()
    if later:  # it could be written when the command looked
        monkeypatch.setattr("facetell.cli.train.check_targets", lambda *_, **__: None)

    with pytest.raises(SystemExit) as left:
        main(["train", str(recipe), "--data", TOON, "--out", str(tmp_path / "photo.jpg")])

    assert left.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.match(message, said)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "-2"], "'--threads': -2 is not in the range"),
        (["--devices", "0"], "'--devices': 0 is not in the range"),
    ],
)
def test_numbers_of_threads_and_devices_that_cannot_be_are_a_misuse(recipe, options, message):
    done = CliRunner().invoke(_group, ["train", str(recipe), "--data", TOON, *options])

    assert (done.exit_code, message in done.output) == (2, True), done.output


def test_devices_that_are_not_here_are_told(tmp_path, recipe):
    missing = "mps" if torch.cuda.is_available() else "cuda"

    with pytest.raises(
        TrainingError, match=rf"devices that this machine has, got accelerator '{missing}' and 1 "
    ):
        train(load_recipe(recipe), toon(), tmp_path / "run", accelerator=missing)
    with pytest.raises(TrainingError, match=r"0 devices: .* Train with --accelerator auto"):
        train(load_recipe(recipe), toon(), tmp_path / "run", accelerator="cpu", devices=0)


def test_a_folder_in_use_is_not_overwritten(tmp_path, recipe):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")

    with pytest.raises(TrainingError, match=r"expected a new folder .* --resume"):
        train(load_recipe(recipe), toon(), tmp_path / "run", accelerator="cpu")


def test_resuming_with_other_data_is_refused(tmp_path, recipe):
    train(
        load_recipe(recipe, overrides=["train.epochs=1"]),
        toon(),
        tmp_path / "run",
        accelerator="cpu",
    )

    with pytest.raises(TrainingError, match="arguments that differ in recipe"):
        train(
            load_recipe(recipe, overrides=["train.epochs=2"]), toon(), tmp_path / "run",
            resume=True, accelerator="cpu",
        )  # fmt: skip


def test_a_run_keeps_the_groups_that_it_was_given(tmp_path, recipe):
    write_groups(toon(), np.repeat(np.arange(3), 56), tmp_path / "pairs.csv")
    settings = ("--set", "train.epochs=1", "--set", "data.protocol=random-80-10-10")
    arguments = [str(recipe), "--data", TOON, "--accelerator", "cpu", *settings]
    alone, paired = str(tmp_path / "alone"), str(tmp_path / "paired")

    CliRunner().invoke(_group, ["train", *arguments, "--out", alone], catch_exceptions=False)
    arguments += ["--out", paired, "--together", str(tmp_path / "pairs.csv")]
    done = CliRunner().invoke(_group, ["train", *arguments], catch_exceptions=False)
    kept = f"--protocol random-80-10-10 --together {Path(paired) / 'groups.csv'}"
    assert f"next: facetell evaluate {paired} --data {TOON} {kept}; facetell" in done.stderr
    refit_run(tmp_path / "paired", tmp_path / "admm", {"fit": "admm"})

    names = ("alone", "paired", "admm")
    faces = {name: load_run(tmp_path / name).contract.results["faces"] for name in names}
    assert faces == {"alone": 28, "paired": 56, "admm": 56}


def test_a_run_of_other_groups_neither_teaches_nor_lends_features(tmp_path, recipe):
    """It may have trained on faces that the pupil is chosen on."""
    drawn = load_recipe(recipe, overrides=["train.epochs=1", "data.protocol=random-80-10-10"])
    pairs = np.arange(168) // 2
    train(drawn, toon(), tmp_path / "teacher", groups=pairs, accelerator="cpu")
    pupil = replace(drawn, train=replace(drawn.train, distil=0.5))
    options = {"teachers": [tmp_path / "teacher"], "accelerator": "cpu"}

    for groups in (None, np.arange(168) // 4):
        with pytest.raises(TrainingError, match=r"on the same faces.*data\.fold and --together"):
            train(pupil, toon(), tmp_path / "pupil", groups=groups, **options)
    train(pupil, toon(), tmp_path / "pupil", groups=500 - pairs, **options)


def test_a_resumed_run_keeps_its_teachers(tmp_path, recipe):
    short = load_recipe(recipe, overrides=["train.epochs=1"])
    for name in ("a", "b"):
        train(short, toon(), tmp_path / name, accelerator="cpu")
    pupil = replace(short, train=replace(short.train, distil=0.5))
    options = {"folder": tmp_path / "pupil", "accelerator": "cpu"}
    train(pupil, toon(), teachers=[tmp_path / "a"], **options)

    with pytest.raises(TrainingError, match="arguments that differ in teachers"):
        train(pupil, toon(), teachers=[tmp_path / "b"], resume=True, **options)


def test_a_finished_run_is_read_without_what_taught_it(tmp_path, recipe):
    short = load_recipe(recipe, overrides=["train.epochs=1"])
    train(short, toon(), tmp_path / "a", accelerator="cpu")
    pupil = replace(short, train=replace(short.train, distil=0.5))
    options = {"folder": tmp_path / "pupil", "accelerator": "cpu"}
    done = train(pupil, toon(), teachers=[tmp_path / "a"], **options)

    (tmp_path / "a").rename(tmp_path / "gone")
    again = train(pupil, toon(), teachers=[tmp_path / "a"], resume=True, **options)
    assert again.contract == done.contract


def test_a_run_from_before_sides_had_a_seed_goes_on_where_none_are_drawn(tmp_path, recipe):
    short = load_recipe(recipe, overrides=["train.epochs=1", "train.seed=1"])
    for protocol in ("official", "random-80-10-10"):
        chosen = replace(short, data=replace(short.data, protocol=protocol))
        run = tmp_path / protocol
        train(chosen, toon(), run, accelerator="cpu")
        record = json.loads((run / "run.json").read_text())
        del record["recipe"]["data"]["seed"]
        (run / "run.json").write_text(json.dumps(record))
        if protocol == "official":
            train(chosen, toon(), run, resume=True, accelerator="cpu")
        else:  # by the seed of the weights, then
            with pytest.raises(TrainingError, match="differ in recipe"):
                train(chosen, toon(), run, resume=True, accelerator="cpu")


def test_a_run_is_made_smaller_on_its_own_data_alone(tmp_path, recipe):
    short = load_recipe(recipe, overrides=["train.epochs=1"])
    train(short, toon(), tmp_path / "run", accelerator="cpu")
    out = tmp_path / "half.onnx"
    command = ["export", str(tmp_path / "run"), "--precision", "fp16", "--out", str(out)]
    command += ["--most-loss", "100"]

    other = CliRunner().invoke(_group, [*command, "--data", TOON.replace("=6", "=7")])
    assert "expected the data that tiny was trained on, trained on 112 faces" in str(
        other.exception
    )
    assert not out.exists()
    assert CliRunner().invoke(_group, [*command, "--data", TOON]).exit_code == 0


def test_tensorboard_shows_every_epoch_of_a_resumed_run(tmp_path, recipe):
    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    three = load_recipe(recipe, overrides=["train.epochs=3"])
    options = {"folder": tmp_path / "run", "accelerator": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        train(three, toon(), progress=Progress(epoch=stop), **options)
    train(three, toon(), resume=True, **options)

    assert shown_epochs(tmp_path / "run" / "logs") == [1, 2, 3]


def shown_epochs(logs):
    """The epochs whose loss TensorBoard shows: a restart hides the steps from its own on."""
    epochs = []
    for path in sorted(logs.glob("events*"), key=lambda path: path.stat().st_mtime_ns):
        content, at = path.read_bytes(), 0
        while at < len(content):  # records: length, its checksum, event, its checksum
            length = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 12 + length + 4
            if event.HasField("session_log"):
                epochs = [epoch for epoch in epochs if epoch < event.step]
            epochs += [event.step for value in event.summary.value if value.tag == "loss"]
    return epochs


def test_a_recipe_that_explodes_says_so(tmp_path, recipe):
    wild = load_recipe(
        recipe,
        overrides=["train.learning_rate=1e30", "train.clip_norm=0", "model.batch_norm=false"],
    )

    with pytest.raises(TrainingError, match="does not train"):
        train(wild, toon(), tmp_path / "run", accelerator="cpu")


def test_the_learning_rate_rises_then_falls_to_zero():
    recipe = load_recipe("quick")
    rates = [learning_rate(recipe, step, 1000) for step in range(1000)]
    top = rates.index(max(rates))

    assert 80 < top < 120
    assert max(rates) == pytest.approx(recipe.train.learning_rate)
    assert rates[-1] < 1e-5
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a RECIPE and --data PATH"),
        (["quick"], "give a RECIPE and --data PATH"),
        (["--resume", "."], "expected a training run"),
        (["quikc", "--data", "toon"], "Did you mean 'quick'"),
        (["quick", "--data", "nowhere.csv"], "nothing there"),
    ],
)
def test_misuse_of_train_is_explained(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(_group, ["train", *arguments])

    assert done.exit_code != 0
    assert message in done.output + str(done.exception)

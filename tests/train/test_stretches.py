"""Labelled clips as the LSTM over frames learns from them."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("av")

from clipfolder_forms import FindsSquares, label_of, make_ravdess  # noqa: E402
from facetell.contract import Contract  # noqa: E402
from facetell.datasets.clipfolders import open_clips  # noqa: E402
from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.errors import ContractError, DataError, TrainingError  # noqa: E402
from facetell.faces import detect  # noqa: E402
from facetell.labels import EMOTIONS  # noqa: E402
from facetell.recipe import load_recipe, recipe_from_dict  # noqa: E402
from facetell.train.batches import training_faces  # noqa: E402
from facetell.train.finish import refit_run  # noqa: E402
from facetell.train.loop import Progress, resumed_recipe, train  # noqa: E402
from facetell.train.stretches import ClipSides, Stretches, with_clips  # noqa: E402

CONTRACT = Contract(name="x", face_px=16, memory=4)
BLOCKS = {"face_px": 16, "widths": [4, 6], "relu_each": True, "batch_norm": True, "hidden": 8,
          "stn": False, "features": 8, "grid": 2}  # fmt: skip


@pytest.fixture(autouse=True)
def packaged(monkeypatch):
    monkeypatch.setattr(detect, "CenterFace", FindsSquares)


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory):
    """Ten actors, three clips of eight frames each."""
    return open_clips(make_ravdess(tmp_path_factory.mktemp("clips"), actors=10))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def toon():
    return make_toon(characters=6, per_emotion=4, face_px=16)


def recipe(**clips):
    model = {**BLOCKS, "memory": 4} if clips else BLOCKS
    return recipe_from_dict(
        {"name": "tiny", "model": model, "clips": clips, "train": {"epochs": 2, "batch_size": 16}}
    )


def test_every_frame_of_a_stretch_shows_the_label_of_its_clip(ravdess):
    actors = replace(ravdess, clips=ravdess.clips[:6])  # the first two
    labels = (*EMOTIONS[1:], EMOTIONS[0])
    drawn = Stretches(actors, replace(CONTRACT, labels=labels)).draw(20, 5, generator())
    assert drawn.frames.shape == (20, 5, 16, 16)
    assert drawn.frames.dtype == torch.uint8
    for frames, targets in zip(drawn.frames, drawn.targets, strict=True):
        assert (
            {labels.index(EMOTIONS[label_of(face.numpy())]) for face in frames}
            == {int(targets[0])}
            == set(targets.tolist())
        )


def test_a_stretch_keeps_the_times_of_its_clip_at_the_whole_or_half_the_rate(ravdess):
    drawn = Stretches(ravdess, CONTRACT).draw(40, 4, generator())
    assert (drawn.elapsed[:, 0] == 0).all()
    steps = drawn.elapsed[:, 1:]
    rate = float(steps.min())
    assert {round(float(step) / rate) for step in steps.flatten()} == {1, 2}
    assert torch.allclose(steps, steps[:, :1].expand(steps.shape), rtol=0.01)


def test_a_clip_that_is_over_stands_still_while_time_goes_on(ravdess):
    middles = Stretches(ravdess, CONTRACT).middles(12)
    assert torch.equal(middles.frames[:, 7], middles.frames[:, 11])
    assert (middles.elapsed[:, 1:] > 0).all()


def test_the_same_seed_draws_the_same_stretches(ravdess):
    stretches = Stretches(ravdess, CONTRACT)
    one, same, other = (stretches.draw(9, 4, generator(seed)).targets for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_nobody_is_on_two_sides_and_the_test_people_on_neither(ravdess):
    filmed = ClipSides(ravdess, CONTRACT)
    assert (len(filmed.train), len(filmed.validation)) == (24, 3)
    about = with_clips(CONTRACT, filmed)
    assert about.data["clips"]["train"] == 24
    assert any("24 clips of ravdess to train on, 3 of other people" in r for r in about.training)
    fewer = ClipSides(replace(ravdess, clips=ravdess.clips[3:]), CONTRACT)
    assert fewer.about()["digest"] != filmed.about()["digest"]


def test_a_set_with_sides_of_its_own_and_no_validation_trains_all_the_same(ravdess):
    sided = [replace(clip, side="train" if i % 2 else "test")
             for i, clip in enumerate(ravdess.clips)]  # fmt: skip
    filmed = ClipSides(replace(ravdess, clips=tuple(sided)), CONTRACT)
    assert (len(filmed.train), filmed.validation) == (15, None)
    assert filmed.about()["validation"] == 0


def test_clips_fill_their_share_of_each_batch(ravdess):
    chosen = recipe(frames=4, share=1.0, real=0.25)
    dataset = toon()
    from facetell.train.finish import split_for

    parts = split_for(chosen, dataset, None)
    drawn = []

    class Spy(Stretches):
        def draw(self, count, frames, generator):
            drawn.append(super().draw(count, frames, generator))
            return drawn[-1]

    batch = next(training_faces(parts.train, chosen, CONTRACT, Spy(ravdess, CONTRACT)).epoch(0))
    assert batch.targets.shape == (16, 4, 7)
    assert torch.equal(batch.targets[12:].argmax(-1), drawn[0].targets)
    alone = replace(chosen, clips=replace(chosen.clips, real=1.0))
    batch = next(training_faces(parts.train, alone, CONTRACT, Spy(ravdess, CONTRACT)).epoch(0))
    assert torch.equal(batch.targets.argmax(-1), drawn[1].targets)
    assert len(drawn[1].targets) == 16


def test_other_labels_and_clips_without_a_face_are_refused(ravdess, monkeypatch):
    with pytest.raises(ContractError, match="labelled angry, disgust"):
        Stretches(ravdess, replace(CONTRACT, labels=("calm", "cross")))
    monkeypatch.setattr(FindsSquares, "detect", lambda *_: ())
    one = replace(ravdess, clips=ravdess.clips[:1])
    with pytest.raises(DataError, match=r"clips of ravdess with a face, got none of 1"):
        Stretches(one, replace(CONTRACT, face_px=24))


def test_a_run_on_clips_says_so_and_resumes_with_them(tmp_path, ravdess):
    faces, whole, killed = (tmp_path / name for name in ("faces", "whole", "killed"))
    train(recipe(), toon(), faces, accelerator="cpu")
    chosen = recipe(frames=4, share=1.0)
    done = train(chosen, toon(), whole, start=faces, clips=ravdess, accelerator="cpu")
    assert done.contract.results["side"].endswith("and of labelled clips of held-out people")
    assert "Clips: RAVDESS" in done.contract.licence
    assert json.loads((whole / "run.json").read_text())["data"]["clips"]["train"] == 24

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(chosen, toon(), killed, start=faces, clips=ravdess, accelerator="cpu",
              progress=Progress(epoch=stop))  # fmt: skip
    again, _, filmed = resumed_recipe(killed)
    assert (again, filmed) == (chosen, ravdess.source)
    with pytest.raises(TrainingError, match="arguments that differ in data"):
        train(again, toon(), killed, resume=True, accelerator="cpu")
    resumed = train(again, toon(), killed, resume=True, clips=open_clips(filmed), accelerator="cpu")
    ours, theirs = resumed.model.state_dict(), done.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    refitted = refit_run(whole, tmp_path / "refitted", {"fit": "end-to-end"}, dataset=toon())
    assert refitted.contract.data == done.contract.data
    assert refitted.contract.licence == done.contract.licence


def test_other_seeds_of_the_weights_keep_the_people_of_the_clips(tmp_path, ravdess):
    """`evaluate --clips --side test` draws by a seed of its own, that of the sides."""
    train(recipe(), toon(), tmp_path / "faces", accelerator="cpu")
    base = recipe(frames=4, share=1.0)

    def digest(name, **seeds):
        changed = {"train": replace(base.train, seed=seeds.get("weights", 0)),
                   "data": replace(base.data, seed=seeds.get("sides", 0))}  # fmt: skip
        done = train(replace(base, **changed), toon(), tmp_path / name, start=tmp_path / "faces",
                     clips=ravdess, accelerator="cpu")  # fmt: skip
        return done.contract.data["clips"]["digest"]

    first = digest("a")
    assert digest("b", weights=1) == first
    assert digest("c", sides=1) != first


def test_a_recipe_without_an_lstm_over_frames_takes_no_clips(tmp_path, ravdess):
    with pytest.raises(TrainingError, match="LSTM over frames to go with --clips, got quick"):
        train(load_recipe("quick"), toon(), tmp_path, clips=ravdess)

"""Networks that learn from other networks."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("onnxscript")

from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.errors import ContractError, InputError, TrainingError  # noqa: E402
from facetell.export import export  # noqa: E402
from facetell.recipe import AugmentOptions, recipe_from_dict  # noqa: E402
from facetell.tensors import to_tensor  # noqa: E402
from facetell.train.finish import make_contract, split_for  # noqa: E402
from facetell.train.loop import Progress, train  # noqa: E402
from facetell.train.predictor import load_run  # noqa: E402
from facetell.train.teachers import Teachers, check_alike  # noqa: E402


def toon():
    return make_toon(characters=6, per_emotion=4, face_px=16)


def recipe(*, data=None, widths=(4, 6), **options):
    return recipe_from_dict(
        {
            "name": "tiny",
            "model": {"face_px": 16, "widths": list(widths), "relu_each": True, "stn": False,
                      "batch_norm": True, "features": 8, "hidden": 8, "grid": 2},
            "train": {"epochs": 2, "batch_size": 16, **options},
            "data": data or {},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    for seed in (0, 1):
        train(recipe(seed=seed, widths=(6, 8)), toon(), folder / str(seed), accelerator="cpu")
    return [folder / "0", folder / "1"]


def test_the_targets_of_a_pupil_are_the_mean_of_calibrated_scores(teachers):
    faces = toon().faces(range(5), face_px=16)
    runs = [load_run(run, flip=False) for run in teachers]
    expected = np.mean([run.predict(faces).scores for run in runs], axis=0)
    taught = Teachers(teachers, recipe(), runs[0].contract)
    x = torch.from_numpy(to_tensor(faces, runs[0].contract))
    assert taught(x)[:, 0].numpy() == pytest.approx(expected, abs=1e-5)
    assert not any(p.requires_grad for p in taught.parameters())


@pytest.mark.parametrize("faces", [1, 5])
def test_teachers_can_take_turns(teachers, faces):
    runs = [load_run(run, flip=False) for run in teachers]
    x = torch.from_numpy(to_tensor(toon().faces(range(faces), face_px=16), runs[0].contract))
    each = [Teachers([t], recipe(), runs[0].contract)(x) for t in teachers]
    expected = torch.stack([each[i % 2][i] for i in range(faces)])
    taught = Teachers(teachers, recipe(distil_by="one"), runs[0].contract)
    assert torch.allclose(taught(x), expected, atol=1e-6)
    assert not torch.allclose(each[0], each[1], atol=1e-4)


def test_teachers_see_small_faces_at_their_own_size(teachers):
    faces = toon().faces(range(5), face_px=16)
    contract = load_run(teachers[0]).contract
    x = torch.from_numpy(to_tensor(faces, contract))[..., ::2, ::2]
    enlarged = torch.nn.functional.interpolate(x[:, 0], 16, mode="bilinear")[:, None]
    taught = Teachers(teachers, recipe(), contract)
    assert torch.equal(taught(x), taught(enlarged))
    assert not torch.allclose(taught(x), taught(x[..., :1].expand(x.shape)))


def test_teachers_compute_in_bfloat16_if_they_shall(teachers):
    contract = load_run(teachers[0]).contract
    x = torch.from_numpy(to_tensor(toon().faces(range(5), face_px=16), contract))
    whole, halved = (Teachers(teachers, recipe(), contract, bf16=b)(x) for b in (0, 1))
    assert halved.dtype == torch.float32
    assert 0 < (whole - halved).abs().max() < 0.02


@pytest.fixture(scope="module")
def teacher_file(teachers, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "teacher.onnx"
    export(load_run(teachers[0]), path, toon().faces(range(9), face_px=16))
    return path


def test_a_file_teaches_what_its_run_teaches(teachers, teacher_file):
    contract = load_run(teachers[0]).contract
    x = torch.from_numpy(to_tensor(toon().faces(range(6), face_px=16), contract))
    x = x.reshape(3, 2, *x.shape[2:])
    run, file = (Teachers([t], recipe(), contract) for t in (teachers[0], teacher_file))
    assert run(x).shape == (3, 2, 7)
    assert torch.allclose(run(x), file(x), atol=1e-5)
    assert torch.allclose(run(x[..., ::2, ::2]), file(x[..., ::2, ::2]), atol=1e-5)


def test_a_pupil_of_a_file_is_resumed_with_it(tmp_path, teacher_file):
    folder = tmp_path / "run"
    train(recipe(distil=0.5), toon(), folder, teachers=[str(teacher_file)], accelerator="cpu")
    for name in ("last.safetensors", "model.safetensors"):
        (folder / name).unlink()  # as if killed in the first epoch
    done = train(recipe(distil=0.5), toon(), folder, resume=True, accelerator="cpu")
    assert any("50% of the targets" in remark for remark in done.contract.training)
    assert json.loads((folder / "run.json").read_text())["teachers"] == [str(teacher_file)]


def test_a_file_that_may_have_seen_the_faces_that_its_pupil_is_chosen_on_is_refused(
    tmp_path, teacher_file
):
    drawn = recipe(distil=0.5, data={"protocol": "random-80-10-10"})
    with pytest.raises(
        TrainingError, match=r"protocol random-80-10-10, \w+ \w+\), got one .*official"
    ):
        train(drawn, toon(), tmp_path / "a", teachers=[teacher_file], accelerator="cpu")
    other = make_toon(characters=7, per_emotion=4, face_px=16)
    with pytest.raises(TrainingError, match="trained on the same faces as this one"):
        train(recipe(distil=0.5), other, tmp_path / "d", teachers=[teacher_file],
              accelerator="cpu")  # fmt: skip
    with pytest.raises(ContractError, match="nowhere"):
        train(recipe(distil=0.5), toon(), tmp_path / "b", teachers=[tmp_path / "nowhere.onnx"],
              accelerator="cpu")  # fmt: skip
    with pytest.raises(InputError, match="Did you mean 'compact'"):
        train(recipe(distil=0.5), toon(), tmp_path / "c", teachers=["compakt"],
              accelerator="cpu")  # fmt: skip


def test_a_file_of_a_drawn_run_teaches_on_the_same_sides_alone(tmp_path):
    """Its contract says which faces trained it."""
    data = {"protocol": "random-80-10-10"}
    predictor = train(recipe(epochs=1, data=data), toon(), tmp_path / "run", accelerator="cpu")
    path = tmp_path / "teacher.onnx"
    export(predictor, path, toon().faces(range(9), face_px=16))
    ours = load_run(tmp_path / "run").contract

    for seed in (1, 2):  # of the weights: the sides stay
        pupil = recipe(seed=seed, data=data)
        contract = make_contract(pupil, toon(), split_for(pupil, toon(), None))
        assert contract.trained_on == ours.trained_on
        Teachers([path, tmp_path / "run"], pupil, contract)
    other = recipe(data=data | {"seed": 1})
    contract = make_contract(other, toon(), split_for(other, toon(), None))
    for teacher in (path, tmp_path / "run"):
        with pytest.raises(TrainingError, match="may have seen faces that the others"):
            Teachers([teacher], other, contract)


def test_what_does_not_say_who_trained_it_teaches_on_the_datas_own_sides_alone(teachers):
    ours = load_run(teachers[0]).contract
    before = replace(ours, trained_on="")
    check_alike("before", before, ours)
    with pytest.raises(TrainingError, match="may have seen"):
        check_alike("before", before, replace(ours, protocol="random-80-10-10"))
    drawn = {"train": ours.data["classes"]["train"]}
    with pytest.raises(TrainingError, match="may have seen"):  # both held out, by some seed
        check_alike(
            "before",
            replace(before, data=before.data | {"classes": drawn}),
            replace(ours, data=ours.data | {"classes": drawn}),
        )


def test_a_pupil_that_hears_teachers_alone_never_sees_the_labels(tmp_path, teachers, monkeypatch):
    import facetell.train.loop as loop

    seen = []
    original = loop._loss
    monkeypatch.setattr(loop, "_loss", lambda m, t, r: seen.append(t.clone()) or original(m, t, r))
    done = train(recipe(distil=1.0), toon(), tmp_path / "run", teachers=teachers,
                 accelerator="cpu")  # fmt: skip
    targets = torch.cat(seen)
    assert torch.allclose(targets.sum(-1), torch.ones(targets.shape[:2]))
    assert targets.max() < 1
    assert "100% of the targets are teachers' scores" in done.contract.training


def test_a_pupil_of_noisy_faces_has_teachers_that_see_clear_ones(tmp_path, teachers, monkeypatch):
    seen = []
    original = Teachers.forward
    monkeypatch.setattr(Teachers, "forward", lambda t, x: seen.append(x) or original(t, x))
    for noise in (0.0, 0.3):
        options = replace(recipe(distil=0.5, epochs=1), augment=AugmentOptions(noise=noise))
        train(options, toon(), tmp_path / str(noise), teachers=teachers, accelerator="cpu")
    plain, noisy = torch.cat(seen).chunk(2)
    assert torch.equal(plain, noisy)


def test_a_resumed_pupil_has_the_same_teachers(tmp_path, teachers):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    chosen = recipe(distil=0.5)
    train(chosen, toon(), whole, teachers=teachers, accelerator="cpu")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(chosen, toon(), killed, teachers=teachers, accelerator="cpu",
              progress=Progress(epoch=stop))  # fmt: skip
    train(chosen, toon(), killed, resume=True, accelerator="cpu")
    ours, theirs = (load_run(folder).model.state_dict() for folder in (killed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert json.loads((whole / "run.json").read_text())["teachers"] == list(map(str, teachers))


def test_teachers_that_do_not_fit_are_refused(tmp_path, teachers):
    out = tmp_path / "run"
    taught = recipe(distil=0.5)
    with pytest.raises(TrainingError, match=r"both or neither, got 0 teachers and .* = 0.5"):
        train(taught, toon(), out)
    with pytest.raises(TrainingError, match=r"both or neither, got 2 teachers and .* = 0.0"):
        train(recipe(), toon(), out, teachers=teachers)
    other = make_toon(characters=7, per_emotion=4, face_px=16)
    with pytest.raises(TrainingError, match=r"\(trained on 140 .*, got one trained on 112 faces"):
        train(taught, other, out, teachers=teachers, accelerator="cpu")
    drawn = recipe(distil=0.5, data={"protocol": "random-80-10-10"})
    with pytest.raises(TrainingError, match=r"protocol random-80-10-10.*got .* official"):
        train(drawn, toon(), tmp_path / "drawn", teachers=teachers, accelerator="cpu")

"""Checkpoints."""

import pytest

torch = pytest.importorskip("torch")

from facetell.errors import TrainingError  # noqa: E402
from facetell.train.checkpoint import (  # noqa: E402
    flat_optimiser,
    load_checkpoint,
    restore_optimiser,
    save_checkpoint,
)


def test_a_checkpoint_comes_back_as_it_went(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(4, 3).T, "n": torch.tensor(7)}

    save_checkpoint(tmp_path / "x.safetensors", tensors, {"epoch": 3, "history": [{"loss": 0.5}]})
    read, state = load_checkpoint(tmp_path / "x.safetensors")

    assert state == {"epoch": 3, "history": [{"loss": 0.5}]}
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_an_optimiser_goes_on_where_it_stopped(kind):
    def made():
        torch.manual_seed(1)
        layer = torch.nn.Linear(3, 2)
        if kind == "adam":
            return layer, torch.optim.Adam(layer.parameters(), lr=0.1)
        return layer, torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, nesterov=True)

    def step(layer, optimiser):
        optimiser.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()

    layer, optimiser = made()
    step(layer, optimiser)
    other, fresh = made()
    other.load_state_dict(layer.state_dict())
    restore_optimiser(fresh, flat_optimiser(optimiser))
    step(layer, optimiser)
    step(other, fresh)

    assert torch.equal(layer.weight, other.weight)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint at all"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(TrainingError, match=r"expected a facetell checkpoint at .*x.safetensors"):
        load_checkpoint(path)

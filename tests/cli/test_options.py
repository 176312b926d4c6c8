"""What all commands' options have in common."""

import click
import pytest
from click.testing import CliRunner

from facetell.cli import _group
from facetell.cli.options import Number, keep_models


def commands(group, path=()):
    """(words, command) of every command."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


NUMBERS = [
    (words, option.opts[0])
    for words, command in commands(_group)
    for option in command.params
    if isinstance(option.type, type(click.FLOAT) | click.FloatRange)
]


def test_a_model_is_never_replaced_by_what_is_made_of_it(tmp_path):
    file = tmp_path / "a.onnx"
    run = tmp_path / "run"
    run.mkdir()
    for path in (file, run / "model.safetensors"):
        path.touch()
    for out, model in ((file, file), (run / "model.safetensors", run)):
        with pytest.raises(click.UsageError, match="the model would be lost"):
            keep_models(out, ["compact", str(model)])
    keep_models(tmp_path / "new.onnx", [str(file), str(run)])


def test_there_are_numbers_in_several_commands():
    assert {words[0] for words, _ in NUMBERS} >= {"read", "serve", "export", "refit"}


@pytest.mark.parametrize(
    ("words", "option"),
    [*NUMBERS, (("bench",), "--mean"), (("bench",), "--std"), (("read",), "--explain-at")],
)
@pytest.mark.parametrize("value", ["nan", "inf", "x"])
def test_what_is_no_finite_number_is_misuse_in_every_command(tmp_path, words, option, value):
    # Options are looked at before arguments are opened; these are there for the required ones.
    arguments = {"read": ["x.png"], "export": ["x"], "bench": ["x"], "refit": [str(tmp_path)]}
    given = [*words, f"{option}={value}", *arguments.get(words[0], [])]
    done = CliRunner().invoke(_group, given)
    assert done.exit_code == 2, done.output
    assert f"Invalid value for '{option}'" in done.stderr


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0.0), ("1", 1.0), ("0.5", 0.5), ("1e-3", 0.001)]
)
def test_a_number_in_the_range_is_taken(text, number):
    assert Number(0, 1).convert(text, None, None) == number

"""Options that several commands share, and what they check."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from facetell.recipe import MOST_SEED
from facetell.runtime import DEFAULT_MODEL

__all__ = [
    "Number", "abstain_option", "check_belongs", "check_targets", "keep_models",
    "label_order_option", "model_option", "model_path", "seed_range", "sets_option",
]  # fmt: skip

#: What --seed takes.
seed_range = click.IntRange(0, MOST_SEED)


class Number(click.FloatRange):
    """A number in a range. click's own range lets nan pass, and inf where it has no end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; a usage error for any other text."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value!r}.", param, ctx)
        return number


def _names(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [name.strip() for name in value.split(",")]


label_order_option = click.option(
    "--label-order",
    metavar="A,B,...",
    callback=_names,
    help="Names of the data's label numbers 0, 1, 2, ..., for data that has only numbers.",
)


model_option = click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, help="Bundled name, or a path."
)
sets_option = click.option(
    "--sets",
    metavar="LEVEL",
    type=Number(0.5, 0.99),
    help="Add the set of labels that a face may have; it holds the right one for this share of "
    "faces, 0.5 to 0.99.",
)
abstain_option = click.option(
    "--abstain",
    metavar="[SHARE]",
    type=Number(0.1, 1),
    is_flag=False,
    flag_value=0.7,
    help="Say whether the model is sure of a face; it is of about this share of faces. "
    "Without a number: 0.7.",
)


def model_path(model: str) -> Path:
    """The file of a model that --model names."""
    from facetell.errors import InputError
    from facetell.runtime.session import locate

    try:
        return locate(model)
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="--model") from error


def check_belongs(context: click.Context, names: Collection[str], *, to: str) -> None:
    """What belongs to another option is a mistake without it.

    Args:
        names: parameters that do nothing where the parameter `to` is not given.
    """
    if context.params[to]:
        return
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name in names:
            called = "/".join([option.opts[0], *option.secondary_opts])
            raise click.UsageError(
                f"{called} goes with --{to.replace('_', '-')}, which is missing. Add it."
            )


def keep_models(out: Path, models: Iterable[str]) -> None:
    """Refuse an output that would replace a model that it is made of, even with --force."""
    from facetell.runtime.session import bundled_models

    for model in models:
        path = bundled_models().get(model, Path(model))
        path = path / "model.safetensors" if path.is_dir() else path
        if out.exists() and path.exists() and out.samefile(path):
            raise click.UsageError(
                f"expected --out to be another file than the model {model}, got {out}: the model "
                "would be lost. Name another file."
            )


def check_targets(
    *files: Path | None, folders: Sequence[Path | None] = (), force: bool = False
) -> None:
    """Fail before minutes of work, not after.

    Args:
        files: what a command will write; None where it was not asked for.
        folders: what it will fill, and make where they are missing.
        force: files that are there may be replaced.

    Raises:
        InputError: one of them cannot be written, or two outputs are one file.
    """
    from facetell.errors import InputError
    from facetell.files import check_folder, check_target

    asked = [path for path in files if path is not None]
    filled = [path for path in folders if path is not None]
    taken = {path.resolve() for path in filled}
    for path in asked:
        if path.resolve() in taken:
            raise InputError(
                f"expected a file of its own for every output, got {path} twice. Choose another "
                "name for one of them.",
                path=path,
            )
        taken.add(path.resolve())
    for path in asked:
        check_target(path, force)
    for path in filled:
        check_folder(path)

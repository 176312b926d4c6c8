"""Options that several commands share, and what they check."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["label_order_option", "refuse_overwriting"]


def _names(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [name.strip() for name in value.split(",")]


label_order_option = click.option(
    "--label-order",
    metavar="A,B,...",
    callback=_names,
    help="Names of the data's label numbers 0, 1, 2, ..., for data that has only numbers.",
)


def refuse_overwriting(paths: list[Path], force: bool) -> None:
    """Fail before minutes of work, not after."""
    from facetell.errors import InputError

    for path in paths:
        if path.exists() and not force:
            raise InputError(
                f"{path} is there already. Choose another name, or overwrite with --force."
            )
        if not path.absolute().parent.is_dir():
            raise InputError(
                f"expected the folder {path.absolute().parent} for {path.name}, found none. "
                "Create it first."
            )

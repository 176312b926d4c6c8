"""Options that several commands share."""

from __future__ import annotations

import click

__all__ = ["label_order_option"]


def _names(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [name.strip() for name in value.split(",")]


label_order_option = click.option(
    "--label-order",
    metavar="A,B,...",
    callback=_names,
    help="Names of the data's label numbers 0, 1, 2, ..., for data that has only numbers.",
)

"""Progress on stderr: a line that overwrites itself; nothing when piped."""

from __future__ import annotations

import sys

import click

__all__ = ["show_search"]


def show_search(phase: str, share: float) -> None:
    """How far the search for near-copies is; it takes minutes the first time."""
    if sys.stderr.isatty():
        click.echo(f"\r{phase} {share:4.0%}" + ("\n" if share >= 1 else ""), err=True, nl=False)

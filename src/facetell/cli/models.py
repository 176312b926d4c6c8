"""`facetell models list|show`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

__all__ = ["models"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """List and show the models that come with facetell.

    \b
    Example:
      facetell models show compact
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model and line.")
def list_models(as_json: bool) -> None:
    """Name, input, size and labels of each bundled model.

    \b
    Example:
      facetell models list
    """
    from facetell.runtime.session import bundled_models

    found = bundled_models()
    if not found:
        click.echo("no models are bundled with this installation", err=True)
    for path in found.values():
        about = _about(path)
        if as_json:
            click.echo(json.dumps(about))
            continue
        contract = about["contract"]
        colour = "grey" if contract["channels"] == 1 else "RGB"
        click.echo(
            f"{about['name']:<14}  {contract['face_px']} px {colour}  "
            f"{about['file_bytes'] / 1e6:.2f} MB  {contract['parameters']:,} parameters  "
            f"{', '.join(contract['labels'])}"
        )


@models.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show_model(name: str, as_json: bool) -> None:
    """The contract and the card of a bundled model, or of an .onnx file.

    \b
    Example:
      facetell models show compact
    """
    from facetell.errors import InputError
    from facetell.runtime.session import locate

    try:
        path = locate(name)
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    about = _about(path)
    if as_json:
        click.echo(json.dumps(about))
        return
    click.echo(f"{about['path']}  {about['file_bytes']:,} bytes\n")
    for key, value in about["contract"].items():
        click.echo(f"{key:<14}  {_certainty(value) if key == 'certainty' else _shown(value)}")
    if about["card"]:
        click.echo(f"\n{about['card'].rstrip()}")


def _about(path: Path) -> dict[str, Any]:
    """Name, path, size, contract and card (the .md beside the model, "" without one)."""
    from facetell.graph import open_graph
    from facetell.runtime.session import read_contract

    contract = read_contract(open_graph(path, threads=1), path)
    card = path.with_suffix(".md")
    return {
        "name": path.stem,
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "contract": asdict(contract),
        "card": card.read_text("utf-8") if card.is_file() else "",
    }


def _certainty(value: dict[str, Any] | None) -> str:
    """In one line; --json has the numbers."""
    if value is None:
        return "not calibrated for sets and abstention"
    return (
        f"sets from {value['levels'][0]:.0%} to {value['levels'][-1]:.0%}, answers for "
        f"{value['shares'][0]:.0%} to {value['shares'][-1]:.0%} of faces; {value['data']}"
    )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    if not isinstance(value, (tuple, list)):
        return str(value)
    parts = [str(part) for part in value]
    return ("; " if any("," in part for part in parts) else ", ").join(parts)

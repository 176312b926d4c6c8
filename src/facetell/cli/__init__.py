"""The command line: each command parses, calls one function, prints.

Commands live in one module each and are imported only when they are used, so that
`facetell --help` answers at once.
"""

from __future__ import annotations

import importlib
import sys

import click

from facetell.errors import FacetellError

__all__ = ["main"]

#: command -> (module:function, the sentence shown by `facetell --help`)
COMMANDS = {
    "read": ("facetell.cli.read:read", "Read the emotions of the faces in photos and clips."),
    "serve": ("facetell.cli.serve:serve", "Read images over HTTP, and show a page for people."),
    "train": ("facetell.cli.train:train", "Train a model by a recipe."),
    "refit": ("facetell.cli.train:refit", "Fit a trained model's SVM anew on frozen features."),
    "join": ("facetell.cli.join:join", "Join models into one that decides by their mean."),
    "evaluate": ("facetell.cli.evaluate:evaluate", "Judge a model on labelled faces."),
    "audit": ("facetell.cli.audit:audit", "Find copies, leaks and conflicting labels in data."),
    "reproduce": ("facetell.cli.reproduce:reproduce", "Run the paper's experiments on your data."),
    "export": ("facetell.cli.export:export", "Write a run as one ONNX file, or a model smaller."),
    "calibrate": (
        "facetell.cli.calibrate:calibrate",
        "Fit a model's scores, sets and abstention to your faces.",
    ),
    "bench": ("facetell.cli.bench:bench", "Measure models side by side on this machine."),
    "data": ("facetell.cli.data:data", "List and check datasets."),
    "recipes": ("facetell.cli.recipes:recipes", "List and show training recipes."),
    "models": ("facetell.cli.models:models", "List and show bundled models."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="facetell")
def _group() -> None:
    """Facial expressions, from a photo to calibrated scores.

    Scores say how a face looks to annotators, not what a person feels. Inferring emotions
    at work or in education is prohibited in the EU (AI Act, Art. 5(1)(f)); elsewhere people
    exposed to it must be told (Art. 50).

    \b
    Example:
      facetell read photo.jpg
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; our errors and the system's are a line on stderr and exit status 1."""
    try:
        _group.main(args=arguments, prog_name="facetell", standalone_mode=True)
    except FacetellError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OSError as error:  # no right to write there, no room left
        where = f" at {error.filename}" if error.filename else ""
        click.echo(
            f"Error: expected to read and write files, got: {error.strerror or error}{where}. "
            "Choose another place, or mend this one.",
            err=True,
        )
        sys.exit(1)

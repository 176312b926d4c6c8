"""The options of `facetell evaluate --robustness`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facetell.cli.options import check_belongs
from facetell.cli.progress import Progress

if TYPE_CHECKING:
    from facetell.evaluate.judged import Judged
    from facetell.evaluate.robustness import Reference, Robustness
    from facetell.predictor import Predictor

__all__ = ["check_robustness_options", "find_reference", "measure", "robustness_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--robustness",
        is_flag=True,
        help="Also judge on faces made worse in 28 ways at five severities each.",
    ),
    click.option(
        "--robustness-faces",
        metavar="N",
        type=click.IntRange(min=1),
        help="Make only N faces worse, every emotion with its share.  [default: all]",
    ),
    click.option(
        "--reference",
        metavar="RESULT.json|MODEL",
        help="Whose errors the mean corruption error is relative to: a --robustness-out file or a "
        "model, which is then judged, too.  [default: the recipe vgg8's errors on FER2013's "
        "PublicTest, if they come with this version]",
    ),
    click.option(
        "--robustness-out",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write every accuracy: .csv, or .json, which --reference reads.",
    ),
)


def robustness_options(command: Command) -> Command:
    """A command with the four options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_robustness_options(context: click.Context) -> None:
    """What belongs to --robustness is a mistake without it, and so is another ending."""
    check_belongs(context, ("robustness_faces", "reference", "robustness_out"), to="robustness")
    path = context.params["robustness_out"]
    if path is not None and path.suffix.lower() not in (".csv", ".json"):
        raise click.BadParameter(
            f"expected a file that ends in .csv or .json, got {path.name}.",
            param_hint="--robustness-out",
        )


def find_reference(
    reference: str | None, *, open_model: Callable[[str], Predictor]
) -> Reference | Predictor | None:
    """Errors from a file or from the package, or a model whose errors are to be measured."""
    from facetell.evaluate.robustness import bundled_reference, read_reference

    if reference is None:
        return bundled_reference()
    return read_reference(reference) if reference.endswith(".json") else open_model(reference)


def measure(
    predictor: Predictor,
    judged: Judged,
    *,
    faces: int | None,
    seed: int,
    reference: Reference | Predictor | None,
) -> Robustness:
    """The result with a progress line; a reference model is judged on the same faces first."""
    from facetell.evaluate.judged import judge
    from facetell.evaluate.robustness import Reference

    if reference is not None and not isinstance(reference, Reference):
        theirs = judge(reference, judged.dataset, judged.split, side=judged.side)
        reference = _measured(reference, theirs, faces, seed, None).as_reference()
    return _measured(predictor, judged, faces, seed, reference)


def _measured(
    predictor: Predictor,
    judged: Judged,
    faces: int | None,
    seed: int,
    reference: Reference | None,
) -> Robustness:
    from facetell.evaluate.robustness import CELLS, measure_robustness

    def show(done: int, _: int) -> None:
        while progress.done < done:
            progress.step()

    with Progress(CELLS * min(faces or len(judged), len(judged))) as progress:
        return measure_robustness(
            predictor, judged, faces=faces, seed=seed, reference=reference, progress=show
        )

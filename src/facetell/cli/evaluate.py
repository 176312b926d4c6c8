"""facetell evaluate: judge a model on labelled faces."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from facetell.cli.options import check_belongs, check_targets, label_order_option, seed_range
from facetell.cli.progress import Progress
from facetell.cli.robustness import (
    check_robustness_options,
    find_reference,
    measure,
    robustness_options,
)
from facetell.recipe import Protocol

if TYPE_CHECKING:
    from facetell.datasets.clipfolders import ClipSide
    from facetell.evaluate.judged import Judged
    from facetell.predictor import Predictor
    from facetell.report.depended import MeanMap

__all__ = ["evaluate"]

#: Options that go with --clips.
_WITH_CLIPS = {"model", "clips", "side", "against", "flip", "seed", "threads", "as_json"}


@click.command(
    epilog="""\b
Example:
  facetell evaluate compact --clips RAVDESS/
  facetell evaluate compact --data my-faces/ --protocol whole
  facetell evaluate compact --data faces.csv --groups camera
  facetell evaluate compact --data fer2013.csv --robustness --robustness-faces 500
  facetell evaluate compact --data fer2013.csv --report report.html
"""
)
@click.argument("model")
@click.option("--data", "data", help="Dataset: a CSV or Parquet file or a folder.")
@click.option(
    "--clips",
    type=click.Path(path_type=Path),
    help="Folder of labelled clips in place of --data: RAVDESS, CREMA-D, AFEW, or one folder of "
    "clips per emotion. Compares ways to read a clip.",
)
@label_order_option
@click.option(
    "--protocol",
    type=click.Choice(get_args(Protocol)),
    default="official",
    show_default=True,
    help="How training, validation and test faces are kept apart; `whole`: all faces judge, of "
    "data that the model was not trained on.",
)
@click.option(
    "--fold",
    type=click.IntRange(min=0),
    default=0,
    help="leave-one-subject-out: which subject judges, from 0.",
)
@click.option(
    "--side",
    type=click.Choice(["validation", "test"]),
    help="Side to judge on; clips without sides are divided by people.  [default: test, or "
    "validation where there are no test faces; all clips where they have no sides]",
)
@click.option(
    "--together",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV with id and group, kept on one side in place of subjects and near-copies.",
)
@click.option(
    "--groups",
    metavar="COLUMN|FILE.csv:COLUMN",
    help="Every number by the values of a column of the data's own table, or of a CSV of yours "
    "with a column id; differences are tested.",
)
@click.option(
    "--min-group",
    type=click.IntRange(min=2),
    default=50,
    show_default=True,
    help="Groups of fewer faces are listed, not tested; counted, where they are more than 20.",
)
@click.option(
    "--against",
    metavar="MODEL",
    help="Second model for a paired (McNemar) test; for clips one more way to read them.",
)
@click.option(
    "--flip/--no-flip", default=None, help="Average with the mirror image.  [default: the model's]"
)
@click.option(
    "--seed",
    type=seed_range,
    default=0,
    show_default=True,
    help="Of the split and of the bootstrap.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the ONNX runtime.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write HTML.")
@click.option(
    "--faces/--no-faces",
    default=True,
    show_default=True,
    help="Show dataset faces in the report; without them it can be shared.",
)
@click.option(
    "--maps",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Faces of each emotion behind the report's mean occlusion maps, 300 runs each; 0: none.",
)
@click.option(
    "--predictions", type=click.Path(dir_okay=False, path_type=Path), help="Write answers as CSV."
)
@robustness_options
@click.option("--force", is_flag=True, help="Overwrite files.")
def evaluate(
    model: str,
    data: str | None,
    clips: Path | None,
    label_order: list[str] | None,
    protocol: Any,
    fold: int,
    side: Any,
    together: Path | None,
    groups: str | None,
    min_group: int,
    against: str | None,
    flip: bool | None,
    seed: int,
    threads: int | None,
    as_json: bool,
    report: Path | None,
    faces: bool,
    maps: int,
    predictions: Path | None,
    robustness: bool,
    robustness_faces: int | None,
    reference: str | None,
    robustness_out: Path | None,
    force: bool,
) -> None:
    """Judge MODEL on labelled faces, or on labelled clips.

    MODEL is a bundled model's name, an ONNX file, or the folder of a training run. Every number
    comes with its 95 % interval, its protocol, and what always giving the commonest answer scores.
    """
    if clips is not None:
        _check_only_clips(click.get_current_context())
        _evaluate_clips(
            clips,
            [_load(name, flip, threads) for name in (model, against) if name is not None],
            side=side,
            seed=seed,
            threads=threads,
            as_json=as_json,
        )
        return
    if data is None:
        raise click.UsageError("expected --data or --clips, got neither. Name what to judge on.")

    context = click.get_current_context()
    check_robustness_options(context)
    check_belongs(context, ("min_group",), to="groups")
    check_belongs(context, ("faces", "maps"), to="report")

    from facetell.cli.progress import show_search
    from facetell.datasets import open_dataset
    from facetell.datasets.columns import read_column
    from facetell.datasets.groups import read_groups
    from facetell.datasets.splits import split
    from facetell.evaluate.compare import compare
    from facetell.evaluate.evaluation import Evaluation
    from facetell.evaluate.judged import judge, write_predictions
    from facetell.evaluate.robustness_table import as_text, write_robustness
    from facetell.evaluate.slices import slices_of
    from facetell.evaluate.table import as_groups_table, as_table
    from facetell.report.html import write_report

    check_targets(report, predictions, robustness_out, force=force)
    errors_of = None
    if robustness:
        errors_of = find_reference(reference, open_model=lambda name: _load(name, flip, threads))
    predictors = [_load(name, flip, threads) for name in (model, against) if name is not None]
    dataset = open_dataset(data, label_order=label_order)
    kept = read_groups(dataset, together) if together else None
    named = read_column(dataset, groups, source=data) if groups else None
    parts = split(dataset, protocol, seed=seed, fold=fold, groups=kept, progress=show_search)
    answers = [
        judge(
            predictor, parts.dataset, parts, side=side, progress=_progress(predictor.contract.name)
        )
        for predictor in predictors
    ]
    evaluations = [Evaluation.of(judged, seed=seed) for judged in answers]
    comparison = compare(*answers, seed=seed) if against is not None else None
    slices = None
    if groups and named is not None:
        _check_same_samples(len(named), len(parts.dataset), protocol)
        slices = slices_of(
            answers[0], named, groups.rpartition(":")[2], fewest=min_group, seed=seed
        )
    worse = (
        measure(predictors[0], answers[0], faces=robustness_faces, seed=seed, reference=errors_of)
        if robustness
        else None
    )
    if as_json:
        found = {**evaluations[0].to_dict(), "against": None, "comparison": None}
        if comparison:
            found |= {"against": evaluations[1].to_dict(), "comparison": comparison.to_dict()}
        if slices:
            found["groups"] = slices.to_dict()
        if worse:
            found |= {"robustness": worse.to_dict()}
        click.echo(json.dumps(found, allow_nan=False))
    else:
        click.echo("\n\n".join(as_table(evaluation) for evaluation in evaluations))
        if worse:
            click.echo(f"\n{as_text(worse)}")
        if comparison:
            click.echo(f"\n{comparison.sentence()}")
        if slices:
            click.echo(f"\n{as_groups_table(slices)}")
    said = (
        *evaluations[0].notes,
        *((f"{comparison.model_b}: {comparison.note}",) if comparison and comparison.note else ()),
        *(slices.notes if slices else ()),
        *(worse.notes if worse else ()),
    )
    for note in said:
        click.echo(f"Note: {note}", err=True)
    if report:
        shown = answers[0] if faces else None
        write_report(
            evaluations[0],
            report,
            judged=shown,
            comparison=comparison,
            slices=slices,
            robustness=worse,
            maps=_mean_maps(predictors[0], answers[0], maps),
            overwrite=force,
        )
        click.echo(f"Report: {report}", err=True)
    if predictions:
        write_predictions(answers[0], predictions, overwrite=force)
        click.echo(f"Predictions: {predictions}", err=True)
    if worse and robustness_out:
        write_robustness(worse, robustness_out, overwrite=force)
        click.echo(f"Robustness: {robustness_out}", err=True)


def _check_same_samples(values: int, samples: int, protocol: str) -> None:
    """The leaky protocol multiplies samples, and then a column's values are of others."""
    if values != samples:
        raise click.UsageError(
            f"--groups does not go with --protocol {protocol}, which copies faces. Choose another."
        )


def _check_only_clips(context: click.Context) -> None:
    """Options that say nothing about clips are a mistake beside --clips."""
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name not in _WITH_CLIPS:
            raise click.UsageError(
                f"{option.opts[0]} does not go with --clips. Leave one of them out."
            )


def _evaluate_clips(
    folder: Path,
    models: list[Predictor],
    *,
    side: ClipSide | None,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    from facetell.datasets.clipfolders import judged_clips, open_clips
    from facetell.evaluate.clips import as_text, judge_clips, ways_with
    from facetell.evaluate.ways import WAYS

    clips = judged_clips(open_clips(folder), side, seed=seed)
    ways = ways_with(*models, name=clips.name) if len(models) > 1 else WAYS
    with Progress(len(clips)) as progress:
        found = judge_clips(
            models[0],
            clips,
            ways=ways,
            threads=threads,
            seed=seed,
            progress=lambda *_: progress.step(),
        )
    click.echo(json.dumps(found.to_dict(), allow_nan=False) if as_json else as_text(found))
    for note in found.notes:
        click.echo(f"Note: {note}", err=True)


def _mean_maps(predictor: Predictor, judged: Judged, most: int) -> tuple[MeanMap, ...]:
    from facetell.report.depended import count_maps, mean_maps

    with Progress(count_maps(judged, most)) as progress:
        return mean_maps(predictor, judged, most=most, progress=progress.step)


def _load(name: str, flip: bool | None, threads: int | None) -> Predictor:
    """A training run's folder needs PyTorch; everything else runs without."""
    if Path(name).is_dir():
        from facetell.errors import require

        require("torch", extra="train", purpose="judging a training run")
        from facetell.train.predictor import load_run

        return load_run(name, flip=flip)
    from facetell.runtime.session import load

    return load(name, threads=threads, flip=flip)


def _progress(name: str) -> Callable[[int, int], None] | None:
    """A line on stderr that counts faces; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        click.echo(f"\r{name}: {done:,} of {total:,} faces", err=True, nl=done == total)

    return show

"""`facetell read`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from facetell.results import Reading
    from facetell.runtime.analyzer import Analyzer

__all__ = ["read"]

_FEW = 4  # up to so many photos need no progress bar


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("photos", metavar="PHOTO|CLIP...", nargs=-1, required=True, type=Path)
@click.option("--model", default="compact", show_default=True, help="Bundled name, or a path.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per photo and line.")
@click.option(
    "--annotate",
    metavar="OUT",
    type=Path,
    help="Write annotated copies: into the folder OUT, or of a clip as OUT (.mp4, .webm, ...).",
)
@click.option("--plot", metavar="OUT", type=Path, help="Draw a clip's emotions over time (.png).")
@click.option(
    "--detector",
    type=click.Choice(["centerface", "none"]),
    default="centerface",
    show_default=True,
    help="none: each photo is one face already.",
)
@click.option(
    "--detect-side",
    metavar="PX",
    type=click.IntRange(64, 8192),
    help="Longer side searched for faces: larger finds smaller ones, slower. Default: 1280; "
    "for clips half of theirs, 640 to 1280.",
)
@click.option(
    "--min-score",
    metavar="X",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Leave out faces whose highest score is lower.",
)
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Default: all processors.")
@click.option("--force", is_flag=True, help="Let --annotate replace files.")
def read(
    photos: tuple[Path, ...],
    model: str,
    as_json: bool,
    annotate: Path | None,
    plot: Path | None,
    detector: Literal["centerface", "none"],
    detect_side: int | None,
    min_score: float,
    threads: int | None,
    force: bool,
) -> None:
    """Read the emotions of the faces in photos, or in a clip.

    A folder stands for all images in it. Prints number, box (x1,y1 to x2,y2 in px), label,
    score (0-1) and margin (lead over the second) of each face, largest first. A photo without
    a face is an answer; one that cannot be read is named on stderr, the others are read, and
    the exit status is 1.

    A clip (MP4, MOV, MKV, WebM, AVI, GIF) is read alone: people are numbered and followed, and
    the table says who was seen when. camera:0 and the address of a stream (rtsp, http, ...) are
    read live, until Ctrl-C; an address is opened only because you typed it.

    \b
    Examples:
      facetell read photo.jpg
      facetell read --json holiday/ > faces.jsonl
      facetell read --annotate out/ photo.jpg
      facetell read clip.mp4 --annotate faces.mp4 --plot emotions.png
      facetell read camera:0 --json
    """
    from facetell.cli.clip import ClipOptions, clip_among, read_one_clip
    from facetell.images import find_images
    from facetell.runtime.analyzer import Analyzer

    clip = clip_among(photos)
    if clip is not None:
        read_one_clip(
            clip,
            ClipOptions(
                model=_model_path(model),
                detector=detector,
                detect_side=detect_side,
                min_score=min_score,
                threads=threads,
                as_json=as_json,
                annotate=annotate,
                plot=plot,
                force=force,
            ),
        )
        return
    if plot is not None:
        raise click.UsageError("--plot draws a clip over time; these are photos.")
    files = list(find_images(photos))
    if not files:
        raise click.UsageError("found no images in the folders given; name files or other folders.")
    targets = _targets(photos, files, annotate, force)
    analyzer = Analyzer(
        _model_path(model),
        detector=detector,
        detect_side=detect_side or 1280,
        min_score=min_score,
        threads=threads,
    )
    _say(f"reading {len(files)} image{'s' * (len(files) > 1)} with {analyzer.contract.name}, "
         f"detector {detector}")  # fmt: skip
    failed = 0
    for index, reading in enumerate(_with_progress(analyzer, files)):
        click.echo(json.dumps(reading.to_dict()) if as_json else _table(reading), nl=as_json)
        if reading.error:
            _say(f"Error: {reading.error}")
        failed += bool(reading.error) or not _annotated(reading, targets, index, force)
    if failed:
        _say(f"{failed} of {len(files)} failed")
        sys.exit(1)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _model_path(model: str) -> Path:
    from facetell.errors import InputError
    from facetell.runtime.session import locate

    try:
        return locate(model)
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="--model") from error


def _targets(
    photos: tuple[Path, ...], files: list[Path], folder: Path | None, force: bool
) -> list[Path]:
    """Where each annotated copy goes: below DIR as the photo lies below the folder named."""
    if folder is None:
        return []
    roots = [photo for photo in photos if photo.is_dir()]
    targets = []
    for file in files:
        root = next((root for root in roots if file.is_relative_to(root)), file.parent)
        relative = file.relative_to(root)
        targets.append(folder / relative.with_name(f"{relative.name}.faces.jpg"))
    twice = next((path for path, count in Counter(targets).items() if count > 1), None)
    if twice:
        raise click.UsageError(f"two photos would both be written to {twice}; read them apart.")
    taken = next((path for path in targets if path.exists()), None)
    if taken and not force:
        raise click.UsageError(f"{taken} exists; choose another folder or pass --force.")
    return targets


def _with_progress(analyzer: Analyzer, files: list[Path]) -> Iterator[Reading]:
    # Where the readings go to the same screen, they are the progress.
    shown = len(files) > _FEW and sys.stderr.isatty() and not sys.stdout.isatty()
    bar = click.progressbar(length=len(files), file=sys.stderr, show_pos=True) if shown else None
    with bar if bar is not None else nullcontext():
        for reading in analyzer.read_many(files):
            yield reading
            if bar is not None:
                bar.update(1)


def _annotated(reading: Reading, targets: list[Path], index: int, force: bool) -> bool:
    from facetell.draw import write_annotated
    from facetell.errors import FacetellError

    if not targets or reading.error:
        return True
    try:
        write_annotated(reading, targets[index], force=force)
    except (FacetellError, OSError) as error:
        _say(f"Error: {targets[index]} was not written: {error}")
        return False
    _say(f"wrote {targets[index]}")
    return True


def _table(reading: Reading) -> str:
    if reading.error:
        return ""
    width, height = reading.size_wh
    count = len(reading.faces)
    head = f"{reading.source}  {width} x {height} px, "
    if not count:
        return f"{head}no face\n"
    rows = [f"{head}{count} face{'s' * (count > 1)}"]
    rows.append(f"{'face':>6}  {'box':<23}  {'label':<10}  {'score':>5}  {'margin':>6}")
    for number, face in enumerate(reading.faces, 1):
        x1, y1, x2, y2 = (round(value) for value in face.box_xyxy)
        box = f"{x1},{y1} to {x2},{y2}"
        score = max(face.scores.values())
        rows.append(f"{number:>6}  {box:<23}  {face.label:<10}  {score:>5.2f}  {face.margin:>6.2f}")
    return "\n".join(rows) + "\n"

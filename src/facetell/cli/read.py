"""`facetell read`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from facetell.cli.options import (
    Number,
    abstain_option,
    check_targets,
    model_option,
    model_path,
    sets_option,
)
from facetell.cli.progress import Progress

if TYPE_CHECKING:
    from facetell.results import Face, Reading
    from facetell.rows import Form, RowWriter
    from facetell.runtime.collection import Reader, Settings

__all__ = ["read"]

_FEW = 4  # up to so many photos need no progress line


class _Targets(NamedTuple):
    """Where the copies and the explanations of each photo go; empty where none are asked for."""

    copies: list[Path]
    reasons: list[Path]

    def since(self, index: int) -> list[Path]:
        """What would be lost of the photos from that one on, as far as can be told before."""
        from facetell.report.explained import explanation_paths

        first_faces = [explanation_paths(target, 1)[0] for target in self.reasons[index:]]
        return self.copies[index:] + first_faces


def _times(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, ...]:
    try:
        times = tuple(float(part) for part in value.split(",")) if value else ()
    except ValueError:
        times = (-1.0,)
    if any(not 0 <= time < float("inf") for time in times):
        raise click.BadParameter(f"expected seconds such as 1.5,3, got {value!r}.")
    return tuple(sorted(times))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("photos", metavar="PHOTO|CLIP...", nargs=-1, required=True, type=Path)
@model_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per photo and line.")
@click.option("--csv", metavar="OUT", type=Path, help="Write a table, one row per face.")
@click.option("--parquet", metavar="OUT", type=Path, help="Write the same table as Parquet.")
@click.option("--jsonl", metavar="OUT", type=Path, help="Write the lines of --json into a file.")
@click.option(
    "--annotate",
    metavar="OUT",
    type=Path,
    help="Write annotated copies: into the folder OUT, or of a clip as OUT (.mp4, .webm, ...).",
)
@click.option("--plot", metavar="OUT", type=Path, help="Draw a clip's emotions over time (.png).")
@click.option(
    "--explain",
    metavar="DIR",
    type=Path,
    help="Write for each face a picture (.png) and numbers (.json) of what the model straightened, "
    "weighed and depended on: about 300 runs of the model a face.",
)
@click.option(
    "--explain-at",
    metavar="S,S,...",
    callback=_times,
    help="Times in a clip at which --explain writes, seconds.",
)
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
    type=Number(0, 1),
    default=0.0,
    show_default=True,
    help="Leave out faces whose highest score is lower.",
)
@sets_option
@abstain_option
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Default: all processors.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="ray: read on a Ray cluster, for collections beyond one machine.",
)
@click.option("--force", is_flag=True, help="Replace files that would be written.")
def read(
    photos: tuple[Path, ...],
    model: str,
    as_json: bool,
    csv: Path | None,
    parquet: Path | None,
    jsonl: Path | None,
    annotate: Path | None,
    plot: Path | None,
    explain: Path | None,
    explain_at: tuple[float, ...],
    detector: Literal["centerface", "none"],
    detect_side: int | None,
    min_score: float,
    sets: float | None,
    abstain: float | None,
    threads: int | None,
    engine: Literal["local", "ray"],
    force: bool,
) -> None:
    """Read the emotions of the faces in photos, or in a clip.

    A folder stands for all images in it, but for what --annotate and --explain wrote. Prints
    number, box (x1,y1 to x2,y2 in px), label, score (0-1) and margin (lead over the second) of
    each face, largest first. A photo without a face is an answer; one that cannot be read is
    named on stderr, the others are read, and the exit status is 1.

    --csv, --parquet and --jsonl write a file instead, as they go. Until it is finished it is
    called OUT.part; after a crash or a kill, the same command goes on where it stopped.

    A clip (MP4, MOV, MKV, WebM, AVI, GIF) is read alone: people are numbered and followed, and
    the table says who was seen when. camera:0 and the address of a stream (rtsp, http, ...) are
    read live, until Ctrl-C; an address is opened only because you typed it.

    --sets 0.9 adds the labels that a face may have: sets that hold the right one for nine faces
    in ten, as long as the faces are like those that the model was calibrated on. --abstain marks
    faces of which the model is not sure; it never is of a face with a warning.

    \b
    Examples:
      facetell read photo.jpg
      facetell read --json holiday/ > faces.jsonl
      facetell read --csv faces.csv holiday/
      facetell read --annotate out/ photo.jpg
      facetell read --explain why/ photo.jpg
      facetell read photo.jpg --sets 0.9 --abstain
      facetell read clip.mp4 --annotate faces.mp4 --plot emotions.png
      facetell read camera:0 --json
    """
    from facetell.cli.clip import ClipOptions, clip_among, read_one_clip
    from facetell.faces.detect import DETECT_SIDE
    from facetell.images import find_images
    from facetell.runtime.collection import Settings, make_reader

    table = _table_asked_for(as_json, csv=csv, parquet=parquet, jsonl=jsonl)
    clip = clip_among(photos)
    if clip is not None:
        if engine != "local":
            raise click.UsageError(f"--engine {engine} reads photos; a clip is read here.")
        read_one_clip(
            clip,
            ClipOptions(
                model=model_path(model),
                detector=detector,
                detect_side=detect_side,
                min_score=min_score,
                sets=sets,
                abstain=abstain,
                threads=threads,
                as_json=as_json,
                table=table,
                annotate=annotate,
                plot=plot,
                explain=explain,
                explain_at=explain_at,
                force=force,
            ),
        )
        return
    if plot is not None:
        raise click.UsageError("--plot draws a clip over time; these are photos.")
    if explain_at:
        raise click.UsageError("--explain-at names times in a clip; these are photos.")
    if explain is not None and engine != "local":
        raise click.UsageError(f"--explain works here, not on --engine {engine}. Leave one out.")
    found = [list(find_images([photo])) for photo in photos]
    files = [file for part in found for file in part]
    if not files:
        raise click.UsageError("found no images in the folders given; name files or other folders.")
    if table is not None and table[1].exists() and table[1].resolve() in map(Path.resolve, files):
        raise click.UsageError(f"the table would replace the photo {table[1]}. Name another file.")
    _check_targets(table, annotate, explain, force)
    copies = _targets(photos, files, annotate, ".faces.jpg")
    reasons = _targets(photos, files, explain, "")
    settings = Settings(
        model=model_path(model),
        detector=detector,
        detect_side=detect_side or DETECT_SIDE,
        min_score=min_score,
        threads=threads,
        sets=sets,
        abstain=abstain,
    )
    for photo, part in zip(photos, found, strict=True):
        if not part:
            _say(f"Note: found no images in {photo}.")
    reader = make_reader(settings, engine=engine)
    _say(f"reading {len(files)} image{'s' * (len(files) > 1)} with {reader.contract.name}, "
         f"detector {detector}")  # fmt: skip
    with _opened(table, reader, files, settings, force) as out:
        targets = _Targets(copies, reasons)
        failed = _read_all(reader, files, targets, out, as_json=as_json, force=force)
        if out is not None:
            _say(f"wrote {out.finish()}")
    if failed:
        _say(f"{failed} of {len(files)} failed")
        sys.exit(1)


def _table_asked_for(as_json: bool, **paths: Path | None) -> tuple[Form, Path] | None:
    asked: dict[str, Path] = {form: path for form, path in paths.items() if path is not None}
    if len(asked) + as_json > 1:
        raise click.UsageError("choose one of --json, --csv, --parquet and --jsonl.")
    return next(iter(asked.items()), None)  # type: ignore[return-value]


def _check_targets(
    table: tuple[Form, Path] | None, annotate: Path | None, explain: Path | None, force: bool
) -> None:
    from facetell.errors import InputError

    try:
        check_targets(table and table[1], folders=[annotate, explain], force=force)
    except InputError as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _opened(
    table: tuple[Form, Path] | None,
    reader: Reader,
    files: list[Path],
    settings: Settings,
    force: bool,
) -> Iterator[RowWriter | None]:
    from facetell.errors import InputError
    from facetell.rows import open_rows
    from facetell.runtime.collection import about_run

    if table is None:
        yield None
        return
    form, path = table
    run = about_run(files, settings)
    try:
        out = open_rows(path, form, labels=reader.contract.labels, run=run, force=force)
    except (InputError, OSError) as error:  # OSError: the folder is not ours to write
        raise click.UsageError(str(error)) from error
    if out.resumed:
        _say(f"going on behind the {out.done} that are in {path}.part")
    try:
        with out:
            yield out
    except KeyboardInterrupt:
        _say(f"stopped; {out.done} of {len(files)} are done, and the same command goes on")
        raise
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written ({error.strerror or error}); {out.done} of {len(files)} are "
            "done. Make room, or whatever it needs; the same command goes on."
        ) from error


def _read_all(
    reader: Reader,
    files: list[Path],
    targets: _Targets,
    out: RowWriter | None,
    *,
    as_json: bool,
    force: bool,
) -> int:
    """Read, show or write, annotate, explain; how many failed, those of earlier calls included."""
    done, failed = (out.done, out.failed) if out else (0, 0)
    again = out is not None and out.resumed  # a kill may have come between a copy and its row
    _refuse_taken(targets.since(done + again), force)
    # Where the readings go to the same screen, they are the progress.
    shown = len(files) > _FEW and (out is not None or not sys.stdout.isatty())
    with Progress(len(files), done=done, shown=shown) as progress:
        for index, reading in enumerate(reader.read_many(files[done:]), done):
            if out is None:
                _print(reading, as_json)
            if reading.error:
                progress.say(f"Error: {reading.error}")
            mine = force or (again and index == done)
            written = reading.error is None
            if targets.copies:
                written &= _annotate(reading, targets.copies[index], progress.say, mine)
            if targets.reasons:
                written &= _explain(reader, reading, targets.reasons[index], progress.say, mine)
            failed += not written
            if out is not None:
                out.add(reading)
            progress.step()
    return failed


def _say(text: str) -> None:
    click.echo(text, err=True)


def _targets(
    photos: tuple[Path, ...], files: list[Path], folder: Path | None, ending: str
) -> list[Path]:
    """What goes where for each photo: below DIR as the photo lies below the folder named."""
    if folder is None:
        return []
    roots = [photo for photo in photos if photo.is_dir()]
    targets = []
    for file in files:
        root = next((root for root in roots if file.is_relative_to(root)), file.parent)
        relative = file.relative_to(root)
        targets.append(folder / relative.with_name(f"{relative.name}{ending}"))
    twice = next((path for path, count in Counter(targets).items() if count > 1), None)
    if twice:
        raise click.UsageError(f"two photos would both be written to {twice}; read them apart.")
    return targets


def _refuse_taken(targets: list[Path], force: bool) -> None:
    taken = next((path for path in targets if path.exists()), None)
    if taken and not force:
        raise click.UsageError(f"{taken} exists; choose another folder or pass --force.")


def _annotate(reading: Reading, target: Path, say: Callable[[str], None], force: bool) -> bool:
    """Whether the copy was written; what cannot be read has none."""
    from facetell.draw import write_annotated
    from facetell.errors import FacetellError

    if reading.error:
        return True
    try:
        write_annotated(reading, target, force=force)
    except (FacetellError, OSError) as error:
        say(f"Error: {target} was not written: {error}")
        return False
    say(f"wrote {target}")
    return True


def _explain(
    reader: Reader, reading: Reading, target: Path, say: Callable[[str], None], force: bool
) -> bool:
    """Whether every face's explanation was written; what cannot be read has none."""
    from facetell.errors import FacetellError
    from facetell.images import read_image
    from facetell.report.explained import write_explanations
    from facetell.runtime.analyzer import Analyzer

    if reading.error:
        return True
    assert isinstance(reader, Analyzer)  # other engines were refused
    try:
        for path in write_explanations(
            reader, read_image(reading.source), reading, target, force=force
        ):
            say(f"wrote {path}")
    except (FacetellError, OSError) as error:
        say(f"Error: {target} was not explained: {error}")
        return False
    return True


def _print(reading: Reading, as_json: bool) -> None:
    from facetell.rows import readable

    text = json.dumps(reading.to_dict()) if as_json else readable(_table(reading))
    click.echo(text, nl=as_json)


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
        score = face.scores[face.label]
        row = f"{number:>6}  {box:<23}  {face.label:<10}  {score:>5.2f}  {face.margin:>6.2f}"
        rows.append("  ".join([row, *_remarks(face)]))
    return "\n".join(rows) + "\n"


def _remarks(face: Face) -> list[str]:
    """What was asked for beside the label, and what to beware of."""
    remarks = [] if face.set is None else [" or ".join(face.set)]
    if face.sure is not None:
        remarks.append("sure" if face.sure else "not sure")
    return remarks + [f"({', '.join(face.warnings)})"] * bool(face.warnings)

"""`facetell read` of a clip, a camera or a stream."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facetell.clips.frames import Clip
    from facetell.clips.writer import ClipWriter
    from facetell.report.timeline import Timeline
    from facetell.results import Reading
    from facetell.rows import Form, RowWriter
    from facetell.runtime.follower import Follower

__all__ = ["ClipOptions", "clip_among", "read_one_clip"]

_SHOWN_LABELS = 3  # per person in the table
_REFRESH_S = 0.5  # of the progress line


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """What `facetell read` was asked to do with a clip.

    Attributes:
        model: the model's file.
        detector: as `Analyzer` takes it.
        detect_side: px; None chooses by the clip's size.
        min_score: 0-1.
        sets, abstain: as `Analyzer` takes them.
        threads: for the networks; None takes all.
        as_json: print one line per frame.
        table: what table to write, and where.
        annotate: where the annotated clip goes.
        plot: where the picture of the emotions over time goes.
        explain: the folder that explanations go into.
        explain_at: when, seconds, ascending.
        force: replace files.
    """

    model: Path
    detector: Literal["centerface", "none"] = "centerface"
    detect_side: int | None = None
    min_score: float = 0.0
    sets: float | None = None
    abstain: float | None = None
    threads: int | None = None
    as_json: bool = False
    table: tuple[Form, Path] | None = None
    annotate: Path | None = None
    plot: Path | None = None
    explain: Path | None = None
    explain_at: tuple[float, ...] = ()
    force: bool = False


def clip_among(sources: tuple[Path, ...]) -> str | None:
    """The one clip named, or None where all are photos; a GIF among photos is one, too.

    Raises:
        click.UsageError: a clip beside something else.
    """
    from facetell.clips.frames import is_clip

    names = [_address(source) for source in sources]
    among_others = len(names) > 1
    clips = [n for n in names if is_clip(n) and not (among_others and n.lower().endswith(".gif"))]
    if not clips:
        return None
    if among_others:
        raise click.UsageError(
            f"{clips[0]} is a clip, which is read alone; name it without the other "
            f"{len(names) - 1}."
        )
    return clips[0]


def _address(source: Path) -> str:
    """What was typed: pathlib has made one slash of the two in an address."""
    name = str(source)
    scheme, _, rest = name.partition(":/")
    return f"{scheme}://{rest}" if rest and scheme.isalpha() and len(scheme) > 1 else name


def read_one_clip(source: str, options: ClipOptions) -> None:
    """Read a clip to its end, or a live source until Ctrl-C; print and write what was asked."""
    from facetell.clips.frames import open_clip

    _check_targets(options)
    with open_clip(source) as clip:
        follower = _follower(clip, options)
        _say(f"reading {source} with {follower.analyzer.contract.name}, detector {options.detector}"
             f"{', until Ctrl-C' if clip.live else ''}")  # fmt: skip
        with ExitStack() as stack:
            outputs = _Outputs(clip, follower, options, stack)
            _read_all(clip, follower, outputs)
            outputs.finish()
        if clip.damage:
            _say(f"Error: {source}: {clip.damage}; what was read before is kept")
        if clip.damage or outputs.unexplained:
            sys.exit(1)


def _read_all(clip: Clip, follower: Follower, outputs: _Outputs) -> None:
    """Ctrl-C is the usual end of a live source, and only of that."""
    from facetell.runtime.clip import follow_clip

    try:
        for frame, reading in follow_clip(clip, follower):
            outputs.add(frame.image, reading)
    except KeyboardInterrupt:
        if not clip.live:
            raise


def _say(text: str) -> None:
    click.echo(text, err=True)


def _check_targets(options: ClipOptions) -> None:
    from facetell.cli.options import check_targets
    from facetell.clips.writer import check_clip_target
    from facetell.errors import InputError

    try:
        if options.annotate is not None:
            check_clip_target(options.annotate, force=options.force)
        check_targets(
            options.table and options.table[1],
            options.annotate,
            options.plot,
            folders=[options.explain],
            force=options.force,
        )
    except InputError as error:
        raise click.UsageError(str(error)) from error
    if (options.explain is None) != (not options.explain_at):
        raise click.UsageError(
            "expected --explain DIR and --explain-at S,S,... together for a clip, got one of them: "
            "every face of every frame would be too many. Name folder and times."
        )
    if options.plot is not None and options.plot.suffix.lower() != ".png":
        raise click.UsageError(f"expected --plot to end in .png, got {options.plot.name!r}.")


def _follower(clip: Clip, options: ClipOptions) -> Follower:
    from facetell.runtime.analyzer import Analyzer
    from facetell.runtime.clip import clip_detect_side
    from facetell.runtime.follower import Follower

    analyzer = Analyzer(
        options.model,
        detector=options.detector,
        detect_side=options.detect_side or clip_detect_side(clip.size_wh),
        min_score=options.min_score,
        sets=options.sets,
        abstain=options.abstain,
        threads=options.threads,
    )
    return Follower(analyzer, source=clip.source)


class _Outputs:
    """Everything that is made of the readings while they come."""

    def __init__(
        self, clip: Clip, follower: Follower, options: ClipOptions, stack: ExitStack
    ) -> None:
        from facetell.draw import ClipDrawing
        from facetell.report.timeline import Timeline

        self.clip, self.options, self.follower = clip, options, follower
        self.explain_at = list(options.explain_at)
        self.unexplained = 0
        self.timeline = Timeline(follower.analyzer.contract.labels)
        self.table = _open_table(follower, options, stack)
        self.annotated = _open_annotated(clip, options, stack)
        self.drawing = ClipDrawing()
        self.size_wh = (0, 0)
        self._changes = _Changes()
        self._progress = _Progress(clip, shown=not options.as_json)

    def add(self, image: NDArray[np.uint8], reading: Reading) -> None:
        self.size_wh = reading.size_wh
        self.timeline.add(reading, image if self.options.plot else None)
        if self.options.as_json:
            click.echo(json.dumps(reading.to_dict()))
        elif self.clip.live:
            for line in self._changes.lines(reading):
                click.echo(line)
        if self.table is not None:
            self.table.add(reading, last=False)
        if self.annotated is not None:
            self.annotated.add(self.drawing.draw(image, reading), reading.time_s or 0.0)
        if self.explain_at and (reading.time_s or 0.0) >= self.explain_at[0]:
            self._explain(image, reading)
        self._progress.step(reading.time_s or 0.0)

    def _explain(self, image: NDArray[np.uint8], reading: Reading) -> None:
        """The first frame shown at or after a time asked for stands for it."""
        from facetell.errors import FacetellError
        from facetell.report.explained import write_explanations

        time_s = reading.time_s or 0.0
        while self.explain_at and self.explain_at[0] <= time_s:
            self.explain_at.pop(0)
        assert self.options.explain is not None
        name = re.sub(r"[^\w.-]+", "_", Path(self.clip.source).name)
        target = self.options.explain / f"{name}.{time_s:.2f}s"
        try:
            for path in write_explanations(
                self.follower.analyzer, image, reading, target, force=self.options.force
            ):
                _say(f"wrote {path}")
        except (FacetellError, OSError) as error:
            self.unexplained += 1
            _say(f"Error: {target} was not explained: {error}")
        if not reading.faces:
            _say(f"no face at {time_s:.2f} s, so no explanation")

    def finish(self) -> None:
        from facetell.report.timeline import write_timeline

        self._progress.end()
        for time_s in self.explain_at:
            _say(f"no explanation at {time_s:g} s: the clip ended before")
        self.timeline.finish()
        if not self.options.as_json:
            click.echo(_summary(self.clip.source, self.size_wh, self.timeline), nl=False)
        if self.table is not None:
            self.table.finish_source()
            _say(f"wrote {self.table.finish()}")
        if self.annotated is not None:
            _say(f"wrote {self.annotated.finish()}")
        if self.options.plot is not None:
            written = write_timeline(self.timeline, self.options.plot, title=self.clip.source)
            _say(f"wrote {written}")


def _open_table(follower: Follower, options: ClipOptions, stack: ExitStack) -> RowWriter | None:
    """A table begun anew: half a clip cannot be gone on with, as people would be renumbered."""
    from facetell.errors import InputError
    from facetell.rows import about_sources, open_rows

    if options.table is None:
        return None
    form, path = options.table
    run = {"sources": about_sources([follower.source]), "model": str(options.model)}
    try:
        writer = open_rows(
            path, form, labels=follower.analyzer.contract.labels, run=run, force=options.force
        )
    except InputError as error:
        raise click.UsageError(str(error)) from error
    return stack.enter_context(writer)


def _open_annotated(clip: Clip, options: ClipOptions, stack: ExitStack) -> ClipWriter | None:
    from facetell.clips.frames import is_address
    from facetell.clips.writer import ClipWriter

    if options.annotate is None:
        return None
    is_file = not clip.live and not is_address(clip.source)
    writer = ClipWriter(
        options.annotate, sound=Path(clip.source) if is_file else None, force=options.force
    )
    stack.callback(writer.discard)  # nothing is left to discard once it is finished
    return writer


class _Changes:
    """Lines for whoever looks at a live source: people who come, change and go."""

    def __init__(self) -> None:
        self._labels: dict[int, str] = {}

    def lines(self, reading: Reading) -> Iterator[str]:
        for face in sorted(reading.faces, key=lambda face: face.person or 0):
            number = face.person or 0
            if self._labels.get(number) != face.label:
                self._labels[number] = face.label
                score = face.scores[face.label]
                yield f"{reading.time_s or 0:8.1f} s  person {number}  {face.label} {score:.2f}"


class _Progress:
    """A line on stderr that overwrites itself; nothing when piped."""

    def __init__(self, clip: Clip, *, shown: bool) -> None:
        self._shown = shown and not clip.live and sys.stderr.isatty()
        self._duration_s = clip.duration_s
        self._began = self._told = time.monotonic()
        self._frames = 0

    def step(self, time_s: float) -> None:
        self._frames += 1
        now = time.monotonic()
        if not self._shown or now - self._told < _REFRESH_S:
            return
        self._told = now
        rate = self._frames / (now - self._began)
        whole = f" of {self._duration_s:.0f}" if self._duration_s else ""
        left = ""
        if self._duration_s and time_s > 0:
            seconds = (now - self._began) * max(0.0, self._duration_s / time_s - 1)
            left = f", {seconds:.0f} s left"
        click.echo(f"\r{time_s:.0f}{whole} s, {rate:.1f} frames/s{left}   ", err=True, nl=False)

    def end(self) -> None:
        if self._shown:
            click.echo("\r" + " " * 60 + "\r", err=True, nl=False)


def _summary(source: str, size_wh: tuple[int, int], timeline: Timeline) -> str:
    """Who was seen when, and with which labels."""
    people = timeline.people.values()
    who = "nobody" if not people else f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    lines = [
        f"{source}  {size_wh[0]} x {size_wh[1]} px, {timeline.end_s:.1f} s, "
        f"{timeline.frames} frame{'s' * (timeline.frames != 1)}, {who}"
    ]
    if people:
        lines.append(f"{'person':>8}  {'from':>8}  {'to':>8}  {'seen':>8}  labels")
    for person in people:
        times = (person.first_s, person.last_s, person.seen_s)
        labels = ", ".join(
            f"{label} {share:.0%}" for label, share in person.shares()[:_SHOWN_LABELS]
        )
        columns = "  ".join(f"{seconds:6.1f} s" for seconds in times)
        lines.append(f"{person.number:>8}  {columns}  {labels}")
    return "\n".join(lines) + "\n"

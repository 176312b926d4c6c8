"""Folders of labelled clips: RAVDESS, CREMA-D, AFEW, or one folder of clips per emotion.

Only names are looked at here; `cut_clip` decodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from facetell.clips.frames import SUFFIXES, is_clip
from facetell.datasets.decode import named
from facetell.datasets.imagefiles import is_hidden
from facetell.datasets.labelling import side_of
from facetell.datasets.sample import Side
from facetell.errors import DataError
from facetell.labels import EMOTIONS, canonical

__all__ = [
    "ClipSide", "LabelledClip", "LabelledClips", "divide", "judged_clips", "open_clips",
]  # fmt: skip

#: A side of the set's own, or "" where it has none.
ClipSide = Side | Literal[""]

_FORMS = (
    "RAVDESS (02-01-06-01-02-01-12.mp4), CREMA-D (1001_DFA_ANG_XX.flv), AFEW "
    "(Train/Angry/000046280.avi), or one folder of clips per emotion"
)
_SOUND = frozenset({".wav", ".mp3", ".flac", ".aac", ".m4a", ".ogg", ".opus"})
_ALONE = "files are sound alone"
_NO_CLIP = "files are no clips"
_EMPTY = "files are empty"
_MISNAMED = "clips have names of another form"
_TWICE = "clips are there twice, with and without sound or in two places"
_CALM = "clips are calm, which is none of the seven emotions"
_UNSORTED = "clips are in no folder named after one of the seven emotions"
_SHARES: tuple[tuple[Side, float], ...] = (("test", 0.1), ("validation", 0.1))

#: Modality, vocal channel, emotion, intensity, statement, repetition, actor.
_RAVDESS = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")
_RAVDESS_EMOTIONS = (
    "neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised",
)  # fmt: skip
#: Actor, sentence, emotion, level; one file of the set has the level X.
_CREMAD = re.compile(r"(1\d{3})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)", re.I)
_AFEW_CLIP = re.compile(r"\d{6,}(?:_\d+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledClip:
    """A clip and what is shown in it.

    Attributes:
        path: the file.
        target: index into the set's labels.
        subject: who is shown; the clip itself where nobody knows.
        side: the set's own split, "" where it has none.
    """

    path: Path
    target: int
    subject: str
    side: ClipSide = ""


@dataclass(frozen=True, kw_only=True)
class LabelledClips:
    """A folder of labelled clips.

    Attributes:
        name: for people and file names, e.g. "ravdess".
        labels: K emotion names.
        clips: in the order of their paths.
        left_out: why -> names of the files, relative to `source`.
        licence: terms of the data, one sentence.
        source: the folder.
        knows_subjects: whether the names say who is shown.
    """

    name: str
    labels: tuple[str, ...]
    clips: tuple[LabelledClip, ...]
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    licence: str = ""
    source: str = ""
    knows_subjects: bool = True

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and what is not known, one sentence each."""
        notes = [named(len(names), names, why) for why, names in self.left_out.items()]
        if not self.knows_subjects:
            notes.append(
                "the names do not say who is shown, so each clip counts as a person of its own: "
                "the same person may be on two sides, and intervals are too narrow"
            )
        return tuple(notes)

    def on(self, side: ClipSide) -> LabelledClips:
        """The clips of one side.

        Raises:
            DataError: there is none.
        """
        chosen = tuple(clip for clip in self.clips if clip.side == side)
        if not chosen:
            filled = sorted({clip.side for clip in self.clips if clip.side})
            raise DataError(
                f"expected clips on the {side} side of {self.name}, found none. "
                + (f"It has: {', '.join(filled)}." if filled else "Divide it by subjects first."),
                side=side,
            )
        return replace(self, clips=chosen)


@dataclass
class _Found:
    """Files below a folder: the clips, and the others by reason."""

    root: Path
    clips: list[Path] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, path: Path, why: str) -> None:
        self.left_out.setdefault(why, []).append(path.relative_to(self.root).as_posix())


def open_clips(path: str | Path) -> LabelledClips:
    """The labelled clips in a folder; the form is recognised by the names of the files.

    RAVDESS and CREMA-D may lie in any folders. Of a performance that is there with and without
    sound, one clip is taken. RAVDESS's calm is none of the seven emotions and left out. AFEW's
    Val becomes the test side, as the labels of its Test were never published.

    Args:
        path: a folder.

    Raises:
        DataError: no folder, or no clip of a known form.

    Example:
        clips = open_clips("RAVDESS/")
        print(len(clips), clips.notes)
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(
            f"expected a folder of clips at {root}, found "
            f"{'a file' if root.exists() else 'nothing there'}. Name the folder of {_FORMS}.",
            path=root,
        )
    found = _find(root)
    for recognise, read in _READERS:
        if recognise(found):
            clips = read(found)
            break
    else:
        raise _unknown(found)
    if not clips.clips:
        raise DataError(
            f"expected clips with one of {', '.join(EMOTIONS)} in {root}, found none: "
            f"{'; '.join(clips.notes)}. Unpack the clips with a picture into this folder.",
            path=root,
        )
    return clips


def divide(clips: LabelledClips, *, seed: int = 0) -> LabelledClips:
    """The same clips with sides, where the set has none: 80, 10 and 10 % of the subjects.

    A subject is on one side only. A set with sides of its own comes back as it is.

    Raises:
        DataError: fewer than three subjects.
    """
    if any(clip.side for clip in clips.clips):
        return clips
    subjects = sorted({clip.subject for clip in clips.clips})
    if len(subjects) < 3:
        raise DataError(
            f"expected clips of three or more subjects to divide {clips.name}, got "
            f"{len(subjects)}. Add clips of other people, or judge on all of them.",
            actual=len(subjects),
        )
    drawn = [subjects[i] for i in np.random.default_rng(seed).permutation(len(subjects))]
    side_of_subject: dict[str, ClipSide] = {}
    for side, share in _SHARES:
        count = max(1, round(share * len(subjects)))
        side_of_subject |= dict.fromkeys(drawn[:count], side)
        drawn = drawn[count:]
    divided = (
        replace(clip, side=side_of_subject.get(clip.subject, "train")) for clip in clips.clips
    )
    return replace(clips, clips=tuple(divided))


def judged_clips(
    clips: LabelledClips, side: ClipSide | None = None, *, seed: int = 0
) -> LabelledClips:
    """The clips to judge a model on.

    Args:
        clips: all of them.
        side: `validation` or `test`; clips without sides are divided. By default test, or
            else validation; all clips where they have no sides.
        seed: of the division.

    Raises:
        DataError: that side has no clip, or there are too few subjects to divide.
    """
    if side is not None:
        return divide(clips, seed=seed).on(side)
    filled = {clip.side for clip in clips.clips}
    own: tuple[ClipSide, ...] = ("test", "validation")
    chosen = next((name for name in own if name in filled), None)
    return clips if chosen is None else clips.on(chosen)


def _find(root: Path) -> _Found:
    found = _Found(root)
    for path in sorted(root.rglob("*")):
        if not path.is_file() or any(map(is_hidden, path.relative_to(root).parts)):
            continue
        suffix = path.suffix.lower()
        if suffix in _SOUND:
            found.leave(path, _ALONE)
        elif suffix not in SUFFIXES and not (suffix == ".gif" and is_clip(path)):
            found.leave(path, _NO_CLIP)
        elif path.stat().st_size == 0:
            found.leave(path, _EMPTY)
        else:
            found.clips.append(path)
    return found


def _unknown(found: _Found) -> DataError:
    got = ", ".join(path.relative_to(found.root).as_posix() for path in found.clips[:3])
    others = {_ALONE, _NO_CLIP, _EMPTY} & found.left_out.keys()
    nothing = "; ".join(
        named(len(found.left_out[why]), found.left_out[why], why) for why in sorted(others)
    )
    return DataError(
        f"expected clips of {_FORMS} in {found.root}, got "
        f"{got or nothing or 'an empty folder'}. "
        f"Sort the clips into folders named {', '.join(EMOTIONS)}.",
        path=found.root,
    )


def _mostly(pattern: re.Pattern[str]) -> Callable[[_Found], bool]:
    """Whether most clips have such names, or most sound files where there are no clips."""

    def recognise(found: _Found) -> bool:
        stems = [path.stem for path in found.clips]
        stems = stems or [Path(name).stem for name in found.left_out.get(_ALONE, [])]
        return 2 * sum(pattern.fullmatch(stem) is not None for stem in stems) > len(stems)

    return recognise


def _read_ravdess(found: _Found) -> LabelledClips:
    clips: list[LabelledClip] = []
    seen: set[str] = set()
    # The picture alone (02) is taken before the same picture with sound (01).
    for path in sorted(found.clips, key=lambda path: (path.stem[:2] != "02", path)):
        match = _RAVDESS.fullmatch(path.stem)
        if match is None:
            found.leave(path, _MISNAMED)
            continue
        emotion = canonical(_RAVDESS_EMOTIONS[int(match[3]) - 1])
        if match[1] == "03":
            found.leave(path, _ALONE)
        elif path.stem[3:] in seen:
            found.leave(path, _TWICE)
        elif emotion is None:
            found.leave(path, _CALM)
        else:
            clips.append(_clip(path, emotion, match[7]))
        seen.add(path.stem[3:])
    return _set(found, clips, name="ravdess", licence="RAVDESS: CC BY-NC-SA 4.0.")


def _read_cremad(found: _Found) -> LabelledClips:
    clips: list[LabelledClip] = []
    seen: set[str] = set()
    for path in found.clips:
        match, name = _CREMAD.fullmatch(path.stem), path.stem.upper()
        emotion = match and canonical(match[3])
        if match is None or emotion is None:
            found.leave(path, _MISNAMED)
        elif name in seen:
            found.leave(path, _TWICE)
        else:
            clips.append(_clip(path, emotion, match[1]))
        seen.add(name)
    return _set(found, clips, name="crema-d", licence="CREMA-D: Open Database License (ODbL).")


def _is_afew(found: _Found) -> bool:
    """Sides with class folders, and clips named by their time in the film."""
    placed = [(path.stem, *_place(path, found.root)) for path in found.clips]
    labelled = [(stem, side) for stem, side, emotion in placed if emotion]
    fitting = [stem for stem, side in labelled if side and _AFEW_CLIP.fullmatch(stem)]
    return 2 * len(fitting) > len(labelled)


def _read_afew(found: _Found) -> LabelledClips:
    clips = _read_folders(found)
    if not any(clip.side == "test" for clip in clips.clips):
        judged = [
            replace(clip, side="test") if clip.side == "validation" else clip
            for clip in clips.clips
        ]
        clips = replace(clips, clips=tuple(judged))
    licence = "AFEW: clips of films, for non-commercial research only; do not redistribute them."
    return replace(clips, name="afew", licence=licence)


def _read_folders(found: _Found) -> LabelledClips:
    clips = []
    for path in found.clips:
        side, emotion = _place(path, found.root)
        if emotion is None:
            found.leave(path, _UNSORTED)
        else:
            subject = path.relative_to(found.root).as_posix()
            clips.append(_clip(path, emotion, subject, side))
    return _set(found, clips, name=found.root.resolve().name, knows_subjects=False)


def _place(path: Path, root: Path) -> tuple[ClipSide, str | None]:
    """Side and emotion by the folders that a clip lies in: [side/]emotion/.../clip."""
    folders = path.relative_to(root).parts[:-1]
    side = side_of(folders[0].lower().removesuffix("_afew")) if folders else None
    inner = folders[1:] if side else folders
    return side or "", canonical(inner[0]) if inner else None


def _clip(path: Path, emotion: str, subject: str, side: ClipSide = "") -> LabelledClip:
    return LabelledClip(path=path, target=EMOTIONS.index(emotion), subject=subject, side=side)


def _set(
    found: _Found,
    clips: Sequence[LabelledClip],
    *,
    name: str,
    licence: str = "",
    knows_subjects: bool = True,
) -> LabelledClips:
    return LabelledClips(
        name=name,
        labels=EMOTIONS,
        clips=tuple(sorted(clips, key=lambda clip: clip.path)),
        left_out={why: tuple(names) for why, names in found.left_out.items()},
        licence=licence,
        source=str(found.root),
        knows_subjects=knows_subjects,
    )


#: Whether files are of this form, and how they are read; a particular form before a general one.
_READERS: tuple[tuple[Callable[[_Found], bool], Callable[[_Found], LabelledClips]], ...] = (
    (_mostly(_RAVDESS), _read_ravdess),
    (_mostly(_CREMAD), _read_cremad),
    (_is_afew, _read_afew),
    (lambda found: any(_place(path, found.root)[1] for path in found.clips), _read_folders),
)

"""A labelled clip -> the face of the person in it, frame by frame, remembered on disk.

Faces are found, followed and cut as `facetell read` does it, so that a model meets the same
pixels when it is trained, when it is judged and when it is used.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.clips.frames import Clip, open_clip
from facetell.contract import Contract
from facetell.datasets.clipfolders import LabelledClip
from facetell.datasets.decode import named
from facetell.errors import ClipError, InputError
from facetell.files import cache_folder, write_atomically
from facetell.results import Detection
from facetell.tensors import grey

if TYPE_CHECKING:
    from facetell.faces.detect import CenterFace, Detector

__all__ = ["FRAMES", "ClipFaces", "CutClips", "Cutting", "cut_clip"]

#: Frames of a clip, unless told otherwise: all of five seconds at 25 a second.
FRAMES = 128
#: Part of the cache's name: change it when finding, following or cutting changes.
_METHOD = "clips 1"
_PEOPLE = 4  # the largest in a frame that are kept until it is known who is the largest in all


@dataclass(frozen=True, kw_only=True, slots=True)
class Cutting:
    """How faces are cut out of clips.

    Attributes:
        face_px: side S of the faces, px.
        channels: 1 for grey, 3 for RGB.
        at_most: frames of a clip. A clip of more is thinned evenly in time by 2, 4, 8, ..., so
            that at least about half as many remain.
        crop_margin, align: as in `facetell.contract.Contract`.
    """

    face_px: int = 48
    channels: int = 1
    at_most: int = FRAMES
    crop_margin: float = 0.0
    align: bool = True

    def __post_init__(self) -> None:
        if self.at_most < 1:
            raise InputError(
                f"at_most must be 1 frame or more, got {self.at_most}. Try {FRAMES}.",
                actual=self.at_most,
            )

    @classmethod
    def of(cls, contract: Contract, *, at_most: int = FRAMES) -> Cutting:
        """The faces that a model takes."""
        return cls(
            face_px=contract.face_px,
            channels=contract.channels,
            at_most=at_most,
            crop_margin=contract.crop_margin,
            align=contract.align,
        )


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ClipFaces:
    """The face of one person in F frames of a clip; F is 0 where no face was found.

    Attributes:
        faces: (F, S, S) grey or (F, S, S, 3) RGB, uint8.
        times_s: (F,) float64, ascending, seconds from the start of the clip.
    """

    faces: NDArray[np.uint8]
    times_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times_s)


def cut_clip(
    clip: LabelledClip | str | Path,
    *,
    face_px: int = 48,
    channels: int = 1,
    at_most: int = FRAMES,
    crop_margin: float = 0.0,
    align: bool = True,
    detector: Detector | None = None,
    threads: int | None = None,
) -> ClipFaces:
    """The face of the largest person of a clip, cut out upright from its frames.

    Everybody is followed through all frames; the largest person is the one whose face covers
    the largest area, added up over the frames. What was cut is kept in
    $XDG_CACHE_HOME/facetell (~/.cache/facetell), by the bytes of the file and these settings.

    Args:
        clip: where it is.
        face_px, channels, at_most, crop_margin, align: as in `Cutting`.
        detector: finds faces in a frame; by default the packaged one. Another one's faces are
            not kept on disk.
        threads: threads of the packaged detector; None takes every processor.

    Raises:
        ClipError: the clip cannot be read, or not to its end.
        InputError: an impossible setting.
        MissingExtra: PyAV is not installed.

    Example:
        cut = cut_clip("02-01-06-01-02-01-12.mp4")
        print(cut.faces.shape, cut.times_s[-1])
    """
    how = Cutting(
        face_px=face_px, channels=channels, at_most=at_most, crop_margin=crop_margin, align=align
    )
    path = clip.path if isinstance(clip, LabelledClip) else Path(clip)
    return CutClips([], how, detector=detector, threads=threads).cut(path)


class CutClips:
    """Many clips, cut one after the other; those that cannot be are named, the others done.

    Iterate to get (clip, faces) of all that show a face. One clip is held at a time.

    Args:
        clips: the clips.
        how: how faces are cut.
        detector, threads: as for `cut_clip`.
        progress: called with (clips done, clips in all).

    Attributes:
        broken: what is wrong with the clips that cannot be read, as the iteration meets them.
        faceless: the clips in which no face was found, likewise.

    Example:
        cut = CutClips(open_clips("RAVDESS/").clips, Cutting(face_px=48))
        for clip, faces in cut:
            print(clip.path.name, clip.target, faces.faces.shape)
        print(cut.notes)
    """

    def __init__(
        self,
        clips: Sequence[LabelledClip],
        how: Cutting | None = None,
        *,
        detector: Detector | None = None,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.clips = clips
        self.how = how or Cutting()
        self.broken: list[str] = []
        self.faceless: list[str] = []
        self._detector = detector
        self._threads = threads
        self._packaged: CenterFace | None = None
        self._progress = progress

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[tuple[LabelledClip, ClipFaces]]:
        self.broken, self.faceless = [], []
        for done, clip in enumerate(self.clips, 1):
            faces = self._cut_or_name(clip.path)
            if faces is not None:
                yield clip, faces
            if self._progress is not None:
                self._progress(done, len(self.clips))

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be cut so far, one sentence for each reason."""
        kinds = (
            (self.broken, "clips could not be read"),
            (self.faceless, "clips show no face that is found"),
        )
        return tuple(named(len(names), names, why) for names, why in kinds if names)

    def cut(self, path: Path) -> ClipFaces:
        """The faces of one clip, from the disk if they were cut before.

        Raises:
            ClipError: the clip cannot be read, or not to its end.
        """
        kept = None if self._detector else _kept_at(path, self.how)
        faces = _load(kept, self.how)
        if faces is None:
            faces = self._cut(path)
            _save(kept, faces)
        return faces

    def _cut_or_name(self, path: Path) -> ClipFaces | None:
        try:
            faces = self.cut(path)
        except ClipError as error:
            self.broken.append(str(error))
            return None
        if not len(faces):
            self.faceless.append(str(path))
            return None
        return faces

    def _cut(self, path: Path) -> ClipFaces:
        from facetell.runtime.finder import Finder

        looks = _Looks(self.how.at_most)
        with open_clip(path) as clip:
            finder = Finder(self._detector_for(clip))
            for frame in clip:
                seen = finder.find(frame.image, frame.time_s)
                if seen and looks.wants(frame.time_s):
                    looks.add(
                        frame.time_s,
                        _cut_people(
                            frame.image,
                            {someone.person: someone.detection for someone in seen},
                            self.how,
                            finder.detector,
                        ),
                    )
            clip.check_whole()
        return _stacked(looks.of_the_largest(), self.how)

    def _detector_for(self, clip: Clip) -> Detector:
        if self._detector is not None:
            return self._detector
        # Not at the top: listing clips must not load the network runtime.
        from facetell.faces.detect import CenterFace
        from facetell.runtime.clip import clip_detect_side

        self._packaged = self._packaged or CenterFace(threads=self._threads)
        return self._packaged.at(clip_detect_side(clip.size_wh))


class _Look(NamedTuple):
    """A person at a moment: area of the box, px², and the face, (S, S) or (S, S, 3)."""

    area: float
    face: NDArray[np.uint8]


class _Looks:
    """What the people of a clip look like at moments that are evenly spaced.

    How long a clip is nobody knows before its end. So every frame is kept until there are too
    many; then every second one is let go, and later ones are kept half as often.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._moments: list[tuple[float, dict[int, _Look]]] = []
        self._step_s = 0.0
        self._slack_s = 0.0  # half a frame: times are rounded by the container

    def wants(self, time_s: float) -> bool:
        """Whether a frame at that time is to be added."""
        due_s = self._moments[-1][0] + self._step_s - self._slack_s if self._moments else 0.0
        return time_s >= due_s

    def add(self, time_s: float, people: dict[int, _Look]) -> None:
        self._moments.append((time_s, people))
        if len(self._moments) > self._at_most:
            self._moments = self._moments[::2]
            length_s = self._moments[-1][0] - self._moments[0][0]
            self._step_s = length_s / max(len(self._moments) - 1, 1)
            self._slack_s = self._slack_s or self._step_s / 4

    def of_the_largest(self) -> list[tuple[float, NDArray[np.uint8]]]:
        """Times and faces of the person who covers the largest area in all."""
        areas: dict[int, float] = {}
        for _, people in self._moments:
            for person, look in people.items():
                areas[person] = areas.get(person, 0.0) + look.area
        if not areas:
            return []
        largest = max(areas, key=lambda person: areas[person])
        return [
            (time_s, people[largest].face) for time_s, people in self._moments if largest in people
        ]


def _cut_people(
    image: NDArray[np.uint8],
    people: dict[int, Detection],
    how: Cutting,
    detector: Detector,
) -> dict[int, _Look]:
    """The largest people of a frame."""
    from facetell.faces.crop import crop_faces, whole_face
    from facetell.faces.detect import WholeImage

    large = sorted(people, key=lambda person: _area(people[person]), reverse=True)[:_PEOPLE]
    if isinstance(detector, WholeImage):
        faces = whole_face(image, how.face_px)[None]
    else:
        contract = Contract(
            name="clip", face_px=how.face_px, crop_margin=how.crop_margin, align=how.align
        )
        faces = crop_faces(image, [people[person] for person in large], contract)
    faces = faces if how.channels == 3 else grey(faces)
    return {
        person: _Look(_area(people[person]), face)
        for person, face in zip(large, faces, strict=True)
    }


def _area(detection: Detection) -> float:
    x1, y1, x2, y2 = detection.box_xyxy
    return (x2 - x1) * (y2 - y1)


def _stacked(shown: list[tuple[float, NDArray[np.uint8]]], how: Cutting) -> ClipFaces:
    faces = np.empty((len(shown), *_face_shape(how)), np.uint8)
    for row, (_, face) in enumerate(shown):
        faces[row] = face
    times = np.array([time_s for time_s, _ in shown], np.float64)
    return ClipFaces(faces=faces, times_s=times)


def _face_shape(how: Cutting) -> tuple[int, ...]:
    return (how.face_px, how.face_px) + ((3,) if how.channels == 3 else ())


def _kept_at(path: Path, how: Cutting) -> Path | None:
    """Where the faces of a clip are kept; None for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    name = hashlib.sha256(f"{_METHOD} {asdict(how)} {content}".encode()).hexdigest()
    return cache_folder() / "clips" / f"{name}.npz"


def _load(kept: Path | None, how: Cutting) -> ClipFaces | None:
    if kept is None:
        return None
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            cut = ClipFaces(faces=stored["faces"], times_s=stored["times_s"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, or cut off: made anew
    fits = cut.faces.dtype == np.uint8 and cut.faces.shape == (len(cut), *_face_shape(how))
    return cut if fits and math.isfinite(cut.times_s.sum()) else None


def _save(kept: Path | None, cut: ClipFaces) -> None:
    """A cache that cannot be written is no reason to fail."""
    if kept is None:
        return
    content = io.BytesIO()
    np.savez_compressed(content, faces=cut.faces, times_s=cut.times_s)
    try:
        write_atomically(kept, content.getvalue())
    except OSError:
        return

"""A clip, camera or stream -> its frames and what was read from each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from facetell.clips.frames import Clip, Frame, open_clip
from facetell.clips.live import Newest
from facetell.faces.detect import DETECT_SIDE, Detector
from facetell.predictor import Predictor
from facetell.results import Reading
from facetell.runtime import DEFAULT_MODEL
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower

__all__ = ["clip_detect_side", "follow_clip", "read_clip"]

_LEAST_SIDE = 640


def clip_detect_side(size_wh: tuple[int, int]) -> int:
    """The longer side at which frames are searched for faces, px.

    Half the frame's, so that a face of 48 px, the size that models take, is 24 px there, which
    is found; at least 640 and at most what photos get. A 720p frame takes a quarter of the time.
    """
    return max(_LEAST_SIDE, min(DETECT_SIDE, max(size_wh) // 2))


def follow_clip(clip: Clip, follower: Follower) -> Iterator[tuple[Frame, Reading]]:
    """Every frame of a clip with its reading; of a live source the newest frames."""
    if not clip.live:
        for frame in clip:
            yield frame, follower.read(frame.image, frame.time_s)
        return
    with Newest(clip) as newest:
        for frame in newest:
            yield frame, follower.read(frame.image, frame.time_s)


def read_clip(
    source: str | Path,
    *,
    model: str | Path | Predictor = DEFAULT_MODEL,
    detector: Literal["centerface", "none"] | Detector = "centerface",
) -> Iterator[Reading]:
    """The people in each frame of a clip and what they look like, as they are read.

    A clip that turns out broken gives the frames before the damage and then an error.

    Args:
        source: a file, "camera:0", or the address of a stream.
        model: name of a bundled model, path of an .onnx file, or any Predictor.
        detector: "centerface", "none" (each frame is one face), or any Detector.

    Raises:
        ClipError: the clip cannot be read, or not to its end.
        MissingExtra: PyAV is not installed.

    Example:
        for reading in read_clip("clip.mp4"):
            print(reading.time_s, [(face.person, face.label) for face in reading.faces])
    """
    with open_clip(source) as clip:
        side = clip_detect_side(clip.size_wh)
        follower = Follower(
            Analyzer(model, detector=detector, detect_side=side), source=clip.source
        )
        for _, reading in follow_clip(clip, follower):
            yield reading
        clip.check_whole()

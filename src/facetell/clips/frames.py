"""Clips, cameras and streams -> upright RGB frames with their true times.

PyAV reads them (the `video` extra). One frame is held at a time, so an hour takes as much
memory as a second. A file is opened as a file and nothing else: playlists that name other files
or addresses are refused, and addresses are opened only when somebody typed them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.errors import ClipError, require

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["SUFFIXES", "Clip", "Frame", "is_address", "is_clip", "open_clip"]

#: How the names of clips end; an animated GIF is a clip, too.
SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip

_EXPECTED = "expected a clip (MP4, MOV, MKV, WebM, AVI, GIF)"
_FORMATS = "mov,mp4,matroska,webm,avi,gif,flv,mpeg,mpegts,ogg,asf"  # no playlists among them
_CAMERA = re.compile(r"camera:(\d+)")
_ADDRESS = re.compile(r"(https?|rtsps?|rtmps?|rtp|udp|srt)://", re.IGNORECASE)
_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtmp,rtmps,srt,crypto"  # no "file"
_WAIT_S = 15.0  # for an address that does not answer
_BROKEN_IN_A_ROW = 300  # packets; after so many nothing is expected any more
_SHORT_S = 1.0  # a clip that ends so much before its declared end is truncated
_SHORT_SHARE = 0.05


class Frame(NamedTuple):
    """One frame.

    Attributes:
        time_s: when it is shown, seconds from the start of the clip.
        image: (H, W, 3) uint8 RGB, upright, with square pixels.
    """

    time_s: float
    image: NDArray[np.uint8]


def is_address(source: str | Path) -> bool:
    """Whether it is a stream's address, such as rtsp://..."""
    return bool(_ADDRESS.match(str(source)))


def is_clip(source: str | Path) -> bool:
    """Whether it is a camera, an address, or a file that moves."""
    if _CAMERA.fullmatch(str(source)) or is_address(source):
        return True
    path = Path(source)
    return path.suffix.lower() in SUFFIXES or (path.suffix.lower() == ".gif" and _moves(path))


def _moves(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path, formats=["GIF"]) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, ValueError, SyntaxError):
        return False


def open_clip(source: str | Path, *, max_pixels: int = 40_000_000) -> Clip:
    """A clip, ready to be read from its first frame.

    Args:
        source: a file; "camera:0" for the first camera; or a stream's address (rtsp, http, ...).
        max_pixels: clips with larger frames are refused, before one is decoded.

    Raises:
        ClipError: missing, empty, broken, too large, or without video.
        MissingExtra: PyAV is not installed.

    Example:
        with open_clip("clip.mp4") as clip:
            for frame in clip:
                print(frame.time_s, frame.image.shape)
    """
    av = require("av", extra="video", purpose=f"reading clips ({source})")
    name = str(source)
    camera = _CAMERA.fullmatch(name)
    try:
        if camera:
            container = _open_camera(av, int(camera[1]))
        elif is_address(name):
            options = {"protocol_whitelist": _PROTOCOLS, "rtsp_transport": "tcp"}
            container = av.open(name, options=options, timeout=_WAIT_S)
        else:
            _check_file(Path(name))
            # An absolute path behind "file:" cannot be mistaken for another protocol.
            options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
            container = av.open(f"file:{Path(name).absolute()}", options=options)
    except ClipError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(f"{name}: {_EXPECTED}, {_why_not_open(name, error)}", path=name) from error
    try:
        return Clip(name, container, max_pixels=max_pixels)
    except BaseException:
        container.close()
        raise


def _open_camera(av: Any, number: int) -> Any:
    if sys.platform == "darwin":
        return av.open(
            str(number), format="avfoundation", options={"framerate": "30"}, timeout=_WAIT_S
        )
    if sys.platform == "win32":
        raise ClipError(
            "expected a camera that can be opened by its number, got Windows, where PyAV cannot. "
            "Open the camera in the page of `facetell serve`."
        )
    return av.open(f"/dev/video{number}", format="v4l2", timeout=_WAIT_S)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ClipError(f"{path}: {_EXPECTED}, got a folder. Name a clip in it.", path=str(path))
    if not path.exists():
        raise ClipError(f"{path}: {_EXPECTED}, got no such file. Check the path.", path=str(path))
    if not path.is_file():
        raise ClipError(
            f"{path}: {_EXPECTED}, got something that is not a regular file. Save it first.",
            path=str(path),
        )
    if path.stat().st_size == 0:
        raise ClipError(f"{path}: {_EXPECTED}, got 0 bytes. Copy the file again.", path=str(path))


def _why_not_open(name: str, error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if _CAMERA.fullmatch(name):
        return (
            f"but the camera cannot be opened ({reason}). "
            "Check that it is plugged in, free, and that you may use it."
        )
    if is_address(name):
        return f"but the address cannot be opened ({reason}). Check it and the network."
    return (
        f"got a file that is none, or is broken or truncated ({reason}). "
        "Check that it is a clip and was copied whole."
    )


class Clip:
    """Frames of a clip, in the order in which they are shown. Get one from `open_clip`.

    Iterate once. A clip that turns out broken ends early, and `damage` says why.

    Attributes:
        source: the path, camera or address.
        size_wh: width and height as stored, before turning, px.
        duration_s: as the file declares it; None where it does not.
        rate: frames a second on average, as declared; None where unknown. Not for computing
            times: frames carry their own.
        live: whether frames come by themselves and do not wait.
        damage: what was wrong, in words, or None. Final once the iteration has ended.
    """

    def __init__(self, source: str, container: InputContainer, *, max_pixels: int) -> None:
        self.source = source
        self.max_pixels = max_pixels
        self.damage: str | None = None
        self._container = container
        self._stream = self._video_stream()
        self._broken = 0
        self._last_s = 0.0
        self._step_s = 1 / self.rate if self.rate else 0.04
        self._start_s: float | None = None
        if not self.live and container.start_time is not None:
            self._start_s = container.start_time / 1_000_000  # FFmpeg's own unit
        context = self._stream.codec_context
        self._check_size(context.width, context.height)
        # Frame threads hold frames back, which a live picture must not; slices do not.
        self._stream.thread_type = "SLICE" if self.live else "AUTO"
        context.thread_count = 2

    def _video_stream(self) -> VideoStream:
        # A cover picture of a sound file is a video stream by FFmpeg's books.
        pictures = [s for s in self._container.streams.video if not _is_cover(s)]
        if not pictures:
            raise ClipError(
                f"{self.source}: {_EXPECTED}, got a file without a video stream. "
                "Check that it is the right file.",
                path=self.source,
            )
        known = [s for s in pictures if s.codec_context is not None]
        if not known:  # broken bytes, or a codec that FFmpeg was built without
            raise ClipError(
                f"{self.source}: {_EXPECTED}, got a video stream in a form that cannot be "
                "decoded. Copy the file again, or convert it to H.264.",
                path=self.source,
            )
        return known[0]

    @property
    def live(self) -> bool:
        camera_or_address = bool(_CAMERA.fullmatch(self.source)) or is_address(self.source)
        return camera_or_address and not self._container.duration

    @property
    def duration_s(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return container.duration / 1_000_000 if container.duration else None

    @property
    def rate(self) -> float | None:
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else None

    @property
    def size_wh(self) -> tuple[int, int]:
        context = self._stream.codec_context
        return context.width, context.height

    def __iter__(self) -> Iterator[Frame]:
        shown = 0
        for decoded in self._decode():
            self._check_size(decoded.width, decoded.height)
            yield Frame(self._time_of(decoded), self._upright(decoded))
            shown += 1
        if not shown:
            raise ClipError(
                f"{self.source}: {_EXPECTED}, got one without a frame that can be decoded"
                f"{f' ({self.damage})' if self.damage else ''}. Copy the file again.",
                path=self.source,
            )
        self._judge_end()

    def check_whole(self) -> None:
        """Raise what `damage` says, once the frames are out.

        Raises:
            ClipError: the clip is broken.
        """
        if self.damage:
            raise ClipError(
                f"{self.source}: expected a whole clip, got a damaged one ({self.damage}). "
                "The frames before were read; copy the file again for the rest.",
                path=self.source,
            )

    def close(self) -> None:
        """Let go of the file, camera or connection."""
        self._container.close()

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decode(self) -> Iterator[VideoFrame]:
        """Frames, passing over packets that cannot be decoded."""
        av = require("av", extra="video", purpose="reading clips")
        in_a_row = 0
        packets = self._container.demux(self._stream)
        while in_a_row < _BROKEN_IN_A_ROW:
            try:
                packet: Packet[Any] | None = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self.damage = f"reading stopped after {self._last_s:.1f} s: {error}"
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                self._broken, in_a_row = self._broken + 1, in_a_row + 1
                continue
            in_a_row = 0 if frames else in_a_row
            yield from (frame for frame in frames if _is_picture(frame))

    def _time_of(self, frame: VideoFrame) -> float:
        """The frame's own time; where it has none, one step after the frame before."""
        if frame.time is None:
            time_s = self._last_s + self._step_s
        else:
            if self._start_s is None:
                self._start_s = frame.time
            time_s = frame.time - self._start_s
        self._last_s = max(self._last_s, time_s)  # never back, whatever a broken file says
        return self._last_s

    def _upright(self, frame: VideoFrame) -> NDArray[np.uint8]:
        width, height = self._square(frame)
        image: Any = frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(_turned(image, _display_matrix(frame)))

    def _square(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height with square pixels."""
        shape = self._stream.sample_aspect_ratio
        if not shape or shape == 1 or not Fraction(1, 8) <= shape <= 8:
            return frame.width, frame.height
        width = max(1, round(frame.width * shape))
        self._check_size(width, frame.height)
        return width, frame.height

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise ClipError(
                f"{self.source}: expected at most {self.max_pixels:,} pixels a frame, "
                f"got {width} x {height}. Make the clip smaller, or raise max_pixels.",
                path=self.source,
                expected=self.max_pixels,
                actual=(width, height),
            )

    def _judge_end(self) -> None:
        """What was wrong, once all frames are out."""
        if self.damage or self.live:
            return
        end_s, declared = self._last_s + self._step_s, self._declared_s()
        if declared and declared - end_s > max(_SHORT_S, _SHORT_SHARE * declared):
            self.damage = f"truncated: it ends after {end_s:.1f} s of {declared:.1f} s"
        elif self._broken:
            self.damage = f"{self._broken} packets could not be decoded"

    def _declared_s(self) -> float | None:
        """The length of the video alone; a container's may be that of its sound."""
        if self._stream.duration or not self._container.streams.audio:
            return self.duration_s
        return None


def _is_cover(stream: VideoStream) -> bool:
    return "attached_pic" in str(stream.disposition).lower()


def _is_picture(frame: Any) -> bool:
    return hasattr(frame, "to_ndarray") and frame.width > 0 and frame.height > 0


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """(a, b, c, d): the pixel (x, y) is shown at (a x + c y, b x + d y)."""
    held: Iterable[Any] = iter(frame.side_data)
    for data in held:
        if data.type.name == "DISPLAYMATRIX":
            values = np.frombuffer(bytes(data), np.int32)
            return int(values[0]), int(values[1]), int(values[3]), int(values[4])
    return None


def _turned(
    image: NDArray[np.uint8], matrix: tuple[int, int, int, int] | None
) -> NDArray[np.uint8]:
    """The image turned and mirrored to the nearest of the eight ways to hold a camera."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if abs(b) > abs(a):
        image, right, down = image.transpose(1, 0, 2), c, b
    else:
        right, down = a, d
    image = image[:, ::-1] if right < 0 else image
    return image[::-1] if down < 0 else image

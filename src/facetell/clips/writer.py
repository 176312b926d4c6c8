"""Frames -> a clip on disk that appears whole or not at all, with another clip's sound."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facetell.errors import ClipError, InputError, require
from facetell.files import check_target

if TYPE_CHECKING:
    from av.packet import Packet

__all__ = ["WRITABLE", "ClipWriter", "check_clip_target"]

#: suffix -> container, video codec, pixel format, ticks a second, sound where it must be encoded
WRITABLE: dict[str, tuple[str, str, str, int, str | None]] = {
    ".mp4": ("mp4", "libx264", "yuv420p", 90_000, "aac"),
    ".mov": ("mov", "libx264", "yuv420p", 90_000, "aac"),
    ".mkv": ("matroska", "libx264", "yuv420p", 1000, "aac"),
    ".webm": ("webm", "libvpx-vp9", "yuv420p", 1000, "libopus"),
    ".gif": ("gif", "gif", "rgb8", 100, None),
}
_OPTIONS = {
    "libx264": {"preset": "superfast", "crf": "20"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"},
    "gif": {},
}
_PART = ".part"  # ends the hidden name
# What players expect to find in a container. FFmpeg would put more into it.
_SOUNDS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "vorbis"},
}


class ClipWriter:
    """Writes frames at their times. A context manager: the file gets its name at the end.

    The picture keeps its size and its times, in H.264 (mp4, mov, mkv), VP9 (webm) or as a GIF.
    Until the end it lies beside its place under a hidden name; after an error it is removed, and
    after a kill by the next writer of the same path.

    Args:
        path: where the clip goes; the suffix says what it is.
        sound: a clip whose sound is copied, or encoded anew where `path` cannot hold it.
        force: replace a file that is there.

    Raises:
        InputError: the file exists, its folder does not, or another suffix.
        MissingExtra: PyAV is not installed.

    Example:
        with ClipWriter(Path("out.mp4"), sound=Path("clip.mp4")) as out:
            out.add(frame.image, frame.time_s)
    """

    def __init__(self, path: Path, *, sound: Path | None = None, force: bool = False) -> None:
        self._av = require("av", extra="video", purpose=f"writing clips ({path})")
        self.path = path
        check_clip_target(path, force=force)
        self._form, self._codec, self._pixels, self._ticks, self._sound_codec = WRITABLE[
            path.suffix.lower()
        ]
        _drop_abandoned(path)
        handle, name = tempfile.mkstemp(
            dir=path.absolute().parent, prefix=f".{path.name}.", suffix=_PART
        )
        self._part = Path(name)
        self._lock = _Lock(handle)
        self._container: Any = None
        self._stream: Any = None
        self._sound_of = sound if self._sound_codec else None
        self._sounds: list[_Sound] = []
        self._tick = -1

    def add(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Write one frame, later than the one before by at least a tick.

        Args:
            image: (H, W, 3) uint8, of the size of the first one.
            time_s: when it is shown.
        """
        if self._container is None:
            self._begin(image)
        for sound in self._sounds:
            sound.copy_until(time_s)
        image = _even(image) if self._pixels == "yuv420p" else image
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._tick = max(self._tick + 1, round(time_s * self._ticks))
        frame.pts, frame.time_base = self._tick, Fraction(1, self._ticks)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> Path:
        """Write what is left, and give the file its name.

        Raises:
            ClipError: no frame was added.
        """
        if self._container is None:
            self.discard()
            raise ClipError(f"{self.path}: expected frames to write, got none. Check the clip.")
        for sound in self._sounds:
            sound.copy_until(math.inf)
        self._container.mux(self._stream.encode(None))
        self._close()
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        os.chmod(self._part, 0o644)
        os.replace(self._part, self.path)
        self._lock.release()
        return self.path

    def discard(self) -> None:
        """Leave nothing behind."""
        try:
            self._close()
        finally:
            self._part.unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()

    def _begin(self, image: NDArray[np.uint8]) -> None:
        options = {"movflags": "+faststart"} if self._form in ("mp4", "mov") else {}
        self._container = self._av.open(
            f"file:{self._part}", "w", format=self._form, container_options=options
        )
        stream = self._container.add_stream(self._codec, rate=30, options=_OPTIONS[self._codec])
        height, width = (_even(image) if self._pixels == "yuv420p" else image).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, self._pixels
        stream.codec_context.time_base = Fraction(1, self._ticks)  # times, not a rate
        stream.time_base = Fraction(1, self._ticks)
        self._stream = stream
        if self._sound_of is not None:
            self._sounds = _sounds(self._av, self._sound_of, self._container, self._sound_codec)

    def _close(self) -> None:
        for sound in self._sounds:
            sound.close()
        self._sounds = []
        container, self._container = self._container, None
        if container is not None:
            container.close()


def check_clip_target(path: Path, *, force: bool) -> None:
    """Whether a clip can be written there.

    Raises:
        InputError: the file exists, its folder does not, or the suffix is unknown.
    """
    if path.suffix.lower() not in WRITABLE:
        raise InputError(
            f"expected the annotated clip to end in {', '.join(WRITABLE)}, got {path.name!r}. "
            "Choose one of these.",
            expected=tuple(WRITABLE),
            actual=path.suffix,
        )
    check_target(path, force)


class _Lock:
    """Tells other writers that a file is being written. Nothing where the system has no flock.

    Attributes:
        held: whether the file is ours until `release`.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.held = _flock(handle)
        if not self.held:  # Windows renames no open file
            os.close(handle)

    def release(self) -> None:
        if self.held:
            os.close(self._handle)
        self.held = False


def _flock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another's, or a file system without locks
        return False
    return True


def _drop_abandoned(path: Path) -> None:
    """Remove what killed writers of that path have left; what is being written stays."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\w{{8}}{re.escape(_PART)}")
    for part in path.absolute().parent.iterdir():
        if name.fullmatch(part.name) and part.is_file():
            lock = _Lock(os.open(part, os.O_RDWR))
            if lock.held:
                part.unlink(missing_ok=True)
            lock.release()


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With a last row and column repeated where their number is odd: the codecs need pairs."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _sounds(av: Any, source: Path, target: Any, codec: str | None) -> list[_Sound]:
    """One for each sound track of the source. A source that cannot be read has none."""
    options = {"protocol_whitelist": "file"}
    try:
        with av.open(f"file:{source.absolute()}", options=options) as container:
            tracks = [stream.index for stream in container.streams.audio]
        return [_Sound(av, source, index, target, codec) for index in tracks]
    except av.FFmpegError:
        return []


class _Sound:
    """One sound track on its way from one clip to another, a little ahead of the picture."""

    def __init__(self, av: Any, source: Path, index: int, target: Any, codec: str | None) -> None:
        self._av = av
        self._source = av.open(f"file:{source.absolute()}", options={"protocol_whitelist": "file"})
        self._target = target
        track = self._source.streams[index]
        start = self._source.start_time
        self._start_s = start / 1_000_000 if start is not None else 0.0
        self._packets: Iterator[Packet[Any]] = self._source.demux(track)
        known = _SOUNDS.get(target.format.name)
        self._copies = known is None or track.codec_context.name in known
        if self._copies:
            self._stream = target.add_stream_from_template(track)
        else:
            self._stream = target.add_stream(codec, rate=track.codec_context.sample_rate or 48_000)
        self._until_s = -math.inf

    def copy_until(self, time_s: float) -> None:
        """Write the packets up to a time, seconds."""
        while self._until_s <= time_s:
            try:
                packet = next(self._packets, None)
            except self._av.FFmpegError:
                packet = None  # broken sound ends; the picture goes on
            if packet is None:
                self._end()
                return
            if packet.pts is None or packet.time_base is None:
                continue
            self._until_s = float(packet.pts * packet.time_base) - self._start_s
            self._write(packet)

    def _write(self, packet: Any) -> None:
        if self._copies:
            shift = round(self._start_s / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = self._stream
            self._target.mux(packet)
            return
        try:
            frames = packet.decode()
        except self._av.FFmpegError:
            return
        for frame in frames:
            frame.pts = None  # the encoder counts the samples
            self._target.mux(self._stream.encode(frame))

    def _end(self) -> None:
        if self._until_s != math.inf and not self._copies:
            self._target.mux(self._stream.encode(None))
        self._until_s = math.inf

    def close(self) -> None:
        self._source.close()

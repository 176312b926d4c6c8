"""Tiny clips in the exact formats that cameras and programs write."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

TICKS = 90_000


def corners(width: int = 96, height: int = 64) -> np.ndarray:
    """Red upper left, green upper right, blue below: no two turns look alike."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (250, 0, 0)
    image[: height // 2, width // 2 :] = (0, 250, 0)
    image[height // 2 :] = (0, 0, 250)
    return image


def quarters(image: np.ndarray) -> str:
    """The colours of the four quarters, from left to right, upper ones first."""
    height, width = image.shape[:2]
    points = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    points += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return "".join("RGB"[int(image[point].argmax())] for point in points)


def write_clip(
    path: Path,
    images: Iterable[np.ndarray],
    *,
    times: Iterable[float] | None = None,
    codec: str = "libx264",
    form: str | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
    pixel_shape: Fraction | None = None,
    tone_s: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of 25 frames a second, or with the times given, and a tone for so long."""
    images = list(images)
    times = [i / 25 for i in range(len(images))] if times is None else list(times)
    with av.open(str(path), "w", format=form, container_options=options or {}) as container:
        stream = container.add_stream(codec, rate=25, options={"g": "10"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = {"gif": "rgb8", "mpeg4": "yuv420p"}.get(codec, "yuv420p")
        fixed = path.suffix == ".avi"
        if not fixed:
            stream.codec_context.time_base = Fraction(1, TICKS)
            stream.time_base = Fraction(1, TICKS)
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=mirrored)
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        sound = _tone(container, tone_s) if tone_s else None
        for number, (image, time_s) in enumerate(zip(images, times, strict=True)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if fixed else round(time_s * TICKS)
            frame.time_base = Fraction(1, 25) if fixed else Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for packet in sound:
                container.mux(packet)
    return path


def _tone(container, seconds: float):
    """Packets of a 440 Hz tone."""
    name = "libopus" if container.format.name == "webm" else "aac"
    stream = container.add_stream(name, rate=48_000)
    stream.layout = "mono"

    def packets():
        at = np.arange(round(48_000 * seconds))
        wave = (0.3 * np.sin(2 * np.pi * 440 * at / 48_000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        yield from stream.encode(frame)
        yield from stream.encode(None)

    return packets()


def noise(count: int, width: int = 96, height: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]

"""Write the pictures of docs/clips.md: a frame of an annotated clip, and a plot.

    python scripts/clip_pictures.py

The frame shows the portraits of examples/four_portraits.jpg, moved. The plot shows drawn people
whose looks are known and change; they are placed at known boxes, as no detector of photographed
faces looks for drawings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets.toon import make_toon
from facetell.draw import ClipDrawing
from facetell.images import read_image
from facetell.labels import EMOTIONS
from facetell.report.timeline import Timeline, write_timeline
from facetell.results import Detection, Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
RATE = 15
FACE_PX = 192
#: drawn character -> what it shows, seconds each; None: away
SHOWS: dict[int, list[tuple[str | None, float]]] = {
    36: [("sad", 3), ("surprise", 2), ("happy", 5), ("neutral", 2), ("happy", 4)],
    16: [
        ("neutral", 5),
        ("happy", 3),
        (None, 0.8),
        ("happy", 3.2),
        ("surprise", 1.5),
        ("angry", 9),
    ],
    5: [(None, 3), ("angry", 4), ("fear", 2.5), ("surprise", 2), ("happy", 4.5)],
}
#: where the second of two drawings of a look is read more surely than the first
SECOND = {(36, "happy"), (5, "happy")}


def portraits(number: int) -> NDArray[np.uint8]:
    photo = read_image(ROOT / "examples" / "four_portraits.jpg")
    frame = np.full((560, 1280, 3), 70, np.uint8)
    top = 100 + round(20 * np.cos(number / 7))
    frame[top : top + 400] = np.roll(photo, round(30 * np.sin(number / 10)), axis=1)
    return frame


def write_frame(path: Path, frames: int = 24) -> None:
    follower, drawing = Follower(Analyzer(detect_side=640)), ClipDrawing()
    for i in range(frames):
        image = portraits(i)
        drawn = drawing.draw(image, follower.read(image, i / RATE))
    Image.fromarray(drawn).save(path, quality=85)


class Known:
    """A detector that is told where the faces are."""

    def __init__(self) -> None:
        self.boxes: list[tuple[float, float, float, float]] = []

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        if image.shape != (360, 960, 3):  # a window around a face: leave it to the next frame
            return ()
        return tuple(Detection(box_xyxy=box, score=1.0) for box in self.boxes)


def write_plot(path: Path) -> None:
    dataset = make_toon(characters=40, per_emotion=2, face_px=FACE_PX)
    looks = {sample.id: index for index, sample in enumerate(dataset.samples)}
    rng, known = np.random.default_rng(0), Known()
    follower = Follower(Analyzer(detector=known), search_s=1e-3)
    timeline = Timeline(EMOTIONS)
    for i in range(16 * RATE):
        frame, known.boxes = np.full((360, 960, 3), 128, np.uint8), []
        for place, (character, shows) in enumerate(SHOWS.items()):
            look = shown_at(shows, i / RATE)
            if look is None:
                continue
            which = int((character, look) in SECOND)
            drawing = dataset.read(looks[f"{character:03d}/{look}/{which:04d}"])
            x, y = 60 + 300 * place + rng.normal(0, 1.5), 80 + rng.normal(0, 1.5)
            left, top = round(x), round(y)
            light = 1 + rng.normal(0, 0.04)
            frame[top : top + FACE_PX, left : left + FACE_PX] = np.clip(drawing * light, 0, 255)
            known.boxes.append((x, y, x + FACE_PX, y + FACE_PX))
        reading: Reading = follower.read(frame, i / RATE)
        timeline.add(reading, frame)
    write_timeline(timeline.finish(), path, title="three drawn people")


def shown_at(shows: list[tuple[str | None, float]], time_s: float) -> str | None:
    for look, seconds in shows:
        if time_s < seconds:
            return look
        time_s -= seconds
    return shows[-1][0]


def main() -> None:
    write_frame(IMAGES / "clip_frame.jpg")
    write_plot(IMAGES / "clip_plot.png")


if __name__ == "__main__":
    main()

"""A real Chromium on the page, served by nothing but a file server on the loopback."""

from __future__ import annotations

import functools
import http.server
import io
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facetell.results import Reading
from facetell.runtime.certainty import Doubt
from facetell.runtime.session import load
from facetell.server.static import CONTENT_TYPES

ROOT = Path(__file__).resolve().parents[2]
PORTRAITS = ROOT / "examples" / "four_portraits.jpg"
# The same networks on the same pixels: convolutions add in another order, no more.
BOX_PX = 0.1
SCORE = 0.002
FIRST = "compact"  # what the page of these tests begins with: in float, scores compare closely
PATIENCE_MS = 180_000  # a busy machine needs seconds where a phone needs one
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Site:
    """A folder over HTTP; notes what was asked for. `headers` go with every answer."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        handler = functools.partial(_Handler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.site = self  # type: ignore[attr-defined]
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = CONTENT_TYPES

    def log_message(self, *_: object) -> None:
        self.server.site.asked.append(self.path)  # type: ignore[attr-defined]

    def end_headers(self) -> None:
        for name, value in self.server.site.headers.items():  # type: ignore[attr-defined]
            self.send_header(name, value)
        super().end_headers()


@contextmanager
def chromium(camera: Path) -> Iterator[Any]:
    """A browser whose camera shows a file; names lead nowhere but to the loopback."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(),
            args=[
                "--no-sandbox",  # tests run as root in containers
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        yield browser
        browser.close()


def frames(count: int = 10) -> list[np.ndarray]:
    """720p pictures of the four portraits, which move up and down a little."""
    portraits = np.asarray(Image.open(PORTRAITS).convert("RGB"))
    found = []
    for i in range(count):
        frame = np.full((720, 1280, 3), 70, np.uint8)
        top = 160 + round(8 * np.sin(i / count * 2 * np.pi))
        frame[top : top + 400] = portraits
        found.append(frame)
    return found


def write_mjpeg(path: Path) -> Path:
    """A file that Chromium's fake camera plays in a loop: one JPEG after the other."""
    with path.open("wb") as file:
        for frame in frames():
            jpeg = io.BytesIO()
            Image.fromarray(frame).save(jpeg, "JPEG", quality=95)
            file.write(jpeg.getvalue())
    return path


def give(page: Any, path: Path) -> None:
    page.set_input_files("#file", str(path))
    page.wait_for_selector("#results:not([hidden]), #alert:not([hidden])")


def save(page: Any, button: str) -> tuple[str, str]:
    """Name and text of the file that a button gives."""
    with page.expect_download() as waiting:
        page.click(button)
    return waiting.value.suggested_filename, waiting.value.path().read_text("utf-8")


def assert_same_faces(got: Reading, expected: Reading, *, score: float = SCORE) -> None:
    """What the page read is what Python reads, in the same order."""
    for one, other in zip(got.faces, expected.faces, strict=True):
        # The same label, or one whose score is as high but for what scores may differ by.
        behind = other.scores[other.label] - other.scores[one.label]
        assert one.label == other.label or behind <= 2 * score
        assert one.box_xyxy == pytest.approx(other.box_xyxy, abs=BOX_PX)
        assert one.detector_score == pytest.approx(other.detector_score, abs=SCORE)
        assert np.ravel(one.landmarks_xy) == pytest.approx(np.ravel(other.landmarks_xy), abs=BOX_PX)
        assert list(one.scores) == list(other.scores)
        assert one.scores == pytest.approx(other.scores, abs=score)
        assert one.margins == pytest.approx(other.margins, abs=max(0.02, 3 * score))
        assert one.margin == pytest.approx(other.margin, abs=2 * score)
        assert one.person == other.person
        assert one.warnings == other.warnings


def assert_doubted(reading: Reading, *, sets: float | None, abstain: float | None) -> None:
    """Sets and silence in a file of the page are those that Python gives to its scores."""
    doubt = Doubt(load(reading.model, threads=1).contract, sets=sets, abstain=abstain)
    for face in reading.faces:
        assert doubt.about(replace(face, set=None, sure=None)) == face


def contrast(page: Any, selector: str) -> float:
    """WCAG contrast of an element's text with the first opaque ground behind it."""
    ink, ground = page.evaluate(
        """(selector) => {
          let element = document.querySelector(selector);
          const ink = getComputedStyle(element).color;
          const isClear = (e) => /, 0\\)$/.test(getComputedStyle(e).backgroundColor);
          while (isClear(element)) element = element.parentElement;
          return [ink, getComputedStyle(element).backgroundColor];
        }""",
        selector,
    )

    def luminance(colour: str) -> float:
        channels = np.array([int(v) for v in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(
            channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(ink), luminance(ground)])
    return (high + 0.05) / (low + 0.05)

"""Frames a second of the page in Chromium, on a 720p camera played from a file.

    python benchmarks/page.py [--seconds 20] [--model compact] [--photo examples/four_portraits.jpg]

Needs playwright and an installed Chromium. Prints, for a camera that shows one face and all four
of them, on one thread and on several (isolated page), frames a second and the median milliseconds
of a frame's steps: taking the pixels, finding faces, scoring them; and the processor time that the
worker's threads spent on a frame (Linux), which tells what a free machine would need. Beside it
what Python needs for the same frame at the same size on one thread.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import io
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from facetell.runtime.analyzer import Analyzer
from facetell.server.static import CONTENT_TYPES, LIVE_SIDE, write_static

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
STEPS = ("pixels", "detect", "score")


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = CONTENT_TYPES
    isolated = False

    def log_message(self, *_: object) -> None:
        pass

    def end_headers(self) -> None:
        for name, value in ISOLATION.items() if self.isolated else ():
            self.send_header(name, value)
        super().end_headers()


def frame_of(photo: Path, *, whole: bool) -> np.ndarray:
    """A 720p frame with the photo's last face alone, or with all of it."""
    image = Image.open(photo).convert("RGB")
    if not whole:
        image = image.crop((image.width * 3 // 4, 0, image.width, image.height))
    image.thumbnail((1280, 720))
    frame = Image.new("RGB", (1280, 720), (70, 70, 70))
    frame.paste(image, ((1280 - image.width) // 2, (720 - image.height) // 2))
    return np.asarray(frame)


def write_camera(path: Path, frame: np.ndarray) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(frame).save(jpeg, "JPEG", quality=95)
    path.write_bytes(jpeg.getvalue() * 10)


def is_ours(process: Path) -> bool:
    """Whether a process descends from this one."""
    number = process.name
    while number not in ("0", "1"):
        if number == str(os.getpid()):
            return True
        number = Path("/proc", number, "stat").read_text().rpartition(")")[2].split()[1]
    return False


def worker_seconds() -> float:
    """Processor time so far of the page's worker and its threads, s; 0 where /proc is missing."""
    ticks = 0
    for task in Path("/proc").glob("[0-9]*/task/*"):
        try:
            if "DedicatedWorker" in (task / "comm").read_text() and is_ours(task.parents[1]):
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:  # ended meanwhile
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(page: Page, seconds: float) -> tuple[float, dict[str, float], float, int]:
    """Frames a second, median ms a step, processor ms a frame, faces of the last frame."""
    page.click("#camera")
    page.wait_for_selector("#stage[data-ms]", timeout=300_000)
    page.wait_for_timeout(2000)  # the first frames warm up
    times: list[dict[str, float]] = []
    start, spent = time.perf_counter(), worker_seconds()
    while time.perf_counter() - start < seconds:
        page.wait_for_timeout(20)
        ms = json.loads(page.get_attribute("#stage", "data-ms") or "{}")
        if not times or ms != times[-1]:
            times.append(ms)
    spent = worker_seconds() - spent
    rate = len(times) / (time.perf_counter() - start)
    medians = {step: statistics.median(ms[step] for ms in times) for step in STEPS}
    return rate, medians, 1000 * spent / len(times), page.locator("#cards > li").count()


def python_ms(frame: np.ndarray, model: str) -> tuple[float, float]:
    """Median milliseconds of a frame in Python on one thread, by the clock and of processor."""
    analyzer = Analyzer(model, detect_side=LIVE_SIDE, threads=1)
    clock, processor = [], []
    for _ in range(7):
        start, spent = time.perf_counter(), time.process_time()
        analyzer.read(frame)
        clock.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - spent))
    return statistics.median(clock[2:]), statistics.median(processor[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--photo", type=Path, default=Path("examples/four_portraits.jpg"))
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("needs chromium on the path")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        write_static(Path(name) / "site")
        handler = functools.partial(Handler, directory=str(Path(name) / "site"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"processors: {os.cpu_count()}, load: {os.getloadavg()[0]:.1f}")
        for whole in (False, True):
            frame = frame_of(arguments.photo, whole=whole)
            write_camera(Path(name) / "camera.mjpeg", frame)
            for Handler.isolated in (False, True):
                browser = playwright.chromium.launch(
                    executable_path=chromium,
                    args=[
                        "--no-sandbox",
                        "--use-fake-device-for-media-stream",
                        "--use-fake-ui-for-media-stream",
                        f"--use-file-for-fake-video-capture={name}/camera.mjpeg",
                    ],
                )
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
                page.wait_for_selector("html[data-ready]")
                page.select_option("#model", arguments.model)
                rate, ms, spent, faces = measure(page, arguments.seconds)
                threads = "several threads" if Handler.isolated else "one thread"
                steps = ", ".join(f"{step} {value:.0f}" for step, value in ms.items())
                print(
                    f"{faces} face(s), {threads}: {rate:.2f} frames/s; ms a frame: {steps}; "
                    f"processor {spent:.0f}"
                )
                browser.close()
            clock, processor = python_ms(frame, arguments.model)
            print(f"  Python, one thread: {clock:.0f} ms a frame; processor {processor:.0f}")
        server.shutdown()


if __name__ == "__main__":
    main()

"""Frames a second of the page in Chromium, on a 720p camera played from a file.

    python benchmarks/page.py [--seconds 20] [--model NAME] [--photo examples/four_portraits.jpg]

Needs playwright, an installed Chromium and Linux. Prints, for a camera that shows one face and all
four of them as they move a little, on one thread and on several (isolated page), frames a second
and, apart for frames that are searched whole and in windows, the median milliseconds of a frame's
steps: taking the pixels, finding faces, scoring them; and the median of the processor time that
the worker's threads spent on one, which tells what a free machine would need. Ten frames a second
hold two that are searched whole: the mean of such a second stands beside them. Below it what
Python's Follower needs for the same frames at the same size on one thread.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import io
import json
import math
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

from facetell.runtime import DEFAULT_MODEL
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower
from facetell.server.static import CONTENT_TYPES, LIVE_SIDE, write_static

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
STEPS = ("pixels", "detect", "score")
RATE = 10  # frames a second of the mean that is printed
WARM = 15  # frames that are not counted
KINDS = {True: "whole", False: "in windows"}


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = CONTENT_TYPES
    isolated = False

    def log_message(self, *_: object) -> None:
        pass

    def end_headers(self) -> None:
        for name, value in ISOLATION.items() if self.isolated else ():
            self.send_header(name, value)
        super().end_headers()


def frames_of(photo: Path, *, whole: bool) -> list[np.ndarray]:
    """720p frames with the photo's last face alone, or with all of it, moved up and down."""
    image = Image.open(photo).convert("RGB")
    if not whole:
        image = image.crop((image.width * 3 // 4, 0, image.width, image.height))
    image.thumbnail((1280, 720))
    frames = []
    for i in range(60):  # two seconds of Chromium's fake camera
        frame = Image.new("RGB", (1280, 720), (70, 70, 70))
        top = (720 - image.height) // 2 + round(12 * math.sin(i / 60 * 2 * math.pi))
        frame.paste(image, ((1280 - image.width) // 2, top))
        frames.append(np.asarray(frame))
    return frames


def write_camera(path: Path, frames: list[np.ndarray]) -> None:
    with path.open("wb") as file:
        for frame in frames:
            jpeg = io.BytesIO()
            Image.fromarray(frame).save(jpeg, "JPEG", quality=95)
            file.write(jpeg.getvalue())


def is_ours(process: Path) -> bool:
    """Whether a process descends from this one."""
    number = process.name
    while number not in ("0", "1"):
        if number == str(os.getpid()):
            return True
        number = Path("/proc", number, "stat").read_text().rpartition(")")[2].split()[1]
    return False


def worker_ms() -> float:
    """Processor time so far of the page's worker and its threads."""
    spent = 0
    for task in Path("/proc").glob("[0-9]*/task/*"):
        try:
            if "DedicatedWorker" in (task / "comm").read_text() and is_ours(task.parents[1]):
                spent += int((task / "schedstat").read_text().split()[0])
        except OSError:  # ended meanwhile
            continue
    return spent / 1e6


Frames = dict[bool, list[dict[str, float]]]  # by whether they were searched whole


def measure(page: Page, seconds: float) -> tuple[float, Frames, int]:
    """Frames a second, each frame's ms by step and of processor, faces of the last frame."""
    page.click("#camera")
    # The first frames run in code that the browser has not optimised yet.
    page.wait_for_function(
        "n => JSON.parse(document.querySelector('#stage').dataset.ms ?? '{}').frame >= n",
        arg=WARM,
        timeout=600_000,
    )
    frames: Frames = {True: [], False: []}
    last, spent, start = 0, worker_ms(), time.perf_counter()
    while time.perf_counter() - start < seconds:
        page.wait_for_timeout(5)
        ms = json.loads(page.get_attribute("#stage", "data-ms") or "{}")
        if ms["frame"] == last:
            continue
        now = worker_ms()
        if ms["frame"] == last + 1:  # none was missed in between
            frames[ms["isSearched"]].append({**ms, "processor": now - spent})
        last, spent = ms["frame"], now
    count = sum(len(kind) for kind in frames.values())
    return count / (time.perf_counter() - start), frames, page.locator("#cards > li").count()


def python_frames(frames: list[np.ndarray], model: str) -> Frames:
    """Milliseconds of frames in Python on one thread, by the clock and of processor."""
    follower = Follower(Analyzer(model, detect_side=LIVE_SIDE, threads=1), steady=False)
    measured: Frames = {True: [], False: []}
    for i, frame in enumerate([*frames, *frames][:: 30 // RATE]):
        before, start, spent = follower.searched, time.perf_counter(), time.process_time()
        follower.read(frame, i / RATE)
        ms = {
            "frame": 1000 * (time.perf_counter() - start),
            "processor": 1000 * (time.process_time() - spent),
        }
        if i:  # the first warms up
            measured[follower.searched > before].append(ms)
    return measured


def describe(frames: Frames, steps: tuple[str, ...]) -> str:
    """The medians of both kinds of frames, and the processor time of a second's mean frame."""
    parts, processor = [], {}
    for whole, kind in frames.items():
        if not kind:
            return "too few frames; give it more --seconds"
        median = {
            step: statistics.median(ms[step] for ms in kind) for step in (*steps, "processor")
        }
        processor[whole] = median["processor"]
        texts = [f"{step} {value:.0f}" for step, value in median.items()]
        parts.append(f"{KINDS[whole]} ({len(kind)}): {', '.join(texts)}")
    mean = (2 * processor[True] + (RATE - 2) * processor[False]) / RATE
    return f"{'; '.join(parts)}; processor at {RATE} frames/s {mean:.0f} ms a frame"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--model", default=DEFAULT_MODEL)
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
            frames = frames_of(arguments.photo, whole=whole)
            write_camera(Path(name) / "camera.mjpeg", frames)
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
                rate, measured, faces = measure(page, arguments.seconds)
                threads = "several threads" if Handler.isolated else "one thread"
                print(f"{faces} face(s), {threads}, {rate:.2f} frames/s; ms of frames searched")
                print(f"  {describe(measured, STEPS)}", flush=True)
                browser.close()
            print("Python, one thread; ms of frames searched")
            print(f"  {describe(python_frames(frames, arguments.model), ('frame',))}", flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()

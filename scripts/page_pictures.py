"""Photograph the page in Chromium: docs/images/page-*.jpg.

python scripts/page_pictures.py
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from facetell.server.static import write_static

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "server"))

from browsing import PATIENCE_MS, PORTRAITS, Site, chromium, give, write_mjpeg  # noqa: E402

TARGET = ROOT / "docs" / "images"
WIDE, SHOWN = 1200, 900  # px of the page, and of its picture
CAMERA_MS = 15_000  # how long the camera runs, so that the chart shows something


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_static(Path(folder) / "site")
        site = Site(Path(folder) / "site")
        with chromium(write_mjpeg(Path(folder) / "camera.mjpeg")) as browser:
            page = _opened(browser, site, width=WIDE)
            page.click("#camera")
            page.wait_for_timeout(CAMERA_MS)
            _photograph(page, "page-camera", height=1480)
            page = _opened(browser, site, width=WIDE, color_scheme="dark")
            page.select_option("#model", "paper")
            give(page, PORTRAITS)
            _photograph(page, "page-photo-dark", height=1560)
            page = _opened(browser, site, width=360)
            give(page, PORTRAITS)
            _photograph(page, "page-phone", height=1150)
        site.close()


def _opened(browser: Any, site: Site, *, width: int, **options: Any) -> Any:
    """The page, ready."""
    context = browser.new_context(viewport={"width": width, "height": 1000}, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{site.origin}/")
    page.wait_for_selector("html[data-ready]")
    return page


def _photograph(page: Any, name: str, *, height: int) -> None:
    """The top of the page, so many pixels high, in a picture that fits a document."""
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(height, picture.height)))
    picture.thumbnail((SHOWN, height), Image.Resampling.LANCZOS)
    target = TARGET / f"{name}.jpg"
    picture.save(target, quality=88)
    print(target)
    page.context.close()


if __name__ == "__main__":
    main()

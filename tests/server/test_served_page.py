"""The page in a real Chromium, from the server itself: its headers forbid what they should only."""

import json

import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api", reason="needs playwright")

from browsing import PATIENCE_MS, PORTRAITS, chromium, find_chromium, write_mjpeg
from starting import serving, until_answered

from facetell.results import Reading

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs chromium on the path"),
]


def test_the_served_page_reads_as_the_server_does_with_threads_and_asks_nobody_else(tmp_path):
    camera = write_mjpeg(tmp_path / "camera.mjpeg")
    with serving("compact") as (url, _), chromium(camera) as browser:
        until_answered(url)
        page, asked, said = browser.new_page(), [], []
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: asked.append((request.method, request.url)))
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{url}/")
        page.wait_for_selector("html[data-ready]")
        assert page.evaluate("self.crossOriginIsolated")
        page.set_input_files("#file", str(PORTRAITS))
        page.wait_for_selector("#results:not([hidden])")
        with page.expect_download() as waiting:
            page.click("#save-json")
        in_browser = Reading.from_dict(json.loads(waiting.value.path().read_text()))
        page.click("#camera")  # the policy allows it
        page.wait_for_selector("video", state="attached")
        page.close()
        answer = httpx.post(
            f"{url}/v1/read",
            content=PORTRAITS.read_bytes(),
            headers={"content-type": "image/jpeg"},
            timeout=60,
        )
    on_server = Reading.from_dict(answer.json())
    assert len(in_browser.faces) == len(on_server.faces) == 4
    for one, other in zip(in_browser.faces, on_server.faces, strict=True):
        assert one.label == other.label
        assert one.box_xyxy == pytest.approx(other.box_xyxy, abs=2)
        assert list(one.scores.values()) == pytest.approx(list(other.scores.values()), abs=0.05)
        assert np.isclose(sum(one.scores.values()), 1, atol=1e-4)
    assert {method for method, _ in asked} == {"GET"}
    assert all(where.startswith((f"{url}/", "blob:", "data:")) for _, where in asked), asked
    assert said == []

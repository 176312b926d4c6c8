"""The page in a browser, for the tests that need one."""

import pytest
from browsing import FIRST, PATIENCE_MS, PORTRAITS, Site, chromium, write_mjpeg
from PIL import Image

from facetell.runtime.session import bundled_models
from facetell.server.static import write_static


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    camera = write_mjpeg(tmp_path_factory.mktemp("camera") / "camera.mjpeg")
    with chromium(camera) as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static") / "site"
    write_static(folder, sorted(bundled_models(), key=lambda name: name != FIRST))
    site = Site(folder)
    yield site
    site.close()


@pytest.fixture(scope="module")
def portraits_png(tmp_path_factory):
    """PNG, so that both sides decode the same pixels."""
    path = tmp_path_factory.mktemp("photos") / "portraits.png"
    Image.open(PORTRAITS).convert("RGB").save(path)
    return path


@pytest.fixture
def open_page(browser, site):
    """`open_page(script=..., **context options)`: the page, ready; it must raise no error."""
    contexts, errors = [], []

    def open_(script="", **options):
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.sent = []
        context.on("request", lambda request: page.sent.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: said.type == "error" and errors.append(said.text))
        if script:
            page.add_init_script(script)
        page.goto(f"{site.origin}/")
        page.wait_for_selector("html[data-ready], #alert:not([hidden])")
        return page

    yield open_
    for context in contexts:
        context.close()
    site.headers = {}
    assert errors == []

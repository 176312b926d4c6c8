import re

import pytest

pytest.importorskip("fastapi")

from asking import ask, make_analyzer, make_app, png, post_raw

from facetell.server.app import create_app
from facetell.server.settings import Settings
from facetell.server.site import PAGE_POLICY
from facetell.server.static import page_files, page_models

KEY = "0123456789abcdef-secret"


@pytest.fixture(scope="module")
def files(tiny_model_path):
    return page_files([tiny_model_path])


@pytest.fixture(scope="module")
def app(files):
    return create_app(make_analyzer(), Settings(api_key=KEY), page=files)


def test_every_file_of_the_page_is_served_as_it_is_without_a_key(app, files):
    for name, content in files.items():
        answer = ask(app, "GET", f"/{name}")
        assert answer.status_code == 200
        assert answer.content == (content if isinstance(content, bytes) else content.read_bytes())
        assert answer.headers["x-content-type-options"] == "nosniff"
    index = ask(app, "GET", "/")
    assert index.content == files["index.html"].read_bytes()
    assert index.headers["content-type"] == "text/html; charset=utf-8"


def test_the_browser_is_told_to_ask_nobody_else_and_may_use_camera_and_threads(app, files):
    for name in ("", "page.js", "worker.js"):
        headers = ask(app, "GET", f"/{name}").headers
        assert headers["content-security-policy"] == PAGE_POLICY
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["permissions-policy"].startswith("camera=(self)")
    (meta,) = re.findall(r'Policy" content="([^"]*)"', files["index.html"].read_text())
    assert f"{meta}; frame-ancestors 'none'" == PAGE_POLICY  # which no page can say of itself
    assert not re.search(r"https?:|\*|unsafe-inline|'unsafe-eval'", PAGE_POLICY)


def test_a_file_that_the_browser_has_is_not_sent_again(app):
    first = ask(app, "GET", "/vendor/ort.wasm.min.js")
    tag = {"if-none-match": first.headers["etag"]}
    again = ask(app, "GET", "/vendor/ort.wasm.min.js", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert ask(app, "GET", "/page.js", headers=tag).status_code == 200


@pytest.mark.parametrize(
    "path", ["/vendor", "/vendor/", "/static.py", "/../app.py", "/%2e%2e/app.py", "//etc/passwd"]
)
def test_nothing_else_is_served(app, path):
    assert ask(app, "GET", path).status_code == 404


def test_the_interface_is_still_there(app):
    answer = post_raw(app, png(), **{"x-api-key": KEY})
    assert answer.status_code == 200
    assert "/page.js" not in ask(app, "GET", "/openapi.json").text


def test_without_a_page_the_root_is_not_there():
    assert ask(make_app(), "GET", "/").status_code == 404


def test_the_page_offers_the_served_model_first_and_the_other_bundled_ones_for_stills(
    make_model, tiny_model_path, tmp_path, monkeypatch
):
    monkeypatch.setattr("facetell.runtime.session.MODELS", tmp_path)
    for name, memory in [("a", 0), ("b", 0), ("clip", 3)]:
        make_model(tmp_path / f"{name}.onnx", memory=memory, theta=False)
    assert page_models("b") == [tmp_path / "b.onnx", tmp_path / "a.onnx"]
    assert page_models(tiny_model_path) == [tiny_model_path]

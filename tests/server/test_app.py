import re

import pytest

pytest.importorskip("fastapi")

from asking import ask, make_analyzer, make_app, photo, png, post_parts, post_raw

from facetell.results import Reading


@pytest.fixture(scope="module")
def analyzer():
    return make_analyzer()


@pytest.fixture(scope="module")
def app(analyzer):
    return make_app(analyzer)


@pytest.mark.parametrize("kind", ["image/png", "image/x-odd", "application/octet-stream"])
@pytest.mark.parametrize("faces", [0, 1, 3])
def test_a_raw_image_is_answered_with_what_python_says(app, analyzer, faces, kind):
    answer = post_raw(app, png(1, faces), **{"content-type": kind})
    assert answer.status_code == 200
    assert answer.json() == analyzer.read(photo(1, faces)).to_dict()
    assert len(answer.json()["faces"]) == faces


@pytest.mark.parametrize("count", [1, 2, 5])
def test_several_images_are_answered_in_their_order_with_their_names(app, analyzer, count):
    answer = post_parts(app, *[png(i, i % 3) for i in range(count)])
    assert answer.status_code == 200
    readings = answer.json()["readings"]
    assert [reading["source"] for reading in readings] == [f"{i}.png" for i in range(count)]
    for i, reading in enumerate(readings):
        alone = analyzer.read(photo(i, i % 3)).to_dict()
        assert reading == {**alone, "source": f"{i}.png"}
        assert Reading.from_dict(reading).to_dict() == reading


def test_a_broken_image_among_several_says_why_and_the_others_are_read(app, analyzer):
    readings = post_parts(app, png(0), b"no image", png(1)).json()["readings"]
    assert [bool(reading["error"]) for reading in readings] == [False, True, False]
    assert readings[1]["size_wh"] == [0, 0]
    (said,) = analyzer.read_many([b"no image"])
    assert readings[1]["error"] == said.error
    assert "got 8 bytes that are none of these" in said.error


@pytest.mark.parametrize("data", [b"", b"no image", png()[:-30]])
def test_a_request_whose_only_image_is_broken_is_refused_with_the_words_of_python(
    app, analyzer, data
):
    (said,) = analyzer.read_many([data])
    for answer in (post_raw(app, data), post_parts(app, data)):
        assert answer.status_code == 422
        assert answer.json() == {"error": said.error}


def test_file_names_come_back_whatever_they_are(app):
    names = ["a b.png", "grüße.png", "../../etc/passwd", "x" * 999, 'quo"te.png']
    readings = post_parts(app, *[png()] * 5, names=names).json()["readings"]
    assert [r["source"] for r in readings] == [*names[:3], "x" * 255, readings[4]["source"]]


def test_an_image_without_a_name_has_an_empty_source(app):
    body = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + png() + b"\r\n--b--\r\n"
    answer = post_raw(app, body, **{"content-type": "multipart/form-data; boundary=b"})
    assert [r["source"] for r in answer.json()["readings"]] == [""]


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"x", "text/plain", 415, r"got 'text/plain'\. Send the header Content-Type"),
        (b"x", "", 415, "got 'no content type'"),
        (b"x", "multipart/form-data", 400, "names no boundary"),
        (b"x" * 99, "multipart/form-data; boundary=b", 400, "expected a multipart/form-data body"),
        (b"--b\r\n", "multipart/form-data; boundary=b", 400, "ends in the middle"),
        (b"", "multipart/form-data; boundary=b", 400, "ends in the middle"),
        (b"x", f"multipart/form-data; boundary={'b' * 999}", 400, "Boundary length 999 exceeds"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 422, "parts called 'image', got none"),
        (
            b'--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\n1\r\n--b--\r\n',
            "multipart/form-data; boundary=b", 422, "parts called 'image', got another name",
        ),
        (b"--b\r\nX: y\r\n\r\n1\r\n--b--\r\n", "multipart/form-data; boundary=b", 422,
         "got another name"),
    ],
)  # fmt: skip
def test_other_bodies_are_refused_with_a_reason(app, body, kind, status, message):
    answer = post_raw(app, body, **{"content-type": kind})
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert re.search(message, answer.json()["error"])


def test_a_compressed_body_is_refused(app):
    answer = post_raw(app, png(), **{"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert "Send it uncompressed" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/read", 405), ("PUT", "/v1/models", 405),
     ("GET", "/v1/read/", 404), ("GET", "/redoc", 404), ("GET", "/v1/live", 404)],
)  # fmt: skip
def test_other_paths_and_methods_are_refused_in_json(app, method, path, status):
    answer = ask(app, method, path)
    assert answer.status_code == status
    assert "/docs lists them" in answer.json()["error"]


def test_the_model_and_the_health_are_told(app, analyzer):
    (model,) = ask(app, "GET", "/v1/models").json()["models"]
    assert model["name"] == "mean"
    assert model["contract"]["labels"] == list(analyzer.contract.labels)
    health = ask(app, "GET", "/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})


def test_metrics_count_requests_images_faces_and_batches():
    app = make_app()
    post_parts(app, png(0, 2), png(1, 1), b"broken")
    post_raw(app, b"broken")
    ask(app, "GET", "/private/name")
    answer = ask(app, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        'facetell_model_info{name="mean"} 1.0',
        'facetell_requests_total{path="/v1/read",status="200"} 1.0',
        'facetell_requests_total{path="/v1/read",status="422"} 1.0',
        'facetell_requests_total{path="other",status="404"} 1.0',
        'facetell_images_total{outcome="read"} 2.0',
        'facetell_images_total{outcome="broken"} 2.0',
        'facetell_refused_total{reason="image"} 1.0',
        "facetell_faces_total 3.0",
        "facetell_batch_faces_sum 3.0",
        "facetell_queue_images 0.0",
        "facetell_held_bytes 0.0",
    ):
        assert line in lines, line
    assert "private" not in answer.text


def test_the_page_of_operations_lists_them_and_loads_nothing(app):
    answer = ask(app, "GET", "/docs")
    for path in ask(app, "GET", "/openapi.json").json()["paths"]:
        assert path in answer.text
    assert not re.search(r"<script|<link|<img|@import|url\(|src=|//", answer.text)
    assert re.findall(r'href="([^"]*)"', answer.text) == ["openapi.json"]
    assert "Art. 5(1)(f)" in answer.text


def test_the_description_names_every_answer_of_read(app):
    description = ask(app, "GET", "/openapi.json").json()
    read = description["paths"]["/v1/read"]["post"]
    assert set(read["responses"]) == {"200", "400", "403", "413", "415", "421", "422", "503", "504"}
    assert set(read["requestBody"]["content"]) >= {"multipart/form-data", "image/jpeg"}
    fields = description["components"]["schemas"]["Reading"]["properties"]
    assert set(fields) == set(make_analyzer().read(photo()).to_dict())

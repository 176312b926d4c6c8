import logging

import pytest

pytest.importorskip("fastapi")

from asking import ask, make_analyzer, make_app, png, post_raw

from facetell.server.settings import Settings

KEY = "0123456789abcdef-secret"


@pytest.fixture(scope="module")
def locked():
    return make_app(api_key=KEY)


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/nothing", 404), ("/v1/models", 200), ("/docs", 200)]
)
def test_every_answer_has_the_headers_that_keep_browsers_strict(path, status):
    answer = ask(make_app(), "GET", path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert not {name for name in answer.headers if name.startswith("access-control")}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8000", 200), ("127.0.0.1:1", 200), ("[::1]:8000", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421), ("[::2]", 421), ("", 421),
    ],
)  # fmt: skip
def test_names_of_other_machines_are_not_answered(host, status):
    answer = ask(make_app(), "GET", "/v1/models", headers={"host": host})
    assert answer.status_code == status
    if status == 421:
        assert "Allow it with --allow-host" in answer.json()["error"]


def test_hosts_can_be_allowed():
    for hosts, status in [(("Faces.example",), 200), (("*",), 200), (("other",), 421)]:
        app = make_app(hosts=hosts)
        assert ask(app, "GET", "/healthz", host="faces.example").status_code == status
    assert ask(make_app(hosts=("faces.example",)), "GET", "/healthz").status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), ("http://localhost", 200), ("https://LOCALHOST", 200),
     ("http://evil.example", 403), ("http://localhost:81", 403), ("null", 403), ("http://[", 403)],
)  # fmt: skip
def test_pages_of_other_sites_cannot_send_images(origin, status):
    answer = post_raw(make_app(), png(), **({"origin": origin} if origin else {}))
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_an_origin_can_be_allowed():
    app = make_app(origins=("https://faces.example",))
    answer = post_raw(app, png(), origin="https://faces.example")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://faces.example"
    other = post_raw(app, png(), origin="https://evil.example")
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer  {KEY}"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": KEY[:-1]}, 401),
        ({"x-api-key": ""}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": f"Bearer {KEY}x"}, 401),
        ({"x-api-key": "é".encode("latin-1")}, 401),
    ],
)
def test_with_an_api_key_only_who_sends_it_is_answered(locked, headers, status):
    for method, path in [("GET", "/v1/models"), ("GET", "/metrics")]:
        answer = ask(locked, method, path, headers=headers)
        assert answer.status_code == status
    read = ask(locked, "POST", "/v1/read", content=png(),
               headers={"content-type": "image/png", **headers})  # fmt: skip
    assert read.status_code == status
    if status == 401:
        assert read.headers["www-authenticate"].startswith("Bearer")
        assert "expected the server's API key" in read.json()["error"]
        assert KEY not in read.text


def test_health_and_description_need_no_key(locked):
    for path in ("/healthz", "/docs", "/openapi.json"):
        assert ask(locked, "GET", path).status_code == 200


def test_settings_do_not_show_the_key():
    assert KEY not in repr(Settings(api_key=KEY))


def test_a_stopping_server_refuses_new_work_and_says_so():
    app = make_app()
    app.state.is_stopping = True
    answer = post_raw(app, png())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "this server is stopping" in answer.json()["error"]
    health = ask(app, "GET", "/healthz")
    assert (health.status_code, health.json()) == (503, {"status": "stopping"})


def test_a_failure_is_500_and_its_words_stay_out_of_answer_and_log(caplog):
    analyzer, words = make_analyzer(), "some" + "one"

    def fail(image):
        raise RuntimeError(words)

    analyzer.detector.detect = fail
    app = make_app(analyzer)
    with caplog.at_level(logging.DEBUG):
        answer = post_raw(app, png())
    assert answer.status_code == 500
    assert answer.json() == {"error": "the server failed at this request. Its log names the place."}
    assert "a request failed with RuntimeError" in caplog.text
    assert words not in caplog.text

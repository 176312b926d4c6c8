import asyncio
import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from facetell.cli import main
from facetell.cli.serve import KEY_VARIABLE, serve

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

KEY = "0123456789abcdef-secret"


@pytest.fixture
def ran(monkeypatch, tiny_model_path):
    """`ran(*arguments)`: the result, and what the server would have been started with."""
    started = {}

    def run(app, settings, *, host, port, on_start):
        on_start(f"http://{host}:{port}/")
        started.update(app=app, settings=settings, host=host, port=port)

    monkeypatch.setattr("facetell.server.running.run", run)

    def ran_(*arguments):
        base = ["--model", str(tiny_model_path), "--detector", "none", "--threads", "1"]
        return CliRunner().invoke(serve, [*base, *map(str, arguments)]), started

    return ran_


def test_it_serves_on_loopback_and_says_where_and_what_scores_are(ran):
    result, started = ran()
    assert result.exit_code == 0
    assert (started["host"], started["port"]) == ("127.0.0.1", 8000)
    assert (started["settings"].hosts, started["settings"].api_key) == ((), None)
    assert result.stdout == ""
    first, law, last = result.stderr.splitlines()
    assert (
        first == "serving tiny at http://127.0.0.1:8000/ (for programs: http://127.0.0.1:8000/docs)"
    )
    assert "not what a person feels" in law
    assert "Art. 5(1)(f)" in law
    assert last == "stopped"


def test_every_limit_arrives(ran):
    limits = {"bytes": 1, "pixels": 2, "images": 3, "faces": 4, "queue": 5, "live": 6}
    arguments = [word for name, n in limits.items() for word in (f"--max-{name}", n)]
    result, started = ran(*arguments, "--timeout", 7.5, "--workers", 8)
    assert result.exit_code == 0, result.output
    settings = started["settings"]
    values = (settings.max_body_bytes, settings.max_pixels, settings.max_images,
              settings.max_faces, settings.max_queue_images, settings.max_live,
              settings.timeout_s, settings.workers)  # fmt: skip
    assert values == (1, 2, 3, 4, 5, 6, 7.5, 8)


def test_other_machines_are_answered_when_asked_for_with_a_warning_unless_there_is_a_key(
    ran, tmp_path
):
    warning = "Warning: other machines may be able to ask, and no API key is set."
    result, started = ran("--host", "0.0.0.0")
    assert started["settings"].hosts == ("*",)
    assert warning in result.stderr
    (tmp_path / "key").write_text(f"{KEY}\n")
    result, started = ran("--host", "0.0.0.0", "--api-key-file", tmp_path / "key",
                          "--allow-host", "faces.example")  # fmt: skip
    assert started["settings"].hosts == ("faces.example",)
    assert started["settings"].api_key == KEY
    assert "Warning" not in result.stderr
    assert KEY not in result.output


def test_the_key_may_come_from_the_environment_and_a_file_comes_first(ran, monkeypatch, tmp_path):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert ran()[1]["settings"].api_key == KEY
    (tmp_path / "key").write_text("x" * 16)
    assert ran("--api-key-file", tmp_path / "key")[1]["settings"].api_key == "x" * 16


def answer_of(app, path):
    """What the app answers, without a socket."""

    async def get():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get(path)).content

    return asyncio.run(get())


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], (0.9, 0.7)),
        (["--sets", 0.95], (0.95, 0.7)),
        (["--sets", 0.8, "--abstain=0.5"], (0.8, 0.5)),
    ],
)
def test_the_page_starts_with_the_sets_and_abstention_of_the_server(
    ran, tmp_path, arguments, numbers
):
    manifest = tmp_path / "site" / "models.json"
    for more in ([], ["--static", manifest.parent]):
        result, started = ran("--model", "compact", *arguments, *more)
        assert result.exit_code == 0, result.output
        if not more:
            page = json.loads(answer_of(started["app"], "/models.json"))
        else:
            page = json.loads(manifest.read_text())
        assert (page["sets"], page["abstain"]) == numbers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "65536 is not in the range"),
        (["--max-bytes", "0"], "0 is not in the range"),
        (["--timeout", "0"], "0.0 is not in the range"),
        (["--max-images", "65"], "max_images must be at most max_queue_images (64), got 65"),
        (["--model", "compcat"], "unknown model 'compcat'"),
        (["--detector", "haar"], "'haar' is not one of"),
    ],
)
def test_misuse_has_status_2_and_says_why(arguments, message):
    result = CliRunner().invoke(serve, arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_short_or_empty_key_is_refused_rather_than_ignored(ran, monkeypatch, tmp_path):
    (tmp_path / "key").write_text("\n")
    for key in ("", "hunter2"):
        monkeypatch.setenv(KEY_VARIABLE, key)
        result, started = ran()
        assert (result.exit_code, started) == (2, {})
        assert f"got {len(key)} characters" in result.stderr
        assert "hunter2" not in result.stderr
    assert ran("--api-key-file", tmp_path / "key")[0].exit_code == 2


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit) as left:
        main(["serve"])
    assert left.value.code == 1
    said = capsys.readouterr().err
    assert re.search(r"serving needs uvicorn, .* Run: pip install 'facetell\[serve\]'", said)


def test_the_light_parts_of_the_server_bring_no_framework_along():
    code = (
        "import facetell.cli.serve, facetell.server, facetell.server.settings, sys\n"
        "print([n for n in ('fastapi', 'starlette', 'uvicorn', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_page_can_be_written_for_any_web_host(ran, tmp_path):
    result, started = ran("--static", tmp_path / "site")
    assert (result.exit_code, started) == (0, {})
    assert result.stderr == f"wrote {tmp_path / 'site'}\n"
    assert {"index.html", "models.json"} <= {path.name for path in (tmp_path / "site").iterdir()}
    assert (tmp_path / "site" / "models" / "tiny.onnx").is_file()
    again, _ = ran("--static", tmp_path / "site")
    assert "--force" in str(again.exception)
    assert ran("--static", tmp_path / "site", "--force")[0].exit_code == 0

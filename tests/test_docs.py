"""The documentation says what the code does: generated pages, examples, commands, links."""

import doctest
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from facetell.cli import COMMANDS, _group
from facetell.runtime import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
# ```language words, the text up to the closing fence
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def named(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """Texts of the code blocks in one language, without those marked `notest`."""
    found = FENCE.findall(page.read_text("utf-8"))
    return [text for name, words, text in found if name == language and "notest" not in words]


def prose(page):
    return FENCE.sub("", page.read_text("utf-8"))


def command_lines():
    """(page, line) of every `facetell ...` in a shell block."""
    lines = [
        (named(page), line)
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [(page, line) for page, line in lines if line.startswith("facetell ")]


def inline_commands():
    """(page, text) of every `facetell ...` within a sentence."""
    return [
        (named(page), text)
        for page in PAGES
        for text in re.findall(r"`(facetell [a-z][^`]*)`", prose(page))
    ]


def resolve(words):
    """The command that words lead to, its context, and the words left over."""
    command, name, words = _group, "facetell", list(words)
    context = click.Context(command, info_name=name)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        inner = command.get_command(context, name)
        assert inner is not None, f"no command {name!r}"
        command, context = inner, click.Context(inner, info_name=name, parent=context)
    return command, context, words


def anchors(page):
    """What the headings of a page are called in links, as GitHub forms it."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in plain}


def test_generated_pages_are_current():
    # In a process of its own: Click keeps the help option of a command's first use in other tests.
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_docs.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr + "run scripts/write_docs.py"


def test_every_command_has_a_section():
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert all(f"\n## facetell {name}\n" in text for name in COMMANDS)


@pytest.fixture
def reader(tmp_path, monkeypatch, tiny_model_path):
    """The place of somebody who tries the examples: the photo, and a small default model."""
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(tiny_model_path, models / f"{DEFAULT_MODEL}.onnx")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.setattr("facetell.runtime.session.MODELS", models)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=named)
def test_python_examples_run(page):
    """All blocks of a page share their names, as they do for its reader."""
    names: dict[str, object] = {"__name__": "example"}
    sessions = doctest.DocTestParser()
    for text in blocks(page, "python"):
        if ">>>" not in text:
            exec(compile(text, named(page), "exec"), names)
            continue
        runner = doctest.DocTestRunner(verbose=False)
        test = sessions.get_doctest(text, names, named(page), str(page), 0)
        output: list[str] = []
        assert runner.run(test, out=output.append, clear_globs=False).failed == 0, "".join(output)
        names |= test.globs


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_parse(page, line, monkeypatch):
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, context: Path(value))
    for part in re.split(r"\s*(?:&&|;|>)\s*", line.partition(" #")[0]):
        words = shlex.split(part)
        if words[0] == "facetell":
            command, context, rest = resolve(words[1:])
            assert not isinstance(command, click.Group) or rest
            command.make_context(context.info_name, rest, parent=context.parent)


@pytest.mark.parametrize(("page", "text"), inline_commands())
def test_commands_in_sentences_exist(page, text):
    command, context, rest = resolve(text.split()[1:])
    known = {name for param in command.get_params(context) for name in param.opts}
    used = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert used <= known


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_local_links_lead_somewhere(page):
    for link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_pages_hold_examples_commands_and_links():
    """The tests above have something to look at."""
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 8
    assert len(command_lines()) >= 20
    assert len(inline_commands()) >= 10
    assert sum(len(LINK.findall(prose(page))) for page in PAGES) >= 10

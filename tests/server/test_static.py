"""The page's files: complete, described by the models' contracts, written whole or not at all."""

import io
import json
import math
import re
import shutil
import subprocess
import zipfile
from dataclasses import asdict
from html.parser import HTMLParser
from inspect import signature
from pathlib import Path, PurePosixPath

import pytest

from facetell.errors import ContractError, InputError
from facetell.faces import crop, detect, track
from facetell.faces.detect import DETECT_SIDE, CenterFace
from facetell.report.text import LAW, MEANING
from facetell.runtime import DEFAULT_MODEL, finder, scenes
from facetell.runtime.session import bundled_models, load
from facetell.server.static import CONTENT_TYPES, page_files, write_static

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "src" / "facetell" / "server" / "page"


def read(content):
    return content if isinstance(content, bytes) else content.read_bytes()


@pytest.fixture(scope="module")
def files(tiny_model_path):
    return {name: read(content) for name, content in page_files([tiny_model_path]).items()}


class Links(HTMLParser):
    """What a page names in src and href, and its text."""

    def __init__(self, text):
        super().__init__()
        self.named, self.text = set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.named |= {value for name, value in attributes if name in ("src", "href")}

    def handle_data(self, data):
        self.text += data


def test_the_manifest_holds_each_models_contract_and_file():
    files = page_files()
    manifest = json.loads(files["models.json"])
    names = [model["name"] for model in manifest["models"]]
    assert names[0] == DEFAULT_MODEL
    assert sorted(names) == sorted(bundled_models())
    for model in manifest["models"]:
        assert files[model["file"]] == bundled_models()[model["name"]]
        contract = json.loads(json.dumps(asdict(load(model["name"], threads=1).contract)))
        assert model["contract"] == contract


def test_the_manifest_holds_the_detectors_settings():
    detector, python = json.loads(page_files()["models.json"])["detector"], CenterFace(threads=1)
    assert detector["side"] == python.side == DETECT_SIDE
    assert detector["min_score"] == python.min_score
    assert detector["max_overlap"] == python.max_overlap
    assert detector["file"] in page_files()


def test_the_manifest_says_what_sets_and_abstention_the_page_starts_with(tiny_model_path):
    def start(*models, **asked):
        manifest = json.loads(page_files(models, **asked)["models.json"])
        return manifest["sets"], manifest["abstain"]

    assert start(tiny_model_path) == start("compact") == (0.9, 0.7)
    assert start("compact", sets=0.8) == (0.8, 0.7)
    assert start("compact", tiny_model_path, abstain=0.5) == (0.9, 0.5)


@pytest.mark.parametrize(
    ("model", "asked", "kind", "message"),
    [
        ("tiny", {"sets": 0.9}, ContractError, "'tiny', which was not. Run `facetell calibrate"),
        ("tiny", {"abstain": 0.7}, ContractError, "'tiny', which was not"),
        ("compact", {"sets": 0.3}, InputError, "expected a level from 0.5 to 0.99"),
        ("compact", {"abstain": 0.05}, InputError, "expected a share of answered faces from 0.1"),
    ],
)
def test_what_the_first_model_cannot_say_is_refused(tiny_model_path, model, asked, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        page_files([tiny_model_path if model == "tiny" else model], **asked)


def test_every_file_that_a_file_names_is_there(files):
    named = {link for link in Links(files["index.html"].decode()).named if not link.startswith("#")}
    for name, content in files.items():
        if PurePosixPath(name).suffix == ".js" and not name.startswith("vendor/"):
            text = content.decode()
            named |= set(re.findall(r'from "\./([^"]+)"', text))
            named |= set(re.findall(r'new URL\("([^"]+\.(?:js|wasm))"', text))
    assert {"page.js", "worker.js", "vendor/ort-wasm-simd-threaded.wasm"} <= named
    assert named <= files.keys()


NUMBER = r"^const ([A-Z][A-Z_]+) = ([^;]+);"


@pytest.mark.parametrize(
    ("script", "module", "own"),
    [
        ("scenes.js", scenes, set()),
        ("track.js", track, {"REMEMBER_S", "REMEMBER_FRAMES"}),
        ("follow.js", finder, {"SEARCH_FRAMES"}),
        ("detect.js", detect, set()),
        ("crop.js", crop, set()),
    ],
)
def test_a_scripts_numbers_are_its_modules(files, script, module, own):
    text = files[script].decode()
    numbers = {name: eval(value, {"Math": math}) for name, value in re.findall(NUMBER, text, re.M)}
    expected = {
        name.lstrip("_"): list(value) if isinstance(value, tuple) else value
        for name, value in vars(module).items()
        if re.fullmatch("_[A-Z_]+|SEARCH_S", name) and isinstance(value, (int, float, tuple))
    }
    assert numbers.keys() - own == expected.keys()
    assert {name: numbers[name] for name in expected} == expected


def test_the_page_remembers_people_as_long_as_python(files):
    remembered = dict(re.findall(NUMBER, files["track.js"].decode(), re.M))["REMEMBER_S"]
    assert float(remembered) == track.Tracker().remember_s
    assert float(remembered) == signature(finder.Finder).parameters["remember_s"].default


def test_every_file_has_a_content_type(files):
    assert {PurePosixPath(name).suffix for name in files} <= CONTENT_TYPES.keys()


def test_no_file_of_ours_names_another_site(files):
    for name, content in files.items():
        if name.startswith(("vendor/", "models/")) or name.endswith((".onnx", ".LICENSE")):
            continue
        addresses = set(re.findall(rb"https?://[^\s\"'<)]+", content))
        assert addresses <= {b"http://www.w3.org/2000/svg"}, name


def test_the_page_runs_no_inline_script_and_forbids_other_sites(files):
    page = files["index.html"].decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert "unsafe-inline" not in policy
    assert re.search(r"<script(?![^>]*\ssrc=)", page) is None
    assert re.search(r"\son\w+=|\sstyle=", page) is None


def test_meaning_and_law_read_as_in_the_reports(files):
    text = " ".join(Links(files["index.html"].decode()).text.split())
    for paragraph in (*MEANING, LAW, "No face leaves this device."):
        assert paragraph in text


def test_licences_of_what_is_vendored_are_there_and_its_hashes_are_noted(files):
    assert b"MIT License" in files["vendor/onnxruntime.LICENSE"]
    assert b"CenterFace" in files["faces/centerface.LICENSE"]
    assert len(files["vendor/onnxruntime.ThirdPartyNotices.txt"]) > 100_000
    note = files["vendor/README.txt"].decode()
    for name in ("ort.wasm.min.js", "ort-wasm-simd-threaded.js", "ort-wasm-simd-threaded.wasm"):
        assert f"{name}, {len(files[f'vendor/{name}']):,} bytes" in note
    assert b"sourceMappingURL" not in files["vendor/ort.wasm.min.js"]


def test_a_wheel_holds_the_page(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel")
    [path] = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(io.BytesIO(Path(path).read_bytes())).namelist())
    ours = {p.relative_to(ROOT / "src").as_posix() for p in PAGE.rglob("*") if p.is_file()}
    assert len(ours) > 15
    assert ours <= names


def test_no_file_of_the_page_is_ignored_by_git_and_so_left_out_of_a_wheel():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    paths = [str(path) for path in PAGE.rglob("*") if path.is_file()]
    found = subprocess.run(
        ["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
    assert found.returncode == 1  # none is ignored


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([{}] * 2, "got two called 'one'"),
        ([{"memory": 4}], "needs models for stills, got one, which has an LSTM over frames"),
        ([], "needs at least one model, got none"),
    ],
)
def test_models_that_a_page_cannot_offer_are_refused(tmp_path, make_model, values, message):
    paths = []
    for number, fields in enumerate(values):
        (tmp_path / str(number)).mkdir()
        paths.append(make_model(tmp_path / str(number) / "one.onnx", theta=False, **fields))
    with pytest.raises(InputError, match=message):
        page_files(paths)


def test_a_file_without_a_contract_is_refused():
    with pytest.raises(ContractError, match="has no facetell contract"):
        page_files([ROOT / "src" / "facetell" / "faces" / "centerface.onnx"])


def test_a_models_name_cannot_leave_its_folder(tmp_path, make_model):
    path = make_model(tmp_path / "x.onnx")
    import onnx

    model = onnx.load(path)
    [entry] = [p for p in model.metadata_props if p.key == "facetell.contract"]
    entry.value = json.dumps({**json.loads(entry.value), "name": "../../über model"})
    onnx.save(model, path)
    [name] = [name for name in page_files([path]) if name.startswith("models/")]
    assert re.fullmatch(r"models/[A-Za-z0-9-]+\.onnx", name)


def test_the_folder_holds_what_page_files_says(tmp_path, tiny_model_path, files):
    write_static(tmp_path / "deep" / "site", [tiny_model_path])
    written = {
        path.relative_to(tmp_path / "deep" / "site").as_posix(): path.read_bytes()
        for path in (tmp_path / "deep" / "site").rglob("*")
        if path.is_file()
    }
    assert written == files
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["site"]


def test_a_page_is_replaced_only_when_asked(tmp_path, tiny_model_path):
    site = tmp_path / "site"
    site.mkdir()  # empty: free to use
    write_static(site, [tiny_model_path])
    with pytest.raises(InputError, match=r"holds a page\. Choose another folder, or pass --force"):
        write_static(site, [tiny_model_path])
    (site / "page.css").write_text("old")
    write_static(site, [tiny_model_path], force=True)
    assert (site / "page.css").read_bytes() == (PAGE / "page.css").read_bytes()


@pytest.mark.parametrize("own_page_first", [False, True])
def test_a_folder_with_other_files_is_never_replaced(tmp_path, tiny_model_path, own_page_first):
    site = tmp_path / "site"
    if own_page_first:
        write_static(site, [tiny_model_path])
    (site / "holiday").mkdir(parents=True)
    (site / "holiday" / "photo.jpg").write_bytes(b"dear")
    for force in (False, True):
        with pytest.raises(InputError, match=r"holds other files.*not replaced"):
            write_static(site, [tiny_model_path], force=force)
    assert (site / "holiday" / "photo.jpg").read_bytes() == b"dear"


def test_a_file_in_the_folders_place_is_refused(tmp_path, tiny_model_path):
    (tmp_path / "site").write_text("text")
    with pytest.raises(InputError, match="expected a folder to write the page into"):
        write_static(tmp_path / "site", [tiny_model_path], force=True)


def test_a_failed_writing_leaves_the_old_page_and_no_litter(tmp_path, tiny_model_path, monkeypatch):
    write_static(tmp_path / "site", [tiny_model_path])

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("facetell.server.static.shutil.copyfile", fail)
    with pytest.raises(OSError, match="disk full"):
        write_static(tmp_path / "site", [tiny_model_path], force=True)
    assert (tmp_path / "site" / "index.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]

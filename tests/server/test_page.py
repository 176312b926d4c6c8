"""The page in a real Chromium: what it reads is what Python reads, and nobody else hears of it."""

import base64
import csv
import io
import json
import re
import zlib
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from browsing import (
    FIRST,
    ISOLATION,
    PORTRAITS,
    ROOT,
    SCORE,
    assert_doubted,
    assert_same_faces,
    contrast,
    find_chromium,
    frames,
    give,
    save,
)
from PIL import Image

from facetell import draw
from facetell.contract import Contract
from facetell.faces.crop import crop_faces
from facetell.faces.detect import letterbox
from facetell.labels import EMOTIONS
from facetell.predictor import calibrated
from facetell.report.text import LAW, MEANING
from facetell.results import Detection, Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower
from facetell.runtime.quality import warn
from facetell.runtime.session import bundled_models, load
from facetell.server.static import LIVE_SIDE

pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs chromium on the path"),
]

# There, what crops differ by, less than a grey level, may round to another step.
IN_EIGHT_BITS = {"strong": 0.015, "strong-plus": 0.015, "plus": 0.03}


def saved_photo(page):
    return Reading.from_dict(json.loads(save(page, "#save-json")[1]))


@pytest.mark.parametrize("model", bundled_models())
def test_a_photo_reads_as_in_python(open_page, portraits_png, model):
    page = open_page()
    page.select_option("#model", model)
    give(page, portraits_png)
    name, text = save(page, "#save-json")
    assert name == "portraits.faces.json"
    got = Reading.from_dict(json.loads(text))
    expected = Analyzer(model, threads=1).read(portraits_png)
    assert len(expected.faces) == 4
    assert json.loads(text).keys() >= expected.to_dict().keys()
    assert json.loads(text)["faces"][0].keys() >= expected.faces[0].to_dict().keys()
    assert (got.source, got.size_wh, got.model) == ("portraits.png", expected.size_wh, model)
    assert_same_faces(got, expected, score=IN_EIGHT_BITS.get(model, SCORE))
    assert_doubted(got, sets=0.9, abstain=0.7)
    assert page.inner_text("#status").startswith("4 faces in 1280 x 400 pixels: 1\u00a0")
    first = page.inner_text("#cards > li:first-child")
    assert expected.faces[0].label in first
    blocks = load(model, threads=1).contract.architecture
    assert ("straightened by it" in first) == blocks.startswith("spatial transformer")


def test_another_model_reads_the_same_photo_anew(open_page, portraits_png):
    page = open_page()
    give(page, portraits_png)
    page.select_option("#model", "paper")
    page.wait_for_selector("#cards figure[data-part=straight-part]:not([hidden])")
    assert json.loads(save(page, "#save-json")[1])["model"] == "paper"


def test_csv_rows_are_those_of_facetell_read(open_page, portraits_png):
    rows_module = pytest.importorskip("facetell.rows")
    page = open_page()
    give(page, portraits_png)
    reading = saved_photo(page)
    name, text = save(page, "#save-csv")
    assert name == "portraits.faces.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == rows_module.columns(EMOTIONS)
    assert {row["sure"] for row in rows} == {"true", "false"}
    assert any("|" in row["set"] for row in rows)
    for got, expected in zip(rows, rows_module.rows_of(reading, EMOTIONS), strict=True):
        for column, value in expected.items():
            if value is None:
                assert got[column] == ""
            elif isinstance(value, bool):
                assert got[column] == str(value).lower()
            elif isinstance(value, float):
                assert float(got[column]) == pytest.approx(value, abs=1e-12)
            else:
                assert got[column] == str(value)


def test_an_oriented_photo_is_turned_upright(open_page, tmp_path):
    photo = Image.open(PORTRAITS).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    page = open_page()
    give(page, tmp_path / "turned.png")
    got = saved_photo(page)
    assert got.size_wh == photo.size
    assert_same_faces(got, Analyzer(FIRST, threads=1).read(tmp_path / "turned.png"))


def test_threads_are_used_where_the_page_is_isolated_and_change_nothing(
    open_page, site, portraits_png
):
    site.headers = ISOLATION
    page = open_page()
    assert page.evaluate("crossOriginIsolated")
    give(page, portraits_png)
    got = saved_photo(page)
    assert_same_faces(got, Analyzer(FIRST, threads=1).read(portraits_png))


def test_no_face_is_an_answer(open_page, tmp_path):
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "plain.png")
    page = open_page()
    give(page, tmp_path / "plain.png")
    assert page.inner_text("#status") == "No face found in 300 x 200 pixels."
    assert "That is an answer, not an error" in page.inner_text("#no-faces")
    assert not page.is_visible("#alert")
    assert json.loads(save(page, "#save-json")[1])["faces"] == []
    assert save(page, "#save-csv")[1].splitlines()[1].startswith("plain.png,,,")


def png_header(width, height):
    body = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    chunk = (13).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\x00" * 16


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "empty.jpg: expected a photo .*, got 0 bytes"),
        ("broken.jpg", b"\xff\xd8\xff\xe0 no photo" * 9, "cannot read as one. Check that the file"),
        ("text.txt", b"hello", "got 5 bytes that this browser cannot read"),
        ("bomb.png", png_header(60_000, 60_000), "at most 50 million pixels, got 60000 x 60000"),
        ("clip.mp4", b"no clip" * 99, "expected a clip that this browser can play"),
    ],
)
def test_a_file_that_cannot_be_read_gets_a_message_and_the_next_is_read(
    open_page, tmp_path, portraits_png, name, content, message
):
    (tmp_path / name).write_bytes(content)
    page = open_page()
    give(page, tmp_path / name)
    assert re.search(message, page.inner_text("#alert"))
    assert page.inner_text("#status") == "Nothing was read."
    if name == "broken.jpg":
        page.set_input_files("#file", str(portraits_png))
        page.wait_for_selector("#cards > li:nth-child(4)")
        assert not page.is_visible("#alert")


def assert_followed(readings, people):
    """Every frame holds the same people, each one near where they were before."""
    for reading in readings:
        assert sorted(face["person"] for face in reading["faces"]) == people
    for before, after in pairwise(readings):
        assert before["time_s"] < after["time_s"]
        boxes = {face["person"]: face["box_xyxy"] for face in before["faces"]}
        for face in after["faces"]:
            assert face["box_xyxy"] == pytest.approx(boxes[face["person"]], abs=30)


# Keeps a copy of every frame that the page takes from the camera.
KEEP_FRAMES = """
  const take = window.createImageBitmap.bind(window);
  window.framesTaken = [];
  window.createImageBitmap = async (source) => {
    const bitmap = await take(source);
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [bitmap.width, bitmap.height];
    copy.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0);
    window.framesTaken.push(copy);
    return bitmap;
  };
"""


def frame_taken(page, number):
    ask = "(number) => window.framesTaken[number].toDataURL('image/png')"
    data = page.evaluate(ask, number)
    with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as taken:
        return np.asarray(taken.convert("RGB"))


def test_the_camera_is_read_followed_charted_and_heard_by_nobody_else(open_page, site):
    page = open_page(KEEP_FRAMES)
    page.click("#camera")
    page.locator("#results-text", has_text=re.compile(r"^([89]|\d\d+) frames")).wait_for()
    page.click("#camera")  # off: the last frame stays
    assert page.inner_text("#camera") == "Turn on the camera"
    name, text = save(page, "#save-json")
    readings = [json.loads(line) for line in text.splitlines()]
    assert name == "camera.faces.jsonl"
    assert len(readings) >= 8
    assert_followed(readings, people=[1, 2, 3, 4])

    # Nobody is forgotten by Python either, however slow this machine is.
    analyzer = Analyzer(FIRST, detect_side=LIVE_SIDE, threads=1)
    follower = Follower(analyzer, steady=False, remember_s=1000)
    for number, got in enumerate(readings[:12]):
        frame = frame_taken(page, number)
        assert frame.shape == (720, 1280, 3)
        expected = follower.read(frame, got["time_s"])
        # Boxes followed over frames differ by 1e-5 px: a crop's pixel may round to another level.
        assert_same_faces(Reading.from_dict(got), expected, score=0.01)
        assert_doubted(Reading.from_dict(got), sets=0.9, abstain=0.7)

    page.click("#table-part > summary")
    page.locator("#table tbody tr").first.wait_for()  # the table is made once it is open
    header = page.locator("#table thead th").all_inner_texts()
    rows = [row.split("\t") for row in page.locator("#table tbody tr").all_inner_texts()]
    assert header == ["time", "person", "looks", *EMOTIONS]
    assert len(rows) == len(readings)
    firsts = [next(f for f in one["faces"] if f["person"] == 1) for one in readings]
    shown = {face["label"] for face in firsts}
    for row in rows:  # smoothed, so near what the frames say but not the same
        assert row[1] == "1"
        assert row[2] in shown
        shares = [int(cell.rstrip("\u00a0%")) for cell in row[3:]]
        assert sum(shares) == pytest.approx(100, abs=4)
    assert_line_drawn(page, rows[-1][2])

    assert page.sent == [url for url in page.sent if url.startswith(f"{site.origin}/")] != []
    assert f"{site.origin}/models/{FIRST}.onnx" in page.sent  # the worker's are seen, too
    assert not [path for path in site.asked if path.startswith(("POST", "PUT"))]


def assert_line_drawn(page, label):
    """The chart holds pixels of that emotion's colour."""
    data = page.evaluate("document.querySelector('#chart').toDataURL('image/png')")
    chart = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))))
    colour = np.abs(chart[..., :3].astype(int) - draw._COLOURS[label]).max(axis=2) < 12
    assert (colour & (chart[..., 3] > 200)).sum() > 100


def test_a_clip_is_played_and_read_with_its_own_times(open_page, tmp_path):
    av = pytest.importorskip("av")
    # Two frames a second, so that the times of those that are read are multiples of a half.
    with av.open(str(tmp_path / "clip.webm"), "w") as container:
        stream = container.add_stream("libvpx", rate=2)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.bit_rate = 4_000_000
        for image in frames(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    page = open_page()
    give(page, tmp_path / "clip.webm")
    page.locator("#status", has_text="Clip read").wait_for()
    readings = [json.loads(line) for line in save(page, "#save-json")[1].splitlines()]
    assert {reading["source"] for reading in readings} == {"clip.webm"}
    assert_followed(readings, people=[1, 2, 3, 4])
    assert readings[-1]["time_s"] <= 4
    assert all(reading["time_s"] % 0.5 == 0 for reading in readings)
    assert page.is_visible("#seek")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "navigator.mediaDevices.getUserMedia = () => "
            "Promise.reject(new DOMException('no', 'NotAllowedError'))",
            "The camera was refused. Allow it",
        ),
        (
            "navigator.mediaDevices.getUserMedia = () => "
            "Promise.reject(new DOMException('no', 'NotFoundError'))",
            "No camera was found",
        ),
        (
            "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})",
            "only on pages served over HTTPS",
        ),
    ],
)
def test_a_camera_that_is_refused_gets_a_message(open_page, script, message):
    page = open_page(script)
    page.click("#camera")
    page.wait_for_selector("#alert:not([hidden])")
    assert message in page.inner_text("#alert")
    assert page.inner_text("#camera") == "Turn on the camera"


def test_a_browser_without_webassembly_is_told_so(open_page):
    page = open_page("delete window.WebAssembly")
    assert "needs WebAssembly" in page.inner_text("#alert")
    assert page.is_disabled("#choose")


def test_meaning_law_and_promise_can_be_read(open_page):
    page = open_page()
    text = " ".join(page.inner_text("body").split())
    for paragraph in (*MEANING, LAW, "No face leaves this device."):
        assert paragraph in text


def test_the_keyboard_reaches_and_works_every_control(open_page):
    page = open_page()
    chosen = []
    page.on("filechooser", lambda chooser: chosen.append(chooser))
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.href"))
    assert reached[0].endswith("#work")  # the link that skips the heading
    assert reached[1:] == ["choose", "camera", "model", "show-looks", "level", "abstain"]
    for _ in range(5):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    for _ in range(100):
        if chosen:
            break
        page.wait_for_timeout(200)
    assert len(chosen) == 1


def test_every_control_and_picture_has_a_name(open_page, portraits_png):
    page = open_page()
    give(page, portraits_png)
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, select, input, canvas[role=img], section')]
        .filter((e) => !e.ariaLabel && !e.labels?.length && !e.innerText
                       && !e.getAttribute('aria-labelledby'))
        .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    assert page.get_attribute("#status", "role") == "status"
    assert page.get_attribute("#alert", "role") == "alert"


def test_a_phones_screen_needs_no_sideways_scrolling(open_page, portraits_png):
    page = open_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(too_wide) == 0
    give(page, portraits_png)
    page.wait_for_selector("#cards > li:nth-child(4)")
    assert page.evaluate(too_wide) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.evaluate("document.querySelector('#alert').hidden = false")
    for selector in ("h1", ".promise", "#choose", "#camera", "#status", "#about-model", "#alert",
                     ".drop p", "footer", "footer a"):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector


def packed(image):
    """RGB pixels as the page's modules take them: four bytes each, base64 for the journey."""
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    data = base64.b64encode(np.concatenate([image, alpha], axis=2).tobytes()).decode()
    return {"data": data, "width": image.shape[1], "height": image.shape[0]}


def in_browser(page, image, body, values):
    """What `body` makes of the image with the page's own modules, as (H, W, 3)."""
    got = page.evaluate(
        """async ([image, values, body]) => {
          const [crop, detect] = await Promise.all(
            ["./crop.js", "./detect.js"].map((name) => import(new URL(name, location))));
          image.data = Uint8ClampedArray.from(atob(image.data), (c) => c.charCodeAt(0));
          const work = {
            crop: () => crop.cropFace(
              image, crop.cropQuad(values.face, values.contract), values.contract.face_px),
            letterbox: () => detect.letterbox(image, values.side).canvas,
          };
          const { data, width, height } = work[body]();
          return { data: Array.from(data), width, height };
        }""",
        [packed(image), values, body],
    )
    return np.array(got["data"], np.uint8).reshape(got["height"], got["width"], 4)[..., :3]


@pytest.mark.parametrize("size_wh", [(300, 90), (200, 150), (97, 61), (20, 33)])
def test_canvases_for_the_detector_are_pythons(open_page, size_wh):
    image = np.asarray(Image.open(PORTRAITS).convert("RGB").resize(size_wh))
    page = open_page()
    for side in (64, 160):
        expected = letterbox(image, side)[0]
        got = in_browser(page, image, "letterbox", {"side": side})
        assert np.array_equal(got, expected)


@pytest.mark.parametrize(
    "box",
    [
        (1057.0, 64, 1218, 308),
        (110.5, 56, 203, 179),
        (1150.0, -60, 1400, 500),  # beyond the border
        (120.0, 70, 150, 110),  # smaller than the crop
        (-400.0, -800, 1700, 1300),
    ],
)
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_crops_are_pythons(open_page, box, margin):
    image = np.asarray(Image.open(PORTRAITS).convert("RGB"))
    (x1, y1, x2, y2), contract = box, Contract(name="x", crop_margin=margin)
    width, height = x2 - x1, y2 - y1
    marks = [(0.3, 0.35), (0.7, 0.45), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]
    face = Detection(
        box_xyxy=box,
        score=1.0,
        landmarks_xy=tuple((x1 + u * width, y1 + v * height) for u, v in marks),
    )
    got = in_browser(
        open_page(), image, "crop", {"face": asdict(face), "contract": asdict(contract)}
    )
    expected = crop_faces(image, [face], contract)[0]
    # Pillow 13 may go along columns first, which moves a value by a level or two.
    assert np.abs(got.astype(int) - expected).max() <= 2


def test_colours_are_those_of_annotated_photos(open_page):
    page = open_page()
    ask = "async (label) => (await import(new URL('colours.js', location))).colourOf(label)"
    for label, (red, green, blue) in [*draw._COLOURS.items(), ("else", draw._OTHER)]:
        assert page.evaluate(ask, label) == f"rgb({red} {green} {blue})"
    legend = (ROOT / "src" / "facetell" / "server" / "page" / "page.css").read_text()
    for red, green, blue in (draw._COLOURS[emotion] for emotion in EMOTIONS):
        assert f"#{red:02x}{green:02x}{blue:02x}" in legend


@pytest.mark.parametrize("model", bundled_models())
def test_warnings_and_calibrated_scores_are_pythons(open_page, model):
    rng = np.random.default_rng(0)
    shaded = np.linspace(20, 220, 48)[:, None] + rng.normal(0, 6, (48, 48))
    noise = rng.integers(0, 256, (48, 48))
    greys = [
        noise * 0,
        noise * 0 + 250,
        shaded,
        noise,
        np.linspace(0, 255, 48)[:, None] + noise * 0,
    ]
    faces = np.stack([np.repeat(g.clip(0, 255).astype(np.uint8)[..., None], 3, 2) for g in greys])
    detections = [
        Detection(box_xyxy=(0, 0, side, 9), score=score)
        for side, score in ((48, 1), (20, 1), (48, 0.5), (48, 1), (48, 1))
    ]
    contract = load(model, threads=1).contract
    margins = rng.normal(-1, 1, (5, len(contract.labels))).astype(np.float32)
    got = open_page().evaluate(
        """async ({ faces, detections, margins, contract }) => {
          const { warn } = await import("./quality.js");
          const { calibrated } = await import("./score.js");
          const crop = (data) => ({ data: new Uint8ClampedArray(data), width: 48, height: 48 });
          return {
            warnings: faces.map((face, n) => warn(crop(face), detections[n])),
            scores: margins.map((row) => calibrated(row, contract)),
          };
        }""",
        {
            "faces": [np.dstack([f, f[..., :1]]).ravel().tolist() for f in faces],
            "detections": [asdict(d) for d in detections],
            "margins": margins.tolist(),
            "contract": asdict(contract),
        },
    )
    assert [tuple(names) for names in got["warnings"]] == list(warn(faces, detections))
    assert len({*map(tuple, got["warnings"])}) >= 4
    assert np.array(got["scores"]) == pytest.approx(calibrated(margins, contract), abs=1e-6)

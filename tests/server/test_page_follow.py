"""The page follows people as Python does: the same steps, on the same frames, in Chromium."""

import base64
import io
import json

import numpy as np
import pytest
from browsing import FIRST, PORTRAITS, assert_same_faces, find_chromium
from PIL import Image

from facetell.faces.track import Tracker
from facetell.results import Detection, Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower
from facetell.runtime.scenes import is_cut, movement, thumbnail
from facetell.server.static import LIVE_SIDE

pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs chromium on the path"),
]

READ = """async (frames) => {
  const load = (name) => import(new URL(name, location));
  const [{ makeReader }, { toReading }] = await Promise.all(
    ["reader.js", "results.js"].map(load));
  const { detector, models: [model] } = await (await fetch("models.json")).json();
  const reader = makeReader();
  const read = [];
  for (const { png, work, turn, last_person, time_s } of frames) {
    const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const result = await reader.read(bitmap, {
      detector, model, side: detector.live_side, follow: { work, turn, last_person, time_s },
    });
    read.push({
      reading: toReading({ source: "", model: model.name, time_s, ...result }),
      isSearched: result.isSearched,
    });
  }
  return read;
}"""


def scene(*places, ground=70, shape=(400, 640)):
    """A frame with portraits at (number, x, y) of their upper left corners, 160 x 200 each."""
    picture = np.full((*shape, 3), ground, np.uint8)
    portraits = Image.open(PORTRAITS).convert("RGB")
    for number, x, y in places:
        portrait = portraits.crop((320 * number, 0, 320 * number + 320, 400)).resize((160, 200))
        picture[y : y + 200, x : x + 160] = portrait
    return picture


def read_frames(page, images, times, *, work=1, turns=None, last_person=0):
    """What the page's worker reads of frames, and whether each was searched whole."""
    frames = []
    for number, (image, time_s) in enumerate(zip(images, times, strict=True)):
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        turn = 0 if turns is None else turns[number]
        frames.append(
            {
                "png": base64.b64encode(png.getvalue()).decode(),
                "work": work,
                "turn": turn,
                "last_person": last_person,
                "time_s": time_s,
            }
        )
    found = page.evaluate(READ, frames)
    readings = [Reading.from_dict(one["reading"]) for one in found]
    return readings, [one["isSearched"] for one in found]


def people(reading):
    return sorted(face.person for face in reading.faces)


def assert_python_reads_the_same(readings, images, times):
    follower = Follower(Analyzer(FIRST, detect_side=LIVE_SIDE, threads=1), steady=False)
    for got, image, time_s in zip(readings, images, times, strict=True):
        assert_same_faces(got, follower.read(image, time_s))


def test_a_newcomer_is_found_at_the_next_search_and_the_others_in_windows(open_page):
    images = [scene((0, 40 + 4 * i, 90), *[(2, 420, 80)] * (i >= 2)) for i in range(8)]
    times = [i / 10 for i in range(8)]
    readings, searched = read_frames(open_page(), images, times)
    assert [i for i, whole in enumerate(searched) if whole] == [0, 5]
    assert [people(reading) for reading in readings] == [[1]] * 5 + [[1, 2]] * 3
    assert_python_reads_the_same(readings, images, times)


def test_somebody_who_leaves_is_not_shown_and_gets_the_number_back(open_page):
    here = [not 3 <= i < 7 for i in range(9)]
    images = [scene((2, 40 + 4 * i, 90), *[(0, 420, 80)] * here[i]) for i in range(9)]
    times = [i / 10 for i in range(9)]
    readings, _ = read_frames(open_page(), images, times)
    assert [people(reading) for reading in readings] == [[1, 2] if one else [1] for one in here]
    assert_python_reads_the_same(readings, images, times)


def test_a_cut_begins_with_new_people(open_page):
    images = [scene((0, 40 + 4 * i, 90)) for i in range(3)]
    images += [scene((2, 60 + 4 * i, 60), ground=200) for i in range(2)]
    times = [i / 10 for i in range(5)]
    assert is_cut(thumbnail(images[2]), thumbnail(images[3]))
    readings, searched = read_frames(open_page(), images, times)
    assert searched == [True, False, False, True, False]
    assert [people(reading) for reading in readings] == [[1]] * 3 + [[2]] * 2
    assert_python_reads_the_same(readings, images, times)


def test_a_jump_begins_with_people_numbered_after_those_that_are_kept(open_page):
    images = [scene((0, 40, 90), (2, 420, 80))] * 4
    readings, searched = read_frames(
        open_page(), images, [5.0, 5.1, 1.0, 1.1], turns=[0, 0, 1, 1], last_person=7
    )
    assert searched == [True, False, True, False]
    assert [people(reading) for reading in readings] == [[1, 2]] * 2 + [[8, 9]] * 2


def test_where_frames_come_slowly_every_third_is_searched_and_three_unseen_are_remembered(
    open_page,
):
    here = [True, True, False, False, True, True, True, True]
    images = [scene((2, 40 + 9 * i, 90), *[(0, 420, 80)] * here[i]) for i in range(8)]
    readings, searched = read_frames(open_page(), images, [3.0 * i for i in range(8)])
    assert [people(reading) for reading in readings] == [[1, 2] if one else [1] for one in here]
    assert searched == [True, False, True, True, False, False, True, False]


def test_people_of_drawn_tracks_are_pythons_in_place_and_number(open_page):
    frames = tracks()
    got = open_page().evaluate(
        """async (frames) => {
          const { makeTracker } = await import(new URL("track.js", location));
          const tracker = makeTracker();
          return frames.map(({ faces, time_s, newcomers }, frame) => [
            tracker.expect({ time_s, frame }),
            tracker.update(faces, { time_s, frame }, newcomers),
          ]);
        }""",
        frames,
    )
    tracker, numbers = Tracker(), set()
    for frame, both in zip(frames, got, strict=True):
        expected = tracker.expect(frame["time_s"])
        assert_same_people(both[0], expected)
        found = [as_detection(face) for face in frame["faces"]]
        seen = tracker.update(found, frame["time_s"], newcomers=frame["newcomers"])
        assert_same_people(both[1], seen)
        numbers |= {someone.person for someone in seen}
    assert max(numbers) > 5  # some were forgotten and came back as somebody new


def tracks(count=120):
    """Five faces that move about, tremble, and are missed now and then, one for long."""
    random = np.random.default_rng(0)
    place, speed = random.uniform(100, 500, (5, 2)), random.normal(0, 150, (5, 2))
    size, time_s, frames = random.uniform(30, 90, 5), 0.0, []
    for i in range(count):
        step = random.choice([0.03, 0.1, 0.3])
        time_s += step
        place = place + speed * step
        speed *= np.where((place < 50) | (place > 550), -1, 1)
        faces = []
        for k in random.permutation(5):
            if random.random() < 0.2 or (k == 0 and 40 <= i < 80):
                continue
            x, y = place[k] + random.normal(0, 1, 2)
            w, h = size[k] * np.array([0.4, 0.5]) * np.exp(random.normal(0, 0.03, 2))
            marks = [[x - 5, y], [x + 5, y - 3]]
            faces.append({"box_xyxy": [x - w, y - h, x + w, y + h], "score": 0.9,
                          "landmarks_xy": marks})  # fmt: skip
        frames.append({"faces": faces, "time_s": time_s, "newcomers": i % 4 == 0})
    return json.loads(json.dumps(frames))


def as_detection(face):
    return Detection(
        box_xyxy=tuple(face["box_xyxy"]),
        score=face["score"],
        landmarks_xy=tuple(tuple(point) for point in face["landmarks_xy"]),
    )


def assert_same_people(got, expected):
    assert [one["person"] for one in got] == [other.person for other in expected]
    for one, other in zip(got, expected, strict=True):
        detection = as_detection(one["detection"])
        assert detection.box_xyxy == pytest.approx(other.detection.box_xyxy, abs=1e-6)
        assert np.allclose(detection.landmarks_xy, other.detection.landmarks_xy, atol=1e-6)
        assert one["seen"]["time_s"] == other.seen_s


def test_movement_and_cuts_are_pythons(open_page):
    random = np.random.default_rng(1)
    slope = np.add.outer(2 * np.arange(97), np.arange(131)).astype(np.uint8)
    grey = [slope, 255 - slope, slope // 2 + 60, np.full((50, 60), 9, np.uint8)]
    pictures = [random.integers(0, 255, (90, 160, 3), np.uint8), scene((1, 70, 80))]
    pictures += [np.repeat(one[..., None], 3, axis=2) for one in grey]
    thumbnails = [thumbnail(picture) for picture in pictures]
    got = open_page().evaluate(
        """async (pictures) => {
          const { isCut, movement, thumbnail } = await import(new URL("scenes.js", location));
          const cells = pictures.map(({ data, ...size }) =>
            thumbnail({ data: Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), ...size }));
          return cells.map((now) =>
            [Array.from(now), cells.map((before) => [movement(before, now), isCut(before, now)])]);
        }""",
        [packed(picture) for picture in pictures],
    )
    cuts = 0
    for now, (cells, pairs) in zip(thumbnails, got, strict=True):
        assert np.array_equal(np.float32(cells), now.ravel())
        assert pairs == [[movement(before, now), is_cut(before, now)] for before in thumbnails]
        cuts += sum(cut for _, cut in pairs)
    assert 0 < cuts < len(pictures) ** 2


def packed(image):
    """RGB pixels as the page's modules take them: four bytes each, base64 for the journey."""
    four = np.pad(image, ((0, 0), (0, 0), (0, 1)), constant_values=255)
    data = base64.b64encode(four.tobytes()).decode()
    return {"data": data, "width": image.shape[1], "height": image.shape[0]}

import gc
import threading
import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from facetell.errors import ImageError, InputError
from facetell.faces.crop import crop_faces, whole_face
from facetell.results import Detection, Reading
from facetell.runtime.analyzer import Analyzer, read
from facetell.runtime.session import load


class Fixed:
    """A detector that finds as many faces as the upper left pixel says."""

    def __init__(self) -> None:
        self.inside = 0

    def detect(self, image: np.ndarray) -> tuple[Detection, ...]:
        self.inside += 1
        time.sleep(0.001)
        assert self.inside == 1, "detectors are called by one thread at a time"
        found = tuple(
            Detection(box_xyxy=(4.0 * i, 2.0, 4.0 * i + 30, 32.0), score=0.5 + i / 20)
            for i in range(image[0, 0, 0])
        )
        self.inside -= 1
        return found


@pytest.fixture(scope="module")
def crops(tiny_model_path) -> Analyzer:
    return Analyzer(tiny_model_path, detector="none", threads=1)


def photo(seed: int, size_wh: tuple[int, int] = (48, 48), faces: int = 1) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    image[0, 0] = faces
    return image


@pytest.fixture
def folder(tmp_path):
    """Photos 00 to 29, some of them broken, in two folders."""
    for i in range(30):
        path = tmp_path / ("a" if i < 20 else "b") / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        if i % 7 == 3:
            path.write_bytes(b"\x89PNG broken")
        else:
            Image.fromarray(photo(i, (40 + i, 60))).save(path)
    return tmp_path


def test_a_whole_image_is_one_face_with_the_models_own_scores(crops, tiny_model_path):
    image = photo(1, (60, 80))
    reading = crops.read(image)
    (face,) = reading.faces
    expected = load(tiny_model_path, threads=1).predict(whole_face(image, 48)[None])
    assert (reading.source, reading.size_wh, reading.model) == ("", (60, 80), "tiny")
    assert face.box_xyxy == (0, 0, 60, 80)
    assert np.allclose(list(face.scores.values()), expected.scores[0], atol=1e-6)
    assert np.allclose(list(face.margins.values()), expected.margins[0], atol=1e-5)
    assert face.label == max(face.scores, key=face.scores.get)
    top = sorted(face.scores.values())
    assert face.margin == pytest.approx(top[-1] - top[-2])


def test_found_faces_are_cut_and_scored(tiny_model_path):
    finder = Fixed()
    image = photo(2, (90, 70), faces=3)
    reading = Analyzer(tiny_model_path, detector=finder, threads=1).read(image)
    model = load(tiny_model_path, threads=1)
    expected = model.predict(crop_faces(image, finder.detect(image), model.contract))
    assert [face.detector_score for face in reading.faces] == [0.5, 0.55, 0.6]
    for face, scores in zip(reading.faces, expected.scores, strict=True):
        assert np.allclose(list(face.scores.values()), scores, atol=1e-6)


def test_no_face_is_an_answer(tiny_model_path):
    finder = Analyzer(tiny_model_path, detector=Fixed(), threads=1)
    reading = finder.read(photo(0, faces=0))
    assert (reading.faces, reading.error) == ((), None)
    assert list(finder.read_many([])) == []


def test_folders_are_read_in_order_and_broken_files_do_not_stop_them(crops, folder):
    readings = list(crops.read_many(folder))
    assert [r.source for r in readings] == [str(path) for path in sorted(folder.rglob("*.png"))]
    broken = [i for i, reading in enumerate(readings) if reading.error]
    assert broken == [3, 10, 17, 24]
    for i, reading in enumerate(readings):
        if i in broken:
            assert (reading.size_wh, reading.faces) == ((0, 0), ())
            assert reading.source in reading.error
        else:
            assert reading.size_wh == (40 + i, 60)


@pytest.mark.parametrize("counts", [[], [0], [3], [0, 70, 0, 1, 64, 0], [1] * 70, [9] * 20])
def test_many_equals_one_by_one_whatever_the_number_of_faces(tiny_model_path, counts):
    analyzer = Analyzer(tiny_model_path, detector=Fixed(), threads=1)
    photos = [photo(i, (320, 40), faces=count) for i, count in enumerate(counts)]
    many = list(analyzer.read_many(photos))
    assert [len(reading.faces) for reading in many] == counts
    for together, image in zip(many, photos, strict=True):
        for face, alone in zip(together.faces, analyzer.read(image).faces, strict=True):
            assert face.box_xyxy == alone.box_xyxy
            assert np.allclose(list(face.scores.values()), list(alone.scores.values()), atol=1e-5)


def test_read_raises_where_read_many_reports(crops, tmp_path):
    missing = tmp_path / "none.jpg"
    with pytest.raises(ImageError, match="no such file"):
        crops.read(missing)
    (reading,) = crops.read_many([missing])
    assert "no such file" in reading.error
    assert Reading.from_dict(reading.to_dict()) == reading


def test_paths_bytes_and_arrays_may_be_mixed(crops, folder):
    path = folder / "a" / "00.png"
    sources = [path, path.read_bytes(), np.asarray(Image.open(path)), str(path)]
    readings = list(crops.read_many(sources))
    assert len({reading.faces for reading in map(_hashable, readings)}) == 1
    assert [reading.source for reading in readings] == [str(path), "", "", str(path)]


def _hashable(reading: Reading) -> Reading:
    faces = tuple(tuple(face.scores.items()) for face in reading.faces)
    return Reading(source="", size_wh=(0, 0), faces=faces, model="")


def test_progress_counts_every_image_once(crops, folder):
    seen: list[int] = []
    assert len(list(crops.read_many([folder], progress=seen.append))) == 30
    assert seen == list(range(1, 31))


def test_readings_stream_and_stopping_early_ends_the_threads(crops):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield photo(taken)

    stream = crops.read_many(endless())
    for _ in range(200):
        next(stream)
    stream.close()
    assert taken < 200 + 64 + 5 * 16
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith("facetell-decode") for name in names)


def test_memory_does_not_grow_with_the_number_of_photos(tiny_model_path):
    analyzer = Analyzer(tiny_model_path, detector=Fixed(), threads=1)
    peaks = []
    for count in (20, 120):
        gc.collect()
        tracemalloc.start()
        for _ in analyzer.read_many(np.ones((400, 400, 3), np.uint8) for _ in range(count)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000


def test_faces_below_min_score_are_left_out(tiny_model_path):
    image = photo(4)
    best = max(Analyzer(tiny_model_path, detector="none").read(image).faces[0].scores.values())
    for min_score, count in [(best - 1e-3, 1), (best + 1e-3, 0)]:
        analyzer = Analyzer(tiny_model_path, detector="none", min_score=min_score)
        assert len(analyzer.read(image).faces) == count


def test_impossible_settings_are_refused(tiny_model_path):
    with pytest.raises(InputError, match="min_score must be from 0 to 1, got 2"):
        Analyzer(tiny_model_path, min_score=2)
    with pytest.raises(InputError, match=r"detector must be 'centerface', 'none' .* got 'haar'"):
        Analyzer(tiny_model_path, detector="haar")


def test_read_is_an_analyzer_in_one_call(tiny_model_path):
    image = photo(5)
    one = read(image, model=tiny_model_path, detector="none")
    assert one == Analyzer(tiny_model_path, detector="none").read(image)

"""Faces inside body boxes: which one, where it is remembered, and what stands in for none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from emotic_forms import Annotated, write_mat, write_photos
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets import found_faces, open_dataset
from facetell.datasets.emotic import People, as_dataset, read_people
from facetell.datasets.found_faces import FoundFaces
from facetell.faces import detect
from facetell.results import Detection

EXAMPLE = Path(__file__).parents[2] / "examples" / "four_portraits.jpg"


class FindsWhite:
    """Every white square is a face; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        self.asked += 1
        left = (image[..., 0] == 255).copy()
        found = []
        while left.any():
            y, x = np.argwhere(left)[0]
            width = int(np.argmin(np.append(left[y, x:], False)))
            left[y : y + width, x : x + width] = False
            box = (float(x), float(y), float(x + width), float(y + width))
            found.append(Detection(box_xyxy=box, score=0.9))
        return tuple(found)


def photo(*squares: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(200, 300, 3) grey with white squares at x, y of a side."""
    pixels = np.full((200, 300, 3), 90, np.uint8)
    for x, y, side in squares:
        pixels[y : y + side, x : x + side] = 255
    return pixels


def people_in(
    folder: Path, pixels: NDArray[np.uint8], *boxes: tuple[float, float, float, float]
) -> People:
    size = (pixels.shape[1], pixels.shape[0])
    people = [Annotated("a.jpg", (("Fear",),), box=box, size_wh=size) for box in boxes]
    write_mat(folder / "Annotations.mat", people)
    write_photos(folder, {"mscoco/images/a.jpg": pixels})
    return read_people(folder)


def boxes_of(found: FoundFaces) -> list[tuple[float, ...] | None]:
    each = [found.face(i) for i in range(len(found.pictures))]
    return [None if face is None else face.box_xyxy for face in each]


def test_each_body_gets_the_face_in_it(tmp_path: Path) -> None:
    pixels = photo((40, 20, 30), (200, 30, 20))
    people = people_in(tmp_path, pixels, (20, 10, 100, 200), (160, 10, 260, 200), (100, 0, 150, 99))
    found = FoundFaces(people.persons, FindsWhite())
    assert boxes_of(found) == [(40, 20, 70, 50), (200, 30, 220, 50), None]
    assert found.counts() == (2, 1, 0)


def test_of_two_faces_in_a_box_the_large_one_near_the_middle_counts(tmp_path: Path) -> None:
    box = (0, 0, 120, 200)
    for n, (squares, wanted) in enumerate(
        [
            (((50, 20, 20), (10, 20, 10)), (50, 20, 70, 40)),
            (((50, 20, 20), (2, 20, 22)), (50, 20, 70, 40)),
            (((50, 20, 20), (75, 20, 40)), (75, 20, 115, 60)),
        ]
    ):
        people = people_in(tmp_path / str(n), photo(*squares), box)
        assert boxes_of(FoundFaces(people.persons, FindsWhite())) == [wanted]


def test_a_face_with_its_middle_outside_the_box_belongs_to_someone_else(tmp_path: Path) -> None:
    # The search reaches a tenth of the body's longer side beyond the box, here 20 px.
    people = people_in(tmp_path, photo((95, 20, 30)), (0, 0, 105, 200), (0, 0, 115, 200))
    assert boxes_of(FoundFaces(people.persons, FindsWhite())) == [None, (95, 20, 125, 50)]


def test_faces_are_read_as_squares_and_bodies_where_there_is_no_face(tmp_path: Path) -> None:
    people = people_in(tmp_path, photo((40, 20, 60)), (20, 10, 120, 200), (150, 0.5, 170.5, 99))
    found = FoundFaces(people.persons, FindsWhite())
    assert found.read(0).shape == (60, 60, 3)
    assert (found.read(0) == 255).all()
    assert found.read(1).shape == (99, 21, 3)
    assert found.stack([1, 0, 0], face_px=24).shape == (3, 24, 24)
    assert found.stack([0], face_px=24).mean() == 255


def test_the_packaged_detector_finds_the_faces_of_a_photo(tmp_path: Path) -> None:
    if not EXAMPLE.is_file():
        pytest.skip("examples/four_portraits.jpg is not in this checkout")
    pixels = np.asarray(Image.open(EXAMPLE).convert("RGB"))
    height, width = pixels.shape[:2]
    quarters = [(k * width / 4, 0, (k + 1) * width / 4, height) for k in range(4)]
    found = FoundFaces(people_in(tmp_path, pixels, *quarters).persons, threads=1)
    found.find()
    assert found.counts() == (4, 0, 0)
    for k in range(4):
        face = found.face(k)
        assert face is not None
        assert quarters[k][0] < (face.box_xyxy[0] + face.box_xyxy[2]) / 2 < quarters[k][2]
        assert len(face.landmarks_xy) == 5


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> FindsWhite:
    """A quick stand-in for the packaged detector, whose findings are kept."""
    detector = FindsWhite()
    monkeypatch.setattr(detect, "CenterFace", lambda **_: detector)
    return detector


def bodies(folder: Path, count: int = 6) -> People:
    boxes = [(10.0 * k, 0.0, 10.0 * k + 60, 200.0) for k in range(count)]
    return people_in(folder, photo((40, 20, 30), (100, 20, 12)), *boxes)


def test_findings_are_kept_and_are_the_same(tmp_path: Path, packaged: FindsWhite) -> None:
    people = bodies(tmp_path)
    first = FoundFaces(people.persons)
    told: list[tuple[int, int]] = []
    first.find(progress=lambda done, total: told.append((done, total)))
    assert told == [(6, 6)]
    assert packaged.asked == 6
    again = FoundFaces(people.persons)
    assert again.counts() == first.counts()
    assert boxes_of(again) == boxes_of(first)
    assert packaged.asked == 6
    again.find()
    assert packaged.asked == 6


def test_an_interrupted_search_goes_on_where_it_stopped(
    tmp_path: Path, packaged: FindsWhite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_faces, "_EVERY", 2)
    people = bodies(tmp_path)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    searching = FoundFaces(people.persons)
    with pytest.raises(KeyboardInterrupt):
        searching.find(range(5), stop)  # stopped after the last one, before the last write
    assert packaged.asked == 5
    resumed = FoundFaces(people.persons)
    assert resumed.counts().unknown == 2
    resumed.find()
    assert packaged.asked == 7
    assert FoundFaces(people.persons).counts().unknown == 0


def test_other_people_and_other_photos_have_their_own_findings(
    tmp_path: Path, packaged: FindsWhite
) -> None:
    people = bodies(tmp_path)
    FoundFaces(people.persons).find()
    assert FoundFaces(people.take([1, 0]).persons).counts().unknown == 2
    write_photos(tmp_path, {"mscoco/images/a.jpg": photo((10, 10, 50))})
    assert FoundFaces(people.persons).counts().unknown == 6


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_a_broken_cache_is_made_again(tmp_path: Path, packaged: FindsWhite, content: bytes) -> None:
    people = bodies(tmp_path)
    FoundFaces(people.persons).find()
    (cache,) = found_faces.cache_folder().glob("faces-*.npz")
    cache.write_bytes(content)
    assert FoundFaces(people.persons).counts().unknown == 6


def test_another_detectors_findings_are_not_kept(tmp_path: Path) -> None:
    people = bodies(tmp_path)
    FoundFaces(people.persons, FindsWhite()).find()
    assert not list(found_faces.cache_folder().glob("faces-*"))
    assert FoundFaces(people.persons, FindsWhite()).counts().unknown == 6


def test_the_dataset_tells_how_many_faces_are_known(tmp_path: Path, packaged: FindsWhite) -> None:
    people = people_in(tmp_path, photo((40, 20, 30)), (20, 10, 100, 200), (150, 0, 200, 99))
    dataset = as_dataset(people)
    assert dataset.faces(face_px=24).shape == (2, 24, 24)
    FoundFaces(people.persons).find()
    asked = packaged.asked
    opened = as_dataset(people)
    assert "of 2 people searched so far, 1 have no visible face" in opened.notes[-1]
    assert np.array_equal(opened.faces(), dataset.faces())
    assert packaged.asked == asked


def test_two_searches_at_once_lose_nothing(tmp_path: Path, packaged: FindsWhite) -> None:
    people = bodies(tmp_path)
    one, other = FoundFaces(people.persons), FoundFaces(people.persons)
    one.find([0, 1])
    other.find([4, 5])
    assert FoundFaces(people.persons).counts().unknown == 2


def test_photos_of_a_dataset_are_read_as_the_faces_in_them(tmp_path: Path) -> None:
    for name, squares in (("happy/a.png", [(40, 20, 60)]), ("sad/b.png", [])):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(photo(*squares)).save(tmp_path / name)
    whole = open_dataset(tmp_path)
    cut = found_faces.cut_to_faces(whole, tmp_path, FindsWhite())
    assert cut.samples == whole.samples
    assert cut.read(0).shape == (60, 60, 3)
    assert cut.read(0)[15:45, 15:45].min() == 255
    assert np.array_equal(cut.read(1), photo())
    assert "of 0 pictures searched so far" in cut.notes[-1]


def test_a_portrait_of_kdef_is_cut_to_its_face(tmp_path: Path) -> None:
    (tmp_path / "KDEF/AF01").mkdir(parents=True)
    with Image.open(EXAMPLE) as four:
        four.crop((0, 0, 320, 400)).save(tmp_path / "KDEF/AF01/AF01ANS.JPG")
    dataset = open_dataset(tmp_path)
    assert dataset.name == "kdef"
    assert "of 0 pictures searched so far" in dataset.notes[-1]
    height, width = dataset.read(0).shape[:2]
    assert 80 < height == width < 240
    assert (
        "of 1 pictures searched so far, 0 have no visible face" in open_dataset(tmp_path).notes[-1]
    )

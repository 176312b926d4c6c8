"""The page of an audit, from images with known faults."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from copied import copied_dataset, crop, dataset_of, scenes
from facetell.audit.findings import inspect
from facetell.audit.summary import Audit
from facetell.errors import InputError
from facetell.report import audit as module
from facetell.report.audit import audit_page, write_audit
from report.test_report import Page

HOSTILE = "<script>alert('x')</script>\"&"


@pytest.fixture(scope="module")
def found():
    return inspect(copied_dataset())


@pytest.fixture(scope="module")
def source(found):
    return audit_page(Audit.of(found), findings=found)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_the_page_needs_nothing_from_outside(source, page):
    assert "http://" not in source
    assert "https://" not in source
    assert not page.of("script")
    assert not page.of("link")
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:image/png").startswith("data:image/png")
    assert "url(" not in source


def test_the_numbers_are_those_of_the_audit(page):
    assert "What is wrong with copied" in page.words
    assert "validation in train 2 3 1 6 75.0 4" in page.words
    assert "near 3 3 6 3" in page.words
    assert "2 groups with 4 images carry more than one label" in page.words
    assert "disgust / happy 1" in page.words
    assert "validation, without a copy in train 2" in page.words
    assert "Images of validation with a copy in train: 6 of 8 (75.0 %)" in page.words


def test_pairs_stand_side_by_side_with_labels_sides_kind_and_correlation(page, found):
    pair = found.copies.pairs[3]
    shown = f"happy train face/{pair[0]} neutral validation face/{pair[1]} near , correlation"

    assert shown in page.words
    assert "6 of 6, the less alike first" in page.words


def test_the_pictures_are_the_images(page, found):
    first = page.of("img")[0]["src"].partition(",")[2]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(first))))

    assert any(np.array_equal(shown, face) for face in found.faces)
    assert all(image["alt"] for image in page.of("img"))


def test_a_page_without_faces_has_none_and_no_notice(found):
    source = audit_page(Audit.of(found))

    assert "data:image" not in source
    assert not Page(source).of("img")
    assert "contains faces" not in source


def test_a_page_with_faces_names_the_terms(page):
    assert "Do not publish it" in page.words
    assert "drawn by the tests" in page.words


def test_sheets_are_capped_with_a_stated_count(found, monkeypatch):
    monkeypatch.setattr(module, "PAIRS", 2)
    monkeypatch.setattr(module, "GROUPS", 3)
    monkeypatch.setattr(module, "SINGLES", 1)

    page = Page(audit_page(Audit.of(found), findings=found))

    assert "2 of 6, the less alike first" in page.words
    assert "3 of 6 groups, at most 12 images of each" in page.words
    assert "1 of 2." in page.words
    # 2 pairs, 3 groups of 2, the 2 groups with conflicting labels, 1 blank image
    assert len(page.of("img")) == 4 + 6 + 4 + 1


def test_the_least_alike_pairs_are_shown_first_and_none_twice(monkeypatch):
    monkeypatch.setattr(module, "PAIRS", 10)
    faces = [crop(scene, 12, 12) for scene in scenes(20)]
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 2 + i, (48, 48)) for i in range(20)]
    noisy = [np.clip(f + n, 0, 255).astype(np.uint8) for f, n in zip(faces, noise, strict=True)]
    rows = [(f, "train", "sad") for f in faces] + [(f, "test", "sad") for f in noisy]
    found = inspect(dataset_of(rows), canary=False)

    page = Page(audit_page(Audit.of(found), findings=found))

    pairs = page.words.partition("the less alike first")[2].partition("The largest")[0]
    shown = re.findall(r"train face/(\d+)", pairs)
    values = [float(v) for v in re.findall(r"correlation ([.\d]+)", pairs)]
    assert len(shown) == len(set(shown)) == 10
    assert values == sorted(values)
    assert values[0] == round(float(found.copies.correlation.min()), 2)


def test_the_most_disputed_group_comes_first():
    first, second = (crop(scene, 12, 12) for scene in scenes(2))
    rows = [(first, "train", label) for label in ("sad", "sad", "sad", "sad", "fear")]
    rows += [(second, "test", label) for label in ("sad", "happy", "angry")]
    found = inspect(dataset_of(rows), canary=False)

    page = Page(audit_page(Audit.of(found), findings=found))

    conflicting = page.words.partition("Groups with conflicting labels 2 of 2")[2]
    assert conflicting.index("3 images") < conflicting.index("5 images")


def test_long_groups_are_cut(monkeypatch):
    monkeypatch.setattr(module, "MEMBERS", 4)
    face = crop(scenes(1)[0], 0, 0)
    found = inspect(dataset_of([(face, "train", "sad")] * 9), canary=False)

    page = Page(audit_page(Audit.of(found), findings=found))

    assert "9 images" in page.words
    assert len(page.of("img")) == 4


@pytest.mark.parametrize("faces", [True, False])
def test_names_are_escaped(faces):
    rows = [
        (crop(scene, 0, 0), side, "sad", HOSTILE, (0,) * 9 + (10,))
        for scene, side in zip(scenes(2), ("train", "test"), strict=True)
    ]
    dataset = dataset_of(rows, name=HOSTILE, licence=HOSTILE, source=HOSTILE)
    found = inspect(dataset)

    source = audit_page(Audit.of(found), findings=found if faces else None)

    assert "<script" not in source
    assert HOSTILE in Page(source).words


def test_clean_data_have_a_page_too():
    found = inspect(dataset_of([(crop(scene, 0, 0), None, "sad") for scene in scenes(3)]))

    page = Page(audit_page(Audit.of(found), findings=found))

    assert "3 images (none 3)" in page.words
    assert not page.of("img")


def test_a_file_is_kept_unless_told_otherwise(found, tmp_path):
    path = tmp_path / "audit.html"
    path.write_text("mine")

    with pytest.raises(InputError, match="is there already"):
        write_audit(Audit.of(found), path)
    assert path.read_text() == "mine"
    assert write_audit(Audit.of(found), path, overwrite=True) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

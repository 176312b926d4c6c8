"""CK+ and CK+48: expressions that begin neutral and end at their peak, frame by frame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from facetell.datasets.decode import named
from facetell.datasets.folders import read_folders
from facetell.datasets.form import Form
from facetell.datasets.found_faces import cut_to_faces
from facetell.datasets.imagefiles import (
    ImageFile,
    PassedOver,
    first_names,
    image_files,
    is_hidden,
    read_image_files,
)
from facetell.datasets.labelling import named_labels, refuse_order, side_of
from facetell.datasets.sample import Dataset
from facetell.errors import DataError

__all__ = ["CK48_FORM", "FORM", "read_ck48", "read_ckplus"]

LICENCE = "CK+: for non-commercial research only; do not redistribute the images."
WHERE = (
    "CK+ comes on request from its authors (www.jeffcohn.net/Resources; for non-commercial "
    "research only, no redistribution)"
)
CK48_WHERE = (
    "CK+48, an extract of CK+ in 48 px, is on Kaggle; the terms are those of CK+ "
    "(www.jeffcohn.net/Resources; for non-commercial research only, no redistribution)"
)

#: The numbers 0 to 7 in the emotion files.
_NAMES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
#: Frames at the peak of each sequence: as many as CK+48 has.
_PEAK_FRAMES = 3
_FRAME = re.compile(r"(S\d{3})_(\d{3})_\d{8}\.(?:png|jpe?g|tiff?)", re.IGNORECASE)
_CK48_FOLDERS = {"anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"}


def read_ckplus(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The first frame of each labelled sequence as neutral, its last three as the emotion.

    The face is found in each frame and cut out. Sequences without a label are counted in a
    note, and so are the peaks of contempt.

    Args:
        path: a folder with cohn-kanade-images/ and Emotion/, also one level down.
        label_order: refused, the numbers are known.

    Raises:
        DataError: one of the two folders is missing, or no frame can be read.
    """
    refuse_order(label_order, path)
    images, emotions = (_folder_in(path, name) for name in ("cohn-kanade-images", "Emotion"))
    if images is None or emotions is None:
        raise DataError(
            f"expected cohn-kanade-images/ and Emotion/ in {path}, found no "
            f"{'Emotion/' if images else 'cohn-kanade-images/'}. Unpack both archives of CK+ "
            f"into one folder. {WHERE}.",
            path=path,
        )
    passed = PassedOver()
    frames: list[tuple[Path, str]] = []
    unlabelled: list[str] = []
    for sequence, files in _sequences(images, path, passed):
        emotion = _emotion(emotions / sequence)
        if emotion:
            frames += _neutral_and_peak(files, emotion)
        else:
            unlabelled.append(sequence)
    return _dataset(frames, unlabelled, path, passed)


def read_ck48(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The class folders of CK+48; the subject is the beginning of the file name.

    The three frames of a sequence are almost the same picture: a split that does not go by
    subject judges a model on what it was trained on.

    Args:
        path: the folder, or the one around it.
        label_order: refused, the folders have names.

    Raises:
        DataError: no frame that can be read.
    """
    refuse_order(label_order, path)
    root = _class_root(path) or path
    dataset = read_folders(root)
    prefix = "" if root == path else f"{root.relative_to(path).as_posix()}/"
    samples = tuple(
        replace(sample, id=prefix + sample.id, subject=_subject(sample.id.rpartition("/")[2]))
        for sample in dataset.samples
    )
    return replace(dataset, name="ck+48", samples=samples, source=str(path), licence=LICENCE)


def _dataset(
    frames: list[tuple[Path, str]], unlabelled: list[str], root: Path, passed: PassedOver
) -> Dataset:
    labels, left_out = named_labels([emotion for _, emotion in frames], str(root))
    notes = [named(len(unlabelled), unlabelled, "sequences have no label and were skipped")]
    files = [
        ImageFile(path=file, label=int(label), subject=_subject(file.name))
        for (file, _), label in zip(frames, labels, strict=True)
    ]
    images = read_image_files(
        files,
        root,
        name="ck+",
        licence=LICENCE,
        passed=passed,
        notes=[*left_out, *(notes if unlabelled else [])],
    )
    return cut_to_faces(images, root)


def _sequences(images: Path, root: Path, passed: PassedOver) -> Iterator[tuple[str, list[Path]]]:
    """Each "S005/001" with its frames in order."""
    sequences: dict[str, list[Path]] = {}
    for file in image_files(images, root, passed):
        match = _FRAME.fullmatch(file.name)
        if match:
            sequences.setdefault(f"{match[1].upper()}/{match[2]}", []).append(file)
        else:
            passed.misnamed.append(file.relative_to(root).as_posix())
    for name, files in sequences.items():
        yield name, sorted(files, key=lambda file: file.name)


def _neutral_and_peak(files: list[Path], emotion: str) -> list[tuple[Path, str]]:
    peak = files[1:][-_PEAK_FRAMES:]
    return [(files[0], "neutral"), *((file, emotion) for file in peak)]


def _emotion(folder: Path) -> str:
    """The name of the number in the sequence's emotion file, "" without a readable one."""
    for file in sorted(folder.glob("*_emotion.txt")):
        try:
            number = float(file.read_text("ascii"))
            return _NAMES[int(number)] if number >= 0 else ""
        except (OSError, ValueError, IndexError):
            continue
    return ""


def _subject(name: str) -> str | None:
    match = _FRAME.fullmatch(name)
    return match[1].upper() if match else None


def _folder_in(root: Path, name: str) -> Path | None:
    """The folder of this name in `root` or one level down, where some archives put it."""
    found = [path for pattern in (name, f"*/{name}") for path in sorted(root.glob(pattern))]
    visible = [path for path in found if path.is_dir() and not is_hidden(path.parent.name)]
    return visible[0] if visible else None


def _class_root(root: Path) -> Path | None:
    """`root` or the folder in it that holds the class folders of CK+48 or its sides."""
    inner = [path for path in sorted(root.glob("*")) if path.is_dir() and not is_hidden(path.name)]
    for folder in (root, *inner):
        classes = {path.name.lower() for path in folder.glob("*") if path.is_dir()}
        if len(classes & _CK48_FOLDERS) >= 2:
            return root if side_of(folder.name) else folder
    return None


def _is_ck48(path: Path) -> bool:
    if not path.is_dir() or _class_root(path) is None:
        return False
    names = first_names(path)
    return 2 * sum(_subject(name) is not None for name in names) > len(names)


FORM = Form(
    name="ck+",
    holds="cohn-kanade-images/ and Emotion/: of each labelled sequence the first frame "
    "(neutral) and the last three; subjects are S005 and so on",
    where=WHERE,
    recognise=lambda path: path.is_dir() and _folder_in(path, "cohn-kanade-images") is not None,
    read=read_ckplus,
)

CK48_FORM = Form(
    name="ck+48",
    holds="CK+48/<class>/S010_004_00000017.png: class folders whose file names hold the subject",
    where=CK48_WHERE,
    recognise=_is_ck48,
    read=read_ck48,
)

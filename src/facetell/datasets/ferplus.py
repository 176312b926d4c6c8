"""FER+: ten people's votes for each face of FER2013, and the labels they make.

The votes belong to the rows of fer2013.csv by their order. The number in "Image name" drifts
away from the row number, names come twice, and 173 rows have none.

Source: Barsoum et al. 2016, "Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution", and the code its authors published
(github.com/microsoft/FERPlus, src/ferplus.py).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetell.datasets import fer2013
from facetell.datasets.decode import named
from facetell.datasets.form import Form
from facetell.datasets.imagefiles import ImageFile, PassedOver, read_image_files
from facetell.datasets.labelling import refuse_order, side_in_name
from facetell.datasets.sample import Dataset
from facetell.errors import DataError, InputError
from facetell.labels import EMOTIONS, FERPLUS, canonical

__all__ = [
    "EIGHT", "FORM", "has_official_sides", "majority_labels", "read_ferplus", "read_voted",
    "soft_labels", "vote_counts", "with_majority_labels",
]  # fmt: skip

LICENCE = f"{fer2013.LICENCE} FER+ votes: MIT licence."
WHERE = (
    "The FER+ votes (fer2013new.csv) come from github.com/microsoft/FERPlus, MIT licence. "
    f"{fer2013.WHERE}"
)

VOTES_FILE = "fer2013new.csv"
#: The labels of the FER+ authors, in our order: the seven emotions and contempt.
EIGHT = (*EMOTIONS, "contempt")
_FOLDERS = ("FER2013Train", "FER2013Valid", "FER2013Test")
#: The emotions are the columns before this one; "not a face" comes after it.
_UNKNOWN = FERPLUS.index("unknown")
_BLOCK = 1000
#: Faces of FER2013's Training and PublicTest, by the name of the data: all, and those with a
#: majority for one of seven or eight emotions.
_OFFICIAL_SIDES = {
    "fer2013": tuple(sum(fer2013.OFFICIAL_COUNTS[side]) for side in ("train", "validation")),
    "ferplus": (24941, 3186),
    "ferplus8": (25060, 3199),
}
#: Of FER2013's labels, 62.6 % are the favourite of the votes in the same row, 18 % of those in
#: another row. Blocks of 1,000 rows have 58 to 67 %, and 15 to 21 % after a shift.
_LEAST_AGREEMENT = 0.45


def majority_labels(votes: ArrayLike, *, names: Sequence[str] = FERPLUS) -> NDArray[np.int64]:
    """What most voters saw, by the rule of the FER+ authors.

    Single votes do not count; a label needs more than half of the votes left. Without one the
    face is "unknown".

    Args:
        votes: (N, 10) counts in the order of FERPLUS.
        names: the labels wanted: FERPLUS, its first eight, or EMOTIONS.

    Returns:
        (N,) indices into `names`, -1 for labels that are none of them.

    Example:
        labels = majority_labels([[9, 1, 0, 0, 0, 0, 0, 0, 0, 0]], names=EMOTIONS)
    """
    counted = _counted(votes)
    favourite = counted.argmax(axis=1)
    clear = 2 * counted.max(axis=1) > counted.sum(axis=1)
    return _places(names)[np.where(clear, favourite, _UNKNOWN)]


def vote_counts(dataset: Dataset, indices: ArrayLike) -> NDArray[np.int64]:
    """(N, 10) votes of these samples in the order of FERPLUS; zeros where nobody voted."""
    nobody = (0,) * len(FERPLUS)
    cast = [dataset.samples[i].votes or nobody for i in np.asarray(indices, np.int64)]
    return np.array(cast, np.int64).reshape(-1, len(FERPLUS))


def soft_labels(
    votes: ArrayLike, *, names: Sequence[str] = FERPLUS[:_UNKNOWN]
) -> NDArray[np.float32]:
    """The votes as probabilities, by the rule of the FER+ authors ("probability").

    Single votes do not count. The labels are taken from the most voted on, equal ones together,
    until they hold three quarters of the votes or are three. A face is given up if they hold
    no more than half, are more than three, or if "unknown" or "not a face" leads.

    Args:
        votes: (N, 10) counts in the order of FERPLUS.
        names: the K labels wanted: the first eight of FERPLUS, or EMOTIONS.

    Returns:
        (N, K) float32; rows sum to 1, or to 0 where the face is given up or none of `names`
        has a vote.
    """
    counted = _counted(votes)
    kept = np.array([_leading(row) for row in counted], np.float32).reshape(-1, len(FERPLUS))
    places = _places(names)
    soft = np.zeros((len(kept), len(names)), np.float32)
    soft[:, places[places >= 0]] = kept[:, places >= 0]
    total = soft.sum(axis=1, keepdims=True)
    np.divide(soft, total, out=soft, where=total > 0)
    return soft


def with_majority_labels(dataset: Dataset, *, names: Sequence[str] = EMOTIONS) -> Dataset:
    """The faces whose votes have a majority for one of the labels, with that label.

    The others are counted in a note: no face, no majority, contempt, no votes.

    Args:
        dataset: with votes.
        names: the labels: EMOTIONS, or EIGHT with contempt.

    Raises:
        DataError: no sample has votes.
    """
    voted = np.array([len(sample.votes) == len(FERPLUS) for sample in dataset.samples], np.bool_)
    if not voted.any():
        raise DataError(
            f"expected FER+ votes with the faces of {dataset.source}, found none. Put "
            f"{VOTES_FILE} beside fer2013.csv, or use a Parquet file with a column "
            f"ferplus_votes. {WHERE}.",
            path=dataset.source,
        )
    chosen = np.flatnonzero(voted)
    kinds = majority_labels([dataset.samples[i].votes for i in chosen])
    labels = _places(names)[kinds]
    part = dataset.take(chosen[labels >= 0])
    name = "ferplus" if len(names) == len(EMOTIONS) else "ferplus8"
    source = dataset.source if dataset.name == name else f"{name}:{dataset.source}"
    return replace(
        part,
        name=name,
        labels=tuple(names),
        samples=tuple(
            replace(sample, label=int(label))
            for sample, label in zip(part.samples, labels[labels >= 0], strict=True)
        ),
        source=source,
        licence=LICENCE,
        notes=(*dataset.notes, *_left_out(kinds[labels < 0], int((~voted).sum()))),
    )


def has_official_sides(data: Mapping[str, Any]) -> bool:
    """Whether this fingerprint is of FER2013 with its own sides, however its faces are labelled.

    What trained on such data has not seen the faces that another is chosen on.
    """
    sides = data.get("sides", {})
    return _OFFICIAL_SIDES.get(data.get("name", "")) == (
        sides.get("train"),
        sides.get("validation"),
    )


def read_voted(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """FER2013 with its own labels and, on each sample, the votes of fer2013new.csv beside it.

    Args:
        path: fer2013.csv, icml_face_data.csv, or the folder that holds one of them.
        label_order: as in `read_csv`.

    Raises:
        DataError: the two files do not belong together row by row.
    """
    pixels = fer2013.csv_in(path) or path
    dataset = fer2013.read_csv(pixels, label_order=label_order)
    votes = _read_votes(pixels.parent / VOTES_FILE)
    if len(votes) != (count := _data_rows(pixels)):
        raise _misaligned(pixels, f"{len(votes)} rows of votes for {count} faces")
    joined = votes[[int(sample.id.removeprefix("row")) for sample in dataset.samples]]
    _check_agreement(dataset.targets, joined, pixels)
    samples = tuple(
        replace(sample, votes=tuple(row) if any(row) else ())
        for sample, row in zip(dataset.samples, joined.tolist(), strict=True)
    )
    return replace(dataset, samples=samples, licence=LICENCE)


def read_ferplus(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    """The folders FER2013Train, FER2013Valid and FER2013Test, with majority labels.

    Each holds label.csv and the images it names; FER2013's own labels are not there.

    Args:
        path: the folder around them, also one level up (data/ of the FER+ repository).
        label_order: refused, the votes have names.

    Raises:
        DataError: a label.csv of another form, or no image that can be read.
    """
    refuse_order(label_order, path)
    passed = PassedOver()
    files: list[ImageFile] = []
    missing: list[str] = []
    twice: list[str] = []
    for folder in _split_folders(path):
        rows = list(_label_rows(folder / "label.csv"))
        often = Counter(name for name, _ in rows)
        for name, votes in rows:
            image = folder / name
            inner = image.relative_to(path).as_posix()
            if often[name] > 1 and name:
                twice.append(inner)
            elif not name or not image.is_file():
                missing.append(inner)
            else:
                side = side_in_name(folder.name.removeprefix("FER2013"))
                # The label is that of the votes, below; here it only says "read it".
                files.append(ImageFile(path=image, label=0, side=side, votes=votes))
    notes = [
        named(len(names), names, what)
        for names, what in (
            (missing, "rows have no image and were skipped"),
            (twice, "rows share the name of another one and were skipped"),
        )
        if names
    ]
    dataset = read_image_files(
        files, path, name="ferplus", licence=LICENCE, passed=passed, notes=notes
    )
    return with_majority_labels(dataset)


def _counted(votes: ArrayLike) -> NDArray[np.int64]:
    """(N, 10) votes without those that stand alone."""
    counts = np.asarray(votes, np.int64)
    if counts.ndim != 2 or counts.shape[1] != len(FERPLUS):
        raise InputError(
            f"votes must be counts of shape (N, {len(FERPLUS)}) in the order "
            f"{', '.join(FERPLUS)}, got shape {counts.shape}. Pass [sample.votes] for one face.",
            actual=counts.shape,
        )
    return np.where(counts > 1, counts, 0)


def _places(names: Sequence[str]) -> NDArray[np.int64]:
    """(10,) the place of each of FERPLUS in `names`, -1 where it has none."""
    index = {canonical(name) or name: i for i, name in enumerate(names)}
    return np.array([index.get(name, -1) for name in FERPLUS], np.int64)


def _leading(counted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The votes of the labels that a face keeps; zeros if it is given up."""
    none = np.zeros_like(counted)
    kept, total = none.copy(), counted.sum()
    while kept.sum() < 0.75 * total and np.count_nonzero(kept) < 3:
        level = counted[kept == 0].max()
        equal = (counted == level) & (kept == 0)
        if equal[_UNKNOWN:].any():
            equal[_UNKNOWN:] = False
            kept[equal] = level
            break
        kept[equal] = level
    given_up = 2 * kept.sum() <= total or np.count_nonzero(kept) > 3
    return none if given_up else kept


def _left_out(kinds: NDArray[np.int64], unvoted: int) -> list[str]:
    """Notes about faces without a majority for one of EMOTIONS."""
    words = {
        "not a face": "are no face",
        "unknown": "have no majority",
        "contempt": "show contempt",
    }
    counts = Counter(FERPLUS[kind] for kind in kinds.tolist())
    notes = [
        f"{counts[name]} faces {what} by their FER+ votes and were left out"
        for name, what in words.items()
        if counts[name]
    ]
    return notes + ([f"{unvoted} faces have no FER+ votes and were left out"] if unvoted else [])


def _read_votes(path: Path) -> NDArray[np.int64]:
    """(rows, 10) votes in the order of the file and of FERPLUS."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = [name.strip().lower() for name in next(rows, [])]
        wanted = ["not a face" if name == "nf" else canonical(name) or name for name in header]
        if not set(FERPLUS) <= set(wanted):
            raise DataError(
                f"expected the columns Usage,Image name,neutral,...,unknown,NF in {path}, found "
                f"{', '.join(header)[:200] or 'nothing'}. Fetch it again. {WHERE}.",
                path=path,
            )
        columns = [wanted.index(name) for name in FERPLUS]
        return np.array([_numbers(row, columns, path) for row in rows if row], np.int64)


def _label_rows(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Image name and votes of each row: name, "(0, 0, 48, 48)", ten counts; no header."""
    columns = range(2, 2 + len(FERPLUS))
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.reader(file):
            if row:
                yield row[0].strip(), _numbers(row, columns, path)


def _numbers(row: list[str], columns: Sequence[int], path: Path) -> tuple[int, ...]:
    try:
        return tuple(int(row[column]) for column in columns)
    except (ValueError, IndexError) as error:
        raise DataError(
            f"expected ten counts of votes in each row of {path}, got {','.join(row)[:80]!r}. "
            f"Fetch the file again. {WHERE}.",
            path=path,
        ) from error


def _check_agreement(labels: NDArray[np.int64], votes: NDArray[np.int64], pixels: Path) -> None:
    """Every block of rows must agree as votes and labels of the same faces do."""
    agrees = _places(EMOTIONS)[votes.argmax(axis=1)] == labels
    for block in np.array_split(agrees, max(1, len(agrees) // _BLOCK)):
        if block.mean() < _LEAST_AGREEMENT:
            raise _misaligned(
                pixels,
                f"labels that agree on {100 * block.mean():.0f} % of some rows where 63 % are "
                "usual",
            )


def _misaligned(pixels: Path, found: str) -> DataError:
    return DataError(
        f"expected row n of {VOTES_FILE} to be about row n of {pixels}, found {found}: rows "
        f"were moved, added or removed. Fetch both files again, or take {VOTES_FILE} away to "
        f"read FER2013 alone. {WHERE}.",
        path=pixels,
    )


def _data_rows(path: Path) -> int:
    """Rows below the header, to the last one that is not empty."""
    with path.open("rb") as file:
        return max((number for number, line in enumerate(file) if line.strip()), default=0)


def _has_votes_beside(path: Path) -> bool:
    pixels = fer2013.csv_in(path)
    return pixels is not None and (pixels.parent / VOTES_FILE).is_file()


def _split_folders(path: Path) -> list[Path]:
    places = [folder / name for folder in (path, path / "data") for name in _FOLDERS]
    return [place for place in places if (place / "label.csv").is_file()]


def _read(path: Path, *, label_order: Sequence[str] | None = None) -> Dataset:
    return (read_voted if _has_votes_beside(path) else read_ferplus)(path, label_order=label_order)


FORM = Form(
    name="ferplus",
    holds=f"{VOTES_FILE} beside fer2013.csv or icml_face_data.csv: FER2013 and its votes; "
    "FER2013Train/label.csv with images: majority labels; ferplus:PATH: majority labels for any "
    "data with votes; ferplus8:PATH: the same with contempt",
    where=WHERE,
    recognise=lambda path: _has_votes_beside(path) or bool(_split_folders(path)),
    read=_read,
)

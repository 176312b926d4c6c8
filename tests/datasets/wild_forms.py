"""Small datasets in the forms of RAF-DB, AffectNet, ExpW, SFEW and manifests.

Faces are stored without loss (a PNG under whatever name the form asks for), so that their
pixels can be compared bit for bit. JPEG files of real sizes are in test_wild_forms.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from dataset_forms import Face, made_faces, png, textures
from numpy.typing import NDArray

from facetell.labels import EMOTIONS

RAF_ORDER = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
AFFECTNET_ORDER = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
BOX = (9, 5)  # left and top of a face in its photo


def write(place: Path, data: bytes) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def photo(*faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Faces of 48 px side by side in a larger grey image; the first one at BOX, then + 60 px."""
    left, top = BOX
    canvas = textures(1, 99, px=60 * len(faces) + 20)[0].copy()
    for number, face in enumerate(faces):
        canvas[top : top + 48, left + 60 * number : left + 60 * number + 48] = face
    return canvas


def _raf_names() -> list[tuple[str, int, Face]]:
    """train_00001 or test_0001, the label number and the face."""
    counts = {"train": 0, "test": 0}
    named = []
    for face in made_faces():
        side = "test" if face.side == "test" else "train"
        counts[side] += 1
        name = f"{side}_{counts[side]:0{5 if side == 'train' else 4}d}"
        named.append((name, RAF_ORDER.index(EMOTIONS[face.label]) + 1, face))
    return named


def _raf_list(folder: Path) -> None:
    lines = "".join(f"{name}.jpg {number}\n" for name, number, _ in _raf_names())
    write(folder / "EmoLabel/list_patition_label.txt", lines.encode())


def _raf_official(folder: Path) -> str:
    _raf_list(folder / "basic")
    for name, _, face in _raf_names():
        write(folder / f"basic/Image/aligned/{name}_aligned.jpg", png(face.pixels))
        write(folder / f"basic/Annotation/auto/{name}_auto_attri.txt", b"50.1\t52.2\n")
    return str(folder)


def _raf_kaggle(folder: Path, *, with_csv: bool = False) -> str:
    for name, number, face in _raf_names():
        side = name.partition("_")[0]
        write(folder / f"DATASET/{side}/{number}/{name}_aligned.jpg", png(face.pixels))
    for side in ("train", "test") if with_csv else ():
        rows = [f"{n}_aligned.jpg,{label}" for n, label, _ in _raf_names() if n.startswith(side)]
        write(folder / f"{side}_labels.csv", "\n".join(["image,label", *rows, ""]).encode())
    return str(folder)


def _raf_poster(folder: Path) -> str:
    _raf_list(folder)
    for name, _, face in _raf_names():
        place = "train" if name.startswith("train") else "valid"
        write(folder / f"{place}/{name}_aligned.jpg", png(face.pixels))
    return str(folder)


def affectnet_row(path: str, label: int, box: Sequence[float] = (*BOX, 48, 48)) -> str:
    marks = ";".join(f"{n}.5;{n}.25" for n in range(68))
    return f"{path},{','.join(map(str, box))},{marks},{label},-0.1,0.2"


AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,"
    "facial_landmarks,expression,valence,arousal"
)


def _affectnet_2017(folder: Path, *, headless: bool = False) -> str:
    lists: dict[str, list[str]] = {"training": [AFFECTNET_HEADER], "validation": []}
    if not headless:
        lists["validation"].append(AFFECTNET_HEADER)
    for number, face in enumerate(made_faces()):
        name = f"{number % 3}/{number:056x}.PNG"
        write(folder / "Manually_Annotated_Images" / name, png(photo(face.pixels)))
        side = "validation" if face.side == "test" else "training"
        lists[side].append(affectnet_row(name, AFFECTNET_ORDER.index(EMOTIONS[face.label])))
    for side, rows in lists.items():
        place = folder / f"Manually_Annotated_file_lists/{side}.csv"
        write(place, ("\n".join(rows) + "\n").encode())
    return str(folder)


def _affectnet_2021(folder: Path) -> str:
    for number, face in enumerate(made_faces()):
        side = folder / ("val_set" if face.side == "test" else "train_set")
        write(side / f"images/{number}.jpg", png(face.pixels))
        label = AFFECTNET_ORDER.index(EMOTIONS[face.label])
        (side / "annotations").mkdir(exist_ok=True)
        np.save(side / f"annotations/{number}_exp.npy", np.array(str(label)))
        np.save(side / f"annotations/{number}_val.npy", np.array("0.0238"))
    return str(folder)


def _expw(folder: Path) -> str:
    faces, lines = made_faces(), []
    left, top = BOX
    for number in (-1, *range(1, len(faces), 2)):  # the first and the last photo hold one face
        name = f"happy_actor_{number + 1}.jpg"
        pair = faces[max(0, number) : number + 2]
        write(folder / "image/origin" / name, png(photo(*(face.pixels for face in pair))))
        for k, face in enumerate(pair):
            x = left + 60 * k
            lines.append(f"{name} {k} {top} {x} {x + 48} {top + 48} 22.9362 {face.label}")
    write(folder / "label/label.lst", ("\n".join(lines) + "\n").encode())
    return str(folder)


def _sfew(folder: Path, *, aligned: bool = False) -> str:
    for number, face in enumerate(made_faces()):
        side, film = ("Val", "21") if face.side == "test" else ("Train", "AboutABoy")
        place = folder / side / (f"{side}_Aligned_Faces" if aligned else "")
        name = f"{film}{number % 5 if side == 'Train' else ''}_{number:09d}_00000005.png"
        write(place / EMOTIONS[face.label].capitalize() / name, png(face.pixels))
    return str(folder)


def _manifest(folder: Path) -> str:
    rows = ["Image,split,emotion"]
    for number, face in enumerate(made_faces()):
        write(folder / f"faces/{number}.png", png(face.pixels))
        rows.append(f'"faces/{number}.png",{face.side},{EMOTIONS[face.label]}')
    return str(write(folder / "list.csv", "\r\n".join(rows).encode()))


def _parquet_manifest(folder: Path) -> str:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    faces = made_faces()
    for number, face in enumerate(faces):
        write(folder / f"photos/{number}.png", png(photo(face.pixels)))
    left, top = BOX
    table = pa.table(
        {
            "file": [f"photos/{number}.png" for number in range(len(faces))],
            "class": [EMOTIONS[face.label] for face in faces],
            "set": [face.side for face in faces],
            "x": [left] * len(faces),
            "y": [float(top)] * len(faces),
            "w": [48] * len(faces),
            "h": [48] * len(faces),
        }
    )
    pq.write_table(table, folder / "list.parquet")
    return str(folder / "list.parquet")


Writer = Callable[[Path], str]

#: In the shared contract suite.
WILD_FORMS: dict[str, Writer] = {
    "raf-db": _raf_official,
    "raf-db kaggle": _raf_kaggle,
    "affectnet 2017": _affectnet_2017,
    "affectnet 2021": _affectnet_2021,
    "expw": _expw,
    "sfew": _sfew,
    "manifest": _manifest,
    "parquet manifest": _parquet_manifest,
}
#: The same faces in slightly other forms.
WILD_VARIANTS: dict[str, Writer] = {
    "raf-db kaggle with csv": lambda folder: _raf_kaggle(folder, with_csv=True),
    "raf-db train and valid": _raf_poster,
    "affectnet 2017 without header": lambda folder: _affectnet_2017(folder, headless=True),
    "sfew aligned": lambda folder: _sfew(folder, aligned=True),
}


def written_side(form: str, side: str) -> str:
    """Where a form puts a made face: some have no validation side, ExpW has none at all."""
    if form == "expw":
        return "None"
    if form.startswith(("raf-db", "affectnet", "sfew")) and side == "validation":
        return "train"
    return side

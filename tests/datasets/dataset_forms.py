"""Small datasets in every form that open_dataset reads, written in the exact format."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import emotic_forms
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets.candidates import gaussian
from facetell.labels import EMOTIONS, PAPER_ORDER

PER_CLASS = {"train": 4, "validation": 2, "test": 2}
USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def textures(count: int, seed: int = 0, *, px: int = 48, sigma: float = 2.0) -> NDArray[np.uint8]:
    """(count, px, px) smooth random grey images that have nothing in common."""
    noise = np.random.default_rng(seed).normal(size=(count, px, px)).astype(np.float32)
    blur = gaussian(px, sigma)
    smooth = blur @ noise @ blur.T
    smooth /= smooth.std(axis=(1, 2), keepdims=True)
    return np.clip(128 + 45 * smooth, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Face:
    name: str
    side: str
    label: int
    pixels: NDArray[np.uint8]


def made_faces() -> list[Face]:
    """Four training, two validation and two test faces for each emotion."""
    pixels = iter(textures(len(EMOTIONS) * sum(PER_CLASS.values())))
    return [
        Face(f"{USAGES[side]}_{1000 * label + n}", side, label, next(pixels))
        for side, count in PER_CLASS.items()
        for label in range(len(EMOTIONS))
        for n in range(count)
    ]


def png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def _numbers(face: Face) -> str:
    return " ".join(map(str, face.pixels.ravel().tolist()))


def _fer2013(folder: Path) -> str:
    rows = [f"{f.label},{_numbers(f)},{USAGES[f.side]}" for f in made_faces()]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return str(folder / "fer2013.csv")


def _icml(folder: Path) -> str:
    rows = [f"{f.label},{USAGES[f.side]},{_numbers(f)}" for f in made_faces()]
    (folder / "icml_face_data.csv").write_text("\n".join(["emotion, Usage, pixels", *rows]))
    return str(folder / "icml_face_data.csv")


def _named_csv(folder: Path) -> str:
    rows = [f'"{f.side}",{EMOTIONS[f.label]},"{_numbers(f)}"' for f in made_faces()]
    text = "\r\n".join(["split,Label,Pixels", *rows])
    (folder / "faces.csv").write_text("\ufeff" + text, encoding="utf-8", newline="")
    return str(folder / "faces.csv")


def _kaggle(folder: Path) -> str:
    for face in made_faces():
        place = folder / ("train" if face.side == "train" else "test") / EMOTIONS[face.label]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{face.name}.png").write_bytes(png(face.pixels))
    return str(folder)


def _class_folders(folder: Path) -> str:
    names = ("Anger", "disgusted", "fearful", "JOY", "sadness", "surprised", "ne")
    sides = {"train": "Training", "validation": "valid", "test": "testing"}
    for number, face in enumerate(made_faces()):
        place = folder / sides[face.side] / names[face.label]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(png(face.pixels))
    return str(folder)


def _hub_parquet(folder: Path) -> str:
    """As Hugging Face writes it: one file per side, names in the schema, alphabetical."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    features = {"label": {"names": list(PAPER_ORDER), "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    for side in PER_CLASS:
        faces = [f for f in made_faces() if f.side == side]
        table = pa.table(
            {
                "image": [{"bytes": png(f.pixels), "path": f"{f.name}.png"} for f in faces],
                "label": pa.array([PAPER_ORDER.index(EMOTIONS[f.label]) for f in faces]),
            }
        )
        path = folder / "data" / f"{side}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table.replace_schema_metadata(metadata), path)
    return str(folder)


def _usage_parquet(folder: Path) -> str:
    """One file in the form of FER2013, with the FER+ votes."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    faces = made_faces()
    table = pa.table(
        {
            "id": [f.name for f in faces],
            "emotion": pa.array([f.label for f in faces], pa.int8()),
            "usage": pa.array([USAGES[f.side] for f in faces]).dictionary_encode(),
            "ferplus_votes": pa.array([[10] + [0] * 9 for _ in faces], pa.list_(pa.uint8(), 10)),
            "image": [png(f.pixels) for f in faces],
        }
    )
    pq.write_table(table, folder / "faces.parquet")
    return str(folder / "faces.parquet")


FORMS: dict[str, Callable[[Path], str]] = {
    "fer2013.csv": _fer2013,
    "icml_face_data.csv": _icml,
    "named csv": _named_csv,
    "kaggle folders": _kaggle,
    "class folders": _class_folders,
    "hub parquet": _hub_parquet,
    "usage parquet": _usage_parquet,
    "emotic mat": lambda folder: emotic_forms.official(folder, made_faces()),
    "emotic lists": lambda folder: emotic_forms.lists(folder, made_faces()),
    "emotic columns": lambda folder: emotic_forms.columns(folder, made_faces()),
}

#: Forms that say something about every dataset, also about one without a defect.
TALKATIVE = ("emotic mat", "emotic lists", "emotic columns", "sfew")

"""Small datasets of posed and drawn faces, and FER+, in the exact format they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from dataset_forms import USAGES, Face, made_faces, png, textures
from numpy.typing import NDArray
from PIL import Image

from facetell.datasets.ferplus import VOTES_FILE
from facetell.labels import EMOTIONS, FERPLUS

CK_EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
FERG_EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
FERG_CHARACTERS = ("aia", "bonnie", "jules", "malcolm", "mery", "ray")
CODES = ("AN", "DI", "FE", "HA", "NE", "SA", "SU")
KDEF_CODES = ("AF", "AN", "DI", "HA", "NE", "SA", "SU")


def pictures(count: int, width: int, height: int) -> list[Image.Image]:
    """Grey pictures of this size that have nothing in common; coarse, so that they are quick."""
    nearest = Image.Resampling.NEAREST
    return [Image.fromarray(face).resize((width, height), nearest) for face in textures(count)]


def save(picture: Image.Image, path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)


def votes_of(face: Face) -> list[int]:
    """Seven votes for the label, two for neutral or happy, and one that stands alone."""
    votes = [0] * len(FERPLUS)
    favourite = FERPLUS.index(EMOTIONS[face.label])
    votes[favourite] = 7
    votes[1 if favourite == 0 else 0] = 2
    votes[FERPLUS.index("contempt")] = 1
    return votes


def fer2013_rows(faces: list[Face]) -> str:
    rows = [
        f"{face.label},{' '.join(map(str, face.pixels.ravel().tolist()))},{USAGES[face.side]}"
        for face in faces
    ]
    return "\n".join(["emotion,pixels,Usage", *rows]) + "\n"


def ferplus_rows(faces: list[Face], votes: list[list[int]]) -> str:
    header = (
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    )
    rows = [
        f"{USAGES[face.side]},fer{2 * row:07}.png,{','.join(map(str, counts))}"
        for row, (face, counts) in enumerate(zip(faces, votes, strict=True))
    ]
    return "\r\n".join([header, *rows]) + "\r\n"


def _ferplus(folder: Path) -> str:
    faces = made_faces()
    (folder / "fer2013.csv").write_text(fer2013_rows(faces))
    text = ferplus_rows(faces, [votes_of(face) for face in faces])
    (folder / VOTES_FILE).write_text(text, newline="")
    return str(folder)


def _majority(folder: Path) -> str:
    return f"ferplus:{_ferplus(folder)}"


def _ferplus_folders(folder: Path) -> str:
    """data/ of the FER+ repository after its generate_training_data.py."""
    names = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
    for side, name in names.items():
        place = folder / "data" / name
        place.mkdir(parents=True)
        rows = []
        for number, face in enumerate(face for face in made_faces() if face.side == side):
            image = f"fer{number:07}.png"
            (place / image).write_bytes(png(face.pixels))
            rows.append(f'{image},"(0, 0, 48, 48)",{",".join(map(str, votes_of(face)))}')
        (place / "label.csv").write_text("\n".join(rows) + "\n")
    return str(folder)


def ferg_picture(picture: Image.Image) -> Image.Image:
    """RGBA: a disc on a background without paint, as the renderer leaves it."""
    rows, columns = np.indices((picture.height, picture.width))
    half = picture.height / 2
    inside = (rows - half) ** 2 + (columns - half) ** 2 < (0.8 * half) ** 2
    out = np.zeros((picture.height, picture.width, 4), np.uint8)
    out[inside, :3] = np.asarray(picture)[inside, None]
    out[inside, 3] = 255
    return Image.fromarray(out, "RGBA")


def _ferg_pictures() -> dict[str, Image.Image]:
    """aia_anger_1.png and so on."""
    names = [
        f"{character}_{emotion}_{number}.png"
        for character in FERG_CHARACTERS
        for emotion in FERG_EMOTIONS
        for number in ((1, 3) if emotion == "joy" else (1,))  # numbering has gaps
    ]
    return dict(zip(names, map(ferg_picture, pictures(len(names), 256, 256)), strict=True))


def _ferg(folder: Path) -> str:
    for name, picture in _ferg_pictures().items():
        character, emotion, _ = name.split("_")
        place = folder / "FERG_DB_256" / character / f"{character}_{emotion}"
        save(picture, place / name, compress_level=1)
    return str(folder)


def _ferg_flat(folder: Path) -> str:
    for name, picture in _ferg_pictures().items():
        save(picture, folder / name, compress_level=1)
    return str(folder)


def _ckplus(folder: Path) -> str:
    """A sequence of five frames per emotion, and one without a label; four people."""
    images = folder / "cohn-kanade-images"
    faces = iter(pictures(5 * (len(CK_EMOTIONS) + 1), 640, 490))
    for number, emotion in enumerate((*CK_EMOTIONS, None)):
        subject, take = f"S{10 + number // 2:03}", f"{number % 2 + 1:03}"
        for frame in range(1, 6):
            picture = next(faces)
            if number == 1:  # some sequences are in colour
                picture = picture.convert("RGB")
            name = f"{subject}_{take}_{frame:08}.png"
            save(picture, images / subject / take / name, compress_level=1)
        place = folder / "Emotion" / subject / take
        place.mkdir(parents=True)
        if emotion:
            value = CK_EMOTIONS.index(emotion) + 1
            text = f"   {value:.7e}\n"
            (place / f"{subject}_{take}_{5:08}_emotion.txt").write_text(text)
    return str(folder)


def _ck48(folder: Path) -> str:
    """Three almost equal frames for each of seven people and emotions."""
    faces = iter(textures(7 * len(CK_EMOTIONS)))
    for person in range(7):
        for take, emotion in enumerate(CK_EMOTIONS, 1):
            face = next(faces)
            for frame in (15, 16, 17):
                pixels: NDArray[np.uint8] = np.clip(face.astype(int) + frame - 16, 0, 255)
                name = f"S{10 + person:03}_{take:03}_{frame:08}.png"
                picture = Image.fromarray(pixels.astype(np.uint8))
                save(picture, folder / "CK+48" / emotion / name)
    return str(folder)


def _jaffe(folder: Path) -> str:
    """Uncompressed TIFF, every tenth one with a palette; some names as mirrors spoil them."""
    spoilt = {"KR.DI3.21.tiff": "KR.DI3.  .tiff", "KA.HA4.22.tiff": "KA.HA4...tiff"}
    names = [
        f"{person}.{code}{take}.{n}.tiff"
        for n, (person, code, take) in enumerate(
            (person, code, take)
            for person in ("KA", "KR", "YM")
            for code in CODES
            for take in ((3, 4) if code in ("DI", "HA") else (1,))
        )
    ]
    for number, (name, picture) in enumerate(
        zip(names, pictures(len(names), 256, 256), strict=True)
    ):
        if number % 10 == 0:
            picture = picture.convert("P")
        begin = name.rpartition(".")[0].rpartition(".")[0]
        other = next((new for old, new in spoilt.items() if old.startswith(begin)), name)
        save(picture, folder / "jaffe" / other)
    (folder / "jaffe" / "README_FIRST.txt").write_text("semantic ratings\n")
    return str(folder / "jaffe")


def _kdef(folder: Path) -> str:
    """Three people in two sessions; each emotion from one angle to keep it small."""
    angles = ("S", "HL", "HR", "FL", "FR")
    people = ("F01", "M01", "M35")
    faces = iter(pictures(3 * (7 + 2), 562, 762))
    for session, codes in (("A", KDEF_CODES), ("B", KDEF_CODES[:2])):
        for person in people:
            for number, code in enumerate(codes):
                name = f"{session}{person}{code}{angles[number % 5]}.JPG"
                place = folder / "KDEF_and_AKDEF" / "KDEF" / f"{session}{person}"
                save(next(faces).convert("RGB"), place / name)
    return str(folder)


POSED_FORMS: dict[str, Callable[[Path], str]] = {
    "fer+ beside fer2013": _ferplus,
    "fer+ majority": _majority,
    "fer+ folders": _ferplus_folders,
    "ferg": _ferg,
    "ferg in one folder": _ferg_flat,
    "ck+": _ckplus,
    "ck+48": _ck48,
    "jaffe": _jaffe,
    "kdef": _kdef,
}

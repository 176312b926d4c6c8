"""An explanation as a picture, and as numbers: what `facetell read --explain` writes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.ImageFont import load_default

from facetell.contract import Contract
from facetell.draw import fitted
from facetell.faces.detect import WholeImage
from facetell.files import refuse_overwriting, write_atomically
from facetell.report import straighten
from facetell.results import Reading
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.explain import Explanation, explain
from facetell.runtime.occlusion import SHARES

__all__ = [
    "LIMITS", "as_numbers", "draw_explanation", "explanation_paths", "overlay",
    "write_explanation", "write_explanations",
]  # fmt: skip

#: What must stand on every picture.
LIMITS = (
    "The maps show what the model's score depends on when parts are hidden; not what the person "
    "feels, and not why. Patches make faces that the model never saw; parts that say the same "
    "hide each other."
)

_SIDE, _GAP, _TOP, _FOOT = 300, 24, 112, 196  # px: a panel, between panels, above, below
_WHITE, _INK, _FAINT, _PAPER = (255, 255, 255), (30, 30, 34), (95, 95, 104), (243, 243, 245)
_RED = (220, 50, 60)
# Okabe and Ito's vermilion and blue: told apart by most colour-blind eyes.
_FOR, _AGAINST = np.array([213, 94, 0]), np.array([0, 114, 178])
_STRONGEST = 0.8  # opacity where a map is at its largest
_AROUND = 30  # px of black around a crop with the area that is straightened
_LEAST_CELL = 34  # px; smaller cells are coloured but carry no number


class _Panel(NamedTuple):
    title: str
    picture: Image.Image | None  # 300 x 300 px; None: the words say why there is none
    words: str
    scale: tuple[float, str] | None = None  # the value of the darkest colours, and its format


def overlay(face: NDArray[np.uint8], values: NDArray[Any], largest: float) -> NDArray[np.uint8]:
    """A face in grey under a signed map: vermilion where it speaks for the label, blue against.

    Args:
        face: (S, S) or (S, S, 3) uint8.
        values: (S', S') signed; scaled to the face.
        largest: the absolute value that gets the strongest colour.

    Returns:
        (300, 300, 3) uint8.
    """
    grey = np.asarray(_enlarged(face).convert("L"), np.float64)[..., None]
    field = Image.fromarray(np.ascontiguousarray(values, np.float32))
    at = np.asarray(field.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), np.float64)
    strength = (np.abs(at) / max(largest, 1e-9)).clip(0, 1)[..., None] * _STRONGEST
    colour = np.where(at[..., None] > 0, _FOR, _AGAINST)
    return np.rint(grey * (1 - strength) + colour * strength).astype(np.uint8)


def draw_explanation(
    found: Explanation, contract: Contract, *, title: str = ""
) -> NDArray[np.uint8]:
    """Four panels: the crop with the area straightened, that area, the LSTM, what hiding does.

    Args:
        found: of one face.
        contract: the model's.
        title: what the photo is called.

    Returns:
        (H, W, 3) uint8, with what each panel shows and its limits written below.
    """
    panels = (
        _crop_panel(found, contract),
        _straight_panel(found, contract),
        _steps_panel(found, contract),
        _occlusion_panel(found),
    )
    width = len(panels) * (_SIDE + _GAP) + _GAP
    picture = Image.new("RGB", (width, _TOP + _SIDE + _FOOT), _WHITE)
    draw = ImageDraw.Draw(picture)
    score = found.face.scores[found.face.label]
    draw.text((_GAP, 14), f"{found.face.label} {score:.2f}", fill=_INK, font=load_default(28))
    about = f"face {found.number} of {title or 'a photo'}, read by {contract.name}"
    draw.text((_GAP, 50), fitted(draw, about, load_default(17), width - 2 * _GAP), fill=_FAINT,
              font=load_default(17))  # fmt: skip
    for column, panel in enumerate(panels):
        _draw_panel(picture, draw, panel, _GAP + column * (_SIDE + _GAP))
    foot = _TOP + _SIDE + _FOOT - 54
    _write(draw, (_GAP, foot), LIMITS, width - 2 * _GAP, 15, _INK)
    return np.array(picture)


def _crop_panel(found: Explanation, contract: Contract) -> _Panel:
    scores = sorted(found.face.scores.items(), key=lambda item: item[1], reverse=True)[:4]
    words = "Scores: " + ", ".join(f"{label} {score:.2f}" for label, score in scores) + "."
    picture = _enlarged(found.crop)
    if found.theta is not None:
        picture = _with_area(picture, found.theta)
        words += " Outline: the area that is straightened; red: its upper edge."
    side = contract.face_px
    return _Panel("The crop", picture, f"{side} x {side} px, as the model gets it. {words}")


def _with_area(face: Image.Image, theta: NDArray[Any]) -> Image.Image:
    """The face with the area that is straightened, and room for what lies outside of it."""
    inner = _SIDE - 2 * _AROUND
    picture = Image.new("RGB", face.size)
    picture.paste(face.resize((inner, inner), Image.Resampling.BOX), (_AROUND, _AROUND))
    draw = ImageDraw.Draw(picture)
    corners = straighten.quadrilateral(theta[None], inner)[0] + _AROUND
    points = [(float(x), float(y)) for x, y in corners]
    for width, colour in ((5, (0, 0, 0)), (3, (255, 221, 0))):
        draw.line([*points, points[0]], fill=colour, width=width, joint="curve")
    draw.line(points[:2], fill=_RED, width=4)
    return picture


def _straight_panel(found: Explanation, contract: Contract) -> _Panel:
    title = "What was straightened"
    if found.theta is None and _joined(contract):
        words = "Several networks decide together: what each of them straightens is not shown."
        return _Panel(title, None, words)
    if found.theta is None:
        words = "This model has no spatial transformer: its convolutions see the crop as it is."
        return _Panel(title, None, words)
    straight = straighten.straighten(found.crop[None], found.theta[None])[0]
    maps = straighten.describe_maps(found.theta[None], contract.face_px)
    words = (
        f"What the layers behind the spatial transformer see: zoom {maps.zoom[0]:.2f}, turned "
        f"clockwise by {maps.turn_deg[0]:.1f} degrees, shifted by {maps.shift_px[0]:.1f} of "
        f"{contract.face_px} px. Black lies outside the crop."
    )
    return _Panel(title, _enlarged(straight), words)


def _steps_panel(found: Explanation, contract: Contract) -> _Panel:
    title = "What the LSTM weighed"
    if found.steps is None:
        return _Panel(title, None, _why_no_steps(contract))
    label = found.occlusion.label
    shares = _grid(found.steps[:, contract.labels.index(label)], contract)
    seen = found.crop
    if found.theta is not None:
        seen = straighten.straighten(found.crop[None], found.theta[None])[0]
    largest = float(np.abs(shares).max())
    cells = np.kron(shares, np.ones((_SIDE // shares.shape[0], _SIDE // shares.shape[1])))
    picture = Image.fromarray(overlay(seen, cells, largest))
    _draw_cells(picture, shares)
    kind = "row" if shares.shape[1] == 1 else "region"
    exact = "exact"
    if contract.results.get("precision") == "int8":
        exact = "exact but for the rounding of eight bits"
    words = (
        f"What each step adds to the margin of {label!r}: {exact}. Step n has also read the "
        f"{kind}s before it, and a {kind} sees beyond its borders. The face itself, not its mirror "
        "image."
    )
    return _Panel(title, picture, words, (largest, ".2f"))


def _joined(contract: Contract) -> bool:
    """Whether it is of several networks, as `facetell.ensemble.join` describes them."""
    return contract.architecture.startswith("mean of ")


def _why_no_steps(contract: Contract) -> str:
    if _joined(contract):
        return "Several networks decide together: what an LSTM of one of them adds is not shown."
    if contract.sequence not in ("rows", "regions"):
        return (
            "This model has no LSTM over the face: it weighs all places of the feature map alike "
            f"({contract.sequence})."
        )
    return (
        "This file has no output named steps, which says what each step of the LSTM adds. "
        "Export the run again with `facetell export`."
    )


def _grid(shares: NDArray[Any], contract: Contract) -> NDArray[np.float64]:
    """(L,) shares as they lie in the face: (L, 1) rows, or (grid, grid) regions."""
    if contract.sequence == "rows":
        return np.asarray(shares, np.float64)[:, None]
    side = math.isqrt(len(shares))
    return np.asarray(shares, np.float64).reshape(side, side)


def _draw_cells(picture: Image.Image, shares: NDArray[np.float64]) -> None:
    draw = ImageDraw.Draw(picture)
    high, wide = _SIDE / shares.shape[0], _SIDE / shares.shape[1]
    for (row, column), share in np.ndenumerate(shares):
        x, y = column * wide, row * high
        draw.rectangle((x, y, x + wide, y + high), outline=_WHITE)
        if min(high, wide) >= _LEAST_CELL:
            at = (x + wide / 2, y + high / 2)
            draw.text(at, f"{share:+.2f}", fill=_WHITE, font=load_default(17), anchor="mm",
                      stroke_width=2, stroke_fill=_INK)  # fmt: skip


def _occlusion_panel(found: Explanation) -> _Panel:
    map_ = found.occlusion
    largest = float(np.abs(map_.drops).max())
    picture = Image.fromarray(overlay(found.crop, map_.drops, largest))
    factor = _SIDE / found.crop.shape[0]
    x1, y1, x2, y2 = (round(factor * value) for value in map_.lowest_box)
    ImageDraw.Draw(picture).rectangle((x1, y1, x2 - 1, y2 - 1), outline=_INK, width=2)
    words = (
        f"How far the score of {map_.label!r} falls (vermilion) or rises (blue) when a place is "
        f"hidden: mean over {map_.patches} patches in the face's mean colour. Box: the worst one, "
        f"{map_.score:.2f} to {map_.lowest:.2f}."
    )
    return _Panel("What the score depends on", picture, words, (largest, ".3f"))


def _draw_panel(picture: Image.Image, draw: ImageDraw.ImageDraw, panel: _Panel, left: int) -> None:
    draw.text((left, _TOP - 8), panel.title, fill=_INK, font=load_default(19), anchor="ls")
    top = _TOP + _SIDE + 12
    if panel.picture is None:
        draw.rectangle((left, _TOP, left + _SIDE - 1, _TOP + _SIDE - 1), fill=_PAPER)
        _write(draw, (left + 24, _TOP + 90), panel.words, _SIDE - 48, 17)
        return
    picture.paste(panel.picture, (left, _TOP))
    if panel.scale is not None:
        _draw_scale(picture, draw, (left, top), *panel.scale)
        top += 26
    _write(draw, (left, top), panel.words, _SIDE, 14)


def _draw_scale(
    picture: Image.Image,
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    largest: float,
    digits: str,
) -> None:
    """A bar from the strongest blue to the strongest vermilion, with its ends in numbers."""
    x, y = at
    values = np.linspace(-1, 1, 120)[None].repeat(12, axis=0)
    bar = Image.fromarray(overlay(np.full((8, 8), 225, np.uint8), values, 1.0))
    picture.paste(bar.resize((120, 12)), (x + 90, y + 2))
    middle = y + 8
    draw.text(
        (x + 84, middle), f"{-largest:{digits}}", fill=_INK, font=load_default(14), anchor="rm"
    )
    draw.text(
        (x + 216, middle), f"{largest:+{digits}}", fill=_INK, font=load_default(14), anchor="lm"
    )


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    words: str,
    width: int,
    size: int,
    colour: tuple[int, int, int] = _FAINT,
) -> None:
    """Words in lines that fit."""
    font, lines = load_default(size), [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    draw.multiline_text(at, "\n".join(lines), fill=colour, font=font, spacing=4)


def _enlarged(face: NDArray[np.uint8]) -> Image.Image:
    """A face at the size of a panel, its pixels still to be seen."""
    return Image.fromarray(np.ascontiguousarray(face)).resize(
        (_SIDE, _SIDE), Image.Resampling.NEAREST
    )


def as_numbers(found: Explanation, contract: Contract, *, source: str = "") -> dict[str, Any]:
    """Everything that the picture shows, and more, JSON-ready."""
    map_, side = found.occlusion, contract.face_px
    return {
        "source": source,
        "model": contract.name,
        "number": found.number,
        "face": found.face.to_dict(),
        "face_px": side,
        "occlusion": {
            "label": map_.label,
            "score": map_.score,
            "patches": map_.patches,
            "patch_px": [2 * max(1, round(share * side / 2)) for share in SHARES],
            "lowest": map_.lowest,
            "lowest_box_xyxy": list(map_.lowest_box),
            "drops": np.round(map_.drops, 5).tolist(),
        },
        "straightened": _straightened(found, side),
        "lstm": _lstm(found, contract),
        "limits": LIMITS,
    }


def _straightened(found: Explanation, side: int) -> dict[str, Any] | None:
    if found.theta is None:
        return None
    maps = straighten.describe_maps(found.theta[None], side)
    return {
        "theta": np.asarray(found.theta, np.float64).tolist(),
        "corners_xy": straighten.quadrilateral(found.theta[None], side)[0].tolist(),
        "zoom": float(maps.zoom[0]),
        "turn_deg": float(maps.turn_deg[0]),
        "shift_px": float(maps.shift_px[0]),
    }


def _lstm(found: Explanation, contract: Contract) -> dict[str, Any] | None:
    if found.steps is None:
        return None
    columns = np.asarray(found.steps, np.float64).T.tolist()
    return {"over": contract.sequence, "steps": dict(zip(contract.labels, columns, strict=True))}


def explanation_paths(target: Path, number: int) -> tuple[Path, Path]:
    """The picture and the numbers of one face of a photo whose files begin with `target`."""
    return (
        target.with_name(f"{target.name}.face{number}.png"),
        target.with_name(f"{target.name}.face{number}.json"),
    )


def write_explanations(
    analyzer: Analyzer,
    image: NDArray[np.uint8],
    reading: Reading,
    target: Path,
    *,
    force: bool = False,
) -> Iterator[Path]:
    """Write and yield the picture of every face of a reading; the numbers lie beside it.

    Args:
        analyzer: what read it.
        image: (H, W, 3) uint8, what was read.
        target: what the files' paths begin with; see `explanation_paths`.

    Raises:
        InputError: a file exists and `force` is off.
    """
    contract, whole = analyzer.contract, isinstance(analyzer.detector, WholeImage)
    for found in explain(analyzer.model, image, reading, whole=whole):
        paths = explanation_paths(target, found.number)
        source = reading.source
        write_explanation(found, contract, paths, source=source, force=force)
        yield paths[0]


def write_explanation(
    found: Explanation,
    contract: Contract,
    paths: Sequence[Path],
    *,
    source: str = "",
    force: bool = False,
) -> None:
    """Write the picture and the numbers, each whole or not at all; folders on the way are made.

    Args:
        paths: of the PNG and of the JSON file.

    Raises:
        InputError: a file exists and `force` is off.
    """
    picture, numbers = paths
    for path in paths:
        refuse_overwriting(path, force)
    png = io.BytesIO()
    drawn = draw_explanation(found, contract, title=Path(source).name if source else "")
    Image.fromarray(drawn).save(png, "PNG", optimize=True)
    write_atomically(picture, png.getvalue())
    write_atomically(numbers, json.dumps(as_numbers(found, contract, source=source)) + "\n")

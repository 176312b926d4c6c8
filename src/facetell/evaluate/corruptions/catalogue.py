"""All corruptions with their severities, and the one function that applies them.

The fifteen `standard` ones are those of Hendrycks & Dietterich 2019, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations". Their levels lie about halfway between the
authors' own for 32 px (CIFAR-10-C) and for 64 px (Tiny ImageNet-C).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetell.errors import InputError
from facetell.evaluate.corruptions import blur, cover, detail, light, noise, pose, weather
from facetell.evaluate.corruptions.chance import Chance
from facetell.tensors import grey

__all__ = ["CORRUPTIONS", "LIGHTING", "SEVERITIES", "Corruption", "corrupt", "levels_id"]

SEVERITIES = (1, 2, 3, 4, 5)

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One way to make a face worse.

    Attributes:
        name: as in tables and files.
        family: what kinds of cause it belongs to.
        meaning: what a level is, with its unit.
        levels: one for each severity, from mild to severe.
        apply: (N, S, S, C) float32 0-1, level, chance -> the same, to be clipped to 0-1.
        standard: one of the fifteen of ImageNet-C.
        in_colour: works on three channels; a grey face is taken for RGB, and back by its luma.
    """

    name: str
    family: str
    meaning: str
    levels: tuple[Any, ...]
    apply: Callable[[Floats, Any, Chance], Floats]
    standard: bool = False
    in_colour: bool = False

    @property
    def title(self) -> str:
        """For people."""
        return self.name.replace("_", " ")


def _corruption(
    family: str, apply: Callable[[Floats, Any, Chance], Floats], meaning: str, *levels: Any,
    name: str = "", standard: bool = False, in_colour: bool = False,
) -> Corruption:  # fmt: skip
    return Corruption(
        name=name or apply.__name__,
        family=family,
        meaning=meaning,
        levels=levels,
        apply=apply,
        standard=standard,
        in_colour=in_colour,
    )


_SNOW = (
    (0.10, 0.20, 1.00, 0.60, 8, 3, 0.88), (0.10, 0.20, 1.00, 0.50, 10, 4, 0.85),
    (0.15, 0.30, 1.75, 0.55, 10, 4, 0.80), (0.25, 0.30, 2.25, 0.60, 12, 6, 0.75),
    (0.30, 0.30, 1.25, 0.65, 14, 12, 0.70),
)  # fmt: skip
_ELASTIC = (
    (0.0, 0.0, 0.08), (0.05, 0.20, 0.07), (0.08, 0.06, 0.06), (0.10, 0.04, 0.05),
    (0.10, 0.03, 0.03),
)  # fmt: skip

_ALL = (
    _corruption(
        "noise", noise.gaussian_noise, "deviation, share of the full range",
        0.04, 0.07, 0.10, 0.12, 0.14, standard=True,
    ),
    _corruption(
        "noise", noise.shot_noise, "photons that make white",
        350, 160, 70, 45, 27, standard=True,
    ),
    _corruption(
        "noise", noise.impulse_noise, "share of pixels black or white",
        0.01, 0.02, 0.04, 0.065, 0.105, standard=True,
    ),
    _corruption(
        "blur", blur.defocus_blur, "radius of the disc, px at 48",
        0.9, 1.1, 1.4, 1.8, 2.2, standard=True,
    ),
    _corruption(
        "blur", blur.glass_blur, "blur in px, reach in px, times; at 48",
        (0.1, 1, 1), (0.4, 1, 1), (0.5, 1, 2), (0.5, 2, 1), (0.7, 2, 2), standard=True,
    ),
    _corruption(
        "blur", blur.motion_blur, "deviation along the trail, px at 48",
        1.0, 1.5, 2.0, 2.3, 2.8, standard=True,
    ),
    _corruption(
        "blur", blur.zoom_blur, "largest zoom", 1.05, 1.10, 1.15, 1.20, 1.25, standard=True,
    ),
    _corruption(
        "weather", weather.snow,
        "noise mean, deviation, zoom, threshold; fall length and deviation in px at 48; share kept",
        *_SNOW, standard=True,
    ),
    _corruption(
        "weather", weather.frost, "share of the face, share of the ice",
        (1.0, 0.25), (0.95, 0.35), (0.85, 0.42), (0.80, 0.45), (0.72, 0.50), standard=True,
    ),
    _corruption(
        "weather", weather.fog, "thickness, how much thinner clouds of half the size are",
        (0.3, 3.0), (0.6, 3.0), (0.9, 2.5), (1.25, 2.0), (1.75, 1.75), standard=True,
    ),
    _corruption(
        "light", light.brightness, "added, share of the full range",
        0.08, 0.15, 0.22, 0.30, 0.40, standard=True,
    ),
    _corruption(
        "light", light.contrast, "factor", 0.58, 0.40, 0.30, 0.20, 0.10, standard=True,
    ),
    _corruption(
        "detail", pose.elastic, "strength, smoothness, pull; shares of the side",
        *_ELASTIC, standard=True,
    ),
    _corruption(
        "detail", detail.pixelate, "share of the pixels kept in each direction",
        0.92, 0.85, 0.78, 0.68, 0.58, standard=True,
    ),
    _corruption("detail", detail.jpeg, "quality", 72, 62, 54, 45, 32, standard=True),
    _corruption("light", light.darkness, "share of the light", 0.8, 0.65, 0.5, 0.35, 0.2),
    _corruption(
        "light", light.contrast, "factor", 1.3, 1.6, 2.0, 2.5, 3.5, name="high_contrast",
    ),
    _corruption(
        "light", light.gamma, "exponent, or its inverse", 1.2, 1.5, 1.8, 2.2, 3.0,
    ),
    _corruption(
        "light", light.side_light, "light gained on one side and lost on the other",
        0.2, 0.4, 0.6, 0.8, 1.0,
    ),
    _corruption(
        "light", light.colour_cast, "gains of the channels differ from 1 by up to",
        0.1, 0.2, 0.3, 0.4, 0.5, in_colour=True,
    ),
    _corruption("pose", pose.roll, "degrees to either side", 10, 20, 30, 40, 45),
    _corruption("pose", pose.shift, "share of the side, any direction", 0.04, 0.07, 0.1, 0.15, 0.2),
    _corruption("pose", pose.scale, "factor, or its inverse", 1.05, 1.10, 1.15, 1.20, 1.25),
    _corruption("pose", pose.shear, "px to the side for each px down", 0.08, 0.16, 0.24, 0.32, 0.4),
    _corruption("cover", cover.eye_mask, "height, share of the side", 0.12, 0.18, 0.24, 0.30, 0.36),
    _corruption(
        "cover", cover.mouth_mask, "height, share of the side", 0.16, 0.22, 0.28, 0.34, 0.40,
    ),
    _corruption("cover", cover.half_mask, "share of the face", 0.1, 0.2, 0.3, 0.4, 0.5),
    _corruption("detail", detail.resolution, "px of the face", 32, 24, 16, 12, 8),
)  # fmt: skip

#: name -> corruption, in the order in which they are shown; the standard ones come first.
CORRUPTIONS: dict[str, Corruption] = {corruption.name: corruption for corruption in _ALL}
#: What "lighting" means in summaries.
LIGHTING = ("brightness", "darkness", "contrast", "high_contrast", "gamma", "side_light")


def levels_id() -> str:
    """Eight digits that change with any name or level: results of others cannot be compared."""
    text = json.dumps([(name, corruption.levels) for name, corruption in CORRUPTIONS.items()])
    return f"{zlib.crc32(text.encode()):08x}"


def corrupt(
    faces: NDArray[np.uint8],
    name: str,
    severity: int,
    *,
    seed: int = 0,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
) -> NDArray[np.uint8]:
    """Faces under one corruption; the same for a face in any batch and any order.

    Args:
        faces: (N, S, S) grey or (N, S, S, 3) RGB, uint8. Levels in px are meant at 48 px and
            grow with S.
        name: a key of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of everything random.
        indices: (N,) the faces' indices in their dataset, which their random numbers follow;
            by default 0 to N - 1.

    Returns:
        The same shape, uint8.

    Raises:
        InputError: another name, severity, dtype or shape.

    Example:
        worse = corrupt(faces, "motion_blur", 3)
    """
    corruption = _checked(name, severity, faces)
    numbers = range(len(faces)) if indices is None else indices
    x = faces.astype(np.float32) / np.float32(255)
    if faces.ndim == 3:
        x = np.repeat(x[..., None], 3 if corruption.in_colour else 1, axis=3)
    chance = Chance(seed, name, severity, numbers)
    made = corruption.apply(x, corruption.levels[severity - 1], chance)
    pixels = np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
    if faces.ndim == 4:
        return pixels
    return grey(pixels) if corruption.in_colour else pixels[..., 0]


def _checked(name: str, severity: int, faces: NDArray[np.uint8]) -> Corruption:
    if name not in CORRUPTIONS:
        raise InputError(
            f"unknown corruption {name!r}; there are: {', '.join(CORRUPTIONS)}. Name one of them.",
            expected=tuple(CORRUPTIONS),
            actual=name,
        )
    if severity not in SEVERITIES:
        raise InputError(
            f"severity must be 1 to 5, got {severity!r}. 1 is mild, 5 severe.", actual=severity
        )
    square = faces.ndim in (3, 4) and faces.shape[1] == faces.shape[2]
    if faces.dtype != np.uint8 or not square or faces.shape[3:] not in ((), (3,)):
        raise InputError(
            f"faces must be uint8 of shape (N, S, S) or (N, S, S, 3), got {faces.dtype} of shape "
            f"{faces.shape}. Cut faces out with crop_faces().",
            actual=faces.shape,
        )
    return CORRUPTIONS[name]

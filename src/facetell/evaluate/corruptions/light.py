"""Lamps, exposure and white balance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.corruptions.chance import Chance
from facetell.evaluate.corruptions.resample import centred

__all__ = ["brightness", "colour_cast", "contrast", "darkness", "gamma", "side_light"]

Floats = NDArray[np.float32]


def _per_face(values: Floats) -> Floats:
    return values[:, None, None, None]


def brightness(x: Floats, added: float, _: Chance) -> Floats:
    """Lighter by that share of the full range, in every channel."""
    return x + np.float32(added)


def darkness(x: Floats, gain: float, _: Chance) -> Floats:
    """That share of the light."""
    return x * np.float32(gain)


def contrast(x: Floats, factor: float, _: Chance) -> Floats:
    """Deviations from the mean grow or shrink by that factor."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return np.asarray((x - mean) * np.float32(factor) + mean)


def gamma(x: Floats, exponent: float, chance: Chance) -> Floats:
    """Mid-tones darker or lighter: x to the power of the exponent, or of its inverse."""
    power = np.where(chance.sign() > 0, exponent, 1 / exponent).astype(np.float32)
    return np.asarray(np.power(np.clip(x, 0, 1), _per_face(power)), np.float32)


def side_light(x: Floats, strength: float, chance: Chance) -> Floats:
    """A lamp on one side, within 30 degrees of level: light falls off across the face."""
    towards = np.deg2rad(chance.uniform(-30, 30))
    sign = chance.sign()
    place = centred(x.shape[1]) / np.float32(x.shape[1] / 2)  # (S,), -1 to 1
    ramp = (
        np.cos(towards)[:, None, None] * place[None, None]
        + np.sin(towards)[:, None, None] * place[None, :, None]
    )
    gain = 1 + np.float32(strength) * sign[:, None, None] * ramp
    return np.asarray(x * np.clip(gain, 0, None)[..., None], np.float32)


def colour_cast(x: Floats, strength: float, chance: Chance) -> Floats:
    """Tinted light of a random hue: the channels' gains differ by up to that share from 1.

    Args:
        x: (N, S, S, 3).
    """
    hue = chance.uniform(0, 2 * np.pi)[:, None]
    gains = 1 + np.float32(strength) * np.cos(hue + np.float32(2 * np.pi / 3) * np.arange(3))
    return np.asarray(x * gains[:, None, None, :], np.float32)

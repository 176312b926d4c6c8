"""The section of an evaluation report on what the scores of each emotion depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.judged import Judged
from facetell.evaluate.table import in_paper_order
from facetell.predictor import Predictor
from facetell.report.explained import overlay
from facetell.report.figures import data_uri
from facetell.report.markup import Markup, tag
from facetell.report.page import section
from facetell.runtime.occlusion import mean_drops

__all__ = ["MeanMap", "count_maps", "maps_section", "mean_maps"]

_LIMITS = (
    "The maps show what the scores depend on when parts are hidden, on average over faces that "
    "differ in framing; not what people feel, and not why. They hold for this model and these "
    "faces."
)


class MeanMap(NamedTuple):
    """Where the score of one emotion is lost when parts of a face are hidden.

    Attributes:
        label: the emotion.
        n: correctly read faces behind the map, drawn by a fixed seed.
        drops: (S, S) mean loss of the label's score, 0-1; below 0 where hiding raises it.
        face: (S, S, 3) uint8, the mean of these faces.
    """

    label: str
    n: int
    drops: NDArray[np.float64]
    face: NDArray[np.uint8]


def _rows(judged: Judged, most: int) -> list[tuple[int, NDArray[np.int64]]]:
    """Label and rows of up to `most` correctly read faces of each emotion, in paper order."""
    generator = np.random.default_rng(0)
    found = []
    for k in in_paper_order(judged.dataset.labels):
        right = np.flatnonzero(judged.correct & (judged.labels == k))
        if right.size and most:
            found.append((k, np.sort(generator.permutation(right)[:most])))
    return found


def count_maps(judged: Judged, most: int) -> int:
    """How many faces `mean_maps` will go through."""
    return sum(len(rows) for _, rows in _rows(judged, most))


def mean_maps(
    predictor: Predictor,
    judged: Judged,
    *,
    most: int,
    progress: Callable[[], None] | None = None,
) -> tuple[MeanMap, ...]:
    """Mean occlusion maps over correctly read faces; about 300 runs of the model a face.

    Args:
        predictor: what gave the answers.
        judged: the answers.
        most: faces of each emotion.
        progress: called after each face.
    """
    maps = []
    for k, rows in _rows(judged, most):
        label, faces = judged.dataset.labels[k], judged.faces(rows)
        drops = mean_drops(predictor, faces, label, progress=progress)
        mean = np.rint(faces.mean(axis=0)).astype(np.uint8)
        maps.append(MeanMap(label, len(rows), drops, mean))
    return tuple(maps)


def maps_section(maps: tuple[MeanMap, ...], *, faces: bool) -> Markup:
    """One picture per emotion.

    Args:
        faces: lay the maps over the mean of the faces behind them; over plain grey else, as a mean
            of few faces may still show somebody.
    """
    under = "the mean of the faces" if faces else "grey"
    intro = (
        "How far the score of the emotion falls (vermilion) or rises (blue) when a place is "
        f"hidden, over {under}. Up to {max(one.n for one in maps)} correctly read faces of each "
        "emotion, drawn by a fixed seed; the strongest colour is each map's own largest value."
    )
    return section(
        "What the scores depend on",
        tag("p", intro),
        tag("ul", *(_item(one, faces) for one in maps), class_="faces double"),
        tag("p", _LIMITS, class_="soft", style="margin-top:.8rem"),
        class_="long",
    )


def _item(one: MeanMap, faces: bool) -> Markup:
    under = one.face if faces else np.full_like(one.face, 200)
    uri = data_uri(overlay(under, one.drops, float(np.abs(one.drops).max())))
    where = _where(one.drops)
    alt = f"Mean occlusion map of {one.label}: largest loss in the {where} of the face"
    words = tag(
        "figcaption",
        tag("b", one.label),
        f", {one.n} face{'s' * (one.n != 1)}",
        tag("br"),
        f"loses up to {one.drops.max():.3f}, {where}",
    )
    return tag("li", tag("figure", tag("img", src=uri, alt=alt, width=300, height=300), words))


def _where(drops: NDArray[np.float64]) -> str:
    """The ninth of the face with the largest loss, in words."""
    y, x = np.unravel_index(int(drops.argmax()), drops.shape)
    third = drops.shape[0] / 3
    return f"{('upper', 'middle', 'lower')[int(y // third)]} " + (
        f"{('left', 'centre', 'right')[int(x // third)]}"
    )

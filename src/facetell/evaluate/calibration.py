"""Faces that the model has not seen -> scores that can be believed, sets, and when to be silent.

Letters: N faces, K labels, L levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Certainty, Contract
from facetell.datasets.fingerprint import refuse_training_data
from facetell.datasets.sample import Dataset
from facetell.errors import DataError
from facetell.evaluate.judged import score_columns
from facetell.predictor import Predictor, bent, calibrated, softmax

__all__ = [
    "LEVELS",
    "SHARES",
    "Margins",
    "calibrate",
    "calibration_rows",
    "fit_certainty",
    "fit_least_scores",
    "fit_scale",
    "fit_scores",
    "margins_of",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Progress = Callable[[str, float], None]

#: Shares of faces whose set shall hold their label.
LEVELS = tuple(round(0.01 * percent, 2) for percent in range(50, 100))
#: Shares of faces that shall get an answer.
SHARES = tuple(round(0.05 * step, 2) for step in range(2, 21))
#: A label's own faces may be missed by their sets so many times as often as faces in general: at
#: 90 %, every label is covered to 87 %. With 1.0 sets hold 3.0 labels in the mean, with 1.3 2.9.
_SLACK = 1.3
#: Weight of the squared logarithms of the factors: rare labels stay near the common scale.
_SHRINK = 1e-3
_FEWEST = 100
_LONGEST = 1.0  # step of the logarithms
_LEAST = 1e-3  # scale: where labels are noise the best is 0, and scores would lose their order
_BATCH = 256


class Margins(NamedTuple):
    """What a model said of calibration faces.

    Attributes:
        margins: (N, K) in the order of the contract's labels.
        labels: (N,) index into the contract's labels.
        people: (N,) equal for faces that must not be told apart in cross-fitting.
    """

    margins: NDArray[np.float32]
    labels: Ints
    people: Ints


def calibrate(contract: Contract, found: Margins, *, data: str) -> Contract:
    """The contract with its calibration and its certainty fitted to these faces.

    Args:
        contract: of the model that gave the margins.
        found: one face per photograph, none of which has a copy among the training faces.
        data: which faces these are, for people.

    Raises:
        DataError: too few faces.
    """
    if len(found.labels) < _FEWEST:
        raise DataError(
            f"expected at least {_FEWEST} faces of different photographs to calibrate on, got "
            f"{len(found.labels)}. Add labelled faces."
        )
    fitted = fit_scores(contract, found.margins, found.labels)
    scores = calibrated(found.margins, fitted)
    return replace(fitted, certainty=fit_certainty(scores, found.labels, data=data))


def calibration_rows(
    dataset: Dataset,
    *,
    side: Literal["validation", "test"] | None = None,
    trained_on: Mapping[str, Any] | None = None,
    own_sides: bool = True,
    progress: Progress | None = None,
) -> Ints:
    """The faces to calibrate on: one per near-copy group, none with a near-copy in training.

    Args:
        dataset: labelled faces.
        side: theirs; None takes the validation side, and of data without sides all faces.
        trained_on: fingerprint of the model's training data, from its contract; the same data
            without sides are refused, as most of their faces trained it.
        own_sides: whether it kept to the sides of these data; if not, they are refused, too.
        progress: of the search for near-copies, called with a phase and its share done.

    Raises:
        DataError: the side has no faces, or the model was trained on them.
    """
    from facetell.datasets.duplicates import cached_near_copies

    sides = np.array([sample.side or "" for sample in dataset.samples])
    chosen = sides == (side or "validation") if side or (sides != "").any() else sides == ""
    if not chosen.any():
        raise DataError(
            f"expected faces on the {side or 'validation'} side of {dataset.name}, found none. "
            "Name another side with --side, or bring a folder of faces without sides."
        )
    if trained_on and not (own_sides and (sides != "").any()):
        refuse_training_data(dataset, trained_on)
    groups = cached_near_copies(dataset.faces(), progress).groups
    seen = np.isin(groups, np.unique(groups[sides == "train"]))
    rows = np.flatnonzero(chosen & ~seen)
    return np.asarray(rows[np.sort(np.unique(groups[rows], return_index=True)[1])], np.int64)


def margins_of(
    model: Predictor,
    dataset: Dataset,
    rows: Ints,
    *,
    progress: Callable[[int], None] | None = None,
) -> Margins:
    """A model's margins of these faces.

    Args:
        model: what to calibrate.
        dataset: labelled faces.
        rows: (N,) which of them.
        progress: called with the number of faces in a batch when it is done.

    Raises:
        ContractError: the data have other labels than the model.
    """
    contract = model.contract
    columns = score_columns(contract, dataset.labels, dataset.name)
    parts = [np.empty((0, len(columns)), np.float32)]
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        faces = dataset.faces(some, face_px=contract.face_px, channels=contract.channels)
        parts.append(model.predict(faces).margins)
        if progress:
            progress(len(some))
    subjects = [dataset.samples[row].subject for row in rows]
    known = {name: number for number, name in enumerate(dict.fromkeys(subjects))}
    people = [row if name is None else -1 - known[name] for row, name in enumerate(subjects)]
    labels = np.array(columns, np.int64)[dataset.targets[rows]]
    return Margins(np.concatenate(parts), labels, np.array(people, np.int64))


def fit_scale(margins: NDArray[np.floating], targets: NDArray[np.integer]) -> float:
    """The scale a that makes softmax(a * margins) likeliest: temperature scaling.

    One number, so that the order of the scores is the order of the margins.
    Golden-section search over log a; the likelihood has one peak.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2 (a = 1/T).
    """

    def loss(log_scale: float) -> float:
        scores = softmax(margins, float(np.exp(log_scale)))
        return float(-np.log(scores[np.arange(len(targets)), targets] + 1e-12).mean())

    low, high = np.log(1e-3), np.log(1e3)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def fit_scores(contract: Contract, margins: NDArray[np.floating], labels: Ints) -> Contract:
    """The contract with the calibration under which these labels are likeliest.

    One scale, a factor of it for each answer, and a bend (see `predictor.calibrated`): K + 2
    numbers, of which the factors are drawn towards 1. Labels do not change.

    Of the maps that were tried by cross-fitting on 2,624 FER2013 faces without near-copies, it
    comes nearest to what chance alone would show (docs/uncertainty.md).
    """
    straight: Floats = np.asarray(margins, np.float64)
    top, n, k = straight.argmax(axis=1), *straight.shape
    wanted = np.eye(k)[labels]

    def loss(logs: Floats) -> tuple[float, Floats]:
        """Mean -ln(score of the label) with the pull towards 1, and its gradient."""
        factors, bend = logs[1 : k + 1], float(np.exp(logs[-1]))
        scale = np.exp(logs[0] + factors[top])[:, None]
        values = bent(straight, bend)
        logits = scale * values
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        own = np.maximum((scores * wanted).sum(axis=1), 1e-12)
        slope = (scores - wanted) * scale / n  # d loss / d bent margin
        by_face = (slope * values).sum(axis=1)
        further = slope * (_bent_slope(straight, bend) * (straight + 1) - values)
        gradient = np.array([by_face.sum(), *np.bincount(top, by_face, k), further.sum()])
        gradient[1 : k + 1] += 2 * _SHRINK * factors
        return float(-np.log(own).mean() + _SHRINK * (factors**2).sum()), gradient

    found = np.exp(_minimise(loss, np.zeros(k + 2)))
    return replace(
        contract,
        score_scale=max(float(found[0]), _LEAST),
        score_factors=tuple(round(float(factor), 6) for factor in found[1 : k + 1]),
        score_bend=round(float(found[-1]), 6),
    )


def _bent_slope(margins: Floats, bend: float) -> Floats:
    """By how much `predictor.bent` rises with a margin."""
    m = bend * (margins + 1)
    with np.errstate(invalid="ignore"):  # 0 / 0 far below, where the slope is greatest
        slope = np.where(m < -30, 1.0, np.exp(-np.logaddexp(0, -m)) / np.logaddexp(0, m))
    return np.asarray(2 * np.log(2) * slope)


def _minimise(
    loss: Callable[[Floats], tuple[float, Floats]], x: Floats, *, steps: int = 200
) -> Floats:
    """Where a smooth function is least: BFGS with halved steps (Nocedal & Wright 2006, ch. 6)."""
    inverse = np.eye(len(x))  # of the matrix of second derivatives
    value, gradient = loss(x)
    for _ in range(steps):
        step = -inverse @ gradient
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-12))
        while True:
            new, new_gradient = loss(x + step)
            if new <= value + 1e-4 * (gradient @ step) or np.abs(step).max() < 1e-9:
                break
            step /= 2
        change = new_gradient - gradient
        along = float(change @ step)
        if along > 1e-14:
            turn = np.eye(len(x)) - np.outer(step, change) / along
            inverse = turn @ inverse @ turn.T + np.outer(step, step) / along
        x, value, gradient = x + step, new, new_gradient
        if np.abs(gradient).max() < 1e-5 or np.abs(step).max() < 1e-9:
            break
    return x


def fit_certainty(scores: NDArray[np.floating], labels: Ints, *, data: str = "") -> Certainty:
    """When to believe a model that gave these faces these scores.

    Args:
        scores: (N, K) calibrated.
        labels: (N,).
        data: which faces these are, for people.
    """
    scores = np.array(scores, np.float64)
    least = np.stack([fit_least_scores(scores, labels, level) for level in LEVELS])
    least = np.minimum.accumulate(least)  # a set of a higher level holds those of lower ones
    best, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    order = np.argsort(-best, kind="stable")
    answered = [max(1, round(share * len(labels))) for share in SHARES]
    return Certainty(
        data=data,
        faces=len(labels),
        levels=LEVELS,
        least_scores=tuple(tuple(_floor(row)) for row in least),
        shares=SHARES,
        sure_scores=(*_floor(best[order][np.array(answered) - 1])[:-1], 0.0),
        accuracies=tuple(round(float(right[order][:n].mean()), 4) for n in answered),
    )


def _floor(values: Floats) -> list[float]:
    """Five digits, rounded down: a threshold must not leave out the face that it comes from."""
    return [float(value) for value in np.floor(values * 1e5) / 1e5]


def fit_least_scores(scores: NDArray[np.floating], labels: Ints, level: float) -> Floats:
    """(K,) the score from which each label is in a set, for sets that hold their face's label.

    Split conformal prediction with the score 1 - p (LAC): first each label gets the threshold
    that covers its own faces nearly as often as asked (Mondrian, see _SLACK), then one threshold
    for all is lowered until all faces together are covered as asked.

    Source: Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers with bounded
    error levels", sections 2.1 and 2.2; Vovk 2012, "Conditional validity of inductive conformal
    predictors". Departs from both by joining them: with a threshold for each label alone, sets
    are a third larger and cover more than asked; with one for all, disgust is covered to 39 %.
    The price: faces that their own label's threshold covers count as surely covered, so that
    other faces are covered about a point less than asked where only some hundred set thresholds.
    """
    scores = np.asarray(scores, np.float64)
    own = scores[np.arange(len(labels)), labels]  # (N,)
    wanted = 1 - _SLACK * (1 - level)
    floors = np.array([_least(own[labels == k], wanted) for k in range(scores.shape[1])])
    shared = _least(np.where(own >= floors[labels], np.inf, own), level)
    return np.asarray(np.minimum(floors, shared))


def _least(own: NDArray[np.floating], level: float) -> float:
    """The largest number that ceil((n + 1) * level) of n scores reach; the smallest score if few.

    A label without a face gets infinity: no threshold of its own.
    """
    if not own.size:
        return float("inf")
    at = min(int(np.ceil((own.size + 1) * level - 1e-9)), own.size)
    return float(-np.sort(-own)[at - 1]) if at > 0 else float("inf")

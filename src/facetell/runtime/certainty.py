"""Scores -> the labels that a face may have, and whether the model is sure of its answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Certainty, Contract
from facetell.errors import ContractError, InputError
from facetell.results import Face

__all__ = ["DEFAULT_SHARE", "Doubt", "are_sure", "label_sets", "least_scores", "sure_score"]

#: Share of the faces that are answered, where none is said.
DEFAULT_SHARE = 0.7


def least_scores(contract: Contract, level: float) -> NDArray[np.float64]:
    """(K,) the score from which each label is in a face's set.

    Args:
        contract: of a calibrated model.
        level: share of faces whose set shall hold their label, 0.5 to 0.99; the next higher one
            of the contract's levels counts.

    Raises:
        ContractError: the model was not calibrated for sets.
        InputError: a level that the contract has not.
    """
    certainty = _certainty(contract)
    at = int(np.searchsorted(np.array(certainty.levels) + 1e-9, level))
    fits = certainty.levels[0] - 1e-9 <= level and at < len(certainty.levels)
    if isinstance(level, bool) or not fits:
        raise InputError(
            f"expected a level from {certainty.levels[0]:g} to {certainty.levels[-1]:g} for the "
            f"sets of {contract.name!r}, got {level}. Ask for 0.9: sets that hold the label of "
            "nine faces in ten.",
            actual=level,
        )
    return np.array(certainty.least_scores[at])


def label_sets(scores: NDArray[np.floating], least: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N, K) which labels are in each face's set; the label with the highest score always is.

    Args:
        scores: (N, K) calibrated.
        least: (K,) from `least_scores`.

    >>> label_sets(np.array([[0.6, 0.3, 0.1]]), np.array([0.2, 0.2, 0.2])).tolist()
    [[True, True, False]]
    """
    scores = np.asarray(scores, np.float64)
    return np.asarray((scores >= least) | (scores >= scores.max(axis=1, keepdims=True)), np.bool_)


def sure_score(contract: Contract, share: float) -> float:
    """The highest score from which a face is answered; between the contract's shares, on a line.

    Args:
        contract: of a calibrated model.
        share: of faces that shall get an answer, 0-1.

    Raises:
        ContractError: the model was not calibrated for abstention.
        InputError: a share that the contract has not.
    """
    certainty = _certainty(contract)
    low, high = certainty.shares[0], certainty.shares[-1]
    if isinstance(share, bool) or not low - 1e-9 <= share <= high + 1e-9:
        raise InputError(
            f"expected a share of answered faces from {low:g} to {high:g}, got {share}. "
            f"Ask for {DEFAULT_SHARE:g}: the surest seven faces in ten.",
            actual=share,
        )
    return float(np.interp(share, certainty.shares, certainty.sure_scores))


def are_sure(scores: NDArray[np.floating], least: float) -> NDArray[np.bool_]:
    """(N,) whether each face's highest score reaches `least`, from `sure_score`."""
    return np.asarray(np.asarray(scores, np.float64).max(axis=1) >= least, np.bool_)


class Doubt:
    """Sets and abstention as they were asked for, added to faces.

    Args:
        contract: of the model that scores the faces.
        sets: level of the sets, 0.5 to 0.99; None gives no sets.
        abstain: share of faces that shall be answered; None does not say whether.

    Raises:
        InputError: a number that the contract has not.
        ContractError: something is asked for that the model was not calibrated for.
    """

    def __init__(
        self, contract: Contract, *, sets: float | None = None, abstain: float | None = None
    ) -> None:
        self._least = None if sets is None else least_scores(contract, sets)
        self._sure = None if abstain is None else sure_score(contract, abstain)

    def about(self, face: Face) -> Face:
        """The face with its `set` and `sure`, where they were asked for.

        A face with a warning is never sure: its scores may be worthless, however high.
        """
        if self._least is None and self._sure is None:
            return face
        scores = np.array([list(face.scores.values())])
        names, sure = face.set, face.sure
        if self._least is not None:
            inside = label_sets(scores, self._least)[0]
            held = [label for label, one in zip(face.scores, inside, strict=True) if one]
            # In a clip the steady label may for moments not have the highest score.
            held = held if face.label in held else [*held, face.label]
            names = tuple(sorted(held, key=lambda label: -face.scores[label]))
        if self._sure is not None:
            sure = not face.warnings and bool(are_sure(scores, self._sure)[0])
        return replace(face, set=names, sure=sure)


def _certainty(contract: Contract) -> Certainty:
    if contract.certainty is None:
        raise ContractError(
            f"expected a model that was calibrated for sets and abstention, got {contract.name!r}, "
            "which was not. Run `facetell calibrate MODEL.onnx --data DATA --out NEW.onnx`."
        )
    return contract.certainty

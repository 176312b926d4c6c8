"""Linear models on frozen features: what they say by a straight line, and nothing learned else.

Letters: N people, D features, K classes or values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facetell.errors import require

__all__ = ["Linear", "Scaling", "fit_one_vs_rest", "fit_ridge"]

Floats = NDArray[np.float64]


class Scaling(NamedTuple):
    """Brings features to mean 0 and deviation 1, as the people it was made from have them."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, features: NDArray[Any]) -> Scaling:
        """The scaling of (N, D) features."""
        values = np.asarray(features, np.float64)
        return cls(values.mean(axis=0), values.std(axis=0) + 1e-6)

    def apply(self, features: NDArray[Any]) -> Floats:
        """(N, D), scaled."""
        return np.asarray((features - self.mean) / self.deviation, np.float64)


class Linear(NamedTuple):
    """weight (K, D) and bias (K,)."""

    weight: Floats
    bias: Floats

    def apply(self, features: Floats) -> Floats:
        """(N, K)."""
        return np.asarray(features @ self.weight.T + self.bias, np.float64)


def fit_one_vs_rest(features: Floats, truth: NDArray[np.bool_], *, c: float) -> Linear:
    """One linear SVM for each class, for itself (squared hinge, scikit-learn).

    Both sides of every class weigh the same in all, however rare it is, so that margins of
    different classes can be compared. A class that nobody or everybody belongs to gets a
    constant margin.

    Args:
        features: (N, D), scaled.
        truth: (N, K).
        c: weight of the losses against the size of the weights.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    svm: Any = require("sklearn.svm", extra="evaluate", purpose="fitting SVMs on EMOTIC")
    weight = np.zeros((truth.shape[1], features.shape[1]))
    bias = np.where(truth.all(axis=0), 1.0, -1.0)
    for k in np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0)):
        model = svm.LinearSVC(C=c, dual=False, class_weight="balanced", tol=1e-3, max_iter=2000)
        fitted = model.fit(features, truth[:, k])
        weight[k], bias[k] = fitted.coef_[0], fitted.intercept_[0]
    return Linear(weight, bias)


def fit_ridge(features: Floats, values: Floats, *, alpha: float) -> Linear:
    """Least squares with a penalty on the size of the weights (scikit-learn).

    Args:
        features: (N, D), scaled.
        values: (N, K).
        alpha: weight of the penalty; that of one person is 1.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    models: Any = require(
        "sklearn.linear_model", extra="evaluate", purpose="fitting regressors on EMOTIC"
    )
    fitted = models.Ridge(alpha=alpha).fit(features, values)
    return Linear(np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_))

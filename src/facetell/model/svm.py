"""Decision: a linear one-vs-rest SVM, fitted in three ways.

End to end: `squared_hinge` through the network (Tang 2013, "Deep Learning using Linear Support
Vector Machines"). Post hoc on frozen features: `fit_sklearn` and `fit_admm`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetell.errors import InputError, require
from facetell.recipe import SvmOptions

__all__ = ["LinearSvm", "fit_admm", "fit_sklearn", "fit_svm", "squared_hinge", "svm_objective"]

#: weight (K, D) and bias (K,) of a linear SVM; margins are features @ weight.T + bias.
LinearSvm = tuple[NDArray[np.float32], NDArray[np.float32]]


def squared_hinge(margins: Tensor, targets: Tensor) -> Tensor:
    """One-vs-rest squared hinge, summed over classes, averaged over faces.

    A target that is a probability p weighs the loss of "is" by p and that of "is not" by 1 - p;
    the margin that such a face asks for is 2 p - 1.

    Args:
        margins: (B, K).
        targets: (B, K) probabilities of the classes, one 1 and zeros for a plain label.

    Source: Tang 2013, equation 10 (the L2 term is the optimiser's weight decay).
    """
    is_so, is_not = ((1 - sign * margins).clamp_min(0).square() for sign in (1, -1))
    return torch.lerp(is_not, is_so, targets).sum(1).mean()


def svm_objective(
    weight: NDArray[np.float64],
    features: NDArray[np.float64],
    signs: NDArray[np.float64],
    l2: float,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """l2/2 |w|^2 + sum over faces and classes of weights * max(0, 1 - signs * margins)^2.

    Args:
        weight: (K, D + 1); the last column is the bias, and is penalised like the rest.
        features: (N, D + 1); the last column is 1.
        signs: (N, K), +1 for the true class, -1 elsewhere.
    """  # fmt: skip
    losses = np.maximum(0, 1 - signs * (features @ weight.T)) ** 2
    if weights is not None:
        losses *= weights[:, None]
    return float(l2 / 2 * np.sum(weight**2) + losses.sum())


def fit_admm(
    features: NDArray[np.floating],
    targets: NDArray[np.integer],
    *,
    classes: int,
    l2: float = 0.0015,
    rho: float = 0.025,
    iterations: int = 100,
    absolute: float = 1e-4,
    relative: float = 1e-3,
    balanced: bool = False,
) -> tuple[LinearSvm, list[float]]:
    """Linear SVM by the alternating direction method of multipliers.

    Minimises l2/2 |w|^2 + sum of squared hinges, with z = A w split off:
    w-update (l2 I + rho A'A)^-1 rho A'(z - u), inverted once; z-update the closed form of the
    squared hinge's proximal map; u += A w - z. Over-relaxed by 1.6.

    Args:
        features: (N, D).
        targets: (N,) class indices.
        classes: K.
        l2: lambda. With the *sum* of losses, the paper's .0015 and rho = .025 converge in
            about 20 iterations; with their mean they do not.
        rho: penalty on A w = z.
        iterations: most iterations.
        absolute, relative: stop when both residuals are below these tolerances.
        balanced: weigh faces inversely to their class's size.

    Returns:
        The SVM, and the objective after every iteration.

    Source: Boyd et al. 2011, "Distributed Optimization and Statistical Learning via ADMM",
    sections 3.1 (equations 3.5-3.7), 3.3.1 (stopping) and 3.4.3 (over-relaxation).
    """  # fmt: skip
    a, signs, weights = _problem(features, targets, classes, balanced)
    n, d = a.shape
    inverse = np.linalg.inv(l2 * np.eye(d) + rho * (a.T @ a))
    z = np.zeros((n, classes))
    u = np.zeros_like(z)
    w = np.zeros((d, classes))
    history: list[float] = []
    for _ in range(iterations):
        w = inverse @ (rho * (a.T @ (z - u)))
        margins = a @ w
        relaxed = 1.6 * margins - 0.6 * z
        previous, z = z, _prox_squared_hinge(relaxed + u, signs, weights, rho)
        u += relaxed - z
        history.append(svm_objective(w.T, a, signs, l2, weights))
        primal = np.linalg.norm(margins - z)
        dual = rho * np.linalg.norm(a.T @ (z - previous))
        primal_limit = np.sqrt(n * classes) * absolute + relative * max(
            np.linalg.norm(margins), np.linalg.norm(z)
        )
        dual_limit = np.sqrt(d * classes) * absolute + relative * rho * np.linalg.norm(a.T @ u)
        if primal < primal_limit and dual < dual_limit:
            break
    return _as_svm(w.T), history


def fit_sklearn(
    features: NDArray[np.floating],
    targets: NDArray[np.integer],
    *,
    classes: int,
    l2: float = 0.0015,
    balanced: bool = False,
) -> LinearSvm:
    """Linear SVM by scikit-learn's LinearSVC: the same objective, its C is 1 / l2."""  # fmt: skip
    svm = require("sklearn.svm", extra="evaluate", purpose="fitting an SVM with scikit-learn")
    missing = sorted(set(range(classes)) - set(np.unique(targets).tolist()))
    if missing:
        raise InputError(
            f"expected faces of all {classes} classes, got none of {missing}. Add "
            "some, or fit by ADMM (svm.fit=admm)."
        )
    # scikit-learn minimises |w|^2 / 2 + C sum of losses; ours, divided by l2.
    fitted = svm.LinearSVC(
        loss="squared_hinge", C=1 / l2, dual=False, tol=1e-4, max_iter=2000,
        class_weight="balanced" if balanced else None,
    ).fit(np.asarray(features, np.float64), targets)  # fmt: skip
    weight, bias = fitted.coef_, fitted.intercept_
    if classes == 2:
        weight, bias = np.vstack([-weight, weight]), np.concatenate([-bias, bias])
    # Fortran-ordered arrays are written wrongly by safetensors, without an error.
    return np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(bias, np.float32)


def fit_svm(
    features: NDArray[np.floating], targets: NDArray[np.integer], classes: int, options: SvmOptions
) -> LinearSvm:
    """A linear SVM on frozen features (N, D) by the recipe's post-hoc method.

    Features are standardised for the fit, and the scaling is folded into the weights, so that
    one lambda means the same for every network.
    """
    mean = features.mean(0, dtype=np.float64)
    deviation = features.std(0, dtype=np.float64) + 1e-6
    scaled = (features - mean) / deviation
    if options.fit == "admm":
        (weight, bias), _ = fit_admm(
            scaled, targets, classes=classes, l2=options.l2, rho=options.rho,
            iterations=options.iterations, balanced=options.balanced,
        )  # fmt: skip
    elif options.fit == "sklearn":
        weight, bias = fit_sklearn(
            scaled, targets, classes=classes, l2=options.l2, balanced=options.balanced
        )
    else:
        raise InputError(f"expected svm.fit 'sklearn' or 'admm' for a refit, got {options.fit!r}.")
    folded = weight / deviation
    return (
        np.ascontiguousarray(folded, np.float32),
        np.ascontiguousarray(bias - folded @ mean, np.float32),
    )


def _problem(
    features: NDArray[np.floating], targets: NDArray[np.integer], classes: int, balanced: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    a = np.hstack([np.asarray(features, np.float64), np.ones((len(features), 1))])
    signs = np.where(np.asarray(targets)[:, None] == np.arange(classes), 1.0, -1.0)
    if not balanced:
        return a, signs, None
    counts = np.bincount(targets, minlength=classes)
    return a, signs, len(targets) / (np.count_nonzero(counts) * counts[targets])


def _prox_squared_hinge(
    v: NDArray[np.float64],
    signs: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    rho: float,
) -> NDArray[np.float64]:
    """argmin over z of weights * max(0, 1 - signs z)^2 + rho/2 (z - v)^2, elementwise."""
    slope = 2.0 if weights is None else 2 * weights[:, None]
    inside = (rho * v + slope * signs) / (rho + slope)
    return np.where(signs * v >= 1, v, inside)


def _as_svm(weight: NDArray[np.float64]) -> LinearSvm:
    return (
        np.ascontiguousarray(weight[:, :-1], np.float32),
        np.ascontiguousarray(weight[:, -1], np.float32),
    )

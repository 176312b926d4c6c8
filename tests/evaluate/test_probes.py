from __future__ import annotations

import numpy as np
import pytest

from facetell.evaluate.probes import Linear, Scaling, fit_one_vs_rest, fit_ridge

pytest.importorskip("sklearn")


def cloud(count: int = 300, dimensions: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, dimensions))


def test_scaled_features_have_mean_0_and_deviation_1():
    features = (cloud() * 7 + 3).astype(np.float32)
    scaled = Scaling.of(features).apply(features)
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-6)
    assert scaled.std(axis=0) == pytest.approx(np.ones(6), abs=1e-6)


def test_a_feature_that_never_changes_stays_finite():
    assert (Scaling.of(np.ones((5, 2))).apply(np.ones((5, 2))) == 0).all()


def test_margins_are_scikit_learns():
    svm = pytest.importorskip("sklearn.svm")
    features = cloud()
    truth = np.stack([features[:, 0] > 1, features[:, 1] + features[:, 2] > 0], axis=1)
    margins = fit_one_vs_rest(features, truth, c=0.1).apply(features)
    for k in range(2):
        model = svm.LinearSVC(C=0.1, dual=False, class_weight="balanced", tol=1e-3)
        model.fit(features, truth[:, k])
        assert margins[:, k] == pytest.approx(model.decision_function(features))
    assert ((margins > 0) == truth).mean() > 0.95


def test_classes_of_nobody_and_everybody_get_constant_margins():
    truth = np.stack([np.zeros(300, bool), np.ones(300, bool), cloud()[:, 0] > 0], axis=1)
    margins = fit_one_vs_rest(cloud(), truth, c=1).apply(cloud())
    assert (margins[:, 0] == -1).all()
    assert (margins[:, 1] == 1).all()
    assert np.isfinite(margins).all()


def test_ridge_finds_the_line_that_made_the_values():
    made = Linear(np.arange(12.0).reshape(2, 6), np.array([5.0, -5.0]))
    found = fit_ridge(cloud(), made.apply(cloud()), alpha=1e-6)
    assert found.weight == pytest.approx(made.weight, abs=1e-6)
    assert found.bias == pytest.approx(made.bias, abs=1e-6)

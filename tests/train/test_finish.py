"""Calibration."""

import numpy as np
import pytest

pytest.importorskip("torch")

from facetell.evaluate.calibration import fit_scale
from facetell.predictor import softmax


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_the_scale_that_made_the_labels_is_found(scale):
    random = np.random.default_rng(0)
    margins = random.normal(size=(20_000, 7)) / scale
    scores = softmax(margins, scale)
    targets = (scores.cumsum(1) > random.random((20_000, 1))).argmax(1)

    assert fit_scale(margins, targets) == pytest.approx(scale, rel=0.05)


def test_scores_keep_the_order_of_margins_and_sum_to_one():
    margins = np.random.default_rng(1).normal(size=(50, 7)) * 100

    scores = softmax(margins, 3.0)

    assert np.allclose(scores.sum(1), 1, atol=1e-5)
    assert (scores.argmax(1) == margins.argmax(1)).all()
    assert softmax(margins[:0], 1.0).shape == (0, 7)

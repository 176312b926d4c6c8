"""The same face gets the same scores alone, in a batch, and in any order."""

import numpy as np
import pytest

from facetell.datasets.toon import make_toon
from facetell.runtime.session import bundled_models, load

#: Kernels for one face and for many add in another order: float32 rounding, no more.
ROUNDING = 2e-6


@pytest.fixture(scope="module")
def faces():
    dataset = make_toon(characters=10, per_emotion=1)
    return dataset.faces(range(64))


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("name", bundled_models())
def test_a_face_gets_the_same_scores_in_any_company(name, flip, faces):
    model = load(name, threads=1, flip=flip)
    order = np.random.default_rng(0).permutation(64)
    alone = np.concatenate([model.predict(faces[i : i + 1]).scores for i in range(64)])

    eights = np.concatenate([model.predict(faces[i : i + 8]).scores for i in range(0, 64, 8)])
    together = model.predict(faces).scores
    shuffled = model.predict(faces[order]).scores

    assert alone.std(axis=0).min() > 0.001  # the faces are told apart
    for scores in (eights, together):
        np.testing.assert_allclose(scores, alone, atol=ROUNDING)
        np.testing.assert_array_equal(scores.argmax(axis=1), alone.argmax(axis=1))
    np.testing.assert_allclose(shuffled, together[order], atol=ROUNDING)
    # More faces than one call of the graph takes
    np.testing.assert_allclose(
        model.predict(np.concatenate([faces[:9], faces])).scores[9:], alone, atol=ROUNDING
    )

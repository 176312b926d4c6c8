"""Three ways to a linear SVM."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facetell.errors import InputError  # noqa: E402
from facetell.model.svm import (  # noqa: E402
    fit_admm,
    fit_sklearn,
    fit_svm,
    squared_hinge,
    svm_objective,
)
from facetell.recipe import SvmOptions  # noqa: E402


def blobs(n=600, d=8, classes=4, spread=1.5):
    random = np.random.default_rng(3)
    centres = random.normal(size=(classes, d))
    targets = random.integers(0, classes, n)
    return centres[targets] + spread * random.normal(size=(n, d)), targets


def objective(svm, features, targets, l2):
    weight, bias = svm
    with_bias = np.hstack([weight, bias[:, None]]).astype(np.float64)
    signs = np.where(targets[:, None] == np.arange(len(weight)), 1.0, -1.0)
    return svm_objective(with_bias, np.hstack([features, np.ones((len(features), 1))]), signs, l2)


def test_squared_hinge_is_the_slow_double_loop():
    margins, targets = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    slow = sum(
        max(0.0, 1 - (1 if k == targets[n] else -1) * float(margins[n, k])) ** 2
        for n in range(5) for k in range(3)
    ) / 5  # fmt: skip

    plain = torch.nn.functional.one_hot(targets, 3).float()
    assert squared_hinge(margins, plain).item() == pytest.approx(slow, rel=1e-5)


def test_a_face_of_which_people_disagree_asks_for_a_margin_in_between():
    target = torch.tensor([[0.7, 0.2, 0.1]])
    margins = torch.zeros(1, 3, requires_grad=True)
    optimiser = torch.optim.SGD([margins], lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        squared_hinge(margins, target).backward()
        optimiser.step()
    assert margins.detach().numpy() == pytest.approx((2 * target - 1).numpy(), abs=1e-3)


def test_squared_hinge_is_zero_only_beyond_the_margin():
    targets = torch.tensor([[0.0, 1.0, 0.0]])

    assert squared_hinge(torch.tensor([[-1.0, 1.0, -1.5]]), targets) == 0
    assert squared_hinge(torch.tensor([[-1.0, 0.9, -1.5]]), targets) > 0


@pytest.mark.parametrize("l2", [0.0015, 1.0, 50.0])
def test_admm_and_scikit_learn_find_the_same_minimum(l2):
    features, targets = blobs()

    admm, _ = fit_admm(features, targets, classes=4, l2=l2, iterations=300, relative=1e-6)
    sklearn = fit_sklearn(features, targets, classes=4, l2=l2)

    best = min(objective(s, features, targets, l2) for s in (admm, sklearn))
    assert objective(admm, features, targets, l2) <= best * 1.001
    assert objective(sklearn, features, targets, l2) <= best * 1.001


def test_admm_with_the_printed_settings_is_near_its_minimum_after_twenty_iterations():
    features, targets = blobs(n=2000)

    _, history = fit_admm(features, targets, classes=4, iterations=400, relative=1e-9)

    assert history[19] <= history[-1] * 1.01
    assert history[0] > history[-1] * 1.05  # and it had something to do


def test_admm_stops_by_itself():
    features, targets = blobs()

    _, history = fit_admm(features, targets, classes=4, iterations=400)

    assert len(history) < 400


def test_balanced_weights_raise_the_recall_of_a_rare_class():
    features, targets = blobs(n=1500, spread=3.0)
    keep = (targets != 2) | (np.random.default_rng(0).random(1500) < 0.1)
    features, targets = features[keep], targets[keep]

    def recall(balanced):
        weight, bias = fit_admm(features, targets, classes=4, balanced=balanced)[0]
        return ((features @ weight.T + bias).argmax(1) == 2)[targets == 2].mean()

    assert recall(True) > recall(False)


@pytest.mark.parametrize("fit", ["sklearn", "admm"])
def test_the_fitted_svm_does_not_care_about_the_features_scale(fit):
    features, targets = blobs()
    stretch, move = np.logspace(-2, 2, 8), np.arange(8.0)

    plain = fit_svm(features, targets, 4, SvmOptions(fit=fit))
    scaled = fit_svm(features * stretch + move, targets, 4, SvmOptions(fit=fit))

    margins = features @ plain[0].T + plain[1]
    assert np.allclose(margins, (features * stretch + move) @ scaled[0].T + scaled[1], atol=0.02)
    assert (margins.argmax(1) == targets).mean() > 0.6


def test_weights_come_in_c_order_for_safetensors():
    features, targets = blobs()

    weight, _ = fit_sklearn(features, targets, classes=4)

    assert weight.flags["C_CONTIGUOUS"]


def test_a_class_without_faces_is_an_error():
    features, targets = blobs()

    with pytest.raises(InputError, match=r"faces of all 5 classes, got none of \[4\]"):
        fit_sklearn(features, targets, classes=5)


def test_end_to_end_is_no_refit():
    with pytest.raises(InputError, match="'sklearn' or 'admm'"):
        fit_svm(*blobs(), 4, SvmOptions(fit="end-to-end"))

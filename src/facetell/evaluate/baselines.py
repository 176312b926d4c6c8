"""What learned features must beat: a designed descriptor, then a standard classifier.

They are fitted to a `TrainSide` and judged like any model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.datasets.sample import Dataset, Side
from facetell.datasets.splits import Split, TrainSide
from facetell.errors import DataError, InputError, require
from facetell.evaluate.descriptors import Kind, describe
from facetell.evaluate.judged import Judged, judge, judged_side
from facetell.predictor import Prediction, softmax
from facetell.tensors import grey

__all__ = ["BASELINES", "Baseline", "Method", "fit_baseline", "judge_baselines"]

Descriptor = Literal["hog", "lbp", "gabor", "zernike", "pca", "ica"]
Classifier = Literal["svm", "knn", "forest"]
Floats = NDArray[np.float32]
Progress = Callable[[str, float], None]

_FACE_PX = 48
_BLOCK = 1024
#: Principal or independent components of the pixels.
_COMPONENTS = 100
_TREES = 100
#: Each tree sees as many faces, drawn with repetition, or all where there are fewer.
_TREE_FACES = 8000
#: Passes over the train side; the SVM's weights are averaged over all steps.
_PASSES = 10
#: Margin of an emotion that is not on the train side; below every log of a share.
_ABSENT = -10.0
_SMALLEST_SHARE = 1e-4


class Method(NamedTuple):
    """One of the BASELINES: which numbers describe a face, and what decides on them."""

    descriptor: Descriptor
    classifier: Classifier


#: Name -> method: each descriptor with each classifier, "hog-svm" to "ica-forest".
BASELINES: dict[str, Method] = {
    f"{descriptor}-{classifier}": Method(descriptor, classifier)
    for descriptor in get_args(Descriptor)
    for classifier in get_args(Classifier)
}


class _Setting(NamedTuple):
    """The one hyper-parameter of a classifier.

    Attributes:
        name: of scikit-learn's argument.
        fixed: used where the validation side is judged: usual values. No judged face was
            looked at; alpha was also the best for `gabor` on 2,000 held-out faces of FER2013's
            train side.
        tried: compared on the validation side where another side is judged.
    """

    name: str
    fixed: float
    tried: tuple[float, ...]


_SETTINGS: dict[Classifier, _Setting] = {
    "svm": _Setting("alpha", 1e-4, (1e-5, 1e-4, 1e-3)),
    "knn": _Setting("n_neighbors", 15, (1, 5, 15, 30)),
    "forest": _Setting("min_samples_leaf", 2, (1, 2, 5)),
}

_TEXTS = {
    "hog": "histograms of oriented gradients",
    "lbp": "local binary patterns",
    "gabor": "Gabor filters",
    "zernike": "Zernike moments",
    "pca": "principal components of the pixels",
    "ica": "independent components of the pixels",
    "svm": "linear SVM",
    "knn": "nearest neighbours",
    "forest": "random trees",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """A fitted two-step method; a `Predictor`, so that `judge` and `evaluate` take it.

    Attributes:
        contract: name, labels and face size; `results` holds the classifier's setting and
            where it comes from. Scores are not calibrated.
        method: the two steps.
    """

    contract: Contract
    method: Method
    _prepare: Callable[[Floats], Floats]
    _classifier: Any

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Margins: distances from the SVM's planes, or logs of the shares of votes."""
        planes = faces if faces.ndim == 3 else grey(faces)
        labels = len(self.contract.labels)
        blocks = [
            _margins(self._classifier, self._features(planes[start : start + _BLOCK]), labels)
            for start in range(0, len(planes), _BLOCK)
        ]
        margins = np.concatenate([np.empty((0, labels), np.float32), *blocks])
        return Prediction(margins, softmax(margins, self.contract.score_scale))

    def _features(self, faces: NDArray[np.uint8]) -> Floats:
        return self._prepare(describe(faces, _kind(self.method)))


def fit_baseline(
    name: str,
    train: TrainSide,
    *,
    validation: NDArray[np.int64] | None = None,
    protocol: str = "",
    seed: int = 0,
) -> Baseline:
    """One of the BASELINES, fitted to the train side of a split.

    Args:
        name: a key of BASELINES.
        train: made by `split`, oversampled or not.
        validation: indices of faces to choose the classifier's setting by. Leave it out where
            these faces are to be judged: the setting is then a fixed one.
        protocol: how the sides were kept apart, for the contract.
        seed: of the random trees and the components.

    Raises:
        InputError: an unknown name, or anything but a TrainSide.
        DataError: faces of one emotion only.
        MissingExtra: scikit-learn or scikit-image is not installed.

    Example:
        baseline = fit_baseline("hog-svm", split(dataset).train)
    """
    method = _method(name)
    _check(train)
    dataset = train.dataset
    features = describe(_faces(dataset, train.indices), _kind(method))
    held = None if validation is None else _held_out(dataset, validation, _kind(method))
    return _fit(method, train, features, held, protocol, seed)


def judge_baselines(
    split: Split,
    names: Iterable[str] = tuple(BASELINES),
    *,
    side: Side | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Judged]:
    """Fits the baselines one after the other and judges each on one side of the split.

    Where the test side is judged, settings are chosen on the validation side; where the
    validation side is judged, they are fixed. Names that share a descriptor and follow each
    other share the work of describing the train side.

    Args:
        names: keys of BASELINES.
        side: `validation` or `test`; by default test if it has faces, else validation.
        progress: called with a phase and its share done, 0-1.

    Example:
        for judged in judge_baselines(parts, ["hog-svm", "lbp-svm"]):
            print(judged.contract.name, judged.correct.mean())
    """
    dataset, train = split.dataset, split.train
    chosen, _ = judged_side(split, side)
    validates = chosen == "test" and len(split.validation) > 0
    report = progress or (lambda phase, share: None)
    for kind, same in groupby(names, lambda name: _kind(_method(name))):
        faces = _faces(dataset, train.indices)
        features = describe(faces, kind, progress=partial(_share, report, f"describing ({kind})"))
        held = _held_out(dataset, split.validation, kind) if validates else None
        for name in same:
            report(f"fitting {name}", 0)
            baseline = _fit(BASELINES[name], train, features, held, split.protocol, seed)
            yield judge(baseline, dataset, split, side=chosen)


def _share(report: Progress, phase: str, done: int, total: int) -> None:
    report(phase, done / total)


def _method(name: str) -> Method:
    if name not in BASELINES:
        raise InputError(
            f"baseline must be one of {', '.join(BASELINES)}, got {name!r}.", actual=name
        )
    return BASELINES[name]


def _check(train: TrainSide) -> None:
    if not isinstance(train, TrainSide):
        raise InputError(
            f"a baseline is fitted to the train side of a split, got {type(train).__name__}. "
            "Call fit_baseline(name, split(dataset).train): what it is judged on must be kept "
            "apart first.",
            actual=type(train).__name__,
        )


def _kind(method: Method) -> Kind:
    descriptor = method.descriptor
    return "pixels" if descriptor == "pca" or descriptor == "ica" else descriptor


def _faces(dataset: Dataset, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    return dataset.faces(indices, face_px=_FACE_PX)


class _Held(NamedTuple):
    """Faces to choose by: (V, D) features before preparation, (V,) label indices."""

    features: Floats
    targets: NDArray[np.int64]


def _held_out(dataset: Dataset, indices: NDArray[np.int64], kind: Kind) -> _Held:
    return _Held(describe(_faces(dataset, indices), kind), dataset.targets[indices])


def _fit(
    method: Method, train: TrainSide, features: Floats, held: _Held | None, protocol: str, seed: int
) -> Baseline:
    if len(np.unique(train.targets)) < 2:
        raise DataError(
            f"expected faces of two or more emotions on the train side of {train.dataset.name}, "
            f"got {len(train)} faces of {len(np.unique(train.targets))}. Add data.",
            actual=len(train),
        )
    prepare = _preparation(method.descriptor, features, seed)
    table = prepare(features)
    setting = _SETTINGS[method.classifier]
    values = (setting.fixed,) if held is None else setting.tried
    fitted = [_classifier(method.classifier, table, train.targets, v, seed) for v in values]
    best = 0 if held is None else _best(fitted, prepare(held.features), held.targets)
    contract = _contract(method, train.dataset, protocol)
    facts = {
        setting.name: values[best],
        "chosen": "fixed" if held is None else "on the validation side",
    }
    return Baseline(
        contract=replace(contract, results=facts),
        method=method,
        _prepare=prepare,
        _classifier=fitted[best],
    )


def _best(fitted: list[Any], table: Floats, targets: NDArray[np.int64]) -> int:
    right = [float((one.predict(table) == targets).mean()) for one in fitted]
    return int(np.argmax(right))


def _preparation(descriptor: Descriptor, features: Floats, seed: int) -> Callable[[Floats], Floats]:
    """What the train side's features say about scale: a map (n, D) -> (n, D').

    The train side's rows come out with mean zero and an average squared length of one.
    """
    mean = features.mean(axis=0)
    if descriptor in ("pca", "ica"):
        axes = _axes(features, mean, independent=descriptor == "ica", seed=seed)  # (D, D')
        return lambda x: np.asarray((x - mean) @ axes, np.float32)
    deviation = features.std(axis=0) * np.sqrt(features.shape[1])
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0).astype(np.float32)
    return lambda x: np.asarray((x - mean) * scale, np.float32)


def _axes(features: Floats, mean: Floats, *, independent: bool, seed: int) -> Floats:
    """(D, D') principal axes, or independent ones within the space of these.

    Principal components keep the ratio of their variances, independent ones all have the same.
    With equal variances, both would be one and the same to everything that looks at distances
    and planes (Yang et al. 2007).
    """
    decomposition = require("sklearn.decomposition", extra="evaluate", purpose="the baselines")
    count = min(_COMPONENTS, len(features) - 1)
    solver = "covariance_eigh" if len(features) > features.shape[1] else "full"
    principal = decomposition.PCA(count, svd_solver=solver).fit(features)
    directions, variances = principal.components_, principal.explained_variance_
    if not independent:
        return np.asarray(directions.T / np.sqrt(variances.sum()), np.float32)
    white = directions.T / np.sqrt(np.maximum(variances, 1e-9))  # (D, D')
    turn = decomposition.FastICA(whiten=False, max_iter=200, tol=1e-3, random_state=seed)
    # It warns where 200 rounds were not enough; the axes are orthogonal all the same.
    with warnings.catch_warnings(action="ignore"):
        turn.fit((features - mean) @ white)
    return np.asarray(white @ turn.components_.T / np.sqrt(count), np.float32)


def _classifier(
    kind: Classifier, table: Floats, targets: NDArray[np.int64], value: float, seed: int
) -> Any:
    """A fitted scikit-learn classifier with its one setting at `value`."""
    purpose = "the baselines"
    made: Any
    if kind == "svm":
        # Averaged steps: LinearSVC took a minute for 57,000 rows of 128 features, and these have
        # up to 900. Not the squared hinge: its steps diverge on faces with large features.
        linear = require("sklearn.linear_model", extra="evaluate", purpose=purpose)
        made = linear.SGDClassifier(
            alpha=value, average=True, max_iter=_PASSES, tol=None, random_state=seed
        )
    elif kind == "knn":
        neighbors = require("sklearn.neighbors", extra="evaluate", purpose=purpose)
        count = min(int(value), len(table))
        made = neighbors.KNeighborsClassifier(count, algorithm="brute")
    else:
        ensemble = require("sklearn.ensemble", extra="evaluate", purpose=purpose)
        made = ensemble.RandomForestClassifier(
            _TREES, min_samples_leaf=int(value), max_samples=min(_TREE_FACES, len(table)),
            random_state=seed,
        )  # fmt: skip
    return made.fit(table, targets)


def _margins(classifier: Any, table: Floats, labels: int) -> Floats:
    """(n, K); emotions that the classifier has not seen get the margin _ABSENT."""
    if hasattr(classifier, "decision_function"):
        seen = classifier.decision_function(table)
        seen = np.stack([-seen, seen], axis=1) if seen.ndim == 1 else seen
    else:
        seen = np.log(np.maximum(classifier.predict_proba(table), _SMALLEST_SHARE))
    out = np.full((len(table), labels), _ABSENT, np.float32)
    out[:, classifier.classes_] = seen
    return out


def _contract(method: Method, dataset: Dataset, protocol: str) -> Contract:
    steps = f"{_TEXTS[method.descriptor]}, then {_TEXTS[method.classifier]}"
    return Contract(
        name="-".join(method),
        labels=dataset.labels,
        face_px=_FACE_PX,
        flip=False,
        architecture=steps,
        protocol=protocol,
        score_meaning="Margins or shares of votes made to sum to 1; not calibrated.",
    )

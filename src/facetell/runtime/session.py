"""A model file -> a predictor. Needs onnxruntime and numpy, nothing else."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facetell.contract import METADATA_KEY, Contract
from facetell.errors import ContractError, InputError
from facetell.graph import open_graph
from facetell.predictor import Prediction, softmax
from facetell.tensors import to_tensor

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["BATCH", "MODELS", "Model", "bundled_models", "load", "locate", "read_contract"]

#: Folder of the bundled models.
MODELS = Path(__file__).parent.parent / "models"
#: Faces per graph call.
BATCH = 64


class Model:
    """An ONNX model and its contract; a `Predictor`. Get one from `load`.

    Attributes:
        contract: what the model takes and gives.
        path: the file.
        flip: whether `predict` averages each face with its mirror image.
    """

    def __init__(self, path: Path, *, threads: int | None = None, flip: bool | None = None) -> None:
        self.path = path
        self._graph = open_graph(path, threads=threads)
        self.contract = read_contract(self._graph, path)
        _check_interface(self._graph, self.contract, path)
        self.flip = self.contract.flip if flip is None else flip
        self._outputs = [output.name for output in self._graph.get_outputs()]

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Margins and scores of N faces; N may be 0 and large.

        Args:
            faces: uint8, (N, S, S) grey or (N, S, S, 3) RGB; (N, T, S, S, 3) for a model that
                reads windows of T frames. S is `contract.face_px`.

        Raises:
            InputError: another dtype or shape.
        """
        _check_frames(faces, self.contract)
        parts = [
            self._predict_batch(to_tensor(faces[start : start + BATCH], self.contract))
            for start in range(0, max(len(faces), 1), BATCH)
        ]
        thetas = [part.theta for part in parts if part.theta is not None]
        return Prediction(
            np.concatenate([part.margins for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate(thetas) if thetas else None,
        )

    def _predict_batch(self, tensor: NDArray[np.float32]) -> Prediction:
        """(B, T, C, S, S) -> margins and scores of B faces, or of B windows."""
        first = self._run(tensor)
        theta = first["theta"][:, -1] if "theta" in first else None  # (B, 2, 3): the last frame's
        if not self.flip:
            return Prediction(first["margins"], first["scores"], theta)
        mirrored = self._run(np.ascontiguousarray(tensor[..., ::-1]))
        margins = (first["margins"] + mirrored["margins"]) * np.float32(0.5)
        return Prediction(margins, softmax(margins, self.contract.score_scale), theta)

    def _run(self, tensor: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        # onnxruntime's LSTM aborts the whole process on an empty batch: a photo without faces.
        fed = tensor if len(tensor) else np.zeros((1, *tensor.shape[1:]), np.float32)
        found = self._graph.run(None, {"faces": fed})
        return {n: out[: len(tensor)] for n, out in zip(self._outputs, found, strict=True)}


def load(
    name_or_path: str | Path, *, threads: int | None = None, flip: bool | None = None
) -> Model:
    """A model by its bundled name or its path.

    Args:
        name_or_path: e.g. "compact" (see `facetell models list`) or "runs/mine/model.onnx".
        threads: threads for the network; None takes every processor.
        flip: average each face with its mirror image; None does what the contract says.

    Raises:
        InputError: no bundled model of that name.
        ContractError: no such file, not ONNX, or without a contract.
    """
    return Model(locate(name_or_path), threads=threads, flip=flip)


def bundled_models() -> dict[str, Path]:
    """Names and files of the models that come with facetell, sorted by name."""
    return {path.stem: path for path in sorted(MODELS.glob("*.onnx"))}


def locate(name_or_path: str | Path) -> Path:
    """The file of a bundled model, or the path as given."""
    bundled = bundled_models()
    if isinstance(name_or_path, str) and name_or_path in bundled:
        return bundled[name_or_path]
    path = Path(name_or_path)
    if path.suffix or len(path.parts) > 1 or path.is_file():
        return path
    close = difflib.get_close_matches(str(path), bundled, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(
        f"unknown model {str(path)!r}; bundled models are: {', '.join(bundled) or 'none'}.{guess} "
        "Name one of them, or give the path of an .onnx file.",
        expected=tuple(bundled),
        actual=str(path),
    )


def read_contract(graph: onnxruntime.InferenceSession, path: Path) -> Contract:
    """The contract in an ONNX file's metadata."""
    text = graph.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ContractError(
            f"{path} has no facetell contract, so its labels and face size are unknown. "
            "Export it with `facetell export`.",
            path=str(path),
        )
    try:
        return Contract.from_json(text)
    except ContractError as error:
        raise ContractError(f"{path}: {error}", path=str(path)) from error


def _check_interface(graph: onnxruntime.InferenceSession, contract: Contract, path: Path) -> None:
    """The graph must take and give what its contract says."""
    side, labels = contract.face_px, len(contract.labels)
    expected = {
        "faces": [contract.window, contract.channels, side, side],
        "margins": [labels],
        "scores": [labels],
    }
    actual = {value.name: value.shape for value in (*graph.get_inputs(), *graph.get_outputs())}
    for name, shape in expected.items():
        got = actual.get(name)
        sizes = zip(got[1:], shape, strict=False) if got else ()
        agrees = got is not None and len(got) == len(shape) + 1
        if not agrees or any(isinstance(have, int) and have != want for have, want in sizes):
            raise ContractError(
                f"{path}: its contract promises {name!r} of shape (B, "
                f"{', '.join(map(str, shape))}), its graph has {got}. "
                "Export the model again with `facetell export`.",
                expected=shape,
                actual=got,
            )


def _check_frames(faces: NDArray[np.uint8], contract: Contract) -> None:
    frames = faces.shape[1] if faces.ndim == 5 else 1
    if frames != contract.window:
        raise InputError(
            f"{contract.name} reads {contract.window} frames at a time, got faces of shape "
            f"{faces.shape}. Pass (N, {contract.window}, S, S, 3), or use a model for stills.",
            expected=contract.window,
            actual=frames,
        )

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
from facetell.predictor import Prediction, calibrated
from facetell.tensors import to_tensor

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["BATCH", "MODELS", "Model", "bundled_models", "load", "locate", "read_contract"]

#: Folder of the bundled models.
MODELS = Path(__file__).parent.parent / "models"
#: Faces per graph call.
BATCH = 64


class Model:
    """An ONNX model and its contract; a `FramePredictor`. Get one from `load`.

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
            faces: uint8, (N, S, S) grey or (N, S, S, 3) RGB. S is `contract.face_px`. A model
                with an LSTM over frames takes each for the first frame of a clip.

        Raises:
            InputError: another dtype or shape.
        """
        return self.predict_next(faces, None, np.zeros(len(faces)))[0]

    def predict_next(
        self,
        faces: NDArray[np.uint8],
        memory: NDArray[np.float32] | None,
        elapsed_s: NDArray[np.floating],
    ) -> tuple[Prediction, NDArray[np.float32]]:
        """Margins and scores of the next frame of N clips; see `FramePredictor`.

        Returns:
            The prediction, and the memory (N, M, 2, H) afterwards: M is 2 with flip, else 1; H
            is `contract.memory`.
        """
        if memory is None:
            memory = np.zeros((len(faces), 1 + self.flip, 2, self.contract.memory), np.float32)
        parts = []
        for start in range(0, max(len(faces), 1), BATCH):
            some = slice(start, start + BATCH)
            tensor = to_tensor(faces[some], self.contract)
            parts.append(self._predict_batch(tensor, memory[some], elapsed_s[some]))
        thetas = [part.theta for part, _ in parts if part.theta is not None]
        steps = [part.steps for part, _ in parts if part.steps is not None]
        prediction = Prediction(
            np.concatenate([part.margins for part, _ in parts]),
            np.concatenate([part.scores for part, _ in parts]),
            np.concatenate(thetas) if thetas else None,
            np.concatenate(steps) if steps else None,
        )
        return prediction, np.concatenate([after for _, after in parts])

    def margins(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) of N stills as `facetell.tensors.to_tensor` makes them, (N, 1, C, S, S).

        No mirror images, one call of the graph, N at least 1.
        """
        count = len(tensor)
        memory = np.zeros((count, 2, self.contract.memory), np.float32)
        return self._run(tensor, memory, np.zeros(count))["margins"]

    def _predict_batch(
        self,
        tensor: NDArray[np.float32],
        memory: NDArray[np.float32],
        elapsed_s: NDArray[np.floating],
    ) -> tuple[Prediction, NDArray[np.float32]]:
        """(B, 1, C, S, S), (B, M, 2, H), (B,) -> margins and scores of B faces, and the memory."""
        first = self._run(tensor, memory[:, 0], elapsed_s)
        theta = first["theta"][:, 0] if "theta" in first else None  # (B, 2, 3)
        steps = first.get("steps")  # (B, L, K)
        after = first.get("next_memory", memory[:, 0])
        if not self.flip:
            scores = calibrated(first["margins"], self.contract)
            return Prediction(first["margins"], scores, theta, steps), after[:, None]
        mirrored = self._run(np.ascontiguousarray(tensor[..., ::-1]), memory[:, 1], elapsed_s)
        margins = (first["margins"] + mirrored["margins"]) * np.float32(0.5)
        both = np.stack([after, mirrored.get("next_memory", memory[:, 1])], 1)
        scores = calibrated(margins, self.contract)
        return Prediction(margins, scores, theta, steps), both

    def _run(
        self,
        tensor: NDArray[np.float32],
        memory: NDArray[np.float32],
        elapsed_s: NDArray[np.floating],
    ) -> dict[str, NDArray[np.float32]]:
        fed = {"faces": tensor}
        if self.contract.memory:
            fed |= {"memory": memory, "elapsed_s": elapsed_s.astype(np.float32)}
        if not len(tensor):
            # onnxruntime's LSTM aborts the whole process on an empty batch: a photo without faces.
            fed = {name: np.zeros((1, *value.shape[1:]), np.float32) for name, value in fed.items()}
        found = self._graph.run(None, fed)
        return {n: out[: len(tensor)] for n, out in zip(self._outputs, found, strict=True)}


def load(
    name_or_path: str | Path, *, threads: int | None = None, flip: bool | None = None
) -> Model:
    """A model by its bundled name or its path.

    Args:
        name_or_path: e.g. "strong-plus" (see `facetell models list`) or "runs/mine/model.onnx".
        threads: threads for the network; None takes every processor.
        flip: average each face with its mirror image; None does what the contract says.

    Raises:
        InputError: no bundled model of that name, or a folder.
        ContractError: no such file, not ONNX, or without a contract.
    """
    return Model(locate(name_or_path), threads=threads, flip=flip)


def bundled_models() -> dict[str, Path]:
    """Names and files of the models that come with facetell, sorted by name."""
    return {path.stem: path for path in sorted(MODELS.glob("*.onnx"))}


def locate(name_or_path: str | Path) -> Path:
    """The file of a bundled model, or the path as given.

    Raises:
        InputError: no bundled model of that name, or a folder.
    """
    bundled = bundled_models()
    if isinstance(name_or_path, str) and name_or_path in bundled:
        return bundled[name_or_path]
    path = Path(name_or_path)
    if path.is_dir():
        raise InputError(_no_file(path), expected=tuple(bundled), actual=str(path))
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


def _no_file(folder: Path) -> str:
    """What a folder in place of a model is, and what to do."""
    is_finished = (folder / "model.safetensors").is_file()
    is_run = is_finished or (folder / "run.json").is_file()
    files = sorted(folder.glob("*.onnx"))
    if files:
        advice = f"Name a file in it: {', '.join(map(str, files[:3]))}."
    elif is_finished:
        advice = f"Export it first with `facetell export {folder}`, and name the file."
    elif is_run:
        advice = (
            f"Finish it with `facetell train --resume {folder}`, then export it with "
            f"`facetell export {folder}`."
        )
    else:
        advice = f"Name an .onnx file, or one of {', '.join(bundled_models()) or 'none'}."
    kind = "the folder of a training run" if is_run else "a folder"
    return f"{folder}: expected a model's name or .onnx file, got {kind}. {advice}"


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
        "faces": [1, contract.channels, side, side],
        "margins": [labels],
        "scores": [labels],
    }
    if contract.memory:
        state = [2, contract.memory]
        expected |= {"memory": state, "next_memory": state, "elapsed_s": []}
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

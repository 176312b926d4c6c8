"""Finished models -> one graph that decides by their mean."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from facetell.contract import Contract, replace_contract
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import Split
from facetell.datasets.trained_faces import describe_training, same_training
from facetell.errors import ExportError, require
from facetell.evaluate.calibration import fit_scale
from facetell.evaluate.judged import judge
from facetell.evaluate.metrics import accuracy, balanced_accuracy, confusion_matrix
from facetell.predictor import LEAST_BEND
from facetell.runtime.session import Model, load
from facetell.smaller import split_of

__all__ = ["MOST", "join"]

#: Models that may decide together: more cost more than they gain.
MOST = 5
_SCALE = "score_scale"  # what the joined graph calls it


def join(members: Sequence[str | Path], dataset: Dataset, *, name: str = "ensemble") -> bytes:
    """One ONNX file whose margins are the mean of several models' log-odds.

    Its scores are the normalised geometric mean of the models' scores, on the scale that suits
    the validation faces. `facetell calibrate` fits the rest of what a model says of itself.

    Args:
        members: two to five bundled models, .onnx files (of any precision) or folders of finished
            runs, for stills, trained on the same faces.
        dataset: the data; the validation faces judge.
        name: what the model is called.

    Raises:
        ExportError: too few or too many, one twice, or models that do not go together.
        InputError, ContractError: no model of that name, or no facetell model in that file.

    Example:
        Path("both.onnx").write_bytes(join(["compact", "strong.onnx"], open_dataset("fer2013.csv")))
    """
    onnx = require("onnx", extra="train", purpose="joining models")
    if not 2 <= len(members) <= MOST:
        raise ExportError(
            f"expected two to {MOST} models to join, got {len(members)}. Name them one after the "
            "other."
        )
    graphs: list[Any] = []
    contracts: list[Contract] = []
    for member in members:
        graph, contract = _open(member)
        if contracts:
            _check_alike(member, contract, contracts[0])
        graphs.append(onnx.load_from_string(graph))
        _check_other(member, members, graphs)
        contracts.append(contract)
    parts = _sides(members, contracts[0], dataset)
    contract = replace(
        contracts[0],
        name=name,
        recipe=" + ".join(c.recipe for c in contracts),
        architecture=f"mean of {len(contracts)} networks: "
        + " | ".join(c.architecture for c in contracts),
        training=_training(contracts),
        score_scale=1.0,
        score_factors=(),
        score_bend=0.0,
        certainty=None,
        parameters=sum(c.parameters for c in contracts),
        multiply_adds=sum(c.multiply_adds for c in contracts),
    )
    joined = _joined(graphs, contracts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ensemble.onnx"
        path.write_bytes(replace_contract(joined.SerializeToString(), contract))
        found = judge(Model(path), dataset, parts, side="validation")
    assert found.margins is not None
    confusion = confusion_matrix(found.labels, found.margins.argmax(1), len(dataset.labels))
    scale = fit_scale(found.margins, found.labels)
    contract = replace(
        contract,
        score_scale=scale,
        results={
            "side": "validation",
            "faces": len(found.labels),
            "flip": contract.flip,
            "accuracy": round(float(accuracy(confusion)), 6),
            "balanced_accuracy": round(float(balanced_accuracy(confusion)), 6),
        },
    )
    _rescale(joined, scale)
    return replace_contract(joined.SerializeToString(), contract)


def _sides(members: Sequence[str | Path], contract: Contract, dataset: Dataset) -> Split:
    """The sides that all were trained and chosen on; a run knows more of them than a file."""
    run = next((Path(member) for member in members if Path(member).is_dir()), None)
    if run is not None and not contract.own_sides and contract.protocol != "leaky-80-10-10":
        from facetell.train.finish import reopen
        from facetell.train.predictor import load_run

        recipe = load_run(run).recipe
        assert recipe is not None
        parts = reopen(run, recipe, dataset=dataset)[2]
        if parts.trained_on == contract.trained_on:
            return parts
    return split_of(contract, dataset)


def _open(member: str | Path) -> tuple[bytes, Contract]:
    """The graph and the contract of a run or a model file."""
    if not Path(member).is_dir():
        model = load(str(member), threads=1)
        return model.path.read_bytes(), model.contract
    require("torch", extra="train", purpose="joining runs")
    from facetell.export import graph_of
    from facetell.train.predictor import load_run

    run = load_run(member)
    return graph_of(run.model, run.contract), run.contract


def _check_alike(member: str | Path, theirs: Contract, first: Contract) -> None:
    """Whether a model reads the same faces and labels as the first, and learned from the same."""
    for field in ("labels", "face_px", "channels", "mean", "std", "memory", "flip"):
        expected, found = getattr(first, field), getattr(theirs, field)
        if found != expected:
            raise ExportError(
                f"expected models with the {field} {expected!r}, got {member} with {found!r}. "
                "Join models of one kind."
            )
    if not same_training(theirs, first):
        raise ExportError(
            f"expected models trained and chosen on the same faces, the first "
            f"{describe_training(first)}, got {member} {describe_training(theirs)}: it may have "
            "seen faces that the others are judged on. Train all on the same data under one "
            "protocol, with the same data.seed, data.fold and --together."
        )


def _check_other(member: str | Path, members: Sequence[str | Path], graphs: Sequence[Any]) -> None:
    """Whether the last graph is another one than those before; calibration does not count."""
    last = graphs[-1].graph.SerializeToString(deterministic=True)
    for earlier, graph in zip(members, graphs[:-1], strict=False):
        if graph.graph.SerializeToString(deterministic=True) == last:
            raise ExportError(
                f"expected networks that differ, got {member}, which is the same as {earlier}: "
                "their mean would say what one of them says. Name each network once."
            )


def _training(contracts: Sequence[Contract]) -> tuple[str, ...]:
    """What the networks learned from; a remark that is not of all says of which it is."""
    remarks: dict[str, list[int]] = {}
    for place, contract in enumerate(contracts, 1):
        for remark in contract.training:
            remarks.setdefault(remark, []).append(place)

    def said(remark: str, places: list[int]) -> str:
        if len(places) == len(contracts):
            return remark
        return f"network{'s' * (len(places) > 1)} {', '.join(map(str, places))}: {remark}"

    return tuple(said(remark, places) for remark, places in remarks.items())


def _number(value: ArrayLike, name: str) -> Any:
    """A number of a graph, or several."""
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(value, np.float32), name)


def _log_odds(place: int, contract: Contract, share: float) -> tuple[list[Any], list[Any]]:
    """Nodes and numbers that make a share of the log-odds of a model's margins (B, K).

    As `predictor.calibrated`, less what is the same for all labels.
    """
    from onnx import helper

    def node(kind: str, *names: str, **options: Any) -> Any:
        return helper.make_node(
            kind, [f"{place}.{n}" for n in names[:-1]], [f"{place}.{names[-1]}"], **options
        )

    def number(value: ArrayLike, name: str) -> Any:
        return _number(value, f"{place}.{name}")

    bend, scale = contract.score_bend, share * contract.score_scale
    factors = scale * np.array(contract.score_factors or np.ones(len(contract.labels)))
    nodes = [
        node("ArgMax", "margins", "top", axis=1, keepdims=1),
        node("Gather", "factors", "top", "share"),  # (B, 1)
    ]
    if bend < LEAST_BEND:
        nodes.append(node("Mul", "margins", "share", "part"))
        return nodes, [number(factors, "factors")]
    nodes += [
        node("Mul", "margins", "bend", "steeper"),
        node("Add", "steeper", "bend", "above"),
        node("Max", "above", "floor", "floored"),  # below, softplus is 0 in float32
        node("Softplus", "floored", "soft"),
        node("Log", "soft", "log"),
        node("Mul", "log", "share", "part"),
    ]
    factors *= 2 * float(np.log(2)) / bend
    return nodes, [number(factors, "factors"), number(bend, "bend"), number(-80.0, "floor")]


def _joined(graphs: Sequence[Any], contracts: Sequence[Contract]) -> Any:
    """The models side by side, each under its own prefix, and the mean of their log-odds behind.

    Its scores are on the scale 1, see `_rescale`.
    """
    onnx = require("onnx", extra="train", purpose="joining models")
    from onnx import compose, helper

    nodes: list[Any] = []
    weights: list[Any] = []
    versions: dict[str, int] = {}
    for place, graph in enumerate(graphs):
        own = compose.add_prefix(graph, f"{place}.")
        for entry in own.opset_import:
            if versions.setdefault(entry.domain, entry.version) != entry.version:
                raise ExportError(
                    f"expected graphs with version {versions[entry.domain]} of ONNX's operators, "
                    f"got {entry.version}. Export all with this version of facetell."
                )
        weights += own.graph.initializer
        nodes.append(helper.make_node("Identity", ["faces"], [f"{place}.faces"]))
        nodes += own.graph.node
        made, numbers = _log_odds(place, contracts[place], 1 / len(graphs))
        nodes += made
        weights += numbers
    first = graphs[0].graph
    weights.append(_number(1.0, _SCALE))
    nodes += [
        helper.make_node("Sum", [f"{place}.part" for place in range(len(graphs))], ["margins"]),
        helper.make_node("Mul", ["margins", _SCALE], ["log_odds"]),
        helper.make_node("Softmax", ["log_odds"], ["scores"], axis=1),
    ]
    outputs = [value for value in first.output if value.name in ("margins", "scores")]
    joined = helper.make_graph(
        _needed(nodes, ["margins", "scores"]), "ensemble", list(first.input), outputs, weights
    )
    model = helper.make_model(
        joined,
        producer_name="facetell",
        ir_version=max(graph.ir_version for graph in graphs),
        opset_imports=[helper.make_opsetid(*version) for version in versions.items()],
    )
    del model.graph.initializer[:]
    read = {name for node in joined.node for name in node.input}
    model.graph.initializer.extend(tensor for tensor in weights if tensor.name in read)
    onnx.checker.check_model(model)
    return model


def _rescale(model: Any, scale: float) -> None:
    """Another scale for the scores of a joined graph."""
    next(t for t in model.graph.initializer if t.name == _SCALE).CopyFrom(_number(scale, _SCALE))


def _needed(nodes: Sequence[Any], wanted: Sequence[str]) -> list[Any]:
    """The nodes that these values come from, each behind what it reads.

    A member's own scores are not needed; the nodes of eight-bit files come in any order.
    """
    makers = {name: node for node in nodes for name in node.output}
    kept: list[Any] = []
    done: set[str] = set()
    stack = [(name, False) for name in reversed(wanted)]
    while stack:
        name, ready = stack.pop()
        node = makers.get(name)
        if node is None or name in done:
            continue
        if ready:
            kept.append(node)
            done.update(node.output)
        else:
            stack.append((name, True))
            stack += [(read, False) for read in node.input]
    return kept

"""Recipes: a TOML file -> frozen dataclasses.

Every option has its default, unit and sentence here and nowhere else: this file feeds the
checks, `facetell recipes show` and the documentation.
Precedence: defaults < recipe < `--set section.key=value`.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from facetell.errors import RecipeError

__all__ = [
    "AugmentOptions",
    "ClipOptions",
    "DataOptions",
    "ModelOptions",
    "Protocol",
    "Recipe",
    "SvmOptions",
    "TrainOptions",
    "TrainingProtocol",
    "describe_settings",
    "load_recipe",
    "recipe_from_dict",
    "recipe_names",
    "recipe_text",
    "recorded_recipe",
]

T = TypeVar("T")

#: How training and validation faces are kept apart; `datasets.splits` does it.
TrainingProtocol = Literal[
    "official", "clean", "random-80-10-10", "leave-one-subject-out", "leaky-80-10-10"
]
#: How a model is judged: by one of these, or by all faces of data that it was not trained on.
Protocol = Literal[TrainingProtocol, "whole"]


#: Largest seed that every library takes.
MOST_SEED = 2**32 - 1


class _Limit(NamedTuple):
    """Which values of a type are possible, in words that follow the type's, and as a check."""

    words: str
    holds: Callable[[Any], bool]


_ANY = _Limit("", lambda _: True)


def _option(default: Any, help: str, limit: _Limit = _ANY) -> Any:
    return field(default=default, metadata={"help": help, "limit": limit})


_POSITIVE = _Limit("above 0", lambda v: v > 0)
_NOT_NEGATIVE = _Limit("of 0 or more", lambda v: v >= 0)
_FRACTION = _Limit("from 0 to below 1", lambda v: 0 <= v < 1)
_SHARE = _Limit("from 0 to 1", lambda v: 0 <= v <= 1)
_SOME_SHARE = _Limit("above 0, 1 at most", lambda v: 0 < v <= 1)
_ALL_POSITIVE = _Limit("above 0", lambda v: min(v) > 0)
_UP_TO_THREE = _Limit("above 0, three at most", lambda v: len(v) <= 3 and min(v) > 0)
_TWO_OR_MORE = _Limit("above 0, two or more", lambda v: len(v) >= 2 and min(v) > 0)
_SEED = _Limit(f"from 0 to {MOST_SEED}", lambda v: 0 <= v <= MOST_SEED)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The blocks of the hybrid; each can be switched off."""

    face_px: int = _option(
        48,
        "side of the face, px (a multiple of 8)",
        _Limit("above 0 that 8 divides", lambda v: v % 8 == 0 < v),
    )
    channels: Literal[1, 3] = _option(1, "1 reads grey faces, 3 reads RGB")
    stn: bool = _option(True, "straighten the face with a spatial transformer")
    stn_widths: tuple[int, ...] = _option(
        (8, 16, 32), "channels of the localisation network's convolutions, one to three",
        _UP_TO_THREE,
    )  # fmt: skip
    stn_hidden: tuple[int, ...] = _option(
        (64, 32), "units of its fully connected layers (one more yields the map)",
        _UP_TO_THREE,
    )  # fmt: skip
    stn_px: int = _option(
        0,
        "side to which it resamples the straightened face, px (a multiple of 8); 0 = face_px",
        _Limit("of 0 or more that 8 divides", lambda v: v % 8 == 0 <= v),
    )
    stn_limit: float = _option(
        0.3,
        "largest offset of any entry of the affine map from the identity; 0 = unbounded",
        _NOT_NEGATIVE,
    )
    trunk: Literal["six", "four", "plain", "residual"] = _option(
        "six",
        "six = the paper's six convolutions in two groups; four = Deep-Emotion's four in two "
        "groups; plain = VGG's pairs of convolutions in any number of groups; residual = a small "
        "ResNet",
    )
    widths: tuple[int, ...] = _option(
        (16, 48), "channels per group (six, four: two groups; plain) or stage (residual)",
        _TWO_OR_MORE,
    )  # fmt: skip
    depths: tuple[int, ...] = _option(
        (1, 2, 1), "residual blocks per stage (residual trunk only)", _ALL_POSITIVE
    )
    relu_each: bool = _option(
        False, "six, four, plain: rectify after every convolution, not only after each group"
    )
    batch_norm: bool = _option(
        False,
        "batch normalisation after every convolution of `six`, `four` and `plain` and every fully "
        "connected layer, "
        "and standardised features before the SVM",
    )
    features: int = _option(96, "units D of the fully connected layers", _POSITIVE)
    layers: int = _option(2, "fully connected layers", _POSITIVE)
    dropout: float = _option(
        0.5, "share of features dropped before the decision while training", _FRACTION
    )
    sequence: Literal["regions", "rows", "mean", "whole"] = _option(
        "regions",
        "what the LSTM reads: regions = the feature map's cells row by row, "
        "rows = whole rows of it, top to bottom, "
        "mean = no LSTM, average of the cells, "
        "whole = no LSTM, all cells at once",
    )
    grid: int = _option(
        6, "all but mean: the feature map is averaged to grid x grid cells", _POSITIVE
    )
    hidden: int = _option(96, "units of the LSTM", _POSITIVE)
    memory: int = _option(
        0, "units of another LSTM, over the frames of a clip; 0 = none", _NOT_NEGATIVE
    )
    head: Literal["svm", "softmax"] = _option(
        "svm", "svm = one-vs-rest linear SVM (squared hinge); softmax = the control"
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How the network is optimised."""

    epochs: int = _option(30, "passes over the training faces", _POSITIVE)
    batch_size: int = _option(128, "faces per step", _Limit("of 2 or more", lambda v: v > 1))
    optimiser: Literal["sgd", "adam"] = _option("sgd", "sgd = Nesterov momentum 0.9; adam")
    learning_rate: float = _option(0.05, "peak learning rate", _POSITIVE)
    schedule: Literal["cosine", "constant"] = _option(
        "cosine", "cosine = warm-up, then down to zero; constant"
    )
    warmup: float = _option(0.1, "share of all steps in which the rate rises", _FRACTION)
    l2: float = _option(0.0005, "L2 penalty on all weights (weight decay)", _NOT_NEGATIVE)
    init: Literal["he", "gaussian"] = _option("he", "he = He et al. 2015; gaussian = init_std")
    init_std: float = _option(0.05, "standard deviation of the Gaussian initialisation", _POSITIVE)
    label_smoothing: float = _option(0.0, "softmax head: mass moved to all classes", _FRACTION)
    distil: float = _option(
        0.0, "share of a face's target that comes from the teachers; 0 = none",
        _SHARE,
    )  # fmt: skip
    distil_by: Literal["all", "one"] = _option(
        "all",
        "all = the mean of the teachers' scores; one = each face of a batch is taught by the next "
        "one of them, at the cost of one",
    )
    ema: float = _option(0.998, "decay per step of the averaged weights; 0 = off", _FRACTION)
    clip_norm: float = _option(5.0, "largest gradient norm; 0 = off", _NOT_NEGATIVE)
    small_share: float = _option(
        0.0, "share of the epochs, at the start, that see faces at three quarters of the size",
        _FRACTION,
    )  # fmt: skip
    precision: Literal["float32", "bf16"] = _option(
        "float32",
        "arithmetic of the convolutions while training; bf16 = bfloat16 where the processor has "
        "it, in little more than half the time",
    )
    seed: int = _option(0, "seed of weights, order, augmentation and dropout", _SEED)


@dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """Random changes of the training faces; never of others."""

    flip: bool = _option(True, "mirror every second face")
    rotate_deg: float = _option(10.0, "turn by up to this many degrees", _NOT_NEGATIVE)
    scale: float = _option(0.15, "resize by up to this share", _FRACTION)
    shift: float = _option(0.08, "move by up to this share of the side", _FRACTION)
    contrast: float = _option(0.25, "change contrast by up to this share", _FRACTION)
    brightness: float = _option(0.15, "add up to this share of the full range", _FRACTION)
    erase: float = _option(0.0, "probability of blanking a rectangle", _FRACTION)
    coarse: float = _option(
        0.0, "probability of losing detail, as a small or blurred face", _FRACTION
    )
    noise: float = _option(
        0.0, "add noise of up to this deviation, share of the full range", _FRACTION
    )
    mixup: float = _option(0.0, "alpha of mixup; 0 = off", _NOT_NEGATIVE)


@dataclass(frozen=True, kw_only=True)
class SvmOptions:
    """How the SVM that decides is fitted."""

    fit: Literal["end-to-end", "sklearn", "admm"] = _option(
        "end-to-end",
        "end-to-end through the network, or afterwards on frozen features: scikit-learn's "
        "LinearSVC, or ADMM",
    )
    l2: float = _option(0.0015, "post hoc: lambda of lambda/2 |w|^2 + sum of losses", _POSITIVE)
    rho: float = _option(0.025, "ADMM: penalty rho", _POSITIVE)
    iterations: int = _option(100, "ADMM: most iterations", _POSITIVE)
    balanced: bool = _option(False, "post hoc: weigh faces inversely to their class's size")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which faces are trained on."""

    protocol: TrainingProtocol = _option(  # noqa: RUF009 (of our own type it forgets what _option is)
        "official", "how training and validation faces are kept apart"
    )
    fold: int = _option(0, "leave-one-subject-out: which subject judges", _NOT_NEGATIVE)
    seed: int = _option(
        0, "seed of sides that are drawn; other seeds of `train` keep the sides", _SEED
    )
    votes: float = _option(
        0.0, "share of a face's target that comes from its FER+ votes, where it has some",
        _SHARE,
    )  # fmt: skip
    oversample: bool = _option(
        False, "repeat training faces until all classes are as large as the largest"
    )


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Clips made of stills, for the LSTM over frames: faces that move and are lit anew."""

    frames: int = _option(0, "frames of a clip; 0 = train on stills", _NOT_NEGATIVE)
    share: float = _option(0.2, "share of the faces that start a clip in one epoch", _SOME_SHARE)
    change: float = _option(0.7, "share of the clips in which another face takes over", _SHARE)
    same: float = _option(0.3, "share of those in which it has the same label", _SHARE)
    shake: float = _option(1.0, "scales all that disturbs: movement, light, blur, noise", _POSITIVE)
    real: float = _option(
        0.5, "share of a batch that are stretches of labelled clips, where some are given",
        _SOME_SHARE,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training: name, purpose and the six sections.

    Attributes:
        name: what runs and models are called.
        purpose: one sentence for people.
        model, train, augment, svm, data, clips: see their classes.
    """

    name: str = "custom"
    purpose: str = ""
    model: ModelOptions = field(default_factory=ModelOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    svm: SvmOptions = field(default_factory=SvmOptions)
    data: DataOptions = field(default_factory=DataOptions)
    clips: ClipOptions = field(default_factory=ClipOptions)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `recipe_from_dict` is its inverse."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that ship with facetell."""
    folder = resources.files("facetell") / "recipes"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def recipe_text(name_or_path: str | Path) -> tuple[str, str]:
    """The TOML text of a bundled recipe or of a file, and where it was found."""
    name = str(name_or_path)
    if name in recipe_names():
        return (resources.files("facetell") / "recipes" / f"{name}.toml").read_text(), name
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return path.read_text(), name
    near = difflib.get_close_matches(name, recipe_names(), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise RecipeError(
        f"expected a recipe name ({', '.join(recipe_names())}) or a .toml file, got {name!r}.{hint}"
    )


def load_recipe(name_or_path: str | Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of that name or file, with `section.key=value` overrides applied.

    Raises:
        RecipeError: unknown recipe or key (with the line and a suggestion), wrong type or value,
            or a value without effect.

    Example:
        load_recipe("paper", overrides=["train.epochs=5"])
    """
    text, where = recipe_text(name_or_path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not valid TOML: {error}.") from error
    values.setdefault("name", Path(where).stem)
    for override in overrides:
        _override(values, override)
    recipe = recipe_from_dict(values, where=where, text=text)
    # Here and not below: runs that were trained so before can still be opened.
    if recipe.train.label_smoothing and recipe.model.head == "svm":
        raise RecipeError(
            f"train.label_smoothing in {where} is for model.head=softmax: expected 0 beside "
            f"model.head=svm, got {recipe.train.label_smoothing}. Set train.label_smoothing=0."
        )
    return recipe


def recipe_from_dict(values: Mapping[str, Any], *, where: str = "recipe", text: str = "") -> Recipe:
    """The recipe in nested dictionaries, every key and value checked."""
    recipe = _build(Recipe, values, "", where, text)
    widths, depths = recipe.model.widths, recipe.model.depths
    if recipe.model.trunk == "residual" and len(widths) != len(depths):
        raise RecipeError(
            f"model.depths in {where} must say how many blocks each stage of the residual trunk "
            f"has: expected {len(widths)} numbers, as in model.widths, got {list(depths)!r}."
        )
    _check_clips(recipe, where)
    return recipe


def recorded_recipe(values: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """The recipe that a run wrote down; before there was `data.seed`, `train.seed` drew sides."""
    recipe = recipe_from_dict(values, where=where)
    if "seed" in values.get("data", {}):
        return recipe
    return replace(recipe, data=replace(recipe.data, seed=recipe.train.seed))


def _check_clips(recipe: Recipe, where: str) -> None:
    """An LSTM over frames and the clips that train it come together, and read grey faces."""
    if bool(recipe.model.memory) != bool(recipe.clips.frames):
        raise RecipeError(
            f"model.memory and clips.frames in {where} belong together: expected both 0 or both "
            f"above 0, got {recipe.model.memory} and {recipe.clips.frames}. Set the other, too."
        )
    if recipe.clips.frames and recipe.model.channels != 1:
        raise RecipeError(
            f"clips in {where} are made of grey faces: expected model.channels = 1, got "
            f"{recipe.model.channels}. Set model.channels=1."
        )
    for name, value in (("data.votes", recipe.data.votes),
                        ("train.small_share", recipe.train.small_share)):  # fmt: skip
        if recipe.clips.frames and value:
            raise RecipeError(
                f"{name} in {where} is for training on stills: expected 0 beside clips.frames, "
                f"got {value}. Set {name}=0."
            )


def describe_settings(recipe: Recipe) -> str:
    """Every setting of a recipe as TOML, with its sentence as a comment."""
    lines = [f"name = {json.dumps(recipe.name)}", f"purpose = {json.dumps(recipe.purpose)}"]
    for section in fields(recipe):
        options = getattr(recipe, section.name)
        if is_dataclass(options):
            lines += ["", f"[{section.name}]"]
            lines += [
                f"{f.name} = {_toml(getattr(options, f.name))}  # {f.metadata['help']}"
                for f in fields(options)
            ]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """A setting's value in TOML: JSON writes all of ours the same way."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    section, dot, name = key.strip().rpartition(".")
    if not equals or not name:
        raise RecipeError(f"expected section.key=value after --set, got {override!r}.")
    try:
        value = tomllib.loads(f"v = {raw}")["v"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    (values.setdefault(section, {}) if dot else values)[name] = value


def _build(cls: type[T], values: Mapping[str, Any], prefix: str, where: str, text: str) -> T:
    if not isinstance(values, Mapping):
        raise RecipeError(f"expected a table [{prefix[:-1]}] in {where}, got {values!r}.")
    assert is_dataclass(cls)
    known = {f.name: f for f in fields(cls)}
    hints = typing.get_type_hints(cls)
    built = {}
    for key, value in values.items():
        if key not in known:
            raise RecipeError(_unknown(prefix + key, key, known, where, text))
        if is_dataclass(hints[key]):
            built[key] = _build(hints[key], value, f"{prefix}{key}.", where, text)
        else:
            built[key] = _checked(prefix + key, value, hints[key], known[key], where)
    return cls(**built)


def _unknown(full: str, key: str, known: Mapping[str, Any], where: str, text: str) -> str:
    at = next(
        (f", line {n}" for n, line in enumerate(text.splitlines(), 1)
         if re.match(rf"\s*\[?{re.escape(key)}\b", line)), "",
    )  # fmt: skip
    near = _elsewhere(key) or difflib.get_close_matches(key, list(known), 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
    return f"unknown recipe key {full!r} in {where}{at}. {hint}"


def _elsewhere(key: str) -> list[str]:
    """Where a recipe has a key of exactly this name: `seed` is `train.seed`."""
    return [
        f"{section}.{key}" for section, options in Recipe().to_dict().items()
        if isinstance(options, dict) and key in options
    ]  # fmt: skip


def _checked(name: str, value: Any, hint: Any, option: Any, where: str) -> Any:
    converted = _convert(value, hint)
    limit = option.metadata.get("limit", _ANY)
    if converted is None or not limit.holds(converted):
        wanted = f"{_describe(hint)} {limit.words}".rstrip()
        raise RecipeError(
            f"{name} in {where} must be {wanted} ({option.metadata.get('help', 'text')}), "
            f"got {value!r}."
        )
    return converted


def _convert(value: Any, hint: Any) -> Any:
    """The value as the hinted type, or None if it does not fit."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value if value in typing.get_args(hint) else None
    if origin is tuple:
        fits = isinstance(value, list | tuple) and all(type(v) is int for v in value) and value
        return tuple(value) if fits else None
    if hint is float:
        return float(value) if type(value) in (int, float) else None
    return value if type(value) is hint else None


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(hint)))
    if isinstance(hint, types.GenericAlias):
        return "a list of whole numbers"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint]

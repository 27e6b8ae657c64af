"""Settings of a run: YAML overlays and command-line overrides become one checked, frozen object.

Every value stands once, in `configs/base.yaml`, with its comment; here are the names, types and ranges.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from nmjax.errors import BadInputError

_HERE = Path(__file__).parent
CONFIG_DIR = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"  # installed, or a checkout

_RETIRED = ("degrade.style_db",)  # in checkpoints of earlier versions

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Whole = Annotated[int, Field(ge=0, le=1_000_000_000)]
_SIGNAL_TERMS = ("mr_stft", "a_weighted", "lufs", "curve")  # of the loss: what the output is judged by
_SWITCHES = {"model.remat", "model.skips", "loss.match_level"}  # the settings that are true or false


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_Frozen):
    """The network. See `nmjax.models.Mastering`."""

    encoder: Literal["tcn", "spectral"]
    width: Annotated[float, Field(gt=0, le=4)]
    frequency_map: Literal["log", "linear"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    dtype: Literal["float32", "bfloat16"]
    remat: StrictBool
    skips: StrictBool


class DataConfig(_Frozen):
    """Excerpts. See `nmjax.data`."""

    excerpt_seconds: Annotated[float, Field(ge=0.05, le=600)]
    channels: Literal[1, 2]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    validation_share: Annotated[float, Field(ge=0, lt=1)]
    validation_excerpts: Annotated[int, Field(ge=1, le=65_536)]
    cache_dir: str | None
    read_threads: Annotated[int, Field(ge=0, le=256)]
    workers: Annotated[int, Field(ge=0, le=256)]


class DegradeConfig(_Frozen):
    """How the unmastered side is made from mastered music. See `nmjax.training.degrade`."""

    shelf_db: NotNegative
    bell_db: NotNegative
    bells: Annotated[int, Field(ge=1, le=64)]
    dynamics: Annotated[float, Field(ge=0, lt=1)]
    width_db: NotNegative
    level_db: NotNegative


class AugmentConfig(_Frozen):
    """What keeps songs from being learnt by heart. See `nmjax.training.augment`; speed: `nmjax.data.excerpts`."""

    speed_semitones: Annotated[float, Field(ge=0, le=12)]
    style: NotNegative
    mix: Share
    swap: Share


class LossConfig(_Frozen):
    """Weights of the terms, and the windows of the STFT. See `nmjax.losses`."""

    mr_stft: NotNegative
    a_weighted: NotNegative
    lufs: NotNegative
    curve: NotNegative
    gain: NotNegative
    q: NotNegative
    sparsity: NotNegative
    decisiveness: NotNegative
    processing: NotNegative
    sparsity_warmup: Whole
    highest_hz: Positive
    seconds: NotNegative
    match_level: StrictBool
    windows: Annotated[tuple[Annotated[int, Field(ge=16, le=65_536, multiple_of=4)], ...], Field(min_length=1)]


class TrainConfig(_Frozen):
    """The optimiser and the rhythm of a run. See `nmjax.training`."""

    steps: Count
    learning_rate: Positive
    warmup_steps: Whole
    weight_decay: NotNegative
    clip_norm: Positive
    accumulate: Annotated[int, Field(ge=1, le=65_536)]
    ema: Annotated[float, Field(ge=0, lt=1)]
    spike: Annotated[float, Field(gt=1)]
    bad_steps: Count
    frozen: tuple[Literal["encoder", "decoder", "stages", "residual"], ...]
    validate_every: Count
    checkpoint_every: Count


class Config(_Frozen):
    """A whole run."""

    phase: Literal["1a", "1b", "1c", "2"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    model: ModelConfig
    data: DataConfig
    degrade: DegradeConfig
    augment: AugmentConfig
    loss: LossConfig
    train: TrainConfig


def load_config(phase: str | None = None, files: list[str] | None = None, overrides: list[str] | None = None) -> Config:
    """base.yaml, the phase's overlay, each of `files` (a path, or the name of a shipped overlay), each `key=value`.

    Raises:
        BadInputError: an unknown key (with the nearest right one), a value of the wrong type or out of its range.
    """
    values = _read("base")
    layers = [(f"phase_{phase.lower()}", None)] if phase else []
    layers += [(name, None) for name in files or []]
    for name, _ in layers:
        if name == "base":
            raise BadInputError(f"'base' lies below every run already; --config can be: {', '.join(shipped())}.")
        _merge(values, _read(name), name)
    for override in overrides or []:
        key, sign, value = override.partition("=")
        if not sign:
            raise BadInputError(f"'{override}' is not of the form key=value; write for example train.steps=2000.")
        tree = _parsed(value, f"'{override}'") if value else None
        for part in reversed(key.split(".")):
            tree = {part: tree}
        _merge(values, tree, override)
    return checked(values)


def checked(values: dict[str, Any]) -> Config:
    """A tree of plain values as a Config; every value must be there, of its type and in its range."""
    for key, value in leaves(values):
        if isinstance(value, bool) and key not in _SWITCHES:  # pydantic would take true for 1
            raise BadInputError(
                f"Setting '{key}' cannot be {str(value).lower()} (as yes, no, on and off are read too)."
            )
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = "unknown" if first["type"] == "extra_forbidden" else first["msg"].replace("Input", "it")
        said = said.replace("a valid tuple", "a list in brackets, such as [1,2]")
        given = "" if first["type"] == "missing" else f" (given: {first['input']!r})"
        raise BadInputError(f"Setting '{key}': {said[0].lower() + said[1:]}{given}.") from None
    if not any(getattr(config.loss, term) for term in _SIGNAL_TERMS):
        raise BadInputError(f"Nothing is left of the loss; give one of {', '.join(_SIGNAL_TERMS)} a weight above 0.")
    return config


def restored(values: dict[str, Any]) -> Config:
    """The config of an earlier run; settings younger than the run have their defaults, retired ones are left out."""
    tree = _read("base")
    kept = {
        group: {k: v for k, v in found.items() if f"{group}.{k}" not in _RETIRED} if isinstance(found, dict) else found
        for group, found in values.items()
    }
    _merge(tree, kept, "a checkpoint")
    return checked(tree)


def shipped() -> list[str]:
    """Names of the overlays that come with the program."""
    return sorted(p.stem for p in CONFIG_DIR.glob("*.yaml") if p.stem != "base")


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIG_DIR / f"{name}.yaml"
    try:
        tree = _parsed(path.read_text(), f"Config file '{name}'")
    except (OSError, UnicodeDecodeError):
        raise BadInputError(
            f"Config file '{name}' cannot be read; give a path ending in .yaml or one of: {', '.join(shipped())}."
        ) from None
    if not isinstance(tree, dict):
        raise BadInputError(f"Config file '{name}' must hold keys and values, as configs/base.yaml does.")
    return tree


def _parsed(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"{source} is not valid YAML: {' '.join(str(error).split())}.") from None


def _merge(base: dict[str, Any], overlay: dict[str, Any], source: str, prefix: str = "") -> None:
    """Lay `overlay` over `base` in place; a key that base.yaml does not have is refused."""
    for key, value in overlay.items():
        if key not in base:
            raise BadInputError(
                f"Unknown setting '{prefix}{key}' in '{source}'; {_nearest(f'{prefix}{key}', base, prefix)}"
            )
        if isinstance(base[key], dict):
            if not isinstance(value, dict):
                raise BadInputError(
                    f"Setting '{prefix}{key}' in '{source}' is a group; name one of: {', '.join(base[key])}."
                )
            _merge(base[key], value, source, f"{prefix}{key}.")
        elif isinstance(value, dict):
            raise BadInputError(f"Setting '{prefix}{key}' in '{source}' is a single value and has nothing below it.")
        else:
            base[key] = value


def _nearest(wrong: str, base: dict[str, Any], prefix: str) -> str:
    """'did you mean …?', looked for among all keys, by their full and by their last name."""
    keys = [f"{prefix}{key}" for key in base] + [p for p in _paths(_read("base"))]
    by_name = {key.rsplit(".", 1)[-1]: key for key in reversed(keys)}
    near = difflib.get_close_matches(wrong, keys, 1, 0.6)
    near = near or [by_name[n] for n in difflib.get_close_matches(wrong.rsplit(".", 1)[-1], list(by_name), 1, 0.5)]
    return f"did you mean '{near[0]}'?" if near else f"the settings are: {', '.join(_paths(_read('base')))}."


def _paths(tree: dict[str, Any]) -> list[str]:
    return [key for key, _ in leaves(tree)]


def leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every setting of a tree by its dotted name, with its value."""
    found = []
    for key, value in tree.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found

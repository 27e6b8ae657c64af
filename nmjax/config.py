"""Settings of a run: YAML overlays and command-line overrides become one checked, frozen object.

Every value stands once, in `configs/base.yaml`, with its comment; here are the names, types and ranges.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from nmjax.runtime.errors import BadInputError

_PACKAGE_DIR = Path(__file__).parent
CONFIG_DIR = (
    _PACKAGE_DIR / "configs" if (_PACKAGE_DIR / "configs").is_dir() else _PACKAGE_DIR.parent / "configs"
)  # installed, or a checkout

_REMOVED_KEYS = ("degrade.style_db",)  # in checkpoints of earlier versions

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000_000)]
NonNegativeInt = Annotated[int, Field(ge=0, le=1_000_000_000)]
_SIGNAL_TERMS = ("mr_stft", "a_weighted", "lufs", "eq_response")  # of the loss: what the output is judged by
_BOOLEAN_KEYS = {"model.remat", "model.skip_connections", "loss.match_level"}  # the settings that are true or false


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_FrozenModel):
    """The network. See `nmjax.models.Mastering`."""

    encoder: Literal["tcn", "spectral"]
    width: Annotated[float, Field(gt=0, le=4)]
    frequency_map: Literal["log", "linear"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    bn_momentum: Annotated[float, Field(ge=0, lt=1)]
    dtype: Literal["float32", "bfloat16"]
    remat: StrictBool
    skip_connections: StrictBool


class DataConfig(_FrozenModel):
    """Excerpts. See `nmjax.data`."""

    excerpt_seconds: Annotated[float, Field(ge=0.05, le=600)]
    channels: Literal[1, 2]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    validation_fraction: Annotated[float, Field(ge=0, lt=1)]
    validation_excerpts: Annotated[int, Field(ge=1, le=65_536)]
    cache_dir: str | None
    read_threads: Annotated[int, Field(ge=0, le=256)]
    num_workers: Annotated[int, Field(ge=0, le=256)]


class DegradeConfig(_FrozenModel):
    """How the unmastered side is made from mastered music. See `nmjax.training.degrade`."""

    shelf_std_db: NonNegative
    peaking_std_db: NonNegative
    num_peaks: Annotated[int, Field(ge=1, le=64)]
    expansion: Annotated[float, Field(ge=0, lt=1)]
    side_std_db: NonNegative
    level_std_db: NonNegative


class AugmentConfig(_FrozenModel):
    """What keeps songs from being learnt by heart. See `nmjax.training.augment`; speed: `nmjax.data.segment_reader`."""

    speed_semitones: Annotated[float, Field(ge=0, le=12)]
    random_eq: NonNegative
    mixup_prob: Fraction
    channel_swap_prob: Fraction


class LossConfig(_FrozenModel):
    """Weights of the terms, and the windows of the STFT. See `nmjax.losses`."""

    mr_stft: NonNegative
    a_weighted: NonNegative
    lufs: NonNegative
    eq_response: NonNegative
    gain: NonNegative
    q: NonNegative
    gate_l1: NonNegative
    gate_entropy: NonNegative
    neutrality: NonNegative
    gate_l1_warmup_steps: NonNegativeInt
    max_hz: Positive
    segment_seconds: NonNegative
    match_level: StrictBool
    fft_sizes: Annotated[tuple[Annotated[int, Field(ge=16, le=65_536, multiple_of=4)], ...], Field(min_length=1)]


class TrainConfig(_FrozenModel):
    """The optimiser and the rhythm of a run. See `nmjax.training`."""

    steps: PositiveInt
    learning_rate: Positive
    warmup_steps: NonNegativeInt
    weight_decay: NonNegative
    clip_norm: Positive
    grad_accum_steps: Annotated[int, Field(ge=1, le=65_536)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    max_loss_ratio: Annotated[float, Field(gt=1)]
    max_skipped: PositiveInt
    frozen: tuple[Literal["encoder", "decoder", "processors", "residual"], ...]
    validate_every: PositiveInt
    checkpoint_every: PositiveInt


class Config(_FrozenModel):
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
    values = _load_yaml("base")
    layers = [(f"phase_{phase.lower()}", None)] if phase else []
    layers += [(name, None) for name in files or []]
    for name, _ in layers:
        if name == "base":
            raise BadInputError(f"'base' lies below every run already; --config can be: {', '.join(overlay_names())}.")
        _merge(values, _load_yaml(name), name)
    for override in overrides or []:
        key, separator, value = override.partition("=")
        if not separator:
            raise BadInputError(f"'{override}' is not of the form key=value; write for example train.steps=2000.")
        overlay = _parse_yaml(value, f"'{override}'") if value else None
        for part in reversed(key.split(".")):
            overlay = {part: overlay}
        _merge(values, overlay, override)
    return validate_config(values)


def validate_config(values: dict[str, Any]) -> Config:
    """A tree of plain values as a Config; every value must be there, of its type and in its range."""
    for key, value in flatten_config(values):
        if isinstance(value, bool) and key not in _BOOLEAN_KEYS:  # pydantic would take true for 1
            raise BadInputError(
                f"Setting '{key}' cannot be {str(value).lower()} (as yes, no, on and off are read too)."
            )
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = "unknown" if first["type"] == "extra_forbidden" else first["msg"].replace("Input", "it")
        problem = problem.replace("a valid tuple", "a list in brackets, such as [1,2]")
        given_value = "" if first["type"] == "missing" else f" (given: {first['input']!r})"
        raise BadInputError(f"Setting '{key}': {problem[0].lower() + problem[1:]}{given_value}.") from None
    if not any(getattr(config.loss, term) for term in _SIGNAL_TERMS):
        raise BadInputError(f"Nothing is left of the loss; give one of {', '.join(_SIGNAL_TERMS)} a weight above 0.")
    return config


def restore_config(values: dict[str, Any]) -> Config:
    """The config of an earlier run; settings younger than the run have their defaults, retired ones are left out."""
    defaults = _load_yaml("base")
    known_values = {
        group: {k: v for k, v in group_values.items() if f"{group}.{k}" not in _REMOVED_KEYS}
        if isinstance(group_values, dict)
        else group_values
        for group, group_values in values.items()
    }
    _merge(defaults, known_values, "a checkpoint")
    return validate_config(defaults)


def overlay_names() -> list[str]:
    """Names of the overlays that come with the program."""
    return sorted(p.stem for p in CONFIG_DIR.glob("*.yaml") if p.stem != "base")


def _load_yaml(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIG_DIR / f"{name}.yaml"
    try:
        tree = _parse_yaml(path.read_text(), f"Config file '{name}'")
    except (OSError, UnicodeDecodeError):
        raise BadInputError(
            f"Config file '{name}' cannot be read; give a path ending in .yaml or one of: {', '.join(overlay_names())}."
        ) from None
    if not isinstance(tree, dict):
        raise BadInputError(f"Config file '{name}' must hold keys and values, as configs/base.yaml does.")
    return tree


def _parse_yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"{source} is not valid YAML: {' '.join(str(error).split())}.") from None


def _merge(base: dict[str, Any], overlay: dict[str, Any], source: str, prefix: str = "") -> None:
    """Lay `overlay` over `base` in place; a key that base.yaml does not have is refused."""
    for key, value in overlay.items():
        if key not in base:
            raise BadInputError(
                f"Unknown setting '{prefix}{key}' in '{source}'; {_suggest_key(f'{prefix}{key}', base, prefix)}"
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


def _suggest_key(unknown_key: str, base: dict[str, Any], prefix: str) -> str:
    """'did you mean …?', looked for among all keys, by their full and by their last name."""
    keys = [f"{prefix}{key}" for key in base] + [p for p in _dotted_keys(_load_yaml("base"))]
    by_name = {key.rsplit(".", 1)[-1]: key for key in reversed(keys)}
    matches = difflib.get_close_matches(unknown_key, keys, 1, 0.6)
    matches = matches or [
        by_name[n] for n in difflib.get_close_matches(unknown_key.rsplit(".", 1)[-1], list(by_name), 1, 0.5)
    ]
    return (
        f"did you mean '{matches[0]}'?"
        if matches
        else f"the settings are: {', '.join(_dotted_keys(_load_yaml('base')))}."
    )


def _dotted_keys(tree: dict[str, Any]) -> list[str]:
    return [key for key, _ in flatten_config(tree)]


def flatten_config(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every setting of a tree by its dotted name, with its value."""
    items = []
    for key, value in tree.items():
        items += flatten_config(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return items

"""Settings of a training run: YAML overlays and command-line overrides become one checked, frozen object.

`configs/base.yaml` holds the default and a comment for every setting; this module holds names, types and ranges.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from nmjax.runtime.errors import BadInputError

_PACKAGE_DIR = Path(__file__).parent
_INSTALLED_CONFIG_DIR, _CHECKOUT_CONFIG_DIR = _PACKAGE_DIR / "configs", _PACKAGE_DIR.parent / "configs"
CONFIG_DIR = _INSTALLED_CONFIG_DIR if _INSTALLED_CONFIG_DIR.is_dir() else _CHECKOUT_CONFIG_DIR

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000_000)]
NonNegativeInt = Annotated[int, Field(ge=0, le=1_000_000_000)]
_SIGNAL_TERMS = ("mr_stft", "a_weighted", "lufs", "eq_response", "relative_error")  # these compare with the target
_BOOLEAN_KEYS = {"model.remat", "model.skip_connections", "loss.match_level"}


class _FrozenModel(BaseModel, frozen=True):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ModelConfig(_FrozenModel, frozen=True):
    """The network. See `nmjax.models.MasteringModel`."""

    encoder: Literal["tcn", "spectral", "two_branch", "amplitude"]
    residual: Literal["unet", "curve", "curve_and_unet"]
    gates: Literal["soft", "hard"]
    width: Annotated[float, Field(gt=0, le=4)]
    frequency_map: Literal["log", "linear"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    bn_momentum: Annotated[float, Field(ge=0, lt=1)]
    dtype: Literal["float32", "bfloat16"]
    precision: Literal["highest", "high", "default"]
    remat: StrictBool
    skip_connections: StrictBool


class DataConfig(_FrozenModel, frozen=True):
    """Excerpts and how they are read. See `nmjax.data`."""

    excerpt_seconds: Annotated[float, Field(ge=0.05, le=600)]
    channels: Literal[1, 2]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    validation_fraction: Annotated[float, Field(ge=0, lt=1)]
    validation_excerpts: Annotated[int, Field(ge=1, le=65_536)]
    cache_dir: str | None
    read_threads: Annotated[int, Field(ge=0, le=256)]
    num_workers: Annotated[int, Field(ge=0, le=256)]


class DegradeConfig(_FrozenModel, frozen=True):
    """Random degradation of mastered music to an unmastered input. See `nmjax.training.degrade`."""

    shelf_std_db: NonNegative
    peaking_std_db: NonNegative
    num_peaks: Annotated[int, Field(ge=1, le=64)]
    expansion: Annotated[float, Field(ge=0, lt=1)]
    side_std_db: NonNegative
    level_std_db: NonNegative
    damage_prob: Fraction
    min_drive_db: NonNegative
    max_drive_db: NonNegative


class AugmentConfig(_FrozenModel, frozen=True):
    """Random changes of input and target alike. See `nmjax.training.augment`; speed: `nmjax.data.segment_reader`."""

    speed_semitones: Annotated[float, Field(ge=0, le=12)]
    random_eq: NonNegative
    mixup_prob: Fraction
    channel_swap_prob: Fraction


class LossConfig(_FrozenModel, frozen=True):
    """Weights of the loss terms, and what they compare. See `nmjax.losses`."""

    mr_stft: NonNegative
    a_weighted: NonNegative
    lufs: NonNegative
    eq_response: NonNegative
    relative_error: NonNegative
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


# Modules that training may leave as they are, by the path of their parameters. `two_branch` has a spectral branch.
FrozenModule = Literal["encoder", "encoder/spectral", "decoder", "processors", "residual"]


class TrainConfig(_FrozenModel, frozen=True):
    """The optimizer, and when to validate, save, skip and roll back. See `nmjax.training`."""

    steps: PositiveInt
    learning_rate: Positive
    warmup_steps: NonNegativeInt
    weight_decay: NonNegative
    clip_norm: Positive
    grad_accum_steps: Annotated[int, Field(ge=1, le=65_536)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    max_loss_ratio: Annotated[float, Field(gt=1)]
    max_skipped: PositiveInt
    frozen: tuple[FrozenModule, ...]
    validate_every: PositiveInt
    checkpoint_every: PositiveInt


class Config(_FrozenModel, frozen=True):
    """All settings of a run."""

    phase: Literal["1a", "1b", "1c", "2"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    model: ModelConfig
    data: DataConfig
    degrade: DegradeConfig
    augment: AugmentConfig
    loss: LossConfig
    train: TrainConfig


def load_config(phase: str | None = None, files: list[str] | None = None, overrides: list[str] | None = None) -> Config:
    """The settings of a run: base.yaml, then the phase's overlay, each file and each override, in this order.

    Args:
        phase: Name of a phase; None for no overlay.
        files: Paths ending in .yaml, or names of shipped overlays.
        overrides: Texts `key=value`, such as `train.steps=2000`.

    Raises:
        BadInputError: An unknown key, or a value of the wrong type or out of range.
    """
    values = _load_yaml("base")
    for name in ([f"phase_{phase.lower()}"] if phase else []) + (files or []):
        if name == "base":
            raise BadInputError(f"'base' is always included. --config can be: {', '.join(overlay_names())}.")
        _merge(values, _load_yaml(name), name)
    for override in overrides or []:
        key, separator, value = override.partition("=")
        if not separator:
            raise BadInputError(f"'{override}' is not of the form key=value. Write for example train.steps=2000.")
        overlay: Any = _parse_yaml(value, f"'{override}'") if value else None
        for part in reversed(key.split(".")):
            overlay = {part: overlay}
        _merge(values, overlay, override)
    return validate_config(values)


def validate_config(values: dict[str, Any]) -> Config:
    """A tree of plain values as a Config.

    Raises:
        BadInputError: A value is missing, unknown, of the wrong type or out of range.
    """
    for key, value in flatten_config(values):
        if isinstance(value, bool) and key not in _BOOLEAN_KEYS:  # pydantic would accept true for 1
            raise BadInputError(
                f"Setting '{key}' cannot be {str(value).lower()}; YAML reads yes, no, on and off as true or false."
            )
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise BadInputError(_validation_message(error)) from None
    if not any(getattr(config.loss, term) for term in _SIGNAL_TERMS):
        raise BadInputError(f"The loss has no signal term. Give one of {', '.join(_SIGNAL_TERMS)} a weight above 0.")
    if config.degrade.min_drive_db > config.degrade.max_drive_db:
        raise BadInputError(
            f"degrade.min_drive_db ({config.degrade.min_drive_db:g}) is above degrade.max_drive_db "
            f"({config.degrade.max_drive_db:g}). Give a smaller minimum."
        )
    _check_encoder(config)
    return config


def _check_encoder(config: Config) -> None:
    """Refuses parts of a network that do not go together."""
    if config.model.encoder == "amplitude" and config.phase == "2":
        raise BadInputError("Phase 2 needs the side, which model.encoder=amplitude does not have. Name another one.")
    if config.model.residual != "unet" and config.model.encoder != "amplitude":
        raise BadInputError(f"model.residual={config.model.residual} needs model.encoder=amplitude. Give it, or unet.")


def _validation_message(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    problem = "unknown" if first["type"] == "extra_forbidden" else first["msg"].replace("Input", "it")
    problem = problem.replace("a valid tuple", "a list in brackets, such as [1,2]")
    given_value = "" if first["type"] == "missing" else f" (given: {first['input']!r})"
    return f"Setting '{key}': {problem[0].lower() + problem[1:]}{given_value}."


def restore_config(values: dict[str, Any]) -> Config:
    """The settings of an earlier run; settings that did not exist yet get their defaults.

    Raises:
        BadInputError: An unknown setting, or a value of the wrong type or out of range.
    """
    defaults = _load_yaml("base")
    _merge(defaults, values, "a checkpoint")
    return validate_config(defaults)


def overlay_names() -> list[str]:
    """Names of the shipped overlays."""
    return sorted(p.stem for p in CONFIG_DIR.glob("*.yaml") if p.stem != "base")


def _load_yaml(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIG_DIR / f"{name}.yaml"
    try:
        tree = _parse_yaml(path.read_text(), f"Config file '{name}'")
    except (OSError, UnicodeDecodeError):
        raise BadInputError(
            f"Config file '{name}' cannot be read. Give a path ending in .yaml or one of: {', '.join(overlay_names())}."
        ) from None
    if not isinstance(tree, dict):
        raise BadInputError(f"Config file '{name}' must contain keys and values, like configs/base.yaml.")
    return tree


def _parse_yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"{source} is not valid YAML: {' '.join(str(error).split())}.") from None


def _merge(base: dict[str, Any], overlay: dict[str, Any], source: str, prefix: str = "") -> None:
    """Replace values of `base` in place by those of `overlay`; keys that base.yaml does not have are rejected."""
    for key, value in overlay.items():
        if key not in base:
            raise BadInputError(
                f"Unknown setting '{prefix}{key}' in '{source}'; {_suggest_key(f'{prefix}{key}', base, prefix)}"
            )
        if isinstance(base[key], dict):
            if not isinstance(value, dict):
                raise BadInputError(
                    f"Setting '{prefix}{key}' in '{source}' is a group. Name one of: {', '.join(base[key])}."
                )
            _merge(base[key], value, source, f"{prefix}{key}.")
        elif isinstance(value, dict):
            raise BadInputError(f"Setting '{prefix}{key}' in '{source}' is a single value without keys.")
        else:
            base[key] = value


def _suggest_key(unknown_key: str, base: dict[str, Any], prefix: str) -> str:
    """'did you mean …?' with the most similar key, first by full names, then by last names."""
    all_keys = [key for key, _ in flatten_config(_load_yaml("base"))]
    keys = [f"{prefix}{key}" for key in base] + all_keys
    matches = difflib.get_close_matches(unknown_key, keys, n=1, cutoff=0.6)
    if not matches:
        by_name = {key.rsplit(".", 1)[-1]: key for key in reversed(keys)}
        names = difflib.get_close_matches(unknown_key.rsplit(".", 1)[-1], list(by_name), n=1, cutoff=0.5)
        matches = [by_name[name] for name in names]
    return f"did you mean '{matches[0]}'?" if matches else f"the settings are: {', '.join(all_keys)}."


def flatten_config(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted name and value of every setting of a tree."""
    items = []
    for key, value in tree.items():
        items += flatten_config(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return items

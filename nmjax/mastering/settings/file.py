"""The settings of a track as a file: JSON that a person can read and change, and that renders again what it says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Bands
from nmjax.mastering.settings import exports
from nmjax.mastering.settings.schema import (
    BAND_RANGES,
    FORMAT,
    MAX_BANDS,
    READ_ONLY_KEYS,
    check_band_value,
    parse_settings,
    read_only_digest,
)
from nmjax.models import PHASES, SAMPLE_RATE
from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError

MAX_BYTES = 4_000_000
_FLAT_BAND = {"freq_hz": 1000.0, "gain_db": 0.0, "q": 1.0, "gate": 1.0}  # for a file that has no band left

_READ_ONLY_NOTE = (
    f"Something that is only for reading was changed ({', '.join(READ_ONLY_KEYS)}): it is measured or computed again, "
    "change 'eq' or 'residual_amount' in its place."
)


@dataclasses.dataclass(frozen=True)
class ModelId:
    """Which network made settings: its phase, the step it was saved at, and a digest of the checkpoint."""

    phase: str
    step: int
    checkpoint: str


@dataclasses.dataclass(frozen=True)
class StoredSettings:
    """What a settings file says.

    prediction: settings `[1, bands]` and z `[1, 512]`; z is None where the file has none, `input_gain_db` 0 where it
    has none. sample_rate: Hz, at which the bands draw the curve that is meant. residual_amount: 0 to 2, scales the
    residual's waveform. model: what made them; None for a file written by hand. track: of which track, if any.
    notes: sentences for the user.
    """

    prediction: Prediction
    sample_rate: int = SAMPLE_RATE
    residual_amount: float = 1.0
    model: ModelId | None = None
    track: str | None = None
    notes: tuple[str, ...] = ()

    def check_residual(self, checkpoint_digest: str | None) -> tuple[bool, str | None]:
        """Whether the residual can be rendered with the network whose digest is `checkpoint` (None: no network is at
        hand), and a sentence where the settings have one and it cannot."""
        if self.residual_amount == 0.0 or (self.model and not PHASES[self.model.phase].has_residual):
            return False, None
        if self.model is None or self.prediction.z is None:
            return False, "The settings name no model and z: they are rendered without a residual."
        model_label = f"made with checkpoint {self.model.checkpoint} (phase {self.model.phase})"
        if checkpoint_digest is None:
            return False, f"The settings were {model_label}; without it (--ckpt) the residual is left out."
        if checkpoint_digest != self.model.checkpoint:
            return False, f"The settings were {model_label}, not with {checkpoint_digest}: the residual is left out."
        return True, None


def settings_to_json(
    track: str,
    model: Any,
    prediction: Prediction,
    rendered_bands: Bands,
    sample_rate: int,
    delivery: dict[str, Any],
    residual_amount: float = 1.0,
    eq_sample_rate: int = SAMPLE_RATE,
    reference: str | None = None,
) -> str:
    """Settings in physical units, the bands as rendered at the file's rate, what was delivered, and z on a line of
    its own.

    Numbers of `eq` and z are written in the fewest digits that read back to the same float32, the rendered ones in
    nine.

    Args:
        track: its name.
        network: the network that made the settings (anything with `config.phase`, `step` and `identity`), the
            `ModelId` of a file that was read, or None.
        prediction: a batch of one; z may be None.
        rendered: `[1, bands]` at `rate` Hz.
        rate: of the track, in Hz.
        delivery: what was done after the model; for reading only.
        residual_amount: what the residual was scaled by.
        eq_rate: Hz, at which the prediction's bands draw their curve.
        reference: what they were brought near to, in words, if anything.
    """
    eq = prediction.settings.eq
    rows = _band_rows(_shortest_floats(getattr(eq, field)) for field in BAND_RANGES)
    rendered_rows = _band_rows(
        _round_to_nine_digits(x) for x in (rendered_bands.freq_hz, rendered_bands.gain_db, rendered_bands.q)
    )
    tree = {
        "format": FORMAT,
        "track": _replace_unprintable(track),
        **({} if reference is None else {"reference": _replace_unprintable(reference)}),
        "model": _model_to_dict(model),
        "input_gain_db": _shortest_floats(prediction.settings.input_gain_db[None])[0],
        "residual_amount": residual_amount,
        "eq": {"sample_rate": eq_sample_rate, "bands": rows},
        **{processor: _processor_to_dict(getattr(prediction.settings, processor)) for processor in PROCESSORS},
        "eq_as_rendered": {"sample_rate": sample_rate, "bands": rendered_rows},
        "delivery": delivery,
    }
    tree["check"] = read_only_digest(tree)
    z = json.dumps(None if prediction.z is None else _shortest_floats(prediction.z))
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)[:-2] + f',\n  "z": {z}\n}}\n'


def _replace_unprintable(name: str) -> str:
    """A name may hold what no text can."""
    return "".join(c if c.isprintable() else " " for c in name)


def read_settings(path: Path) -> StoredSettings:
    """Settings from a file: JSON as `as_json` writes it or shorter, or bands in a text or CSV as `exports` writes
    them (`.txt`, `.csv`). No code can be in it.

    Bands may have been changed, added, removed or reordered; none at all is a flat equaliser.

    Raises:
        BadInputError: missing, too large, cut short, no settings, or a value out of its range.
    """
    text = _read_text(path)
    if path.suffix.lower() in exports.READERS:
        return _import_eq(path, text)
    return settings_from_json(text, path.name)


def settings_from_json(text: str, name: str) -> StoredSettings:
    """Settings from the text of a JSON file, as `read_settings`. name: for the sentences."""
    tree = parse_settings(text, name)
    rows = tree["eq"]["bands"] or [_FLAT_BAND]
    eq = EqSettings(**{field: _to_array([row[field] for row in rows]) for field in BAND_RANGES})
    z = None if tree["z"] is None else _to_array(tree["z"])
    processors = {
        processor: values and PROCESSORS[processor].settings_type(**{k: _to_array(x)[0] for k, x in values.items()})
        for processor, values in tree["stages"].items()
    }
    prediction = Prediction(Settings(_to_array(tree["input_gain_db"])[0], eq, **processors), z)
    model = tree["model"] and ModelId(**tree["model"])
    notes = (_READ_ONLY_NOTE,) if tree["reading_changed"] else ()
    return StoredSettings(prediction, tree["eq"]["sample_rate"], tree["residual_amount"], model, tree["track"], notes)


def _import_eq(path: Path, text: str) -> StoredSettings:
    """An equaliser of another program, at the rate that the file names."""
    try:
        bands, rate = exports.READERS[path.suffix.lower()](text), exports.parse_sample_rate(text)
        columns = [np.asarray(x)[0].tolist() for x in (bands.freq_hz, bands.gain_db, bands.q)]
        if len(columns[0]) > MAX_BANDS:
            raise BadInputError(f"there are {len(columns[0])} bands; at most {MAX_BANDS} can be used.")
        nyquist_hz = (rate or SAMPLE_RATE) / 2
        for number, band in enumerate(zip(*columns, strict=True), 1):
            for field, value in zip(("freq_hz", "gain_db", "q"), band, strict=True):
                check_band_value(value, field, f"band {number}")
            if band[0] > nyquist_hz:
                raise BadInputError(f"band {number}: freq_hz is above half the sample rate, {nyquist_hz:g} Hz.")
    except BadInputError as error:
        raise BadInputError(f"'{path.name}': {error}") from None
    eq = EqSettings(*(_to_array(x) for x in columns), _to_array([1.0] * len(columns[0])))
    notes = () if rate else (f"'{path.name}' names no sample rate; {SAMPLE_RATE} Hz was taken.",)
    return StoredSettings(Prediction(Settings(_to_array(0.0)[0], eq), None), rate or SAMPLE_RATE, notes=notes)


def _read_text(path: Path) -> str:
    """A small text file."""
    if not path.is_file():
        raise BadInputError(f"'{path}' is {'a folder' if path.is_dir() else 'missing'}; give a settings file.")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInputError(f"'{path}' cannot be read ({error.strerror or error}); check its permissions.") from None
    if len(data) > MAX_BYTES:
        raise BadInputError(f"'{path}' is larger than {MAX_BYTES // 1_000_000} MB; that is no settings file.")
    try:
        return data.decode("utf-8-sig")  # some editors put a mark in front
    except UnicodeDecodeError:
        raise BadInputError(f"'{path}' is no text in UTF-8; give a settings file.") from None


def _model_to_dict(model: Any) -> dict[str, Any] | None:
    if model is None:
        return None
    if not isinstance(model, ModelId):
        model = ModelId(model.config.phase, model.step, model.checkpoint_digest)
    return dataclasses.asdict(model)


def _processor_to_dict(processor: Any) -> dict[str, float] | None:
    """A stage's settings by name, in the fewest digits."""
    if processor is None:
        return None
    return {
        field.name: _shortest_floats(getattr(processor, field.name)[None])[0] for field in dataclasses.fields(processor)
    }


def _band_rows(columns: Iterable[list[float]]) -> list[dict[str, float]]:
    """Columns in the order of `RANGES` as one dict a band."""
    return [dict(zip(BAND_RANGES, row, strict=False)) for row in zip(*columns, strict=True)]


def _shortest_floats(values) -> list[float]:
    return [float(str(x)) for x in np.asarray(values, np.float32)[0]]


def _round_to_nine_digits(values) -> list[float]:
    return [float(f"{x:.9g}") for x in np.asarray(values, np.float64)[0]]


def _to_array(values: list[float] | float) -> Float[Array, "1 n"]:
    """float32; `[1, 1]` from a number."""
    return jnp.asarray(np.atleast_1d(np.asarray(values, np.float32))[None])

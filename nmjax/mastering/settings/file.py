"""Settings files: the settings of a master as JSON that a person can read and edit, and render again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands
from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan
from nmjax.mastering.settings import exports, response_curve
from nmjax.mastering.settings.schema import (
    BAND_RANGES,
    FORMAT,
    MAX_BANDS,
    READ_ONLY_KEYS,
    Band,
    ModelId,
    parse_settings,
    read_only_checksum,
)
from nmjax.models import PHASES, SAMPLE_RATE
from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.lazy_jax import Array

MAX_BYTES = 4_000_000
_FLAT_BAND = Band(freq_hz=1000.0, gain_db=0.0, q=1.0)  # for a file without bands

_EDITABLE_KEYS = ("repair", "eq", "eq_side", *PROCESSORS, "residual_amount")
_READ_ONLY_NOTE = (
    f"Edits of read-only parts ({', '.join(READ_ONLY_KEYS)}) have no effect. Edit one of: {', '.join(_EDITABLE_KEYS)}."
)


@dataclasses.dataclass(frozen=True)
class StoredSettings:
    """The content of a settings file.

    Attributes:
        prediction: settings `[1, bands]` and z `[1, 512]`; z is None and `input_gain_db` 0 where the file has none.
        sample_rate: rate in Hz at which the bands have their intended response.
        residual_amount: 0 to 2, scales the residual's waveform.
        model: the network that predicted the settings; None for a file written by hand.
        track: name of the track, if the file has one.
        repairs: what is repaired before everything else.
        notes: messages for the user.
    """

    prediction: Prediction
    sample_rate: int = SAMPLE_RATE
    residual_amount: float = 1.0
    model: ModelId | None = None
    track: str | None = None
    repairs: RepairPlan = NO_REPAIRS
    notes: tuple[str, ...] = ()

    @property
    def has_residual(self) -> bool:
        """Whether the network that predicted the settings adds a residual, of which an amount is rendered."""
        return self.residual_amount > 0.0 and (self.model is None or PHASES[self.model.phase].has_residual)

    def residual_obstacle(self, checkpoint_digest: str | None) -> str:
        """Why no residual is rendered, as the end of a sentence; empty where a network can render it.

        Args:
            checkpoint_digest: of the network; None where none is loaded.
        """
        if self.model and not PHASES[self.model.phase].has_residual:
            return f"the settings are those of phase {self.model.phase}, which has no residual"
        if self.residual_amount == 0.0:
            return "the residual_amount of the settings is 0"
        if self.model is None or self.prediction.z is None:
            return "the settings do not name the network and z that it needs"
        if checkpoint_digest == self.model.checkpoint:
            return ""
        origin = f"phase {self.model.phase}, step {self.model.step}"
        if checkpoint_digest is None:
            return f"it needs the network of the settings ({origin}); name it with --model or --ckpt"
        return f"the settings are those of another network ({origin}); name that one with --model or --ckpt"


def settings_to_json(
    *,
    track: str,
    model: ModelId | None,
    prediction: Prediction,
    rendered_bands: Bands,
    sample_rate: int,
    delivery: dict[str, Any],
    residual_amount: float = 1.0,
    eq_sample_rate: int = SAMPLE_RATE,
    reference: str | None = None,
    repairs: RepairPlan = NO_REPAIRS,
    rendered_side_bands: Bands | None = None,
) -> str:
    """The text of a settings file.

    Numbers of `eq` and z are written in the fewest digits that read back to the same float32, those of `rendered_eq`
    in nine digits. z is on a line of its own.

    Args:
        track: name of the track.
        model: the network that predicted the settings, if any.
        prediction: a batch of one; z may be None.
        rendered_bands: `[1, bands]` at `sample_rate`.
        sample_rate: of the track, in Hz.
        delivery: gain, loudness and peak of each delivery; read-only.
        residual_amount: what scaled the residual.
        eq_sample_rate: rate in Hz at which the prediction's bands have their intended response.
        reference: description of the reference that the settings were matched to, if any.
        repairs: what was repaired; the file has no `repair` where nothing was.
        rendered_side_bands: of the side's equalizer at `sample_rate`; the file has no `eq_side` where there is none.
    """
    eq, eq_side = prediction.settings.eq, prediction.settings.eq_side
    tree: dict[str, Any] = {
        "format": FORMAT,
        "track": _printable(track),
        **({} if reference is None else {"reference": _printable(reference)}),
        "model": model and model.model_dump(),
        "input_gain_db": _shortest_floats(prediction.settings.input_gain_db[None])[0],
        "residual_amount": residual_amount,
        **({"repair": repairs.to_dict()} if repairs.active() else {}),
        "eq": {
            "sample_rate": eq_sample_rate,
            "bands": _band_rows(_shortest_floats(getattr(eq, field)) for field in BAND_RANGES),
        },
        **({} if eq_side is None else {"eq_side": _side_eq_to_dict(eq_side)}),
        **{processor: _processor_to_dict(getattr(prediction.settings, processor)) for processor in PROCESSORS},
        "rendered_eq": _rendered_eq_to_dict(rendered_bands, sample_rate),
        **(
            {}
            if rendered_side_bands is None
            else {"rendered_eq_side": _rendered_eq_to_dict(rendered_side_bands, sample_rate)}
        ),
        "delivery": delivery,
    }
    tree["checksum"] = read_only_checksum(tree)
    z = json.dumps(None if prediction.z is None else _shortest_floats(prediction.z))
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)[:-2] + f',\n  "z": {z}\n}}\n'


def _side_eq_to_dict(eq_side: EqSettings) -> dict[str, Any]:
    return {"bands": _band_rows(_shortest_floats(getattr(eq_side, field)) for field in BAND_RANGES)}


def _rendered_eq_to_dict(bands: Bands, sample_rate: int) -> dict[str, Any]:
    """Bands as rendered at a rate in Hz, in nine digits."""
    columns = (bands.freq_hz, bands.gain_db, bands.q)
    rows = _band_rows([float(f"{x:.9g}") for x in _first_row(column)] for column in columns)
    return {"sample_rate": sample_rate, "bands": rows}


def read_settings(path: Path) -> StoredSettings:
    """Reads a settings file, or an equalizer preset in one of the formats of `exports.READERS` (`.txt`, `.csv`), or a
    response curve of these suffixes, to which bands are fitted.

    Bands may have been edited, added, removed or reordered; a file without bands is a flat equalizer.

    Raises:
        BadInputError: missing, too large, damaged, or with a key or value that the format does not allow.
    """
    text = _read_text(path)
    if path.suffix.lower() in exports.READERS:
        return _import_curve(path, text) if response_curve.is_curve(text) else _import_eq(path, text)
    return settings_from_json(text, path.name)


def settings_from_json(text: str, name: str) -> StoredSettings:
    """The same from the text of a JSON file. name: what messages call it."""
    file, processors, read_only_edited = parse_settings(text, name)
    eq = _eq_settings(file.eq.bands or [_FLAT_BAND])
    eq_side = _eq_settings(file.eq_side.bands) if file.eq_side and file.eq_side.bands else None
    processor_settings: dict[str, Any] = {
        processor: values
        and PROCESSORS[processor].settings_type(**{field: _to_array(x)[0] for field, x in values.items()})
        for processor, values in processors.items()
    }
    settings = Settings(_to_array(file.input_gain_db)[0], eq, eq_side=eq_side, **processor_settings)
    return StoredSettings(
        prediction=_prediction(settings, None if file.z is None else _to_array(file.z)),
        sample_rate=file.eq.sample_rate,
        residual_amount=file.residual_amount,
        model=file.model,
        track=file.track,
        repairs=file.repair,
        notes=(_READ_ONLY_NOTE,) if read_only_edited else (),
    )


def _eq_settings(bands: list[Band]) -> EqSettings:
    return EqSettings(**{field: _to_array([getattr(band, field) for band in bands]) for field in BAND_RANGES})


def _import_eq(path: Path, text: str) -> StoredSettings:
    """An equalizer preset of another program, at the sample rate that the file names."""
    try:
        bands, named_rate = exports.READERS[path.suffix.lower()](text), exports.parse_sample_rate(text)
        columns = {field: _first_row(getattr(bands, field)).tolist() for field in ("freq_hz", "gain_db", "q")}
        if len(columns["q"]) > MAX_BANDS:
            raise BadInputError(f"there are {len(columns['q'])} bands; at most {MAX_BANDS} can be used.")
        nyquist_hz = (named_rate or SAMPLE_RATE) / 2
        for number, values in enumerate(zip(*columns.values(), strict=True), 1):
            for field, value in zip(columns, values, strict=True):
                BAND_RANGES[field].check(value, f"band {number}: {field}")
            if values[0] > nyquist_hz:
                raise BadInputError(f"band {number}: freq_hz is above half the sample rate, {nyquist_hz:g} Hz.")
    except BadInputError as error:
        raise BadInputError(f"'{path.name}': {error}") from None
    note = "" if named_rate else f"'{path.name}' names no sample rate; {SAMPLE_RATE} Hz is assumed."
    return _from_bands(bands, named_rate or SAMPLE_RATE, note)


def _import_curve(path: Path, text: str) -> StoredSettings:
    """Bands fitted to a response curve."""
    try:
        fit = response_curve.fit_curve(response_curve.parse_curve(text))
    except BadInputError as error:
        raise BadInputError(f"'{path.name}': {error}") from None
    return _from_bands(fit.bands, SAMPLE_RATE, f"'{path.name}': {fit.note}")


def _from_bands(bands: Bands, sample_rate: int, note: str) -> StoredSettings:
    """An equalizer without anything else."""
    eq = EqSettings(bands.freq_hz, bands.gain_db, bands.q, np.ones_like(bands.q))
    prediction = _prediction(Settings(_to_array(0.0)[0], eq), None)
    return StoredSettings(prediction, sample_rate, notes=(note,) if note else ())


def _prediction(settings: Settings, z: Array | None) -> Prediction:
    return Prediction(settings, z)  # pyright: ignore[reportArgumentType]  (only settings from files may lack z)


def _read_text(path: Path) -> str:
    """The text of a small file."""
    if not path.is_file():
        raise BadInputError(f"'{path}' is {'a folder' if path.is_dir() else 'missing'}; give a settings file.")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInputError(f"'{path}' cannot be read ({error.strerror or error}); check its permissions.") from None
    if len(data) > MAX_BYTES:
        raise BadInputError(f"'{path}' is larger than {MAX_BYTES // 1_000_000} MB; give a settings file.")
    try:
        return data.decode("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError:
        raise BadInputError(f"'{path}' is not UTF-8 text; give a settings file.") from None


def _printable(name: str) -> str:
    """A name without the characters and bytes that text cannot hold."""
    return "".join(c if c.isprintable() else " " for c in name)


def _processor_to_dict(processor: Any) -> dict[str, float] | None:
    """A processor's parameters by name."""
    if processor is None:
        return None
    return {x.name: _shortest_floats(getattr(processor, x.name)[None])[0] for x in dataclasses.fields(processor)}


def _band_rows(columns: Iterable[list[float]]) -> list[dict[str, float]]:
    """Columns in the order of `BAND_RANGES` as one dict per band; rendered bands have no gate."""
    return [dict(zip(BAND_RANGES, row, strict=False)) for row in zip(*columns, strict=True)]


def _shortest_floats(values: Array | np.ndarray) -> list[float]:
    """The first row in the fewest digits that read back to the same float32."""
    return [float(str(x)) for x in _first_row(values, np.float32)]


def _first_row(values: Array | np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    return np.asarray(values, dtype)[0]


def _to_array(values: list[float] | float) -> Float[Array, "1 n"]:
    """float32; `[1, 1]` from a number."""
    return np.atleast_1d(np.asarray(values, np.float32))[None]

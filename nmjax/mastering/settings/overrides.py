"""Overrides of a prediction: EQ and residual amounts, single values, bypass and solo."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from nmjax.mastering.request import CHAIN_NAMES
from nmjax.mastering.settings.schema import (
    AMOUNT_RANGE,
    BAND_RANGES,
    MAX_BANDS,
    MAX_SIDE_BANDS,
    check_processor_value,
)
from nmjax.models import SAMPLE_RATE
from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest

_SIDE = "side band"
_SIDE_FREQ_HZ = (150.0, 400.0, 1_000.0, 2_500.0, 6_000.0, 10_000.0)  # of bands that a user adds


@dataclasses.dataclass(frozen=True)
class Overrides:
    """Overrides of a prediction; the default changes nothing.

    Attributes:
        eq_amount: 0 to 2, scales the bands' gains in dB.
        residual_amount: 0 to 2, scales the residual's waveform.
        bands: by number from 1, the values that replace predicted ones: freq_hz, gain_db, q, gate.
        side_bands: the same for the side's equalizer; a band that does not exist is added.
        bypass: elements of the chain that are left out, of `CHAIN_NAMES`.
        processors: by name, the values that replace predicted ones; a processor that was not predicted is added.

    Raises:
        BadInputError: a value out of its range, or an unknown field, processor or element.
    """

    eq_amount: float = 1.0
    residual_amount: float = 1.0
    bands: Mapping[int, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    side_bands: Mapping[int, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    bypass: frozenset[str] = frozenset()
    processors: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        AMOUNT_RANGE.check(self.eq_amount, "The EQ amount")
        AMOUNT_RANGE.check(self.residual_amount, "The residual amount")
        for element in sorted(self.bypass):
            if element not in CHAIN_NAMES:
                raise BadInputError(f"{element!r} cannot be bypassed; {suggest(element, CHAIN_NAMES)}")
        for processor, fields in self.processors.items():
            if processor not in PROCESSORS:
                raise BadInputError(f"There is no processor {processor!r}; {suggest(processor, tuple(PROCESSORS))}")
            for field, value in fields.items():
                check_processor_value(value, processor, field)
        for label, bands, max_bands in (("band", self.bands, MAX_BANDS), (_SIDE, self.side_bands, MAX_SIDE_BANDS)):
            for number, fields in bands.items():
                _check_band(number, fields, label, max_bands)

    @property
    def eq_scale(self) -> float:
        """Factor of the bands' gains in dB; 0 where the EQ is bypassed."""
        return 0.0 if "eq" in self.bypass else self.eq_amount

    @property
    def residual_scale(self) -> float:
        """Factor of the residual; 0 where it is bypassed."""
        return 0.0 if "residual" in self.bypass else self.residual_amount


def apply_overrides(overrides: Overrides, prediction: Prediction, sample_rate: int = SAMPLE_RATE) -> Prediction:
    """The prediction with overrides: single values first, then the EQ amount over all bands.

    A bypassed processor becomes None. With an amount of 0, or a bypassed EQ, every gain is exactly 0 dB. The residual
    is not part of a prediction: scale its waveform by `overrides.residual_scale`.

    Args:
        overrides: applied to every row alike.
        prediction: any batch. Where a gate is overridden, the result has no `gate_logit`.
        sample_rate: rate in Hz at which the bands have their intended response.

    Raises:
        BadInputError: a band that does not exist, a frequency above half the rate, or a gain beyond ±24 dB.
    """
    settings, scale = prediction.settings, overrides.eq_scale
    eq = _override_bands(settings.eq, overrides.bands, scale, sample_rate, "band")
    eq_side = settings.eq_side
    if overrides.side_bands:
        eq_side = _with_side_bands(eq_side, max(overrides.side_bands), len(settings.eq.q))
    if eq_side is not None:
        eq_side = _override_bands(eq_side, overrides.side_bands, scale, sample_rate, _SIDE)
    processors = _override_processors(overrides, settings, len(settings.eq.q))
    settings = dataclasses.replace(settings, eq=eq, eq_side=eq_side, **processors)
    gates_changed = any("gate" in fields for fields in overrides.bands.values())
    return dataclasses.replace(
        prediction, settings=settings, gate_logit=None if gates_changed else prediction.gate_logit
    )


def _check_band(number: int, fields: Mapping[str, float], label: str, max_bands: int) -> None:
    if not 1 <= number <= max_bands:
        last = f", the last one {max_bands}" if label == _SIDE else ""
        raise BadInputError(f"There is no {label} {number}; the first one is 1{last}.")
    for field, value in fields.items():
        if field not in BAND_RANGES:
            raise BadInputError(f"A band has no {field!r}; {suggest(field, tuple(BAND_RANGES))}")
        BAND_RANGES[field].check(value, f"{label.capitalize()} {number}: {field}")


def _override_bands(
    eq: EqSettings, bands: Mapping[int, Mapping[str, float]], scale: float, sample_rate: int, label: str
) -> EqSettings:
    """An equalizer with single values replaced, then all gains scaled."""
    values = {field: np.array(getattr(eq, field), np.float32) for field in BAND_RANGES}
    count = values["q"].shape[1]
    for number, fields in bands.items():
        if number > count:
            raise BadInputError(f"There is no {label} {number}; the last one is {count}.")
        for field, value in fields.items():
            values[field][:, number - 1] = value
        if values["freq_hz"][:, number - 1].max() > sample_rate / 2:
            raise BadInputError(
                f"{label.capitalize()} {number} is above half the EQ's sample rate, {sample_rate / 2:g} Hz; "
                "choose a lower freq_hz."
            )
    values["gain_db"] = _scale_gains(values["gain_db"], scale)
    return EqSettings(**values)


def _with_side_bands(eq_side: EqSettings | None, count: int, batch: int) -> EqSettings:
    """The side's equalizer with at least `count` bands; added ones have 0 dB at `_SIDE_FREQ_HZ`."""
    existing = 0 if eq_side is None else eq_side.q.shape[1]
    added_hz = np.asarray(_SIDE_FREQ_HZ[existing : max(count, existing)], np.float32)
    added = {
        "freq_hz": added_hz,
        "gain_db": np.zeros_like(added_hz),
        "q": np.ones_like(added_hz),
        "gate": np.ones_like(added_hz),
    }
    columns = {name: np.broadcast_to(x, (batch, len(added_hz))) for name, x in added.items()}
    if eq_side is not None:
        columns = {name: np.concatenate([getattr(eq_side, name), x], axis=1) for name, x in columns.items()}
    return EqSettings(**columns)


def neutral_processor_notes(overrides: Overrides, settings: Settings) -> list[str]:
    """A message for each processor whose overrides leave it neutral, unless they set a neutral value themselves."""
    notes = []
    for name, fields in overrides.processors.items():
        values, deciding = getattr(settings, name), [x.name for x in PROCESSORS[name].settings if x.neutral is not None]
        if values is not None and PROCESSORS[name].is_neutral(values) and not set(deciding) & set(fields):
            notes.append(f"--set {name} changes nothing: the {name} is neutral. Also set its {' or '.join(deciding)}.")
    return notes


def _override_processors(overrides: Overrides, settings: Settings, batch: int) -> dict[str, Any]:
    """Each processor's settings; None where there are none or it is bypassed."""
    processors = {}
    for processor, row in PROCESSORS.items():
        current, fields = getattr(settings, processor), overrides.processors.get(processor, {})
        if fields:
            values = {field: np.full((batch,), value, np.float32) for field, value in fields.items()}
            current = dataclasses.replace(current or row.initial_settings(batch), **values)
        processors[processor] = None if processor in overrides.bypass else current
    return processors


def _scale_gains(gain_db: np.ndarray, scale: float) -> np.ndarray:
    """Gains `[batch, bands]` times the EQ amount."""
    if scale == 0.0:
        return np.zeros_like(gain_db)  # not −0
    low, high, _ = BAND_RANGES["gain_db"]
    scaled = gain_db * np.float32(scale)
    if scaled.size and not (scaled.min() >= low and scaled.max() <= high):
        band_number = int(np.abs(scaled).max(axis=0).argmax()) + 1
        max_scale = high / float(np.abs(gain_db).max())
        raise BadInputError(
            f"An EQ amount of {scale:g} brings band {band_number} beyond {high:g} dB; choose at most {max_scale:.2f}."
        )
    return scaled

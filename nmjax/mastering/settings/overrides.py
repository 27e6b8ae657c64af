"""What a person wants of a prediction: more or less of it, single values changed, stages left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from nmjax.mastering.settings.schema import (
    BAND_RANGES,
    MAX_BANDS,
    check_amount,
    check_band_value,
    check_processor_value,
    suggest_key,
)
from nmjax.models import SAMPLE_RATE
from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError

CHAIN_ELEMENTS = ("eq", *PROCESSORS, "residual")


@dataclasses.dataclass(frozen=True)
class Overrides:
    """Changes to a prediction; the default changes nothing.

    eq_amount: 0 to 2, scales the bands' decibels. residual_amount: 0 to 2, scales the residual's waveform. bands: by
    number from 1, values that replace the predicted ones: freq_hz, gain_db, q, gate. stages: by name, values that
    replace the predicted ones; a stage that was not predicted is added. bypass: parts of the chain that are left out,
    of PARTS.

    Raises:
        BadInputError: a value out of its range, an unknown field, stage or part.
    """

    eq_amount: float = 1.0
    residual_amount: float = 1.0
    bands: Mapping[int, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    bypass: frozenset[str] = frozenset()
    processors: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        check_amount(self.eq_amount, "The EQ's amount")
        check_amount(self.residual_amount, "The residual's amount")
        for element in sorted(self.bypass):
            if element not in CHAIN_ELEMENTS:
                raise BadInputError(f"There is no stage {element!r} to bypass; {suggest_key(element, CHAIN_ELEMENTS)}")
        for processor, fields in self.processors.items():
            if processor not in PROCESSORS:
                raise BadInputError(f"There is no stage {processor!r}; {suggest_key(processor, tuple(PROCESSORS))}")
            for field, value in fields.items():
                check_processor_value(value, processor, field)
        for number, fields in self.bands.items():
            if not 1 <= number <= MAX_BANDS:
                raise BadInputError(f"There is no band {number}; bands are counted from 1.")
            for field, value in fields.items():
                if field not in BAND_RANGES:
                    raise BadInputError(f"A band has no {field!r}; {suggest_key(field, tuple(BAND_RANGES))}")
                check_band_value(value, field, f"Band {number}")

    @property
    def eq_scale(self) -> float:
        """What the bands' decibels are multiplied by."""
        return 0.0 if "eq" in self.bypass else self.eq_amount

    @property
    def residual_scale(self) -> float:
        """What the residual is multiplied by; at 0 its network need not run."""
        return 0.0 if "residual" in self.bypass else self.residual_amount


def parse_overrides(
    bands: Iterable[str] = (),
    bypass: Iterable[str] = (),
    eq_amount: str = "1",
    residual_amount: str = "1",
    processors: Iterable[str] = (),
    solo: str | None = None,
) -> Overrides:
    """A `Control` from the command line's words.

    Args:
        bands: such as "3.gain_db=-1".
        bypass: parts of the chain. solo: the one part that is not left out.
        stages: such as "compressor.ratio=2".
        eq_amount, residual_amount: numbers as text.

    Raises:
        BadInputError: a word that cannot be read, a value given twice, or what `Control` refuses.
    """
    band_overrides: dict[int, dict[str, float]] = {}
    for text in bands:
        key, equals, value = text.partition("=")
        number, dot, field = key.partition(".")
        if not (equals and dot and number.isascii() and number.isdigit() and len(number) < 9):
            raise BadInputError(f"{text!r} cannot be read; write --band 3.gain_db=-1 (band 3, counted from 1).")
        _set_once(band_overrides, int(number), field, _parse_number(value, f"--band {key}"), f"Band {int(number)}")
    processor_overrides: dict[str, dict[str, float]] = {}
    for text in processors:
        key, equals, value = text.partition("=")
        processor, dot, field = key.partition(".")
        if not (equals and dot):
            raise BadInputError(f"{text!r} cannot be read; write --set compressor.ratio=2.")
        _set_once(processor_overrides, processor, field, _parse_number(value, f"--set {key}"), f"The {processor}")
    if solo is not None:
        if solo not in CHAIN_ELEMENTS:
            raise BadInputError(f"There is no stage {solo!r} to solo; {suggest_key(solo, CHAIN_ELEMENTS)}")
        if bypass:
            raise BadInputError("--solo leaves out all other stages; do not give --bypass with it.")
        bypass = set(CHAIN_ELEMENTS) - {solo}
    amounts = _parse_number(eq_amount, "--eq-amount"), _parse_number(residual_amount, "--residual-amount")
    return Overrides(*amounts, band_overrides, frozenset(bypass), processor_overrides)


def _set_once(overrides: dict, owner: object, field: str, value: float, label: str) -> None:
    fields = overrides.setdefault(owner, {})
    if field in fields:
        raise BadInputError(f"{label} is given two values of {field}; leave one of them.")
    fields[field] = value


def apply_overrides(overrides: Overrides, prediction: Prediction, sample_rate: int = SAMPLE_RATE) -> Prediction:
    """The prediction as it is wanted: single values first, then the EQ's amount over all bands.

    A stage that is bypassed is None. At an amount of 0, or with the EQ bypassed, every gain is exactly 0 dB. The
    residual's amount is not part of a prediction: scale the waveform by `control.residual_scale`.

    Args:
        prediction: any batch; every row is changed alike. Gates that were changed have no logit any more.
        sample_rate: Hz, at which the bands draw their curve.

    Raises:
        BadInputError: a band that does not exist, a frequency above half the rate, a gain that ends up beyond ±24 dB.
    """
    eq = prediction.settings.eq
    values = {field: np.array(getattr(eq, field), np.float32) for field in BAND_RANGES}
    count = values["q"].shape[1]
    for number, fields in overrides.bands.items():
        if number > count:
            raise BadInputError(f"There is no band {number}; there are {count}.")
        for field, value in fields.items():
            values[field][:, number - 1] = value
        if values["freq_hz"][:, number - 1].max() > sample_rate / 2:
            raise BadInputError(f"Band {number} lies above half the EQ's sample rate, {sample_rate / 2:g} Hz.")
    values["gain_db"] = _scale_gains(values["gain_db"], overrides.eq_scale)
    eq = EqSettings(**{field: jnp.asarray(x) for field, x in values.items()})
    settings = prediction.settings.replace(
        eq=eq, **_override_processors(overrides, prediction.settings, len(values["q"]))
    )
    gates_changed = any("gate" in fields for fields in overrides.bands.values())
    return prediction.replace(settings=settings, gate_logit=None if gates_changed else prediction.gate_logit)


def _override_processors(overrides: Overrides, settings: Settings, batch: int) -> dict[str, Any]:
    """Each stage as it is wanted, None where there is none."""
    processors = {}
    for processor, row in PROCESSORS.items():
        current, fields = getattr(settings, processor), overrides.processors.get(processor, {})
        if fields:
            values = {field: jnp.full((batch,), value, jnp.float32) for field, value in fields.items()}
            current = dataclasses.replace(current or row.initial_settings(batch), **values)
        processors[processor] = None if processor in overrides.bypass else current
    return processors


def _scale_gains(gain_db: np.ndarray, scale: float) -> np.ndarray:
    """Gains `[batch, bands]` times the EQ's amount."""
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


def _parse_number(text: str, label: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInputError(f"{label} is {text!r}; give a number, with a point.") from None

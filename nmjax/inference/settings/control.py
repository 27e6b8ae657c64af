"""What a person wants of a prediction: more or less of it, single values changed, stages left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from nmjax.errors import BadInputError
from nmjax.inference.settings.tree import MOST_BANDS, RANGES, amount, in_range, known, stage_value
from nmjax.models import SAMPLE_RATE
from nmjax.models.settings import EqSettings, Prediction, Settings
from nmjax.models.stages import STAGES, start_of

PARTS = ("eq", *STAGES, "residual")


@dataclasses.dataclass(frozen=True)
class Control:
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
    stages: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        amount(self.eq_amount, "The EQ's amount")
        amount(self.residual_amount, "The residual's amount")
        for part in sorted(self.bypass):
            if part not in PARTS:
                raise BadInputError(f"There is no stage {part!r} to bypass; {known(part, PARTS)}")
        for stage, fields in self.stages.items():
            if stage not in STAGES:
                raise BadInputError(f"There is no stage {stage!r}; {known(stage, tuple(STAGES))}")
            for field, value in fields.items():
                stage_value(value, stage, field)
        for number, fields in self.bands.items():
            if not 1 <= number <= MOST_BANDS:
                raise BadInputError(f"There is no band {number}; bands are counted from 1.")
            for field, value in fields.items():
                if field not in RANGES:
                    raise BadInputError(f"A band has no {field!r}; {known(field, tuple(RANGES))}")
                in_range(value, field, f"Band {number}")

    @property
    def eq_scale(self) -> float:
        """What the bands' decibels are multiplied by."""
        return 0.0 if "eq" in self.bypass else self.eq_amount

    @property
    def residual_scale(self) -> float:
        """What the residual is multiplied by; at 0 its network need not run."""
        return 0.0 if "residual" in self.bypass else self.residual_amount


def parsed(
    bands: Iterable[str] = (),
    bypass: Iterable[str] = (),
    eq_amount: str = "1",
    residual_amount: str = "1",
    stages: Iterable[str] = (),
    solo: str | None = None,
) -> Control:
    """A `Control` from the command line's words.

    Args:
        bands: such as "3.gain_db=-1".
        bypass: parts of the chain. solo: the one part that is not left out.
        stages: such as "compressor.ratio=2".
        eq_amount, residual_amount: numbers as text.

    Raises:
        BadInputError: a word that cannot be read, a value given twice, or what `Control` refuses.
    """
    changed: dict[int, dict[str, float]] = {}
    for word in bands:
        place, equals, value = word.partition("=")
        number, point, field = place.partition(".")
        if not (equals and point and number.isascii() and number.isdigit() and len(number) < 9):
            raise BadInputError(f"{word!r} cannot be read; write --band 3.gain_db=-1 (band 3, counted from 1).")
        _once(changed, int(number), field, _number(value, f"--band {place}"), f"Band {int(number)}")
    set_to: dict[str, dict[str, float]] = {}
    for word in stages:
        place, equals, value = word.partition("=")
        stage, point, field = place.partition(".")
        if not (equals and point):
            raise BadInputError(f"{word!r} cannot be read; write --set compressor.ratio=2.")
        _once(set_to, stage, field, _number(value, f"--set {place}"), f"The {stage}")
    if solo is not None:
        if solo not in PARTS:
            raise BadInputError(f"There is no stage {solo!r} to solo; {known(solo, PARTS)}")
        if bypass:
            raise BadInputError("--solo leaves out all other stages; do not give --bypass with it.")
        bypass = set(PARTS) - {solo}
    amounts = _number(eq_amount, "--eq-amount"), _number(residual_amount, "--residual-amount")
    return Control(*amounts, changed, frozenset(bypass), set_to)


def _once(changed: dict, owner: object, field: str, value: float, whose: str) -> None:
    fields = changed.setdefault(owner, {})
    if field in fields:
        raise BadInputError(f"{whose} is given two values of {field}; leave one of them.")
    fields[field] = value


def apply(control: Control, prediction: Prediction, sample_rate: int = SAMPLE_RATE) -> Prediction:
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
    values = {field: np.array(getattr(eq, field), np.float32) for field in RANGES}
    count = values["q"].shape[1]
    for number, fields in control.bands.items():
        if number > count:
            raise BadInputError(f"There is no band {number}; there are {count}.")
        for field, value in fields.items():
            values[field][:, number - 1] = value
        if values["freq_hz"][:, number - 1].max() > sample_rate / 2:
            raise BadInputError(f"Band {number} lies above half the EQ's sample rate, {sample_rate / 2:g} Hz.")
    values["gain_db"] = _scaled(values["gain_db"], control.eq_scale)
    eq = EqSettings(**{field: jnp.asarray(x) for field, x in values.items()})
    settings = prediction.settings.replace(eq=eq, **_stages(control, prediction.settings, len(values["q"])))
    gates_changed = any("gate" in fields for fields in control.bands.values())
    return prediction.replace(settings=settings, gate_logit=None if gates_changed else prediction.gate_logit)


def _stages(control: Control, settings: Settings, batch: int) -> dict[str, Any]:
    """Each stage as it is wanted, None where there is none."""
    wanted = {}
    for stage in STAGES:
        given, fields = getattr(settings, stage), control.stages.get(stage, {})
        if fields:
            values = {field: jnp.full((batch,), value, jnp.float32) for field, value in fields.items()}
            given = dataclasses.replace(given or start_of(stage, batch), **values)
        wanted[stage] = None if stage in control.bypass else given
    return wanted


def _scaled(gain_db: np.ndarray, scale: float) -> np.ndarray:
    """Gains `[batch, bands]` times the EQ's amount."""
    if scale == 0.0:
        return np.zeros_like(gain_db)  # not −0
    low, high, _ = RANGES["gain_db"]
    scaled = gain_db * np.float32(scale)
    if scaled.size and not (scaled.min() >= low and scaled.max() <= high):
        number = int(np.abs(scaled).max(axis=0).argmax()) + 1
        most = high / float(np.abs(gain_db).max())
        raise BadInputError(
            f"The EQ's amount of {scale:g} brings band {number} beyond {high:g} dB; choose at most {most:.2f}."
        )
    return scaled


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInputError(f"{where} is {text!r}; give a number, with a point.") from None

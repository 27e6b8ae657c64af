"""What a person wants of a prediction: more or less of it, single values changed, stages left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np

from nmjax.errors import BadInputError
from nmjax.inference.settings_tree import MOST_BANDS, RANGES, amount, in_range, known
from nmjax.models import SAMPLE_RATE
from nmjax.models.settings import EqSettings, Prediction

STAGES = ("eq", "residual")


@dataclasses.dataclass(frozen=True)
class Control:
    """Changes to a prediction; the default changes nothing.

    eq_amount: 0 to 2, scales the bands' decibels. residual_amount: 0 to 2, scales the residual's waveform. bands: by
    number from 1, values that replace the predicted ones: freq_hz, gain_db, q, gate. bypass: stages that are left out,
    of "eq" and "residual".

    Raises:
        BadInputError: a value out of its range, an unknown field or stage.
    """

    eq_amount: float = 1.0
    residual_amount: float = 1.0
    bands: Mapping[int, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    bypass: frozenset[str] = frozenset()

    def __post_init__(self):
        amount(self.eq_amount, "The EQ's amount")
        amount(self.residual_amount, "The residual's amount")
        for stage in sorted(self.bypass):
            if stage not in STAGES:
                raise BadInputError(f"There is no stage {stage!r} to bypass; {known(stage, STAGES)}")
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
    bands: Iterable[str] = (), bypass: Iterable[str] = (), eq_amount: str = "1", residual_amount: str = "1"
) -> Control:
    """A `Control` from the command line's words.

    Args:
        bands: such as "3.gain_db=-1".
        bypass: stages.
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
        fields = changed.setdefault(int(number), {})
        if field in fields:
            raise BadInputError(f"Band {int(number)} is given two values of {field}; leave one of them.")
        fields[field] = _number(value, f"--band {place}")
    return Control(
        _number(eq_amount, "--eq-amount"), _number(residual_amount, "--residual-amount"), changed, frozenset(bypass)
    )


def apply(control: Control, prediction: Prediction, sample_rate: int = SAMPLE_RATE) -> Prediction:
    """The prediction as it is wanted: single values first, then the EQ's amount over all bands.

    At an amount of 0, or with the EQ bypassed, every gain is exactly 0 dB. The residual's amount is not part of a
    prediction: scale the waveform by `control.residual_scale`.

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
    settings = prediction.settings.replace(eq=EqSettings(**{field: jnp.asarray(x) for field, x in values.items()}))
    gates_changed = any("gate" in fields for fields in control.bands.values())
    return prediction.replace(settings=settings, gate_logit=None if gates_changed else prediction.gate_logit)


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

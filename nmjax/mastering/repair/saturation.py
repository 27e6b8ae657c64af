"""Repair of peaks that a saturator rounded off: its curve, undone sample by sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import amplitude_to_db
from nmjax.mastering.repair.base import Diagnosis, Proposal, Repair
from nmjax.mastering.settings.ranges import SENTENCE, Range, value_error
from nmjax.runtime.number_format import format_fixed

_MIN_RISE_DB = 0.5  # of the highest peaks: a smaller change is no repair
_Levels = Annotated[list[Annotated[float, Range(1e-6, 1_000.0)]], Field(min_length=2, max_length=64)]


class SaturationRepair(Repair):
    """A curve for each half of the waveform: piecewise linear through 0 and the given points, and beyond the last.

    Attributes:
        levels: magnitudes before the repair, ascending, full scale ±1.
        positive, negative: what each of them becomes, in the positive and in the negative half; never descending.
    """

    label: ClassVar[str] = "saturated peaks"
    repaired_findings: ClassVar[tuple[str, ...]] = ("saturation",)
    needs_name: ClassVar[bool] = True
    solved_findings: ClassVar[tuple[str, ...]] = ("plr",)
    levels: _Levels
    positive: _Levels
    negative: _Levels

    @model_validator(mode="after")
    def _is_a_curve(self) -> SaturationRepair:
        if not np.all(np.diff(self.levels) > 0.0):
            raise value_error("repair.saturation.levels must ascend.", SENTENCE)
        for name in ("positive", "negative"):
            values = getattr(self, name)
            if len(values) != len(self.levels):
                raise value_error(
                    f"repair.saturation.{name} has {len(values)} numbers; give {len(self.levels)}, one for each level.",
                    SENTENCE,
                )
            if not np.all(np.diff(values) >= 0.0):
                raise value_error(f"repair.saturation.{name} must not descend.", SENTENCE)
        return self

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """The curve that a network predicts; never certain, because distortion can be meant."""
        if "saturation" not in diagnosis.findings:
            return None
        from nmjax.mastering.saturation_curve import predict_curve  # imports JAX (a second), which a plan does not need

        curve = predict_curve(diagnosis.track)
        repair = cls(
            levels=_rounded(curve.levels), positive=_rounded(curve.positive), negative=_rounded(curve.negative)
        )
        return Proposal(repair, is_certain=False) if repair.rise_db >= _MIN_RISE_DB else None

    @property
    def rise_db(self) -> float:
        """By how much the highest peaks rise, in the half where they rise more."""
        return amplitude_to_db(max(self.positive[-1], self.negative[-1]) / self.levels[-1])

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> Iterator[np.ndarray]:
        """The stream through the curve; peaks may exceed full scale."""
        levels = np.concatenate([-np.array(self.levels[::-1]), [0.0], self.levels])
        values = np.concatenate([-np.array(self.negative[::-1]), [0.0], self.positive])
        first, last = ((values[i + 1] - values[i]) / (levels[i + 1] - levels[i]) for i in (0, -2))
        for chunk in chunks:
            beyond = last * np.maximum(chunk - levels[-1], 0.0) + first * np.minimum(chunk - levels[0], 0.0)
            yield (np.interp(chunk, levels, values) + beyond).astype(np.float32)

    @property
    def sentence(self) -> str:
        """By how much the peaks rise."""
        rise = format_fixed(self.rise_db, "dB")
        return f"The curve of a saturator was undone; the highest peaks rise by {rise}."


def _rounded(values: Float[np.ndarray, " points"]) -> list[float]:
    return [round(float(value), 6) for value in values]

"""Repair of peaks that a saturator rounded off, or a clipper cut off before the file was filtered or encoded.

The curve is undone sample by sample. Where peaks were cut off, what is near the ceiling is restored as in `clip.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import amplitude_to_db
from nmjax.dsp.declip import declip_chunks
from nmjax.mastering.diagnosis.ceiling import find_ceiling
from nmjax.mastering.diagnosis.finding import Severity
from nmjax.mastering.diagnosis.saturation import channels_agree, is_cut_off
from nmjax.mastering.repair.base import Diagnosis, Proposal, Repair
from nmjax.mastering.repair.clip import HalfLevels, checked_levels, describe_levels, level_array, level_list
from nmjax.mastering.repair.curve import with_ceiling
from nmjax.mastering.settings.ranges import SENTENCE, Range, value_error
from nmjax.runtime.number_format import format_fixed

_MIN_RISE_DB = 0.5  # of the highest peaks: a smaller change is no repair
_MIN_CONSTANCY = 0.8  # of the blocks that are cut off, at one level: the curve of others changes
_MAX_OVER = 2.0  # of samples over the ceiling, before the curve: ripples reach 1.5
_Levels = Annotated[list[Annotated[float, Range(1e-6, 1_000.0)]], Field(min_length=2, max_length=64)]


class SaturationRepair(Repair):
    """A curve for each half of the waveform, and the level from which its result is restored.

    The curve is piecewise linear through 0 and the given points, and continues beyond the last.

    Attributes:
        levels: magnitudes before the repair, ascending, full scale ±1.
        positive, negative: what each of them becomes, in the positive and in the negative half; never descending.
        ceiling_positive, ceiling_negative: magnitude after the curve from which the peaks of each channel are cut off;
            None for a half that is not. Empty where none is.
    """

    label: ClassVar[str] = "saturated peaks"
    repaired_findings: ClassVar[tuple[str, ...]] = ("saturation", "clipping")
    solved_findings: ClassVar[tuple[str, ...]] = ("plr",)
    levels: _Levels
    positive: _Levels
    negative: _Levels
    ceiling_positive: HalfLevels
    ceiling_negative: HalfLevels

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
    def needs_name(cls, diagnosis: Diagnosis) -> bool:
        """Unless the diagnosis warns, in all channels, and the level at which peaks are cut off does not change."""
        finding, statistics = diagnosis.findings.get("saturation"), diagnosis.statistics
        is_clear = finding is not None and finding.severity is not Severity.INFO
        if not is_clear or not channels_agree(statistics.saturation):
            return True
        return find_ceiling(statistics.ceiling).constancy < _MIN_CONSTANCY

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """The curve that a network predicts, and the ceiling; certain unless it needs its name.

        It is proposed for clipped tracks, too, where no flat top is at the highest level, so that `clip` has no level.
        """
        is_clipped_near_a_level = (
            "clipping" in diagnosis.findings and not np.isfinite(diagnosis.statistics.clipping.levels).any()
        )
        if "saturation" not in diagnosis.findings and not is_clipped_near_a_level:
            return None
        from nmjax.mastering.saturation_curve import predict_curve  # imports JAX (a second), which a plan does not need

        curve, ceiling = predict_curve(diagnosis.track), find_ceiling(diagnosis.statistics.ceiling)
        halves = [[], []]
        if is_cut_off(ceiling):
            curve, levels = with_ceiling(curve, diagnosis.statistics.ceiling, ceiling)
            if np.isfinite(levels).any():
                halves = [level_list(half) for half in levels]
        repair = cls(
            levels=_rounded(curve.levels),
            positive=_rounded(curve.positive),
            negative=_rounded(curve.negative),
            ceiling_positive=halves[0],
            ceiling_negative=halves[1],
        )
        if not repair.has_curve and not repair.is_slow:
            return None
        return Proposal(repair, is_certain=not cls.needs_name(diagnosis))

    @property
    def rise_db(self) -> float:
        """By how much the highest peaks rise, in the half where they rise more."""
        return amplitude_to_db(max(self.positive[-1], self.negative[-1]) / self.levels[-1])

    @property
    def has_curve(self) -> bool:
        """Whether the curve changes the signal enough to count; that of a hard clipper is straight."""
        return self.rise_db >= _MIN_RISE_DB

    @property
    def is_slow(self) -> bool:
        """Whether peaks are restored."""
        return any(level is not None for level in (*self.ceiling_positive, *self.ceiling_negative))

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream through the curve, with its peaks restored; they may exceed full scale."""
        if not self.is_slow:
            return self._undo_curve(chunks)
        halves = {"positive": self.ceiling_positive, "negative": self.ceiling_negative}
        ceiling = level_array({f"saturation.ceiling_{name}": values for name, values in halves.items()}, channels)
        before = [self._levels_before(values, getattr(self, name)) for name, values in halves.items()]
        limits = np.array([[np.inf if x is None else x for x in half] for half in before])
        restored = self._undo_curve(checked_levels(chunks, limits, "saturation.ceiling_", _MAX_OVER))
        cut_off = (np.clip(chunk, -ceiling[:, 1], ceiling[:, 0]) for chunk in restored)
        return declip_chunks(cut_off, ceiling, sample_rate)

    def _undo_curve(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        levels = np.concatenate([-np.array(self.levels[::-1]), [0.0], self.levels])
        values = np.concatenate([-np.array(self.negative[::-1]), [0.0], self.positive])
        first, last = ((values[i + 1] - values[i]) / (levels[i + 1] - levels[i]) for i in (0, -2))
        for chunk in chunks:
            beyond = last * np.maximum(chunk - levels[-1], 0.0) + first * np.minimum(chunk - levels[0], 0.0)
            yield (np.interp(chunk, levels, values) + beyond).astype(np.float32)

    @property
    def sentence(self) -> str:
        """By how much the peaks rise, and where they were cut off."""
        sentences = []
        if self.has_curve:
            rise = format_fixed(self.rise_db, "dB")
            sentences.append(f"The curve of a saturator was undone; the highest peaks rise by {rise}.")
        positive = self._levels_before(self.ceiling_positive, self.positive)
        if levels := describe_levels(positive, self._levels_before(self.ceiling_negative, self.negative)):
            sentences.append(f"Peaks cut off at {levels} were restored.")
        return " ".join(sentences) or "No peaks were restored."

    def _levels_before(self, ceilings: Sequence[float | None], values: Sequence[float]) -> list[float | None]:
        """The ceilings as they are in the file, before the curve."""
        beyond = 1_000.0 * (values[-1] - values[-2]) / (self.levels[-1] - self.levels[-2])
        after, before = [0.0, *values, values[-1] + beyond], [0.0, *self.levels, self.levels[-1] + 1_000.0]
        return [x and float(np.interp(x, after, before)) for x in ceilings]


def _rounded(values: Float[np.ndarray, " points"]) -> list[float]:
    return [round(float(value), 6) for value in values]

"""What a master is asked for, loudness and ceiling, and what can be reached."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from nmjax.errors import BadInputError
from nmjax.inference.decibels import amplitude_of, of_amplitude
from nmjax.inference.deliver.limiter import MARGIN_DB, Limiter, Reduction
from nmjax.inference.deliver.survey import Loudness, Survey
from nmjax.inference.stream import Pieces, ahead, scaled

Source = Callable[[], Pieces]  # from its start each time, `[frames, channel]`

LEAST_LUFS = -60.0  # that can be asked for
TOLERANCE_LU = 0.1  # of what counts as reached
_CLOSE_LU = 0.03  # of what is not tried again
_TRIES = 4
_LOUDEST_GAIN_DB = 60.0


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What is asked for. lufs: integrated loudness, −60 to 0; None: no gain. true_peak_db: ceiling in dBTP, −30 to 0;
    None: no limiter. max_limiting_db: deepest gain reduction, 0 to 30. name: of the standard, for files and tables.

    Raises:
        BadInputError: a number outside its range.
    """

    lufs: float | None = -14.0
    true_peak_db: float | None = -1.0
    max_limiting_db: float = 6.0
    name: str = "streaming"

    def __post_init__(self):
        for value, low, high, what in (
            (self.lufs, LEAST_LUFS, 0.0, "A loudness of {:g} LUFS"),
            (self.true_peak_db, -30.0, 0.0, "A ceiling of {:g} dBTP"),
            (self.max_limiting_db, 0.0, 30.0, "A limit of {:g} dB for the limiter"),
        ):
            if value is not None and not low <= value <= high:
                raise BadInputError(f"{what.format(value)} cannot be delivered; choose {low:g} to {high:g}.")

    @property
    def most_limiting_db(self) -> float:
        """Deepest gain reduction; 0 without a limiter."""
        return 0.0 if self.true_peak_db is None else self.max_limiting_db


PRESETS = {
    "streaming": Delivery(),
    "cd": Delivery(-9.0, -0.3, name="cd"),
    "club": Delivery(-7.0, -0.3, name="club"),
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a delivery is made and what it leads to.

    gain_db: before the limiter. ceiling_db: the limiter's, dBTP; None: none is needed. reduction: what it does. lufs:
    loudness afterwards, −inf where there is none. true_peak_db: dBTP afterwards (dBFS where no ceiling was asked for).
    reached: whether it is what was wanted. reason: a sentence where something is to be said, otherwise empty.
    """

    gain_db: float
    ceiling_db: float | None
    reduction: Reduction
    lufs: float
    true_peak_db: float
    reached: bool
    reason: str


def solve(source: Source, sample_rate: int, channels: int, wanted: Delivery, survey: Survey | None = None) -> Plan:
    """The gain with which the signal, limited, has the loudness that is wanted; less where that would take more
    limiting than is allowed. Two passes over the signal as a rule, one where nothing has to be limited.

    survey: the signal's, where several deliveries are made of it; it saves one pass.
    """
    survey = survey or Survey(source(), sample_rate, channels, wanted.most_limiting_db)
    task = _Task(source, sample_rate, channels, wanted, survey)
    if survey.true_peak == 0.0:
        return task.unlimited(0.0, "The track is silent, and so is the master.")
    if wanted.lufs is not None and not math.isfinite(survey.lufs):
        reason = (
            "The track is too short or too quiet to have a loudness (400 ms above −70 LUFS); its peak alone was held."
        )
        return task.unlimited(min(0.0, task.room_db), reason)
    gain_db = task.most_db if wanted.lufs is not None else min(0.0, task.most_db)
    if wanted.lufs is not None:
        gain_db = min(gain_db, task.estimated_gain_db())
    if task.limits(gain_db):
        return task.limited(gain_db)
    return task.unlimited(gain_db, task.shortfall(gain_db, survey.lufs + gain_db))


def highest_lufs(survey: Survey, wanted: Delivery) -> float:
    """About the loudness up to which a signal's delivery needs no more limiting than is allowed."""
    task = _Task(lambda: (), 0, 0, wanted, survey)
    return task.estimate(task.most_db) if task.limits(task.most_db) else survey.lufs + task.most_db


def delivered(source: Source, sample_rate: int, plan: Plan) -> Iterator[np.ndarray]:
    """The signal as planned, same length; to the bit the same where the plan is no gain and no limiter."""
    louder = scaled(source(), plan.gain_db)
    yield from louder if plan.ceiling_db is None else Limiter(sample_rate, plan.ceiling_db).limited(louder)


@dataclasses.dataclass(frozen=True)
class _Task:
    """A delivery of one signal."""

    source: Source
    sample_rate: int
    channels: int
    wanted: Delivery
    survey: Survey

    @property
    def room_db(self) -> float:
        """Gain up to where the limiter would begin to work."""
        if self.wanted.true_peak_db is None:
            return _LOUDEST_GAIN_DB
        return self.wanted.true_peak_db - MARGIN_DB - of_amplitude(self.survey.true_peak)

    @property
    def most_db(self) -> float:
        """Gain up to where it would do more than is allowed."""
        return min(_LOUDEST_GAIN_DB, self.room_db + self.wanted.most_limiting_db)

    def limits(self, gain_db: float) -> bool:
        """Whether this much gain makes the limiter work."""
        return self.wanted.true_peak_db is not None and gain_db > self.room_db

    def estimate(self, gain_db: float) -> float:
        """About the loudness after this gain and the limiter, without hearing the signal again."""
        return self.survey.limited_lufs(amplitude_of(gain_db), amplitude_of(self.wanted.true_peak_db - MARGIN_DB))

    def estimated_gain_db(self) -> float:
        """From the gain without a limiter upwards; `most_db` where even that is too little."""
        from scipy.optimize import brentq

        def missing(gain_db: float) -> float:
            return self.estimate(gain_db) - self.wanted.lufs

        least_db = self.wanted.lufs - self.survey.lufs
        if not self.limits(least_db) or least_db >= self.most_db or missing(least_db) >= 0.0:
            return least_db
        return self.most_db if missing(self.most_db) <= 0.0 else brentq(missing, least_db, self.most_db, xtol=1e-3)

    def limited(self, gain_db: float) -> Plan:
        """With the limiter: what was estimated is put right by what a pass measures."""
        target, ceiling_db = self.wanted.lufs, self.wanted.true_peak_db
        for left in reversed(range(_TRIES)):
            limiter, loudness = Limiter(self.sample_rate, ceiling_db), Loudness(self.sample_rate, self.channels)
            for piece in ahead(limiter.limited(scaled(self.source(), gain_db))):
                loudness.hear(piece)
            lufs = loudness.lufs()
            missing = 0.0 if target is None else target - lufs
            if abs(missing) <= _CLOSE_LU or (gain_db == self.most_db and missing > 0.0) or not left:
                break
            slope = (self.estimate(gain_db + 0.1) - self.estimate(gain_db)) / 0.1
            gain_db = min(self.most_db, gain_db + missing / max(slope, 0.1))
        reason = self.shortfall(gain_db, lufs)
        return Plan(gain_db, ceiling_db, limiter.reduction, lufs, ceiling_db - MARGIN_DB, not reason, reason)

    def unlimited(self, gain_db: float, reason: str) -> Plan:
        """By gain alone: what it leads to needs no further pass."""
        lufs, peak_db = self.survey.lufs + gain_db, of_amplitude(self.survey.true_peak) + gain_db
        reached = not self.shortfall(gain_db, lufs)
        return Plan(gain_db, None, Reduction(0.0, 0.0), lufs, peak_db, reached, reason)

    def shortfall(self, gain_db: float, lufs: float) -> str:
        """What is not reached, as a sentence; empty where everything is, or where there is no loudness to reach."""
        wanted, limiting = self.wanted, f"more than {self.wanted.max_limiting_db:g} dB of limiting"
        if wanted.lufs is None:
            quieter = f"{wanted.true_peak_db} dBTP would take {limiting}; the master is {-gain_db:.1f} dB quieter."
            return quieter if gain_db < 0.0 else ""
        if not math.isfinite(lufs) or abs(lufs - wanted.lufs) <= TOLERANCE_LU:
            return ""
        if self.wanted.true_peak_db is None:
            limiting = f"more than {_LOUDEST_GAIN_DB:g} dB of gain"
        return f"{round(wanted.lufs, 2):g} LUFS would take {limiting}; the master is at {lufs:.1f} LUFS."

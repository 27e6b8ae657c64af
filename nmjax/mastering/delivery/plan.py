"""What a master is asked for, loudness and ceiling, and what can be reached."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from nmjax.audio.streams import AudioChunks, prefetch, scale_stream_db
from nmjax.audio.units import amplitude_to_db, db_to_amplitude
from nmjax.mastering.delivery.limiter import CEILING_MARGIN_DB, GainReduction, Limiter
from nmjax.mastering.delivery.loudness_scan import LoudnessScan, scan_meter
from nmjax.runtime.errors import BadInputError

StreamOpener = Callable[[], AudioChunks]  # from its start each time, `[frames, channel]`

MIN_LUFS = -60.0  # that can be asked for
TOLERANCE_LU = 0.1  # of what counts as reached
_SEARCH_TOLERANCE_LU = 0.03  # of what is not tried again
_MAX_PASSES = 4
_MAX_GAIN_DB = 60.0


@dataclasses.dataclass(frozen=True)
class DeliverySpec:
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
        for value, low, high, template in (
            (self.lufs, MIN_LUFS, 0.0, "A loudness of {:g} LUFS"),
            (self.true_peak_db, -30.0, 0.0, "A ceiling of {:g} dBTP"),
            (self.max_limiting_db, 0.0, 30.0, "A limit of {:g} dB for the limiter"),
        ):
            if value is not None and not low <= value <= high:
                raise BadInputError(f"{template.format(value)} cannot be delivered; choose {low:g} to {high:g}.")

    @property
    def allowed_limiting_db(self) -> float:
        """Deepest gain reduction; 0 without a limiter."""
        return 0.0 if self.true_peak_db is None else self.max_limiting_db


PRESETS = {
    "streaming": DeliverySpec(),
    "cd": DeliverySpec(-9.0, -0.3, name="cd"),
    "club": DeliverySpec(-7.0, -0.3, name="club"),
}


@dataclasses.dataclass(frozen=True)
class DeliveryPlan:
    """How a delivery is made and what it leads to.

    gain_db: before the limiter. ceiling_db: the limiter's, dBTP; None: none is needed. reduction: what it does. lufs:
    loudness afterwards, −inf where there is none. true_peak_db: dBTP afterwards (dBFS where no ceiling was asked for).
    reached: whether it is what was wanted. reason: a sentence where something is to be said, otherwise empty.
    """

    gain_db: float
    ceiling_db: float | None
    gain_reduction: GainReduction
    lufs: float
    true_peak_db: float
    meets_spec: bool
    note: str


def plan_delivery(
    open_stream: StreamOpener, sample_rate: int, channels: int, spec: DeliverySpec, scan: LoudnessScan | None = None
) -> DeliveryPlan:
    """The gain with which the signal, limited, has the loudness that is wanted; less where that would take more
    limiting than is allowed. Two passes over the signal as a rule, one where nothing has to be limited.

    survey: the signal's, where several deliveries are made of it; it saves one pass.
    """
    scan = scan or LoudnessScan(open_stream(), sample_rate, channels, spec.allowed_limiting_db)
    search = _GainSearch(open_stream, sample_rate, channels, spec, scan)
    if scan.true_peak == 0.0:
        return search.plan_without_limiter(0.0, "The track is silent, and so is the master.")
    if spec.lufs is not None and not math.isfinite(scan.lufs):
        note = (
            "The track is too short or too quiet to have a loudness (400 ms above −70 LUFS); its peak alone was held."
        )
        return search.plan_without_limiter(min(0.0, search.headroom_db), note)
    gain_db = search.max_gain_db if spec.lufs is not None else min(0.0, search.max_gain_db)
    if spec.lufs is not None:
        gain_db = min(gain_db, search.estimate_gain_db())
    if search.needs_limiter(gain_db):
        return search.plan_with_limiter(gain_db)
    return search.plan_without_limiter(gain_db, search.describe_shortfall(gain_db, scan.lufs + gain_db))


def max_reachable_lufs(scan: LoudnessScan, spec: DeliverySpec) -> float:
    """About the loudness up to which a signal's delivery needs no more limiting than is allowed."""
    search = _GainSearch(lambda: (), 0, 0, spec, scan)
    return (
        search.estimate_lufs(search.max_gain_db)
        if search.needs_limiter(search.max_gain_db)
        else scan.lufs + search.max_gain_db
    )


def apply_delivery_plan(open_stream: StreamOpener, sample_rate: int, plan: DeliveryPlan) -> Iterator[np.ndarray]:
    """The signal as planned, same length; to the bit the same where the plan is no gain and no limiter."""
    amplified = scale_stream_db(open_stream(), plan.gain_db)
    yield from amplified if plan.ceiling_db is None else Limiter(sample_rate, plan.ceiling_db).limit(amplified)


@dataclasses.dataclass(frozen=True)
class _GainSearch:
    """A delivery of one signal."""

    open_stream: StreamOpener
    sample_rate: int
    channels: int
    spec: DeliverySpec
    scan: LoudnessScan

    @property
    def headroom_db(self) -> float:
        """Gain up to where the limiter would begin to work."""
        if self.spec.true_peak_db is None:
            return _MAX_GAIN_DB
        return self.spec.true_peak_db - CEILING_MARGIN_DB - amplitude_to_db(self.scan.true_peak)

    @property
    def max_gain_db(self) -> float:
        """Gain up to where it would do more than is allowed."""
        return min(_MAX_GAIN_DB, self.headroom_db + self.spec.allowed_limiting_db)

    def needs_limiter(self, gain_db: float) -> bool:
        """Whether this much gain makes the limiter work."""
        return self.spec.true_peak_db is not None and gain_db > self.headroom_db

    def estimate_lufs(self, gain_db: float) -> float:
        """About the loudness after this gain and the limiter, without hearing the signal again."""
        return self.scan.lufs_after_limiter(
            db_to_amplitude(gain_db), db_to_amplitude(self.spec.true_peak_db - CEILING_MARGIN_DB)
        )

    def estimate_gain_db(self) -> float:
        """From the gain without a limiter upwards; `most_db` where even that is too little."""
        from scipy.optimize import brentq

        def shortfall_lu(gain_db: float) -> float:
            return self.estimate_lufs(gain_db) - self.spec.lufs

        min_gain_db = self.spec.lufs - self.scan.lufs
        if not self.needs_limiter(min_gain_db) or min_gain_db >= self.max_gain_db or shortfall_lu(min_gain_db) >= 0.0:
            return min_gain_db
        return (
            self.max_gain_db
            if shortfall_lu(self.max_gain_db) <= 0.0
            else brentq(shortfall_lu, min_gain_db, self.max_gain_db, xtol=1e-3)
        )

    def plan_with_limiter(self, gain_db: float) -> DeliveryPlan:
        """With the limiter: what was estimated is put right by what a pass measures."""
        target_lufs, ceiling_db = self.spec.lufs, self.spec.true_peak_db
        for passes_left in reversed(range(_MAX_PASSES)):
            limiter, loudness = Limiter(self.sample_rate, ceiling_db), scan_meter(self.sample_rate, self.channels)
            for chunk in prefetch(limiter.limit(scale_stream_db(self.open_stream(), gain_db))):
                loudness.update(chunk)
            lufs = loudness.integrated_lufs()
            shortfall_lu = 0.0 if target_lufs is None else target_lufs - lufs
            if (
                abs(shortfall_lu) <= _SEARCH_TOLERANCE_LU
                or (gain_db == self.max_gain_db and shortfall_lu > 0.0)
                or not passes_left
            ):
                break
            slope = (self.estimate_lufs(gain_db + 0.1) - self.estimate_lufs(gain_db)) / 0.1
            gain_db = min(self.max_gain_db, gain_db + shortfall_lu / max(slope, 0.1))
        note = self.describe_shortfall(gain_db, lufs)
        return DeliveryPlan(
            gain_db, ceiling_db, limiter.gain_reduction, lufs, ceiling_db - CEILING_MARGIN_DB, not note, note
        )

    def plan_without_limiter(self, gain_db: float, note: str) -> DeliveryPlan:
        """By gain alone: what it leads to needs no further pass."""
        lufs, peak_db = self.scan.lufs + gain_db, amplitude_to_db(self.scan.true_peak) + gain_db
        meets_spec = not self.describe_shortfall(gain_db, lufs)
        return DeliveryPlan(gain_db, None, GainReduction(0.0, 0.0), lufs, peak_db, meets_spec, note)

    def describe_shortfall(self, gain_db: float, lufs: float) -> str:
        """What is not reached, as a sentence; empty where everything is, or where there is no loudness to reach."""
        spec, limit_text = self.spec, f"more than {self.spec.max_limiting_db:g} dB of limiting"
        if spec.lufs is None:
            message = f"{spec.true_peak_db} dBTP would take {limit_text}; the master is {-gain_db:.1f} dB quieter."
            return message if gain_db < 0.0 else ""
        if not math.isfinite(lufs) or abs(lufs - spec.lufs) <= TOLERANCE_LU:
            return ""
        if self.spec.true_peak_db is None:
            limit_text = f"more than {_MAX_GAIN_DB:g} dB of gain"
        return f"{round(spec.lufs, 2):g} LUFS would take {limit_text}; the master is at {lufs:.1f} LUFS."

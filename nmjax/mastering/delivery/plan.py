"""Delivery specs (loudness and true-peak ceiling), and the search for the gain that meets one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks, prefetch, scale_stream_db
from nmjax.audio.units import amplitude_to_db, db_to_amplitude
from nmjax.mastering.delivery.limiter import CEILING_MARGIN_DB, GainReduction, Limiter
from nmjax.mastering.delivery.loudness_scan import LoudnessScan, scan_meter
from nmjax.mastering.delivery.root_search import find_crossing
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_fixed, format_general

StreamOpener = Callable[[], AudioChunks]  # opens a signal from its start, as `[frames, channel]` chunks

MIN_LUFS = -60.0  # the lowest loudness that a spec can ask for
TOLERANCE_LU = 0.1  # largest deviation that meets the spec
_SEARCH_TOLERANCE_LU = 0.03  # deviation at which the search stops
_ESTIMATE_TOLERANCE_LU = 1e-3  # of the loudness estimated without a pass
_MAX_PASSES = 4
_MAX_GAIN_DB = 60.0


@dataclasses.dataclass(frozen=True)
class DeliverySpec:
    """Loudness and ceiling to deliver.

    Attributes:
        lufs: integrated loudness, −60 to 0 LUFS; None for no gain.
        true_peak_db: ceiling, −30 to 0 dBTP; None for no limiter.
        max_limiting_db: deepest gain reduction of the limiter, 0 to 30 dB.
        name: of the standard, for file names and tables.
        relative: "keep" for the loudness of the input, which `for_input` fills in; "clean" for the loudest that
            `max_limiting_db` allows, where `lufs` is None; otherwise empty.

    Raises:
        BadInputError: a number outside its range.
    """

    lufs: float | None = -14.0
    true_peak_db: float | None = -1.0
    max_limiting_db: float = 6.0
    name: str = "streaming"
    relative: Literal["", "keep", "clean"] = ""

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
        """Deepest gain reduction in dB; 0 without a limiter."""
        return 0.0 if self.true_peak_db is None else self.max_limiting_db

    @property
    def asks_for_loudness(self) -> bool:
        """Whether the delivery depends on how loud the signal is."""
        return self.lufs is not None or bool(self.relative)

    def for_input(self, lufs: float) -> DeliverySpec:
        """The spec for an input of this loudness; another one only for "keep"."""
        if self.relative != "keep":
            return self
        return dataclasses.replace(self, lufs=lufs if MIN_LUFS <= lufs <= 0.0 else None)


PRESETS = {
    "streaming": DeliverySpec(),
    "cd": DeliverySpec(lufs=-9.0, true_peak_db=-0.3, name="cd"),
    "club": DeliverySpec(lufs=-7.0, true_peak_db=-0.3, name="club"),
}


@dataclasses.dataclass(frozen=True)
class DeliveryPlan:
    """The gain and limiter of a delivery, and their result.

    Attributes:
        gain_db: before the limiter.
        ceiling_db: of the limiter, in dBTP; None where it is not needed.
        gain_reduction: what the limiter does.
        lufs: loudness afterwards; −inf where there is none.
        true_peak_db: true peak afterwards, in dBTP.
        meets_spec: whether the spec is met.
        note: a message for the user where it is not, or where there is no loudness; otherwise empty.
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
    """Finds the gain at which the limited signal has the loudness of the spec; a lower one where that would take more
    limiting than is allowed. Usually two passes over the signal, one where no limiter is needed.

    Args:
        open_stream: opens the signal from its start.
        sample_rate: in Hz.
        channels: number of channels.
        spec: loudness and ceiling.
        scan: of the signal, where several deliveries share it; saves one pass.
    """
    scan = scan or LoudnessScan(open_stream(), sample_rate, channels, spec.allowed_limiting_db)
    search = _GainSearch(spec, scan)
    if scan.true_peak == 0.0:
        return search.plan_without_limiter(0.0, "The track is silent, and so is the master.")
    if not spec.asks_for_loudness:
        gain_db = min(0.0, search.max_gain_db)
    elif math.isfinite(scan.lufs):
        gain_db = min(search.max_gain_db, search.requested_gain_db())
    else:
        gain_db = min(0.0, search.headroom_db)
        change = f"turned down by {-gain_db:.1f} dB, below the ceiling" if gain_db < 0.0 else "delivered without gain"
        note = f"The track has no loudness (it is shorter than 400 ms, or never above −70 LUFS), so it is {change}."
        return search.plan_without_limiter(gain_db, note)
    if search.needs_limiter(gain_db):
        return _plan_with_limiter(open_stream, sample_rate, channels, search, gain_db)
    return search.plan_without_limiter(gain_db, search.describe_shortfall(gain_db, scan.lufs + gain_db))


def estimate_delivery(scan: LoudnessScan, spec: DeliverySpec) -> tuple[float, float]:
    """The approximate gain of a delivery in dB and the loudness after it in LUFS, without a pass over the signal.

    Args:
        scan: of the signal.
        spec: loudness and ceiling.
    """
    search = _GainSearch(spec, scan)
    if not math.isfinite(scan.lufs):
        return min(0.0, search.headroom_db), scan.lufs
    gain_db = min(search.max_gain_db, search.requested_gain_db() if spec.asks_for_loudness else 0.0)
    return gain_db, search.estimate_lufs(gain_db) if search.needs_limiter(gain_db) else scan.lufs + gain_db


def max_reachable_lufs(scan: LoudnessScan, spec: DeliverySpec) -> float:
    """The approximate loudness at which a signal's delivery takes all the limiting that is allowed."""
    search = _GainSearch(spec, scan)
    if search.needs_limiter(search.max_gain_db):
        return search.estimate_lufs(search.max_gain_db)
    return scan.lufs + search.max_gain_db


def loudness_by_limiting(
    scan: LoudnessScan, true_peak_db: float, limiting_db: Float[np.ndarray, " depths"]
) -> Float[np.ndarray, " depths"]:
    """The approximate loudness in LUFS of a signal whose peaks a limiter reduces by at most each of these depths (dB).

    Args:
        scan: of the signal, with a `max_limiting_db` of at least the largest depth.
        true_peak_db: ceiling, in dBTP.
        limiting_db: depths, 0 or more.
    """
    search = _GainSearch(DeliverySpec(lufs=None, true_peak_db=true_peak_db), scan)
    return np.array([search.estimate_lufs(search.headroom_db + depth_db) for depth_db in limiting_db])


def apply_delivery_plan(open_stream: StreamOpener, sample_rate: int, plan: DeliveryPlan) -> Iterator[np.ndarray]:
    """The delivered signal, of the same length; bit-identical where the plan has neither gain nor limiter."""
    amplified = scale_stream_db(open_stream(), plan.gain_db)
    yield from amplified if plan.ceiling_db is None else Limiter(sample_rate, plan.ceiling_db).limit(amplified)


def _plan_with_limiter(
    open_stream: StreamOpener, sample_rate: int, channels: int, search: _GainSearch, gain_db: float
) -> DeliveryPlan:
    """Renders with the limiter, measures, and corrects the estimated gain until the loudness meets the spec."""
    target_lufs, ceiling_db = search.spec.lufs, search.ceiling_db
    num_passes = 0
    while True:
        num_passes += 1
        limiter, meter = Limiter(sample_rate, ceiling_db), scan_meter(sample_rate, channels)
        for chunk in prefetch(limiter.limit(scale_stream_db(open_stream(), gain_db))):
            meter.update(chunk)
        lufs = meter.integrated_lufs()
        shortfall_lu = 0.0 if target_lufs is None else target_lufs - lufs
        at_max_gain = gain_db == search.max_gain_db and shortfall_lu > 0.0
        if abs(shortfall_lu) <= _SEARCH_TOLERANCE_LU or at_max_gain or num_passes == _MAX_PASSES:
            break
        slope = (search.estimate_lufs(gain_db + 0.1) - search.estimate_lufs(gain_db)) / 0.1
        gain_db = min(search.max_gain_db, gain_db + shortfall_lu / max(slope, 0.1))
    note = search.describe_shortfall(gain_db, lufs)
    return DeliveryPlan(
        gain_db=gain_db,
        ceiling_db=ceiling_db,
        gain_reduction=limiter.gain_reduction,
        lufs=lufs,
        true_peak_db=ceiling_db - CEILING_MARGIN_DB,
        meets_spec=not note,
        note=note,
    )


@dataclasses.dataclass(frozen=True)
class _GainSearch:
    """Limits and estimates of the gain of one delivery, from the scan of its signal."""

    spec: DeliverySpec
    scan: LoudnessScan

    @property
    def ceiling_db(self) -> float:
        """Ceiling of the limiter in dBTP; inf without one."""
        return math.inf if self.spec.true_peak_db is None else self.spec.true_peak_db

    @property
    def headroom_db(self) -> float:
        """Gain above which the limiter reduces."""
        if self.spec.true_peak_db is None:
            return _MAX_GAIN_DB
        return self.spec.true_peak_db - CEILING_MARGIN_DB - amplitude_to_db(self.scan.true_peak)

    @property
    def max_gain_db(self) -> float:
        """Gain above which the limiter would reduce more than is allowed."""
        return min(_MAX_GAIN_DB, self.headroom_db + self.spec.allowed_limiting_db)

    def needs_limiter(self, gain_db: float) -> bool:
        """Whether the limiter reduces at this gain."""
        return self.spec.true_peak_db is not None and gain_db > self.headroom_db

    def estimate_lufs(self, gain_db: float) -> float:
        """The approximate loudness after this gain and the limiter, without a pass over the signal."""
        return self.scan.lufs_after_limiter(
            db_to_amplitude(gain_db), db_to_amplitude(self.ceiling_db - CEILING_MARGIN_DB)
        )

    def requested_gain_db(self) -> float:
        """The approximate gain that the spec asks for, before it is bounded."""
        if self.spec.relative == "clean":
            return self.max_gain_db
        return 0.0 if self.spec.lufs is None else self.estimate_gain_db(self.spec.lufs)

    def estimate_gain_db(self, target_lufs: float) -> float:
        """The approximate gain to a loudness; `max_gain_db` where even that is too low."""

        def excess_lu(gain_db: float) -> float:
            return self.estimate_lufs(gain_db) - target_lufs

        min_gain_db = target_lufs - self.scan.lufs  # the gain without a limiter
        if not self.needs_limiter(min_gain_db) or min_gain_db >= self.max_gain_db or excess_lu(min_gain_db) >= 0.0:
            return min_gain_db
        if excess_lu(self.max_gain_db) <= 0.0:
            return self.max_gain_db
        return find_crossing(excess_lu, min_gain_db, self.max_gain_db, _ESTIMATE_TOLERANCE_LU)

    def plan_without_limiter(self, gain_db: float, note: str) -> DeliveryPlan:
        """A plan with gain alone, whose result needs no pass over the signal."""
        lufs = self.scan.lufs + gain_db
        return DeliveryPlan(
            gain_db=gain_db,
            ceiling_db=None,
            gain_reduction=GainReduction(max_db=0.0, active_fraction=0.0),
            lufs=lufs,
            true_peak_db=amplitude_to_db(self.scan.true_peak) + gain_db,
            meets_spec=not self.describe_shortfall(gain_db, lufs),
            note=note,
        )

    def describe_shortfall(self, gain_db: float, lufs: float) -> str:
        """A message where the spec is not met; empty where it is, or where there is no loudness."""
        spec, limit_text = self.spec, f"more than {self.spec.max_limiting_db:g} dB of limiting"
        if spec.relative == "clean":
            return ""
        if spec.lufs is None:
            ceiling = format_general(self.ceiling_db, "dBTP")
            message = f"{ceiling} would take {limit_text}; the master is {-gain_db:.1f} dB quieter."
            return message if gain_db < 0.0 else ""
        if not math.isfinite(lufs) or abs(lufs - spec.lufs) <= TOLERANCE_LU:
            return ""
        if spec.true_peak_db is None:
            limit_text = f"more than {_MAX_GAIN_DB:g} dB of gain"
        goal, result = format_general(round(spec.lufs, 2), "LUFS"), format_fixed(lufs, "LUFS")
        return f"{goal} would take {limit_text}; the master is at {result}."

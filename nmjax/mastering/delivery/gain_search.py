"""The search for the gain of a delivery, by estimates from a scan of its signal."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from nmjax.audio.units import amplitude_to_db, db_to_amplitude
from nmjax.mastering.delivery.limiter import CEILING_MARGIN_DB
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.root_search import find_crossing
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.runtime.number_format import format_fixed, format_general

TOLERANCE_LU = 0.1  # largest deviation that meets the spec
_ESTIMATE_TOLERANCE_LU = 1e-3  # of the loudness estimated without a pass
_MAX_GAIN_DB = 60.0


@dataclasses.dataclass(frozen=True)
class GainSearch:
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

    def chosen_gain_db(self) -> float:
        """The approximate gain of the delivery; 0 for silence."""
        if self.scan.true_peak == 0.0:
            return 0.0
        if not self.spec.asks_for_loudness:
            return min(0.0, self.max_gain_db)
        if math.isfinite(self.scan.lufs):
            return min(self.max_gain_db, self.requested_gain_db())
        return min(0.0, self.headroom_db)

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

    def describe_missing_loudness(self, gain_db: float) -> str:
        """A message where the signal is silent, or has no loudness that the spec asks for; otherwise empty."""
        if self.scan.true_peak == 0.0:
            return "The track is silent, and so is the master."
        if math.isfinite(self.scan.lufs) or not self.spec.asks_for_loudness:
            return ""
        change = f"turned down by {-gain_db:.1f} dB, below the ceiling" if gain_db < 0.0 else "delivered without gain"
        return f"The track has no loudness (it is shorter than 400 ms, or never above −70 LUFS), so it is {change}."

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


def estimate_delivery(scan: LoudnessScan, spec: DeliverySpec) -> tuple[float, float]:
    """The approximate gain of a delivery in dB and the loudness after it in LUFS, without a pass over the signal.

    Args:
        scan: of the signal.
        spec: loudness and ceiling.
    """
    search = GainSearch(spec, scan)
    if not math.isfinite(scan.lufs):
        return min(0.0, search.headroom_db), scan.lufs
    gain_db = min(search.max_gain_db, search.requested_gain_db() if spec.asks_for_loudness else 0.0)
    return gain_db, search.estimate_lufs(gain_db) if search.needs_limiter(gain_db) else scan.lufs + gain_db


def max_reachable_lufs(scan: LoudnessScan, spec: DeliverySpec) -> float:
    """The approximate loudness at which a signal's delivery takes all the limiting that is allowed."""
    search = GainSearch(spec, scan)
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
    search = GainSearch(DeliverySpec(lufs=None, true_peak_db=true_peak_db), scan)
    return np.array([search.estimate_lufs(search.headroom_db + depth_db) for depth_db in limiting_db])

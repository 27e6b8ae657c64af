"""Gain and limiter of a delivery, and the delivered signal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.loudness_meter import LoudnessMeter
from nmjax.audio.streams import AudioChunks, prefetch, scale_stream_db
from nmjax.audio.units import amplitude_to_db
from nmjax.mastering.delivery.gain_search import GainSearch
from nmjax.mastering.delivery.limiter import CEILING_MARGIN_DB, GainReduction, Limiter
from nmjax.mastering.delivery.loudness_scan import LoudnessScan, scan_meter
from nmjax.mastering.delivery.spec import DeliverySpec

StreamOpener = Callable[[], AudioChunks]  # opens a signal from its start, as `[frames, channel]` chunks

_SEARCH_TOLERANCE_LU = 0.03  # deviation at which the search stops
_MAX_PASSES = 4


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
    open_stream: StreamOpener,
    sample_rate: int,
    channels: int,
    spec: DeliverySpec,
    scan: LoudnessScan | None = None,
    consume: Callable[[AudioChunks], object] | None = None,
) -> DeliveryPlan:
    """Finds the gain at which the limited signal has the loudness of the spec; a lower one where that would take more
    limiting than is allowed. Usually two passes over the signal; without `consume` one where no limiter is needed.

    Args:
        open_stream: opens the signal from its start.
        sample_rate: in Hz.
        channels: number of channels.
        spec: loudness and ceiling.
        scan: of the signal, where several deliveries share it; saves one pass.
        consume: reads the delivered signal to its end, in the pass that measures it. Where that misses the loudness,
            which is rare, it is called again; the last signal is that of the plan.
    """
    scan = scan or LoudnessScan(open_stream(), sample_rate, channels, spec.allowed_limiting_db)
    search = GainSearch(spec, scan)
    gain_db = search.chosen_gain_db()
    if search.needs_limiter(gain_db):
        return _plan_with_limiter(open_stream, sample_rate, channels, search, gain_db, consume or _read_to_end)
    plan = _plan_without_limiter(search, gain_db)
    if consume:
        consume(apply_delivery_plan(open_stream, sample_rate, plan))
    return plan


def deliver_array(
    open_stream: StreamOpener, sample_rate: int, channels: int, spec: DeliverySpec
) -> tuple[DeliveryPlan, Float[np.ndarray, "frames channel"]]:
    """The plan and the delivered signal in float32; arguments as in `plan_delivery`."""
    delivered: list[np.ndarray] = []

    def store(chunks: AudioChunks) -> None:
        delivered[:] = [chunk.astype(np.float32) for chunk in chunks]

    plan = plan_delivery(open_stream, sample_rate, channels, spec, consume=store)
    return plan, np.concatenate(delivered)


def apply_delivery_plan(open_stream: StreamOpener, sample_rate: int, plan: DeliveryPlan) -> Iterator[np.ndarray]:
    """The delivered signal, of the same length; bit-identical where the plan has neither gain nor limiter."""
    amplified = scale_stream_db(open_stream(), plan.gain_db)
    return amplified if plan.ceiling_db is None else Limiter(sample_rate, plan.ceiling_db).limit(amplified)


def _plan_with_limiter(
    open_stream: StreamOpener,
    sample_rate: int,
    channels: int,
    search: GainSearch,
    gain_db: float,
    consume: Callable[[AudioChunks], object],
) -> DeliveryPlan:
    """Renders with the limiter, measures, and corrects the estimated gain until the loudness meets the spec."""
    target_lufs, ceiling_db = search.spec.lufs, search.ceiling_db
    num_passes = 0
    while True:
        num_passes += 1
        limiter, meter = Limiter(sample_rate, ceiling_db), scan_meter(sample_rate, channels)
        consume(_metered(prefetch(limiter.limit(scale_stream_db(open_stream(), gain_db))), meter))
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


def _plan_without_limiter(search: GainSearch, gain_db: float) -> DeliveryPlan:
    """A plan with gain alone, whose result needs no pass over the signal."""
    lufs = search.scan.lufs + gain_db
    shortfall = search.describe_shortfall(gain_db, lufs)
    return DeliveryPlan(
        gain_db=gain_db,
        ceiling_db=None,
        gain_reduction=GainReduction(max_db=0.0, active_fraction=0.0),
        lufs=lufs,
        true_peak_db=amplitude_to_db(search.scan.true_peak) + gain_db,
        meets_spec=not shortfall,
        note=search.describe_missing_loudness(gain_db) or shortfall,
    )


def _metered(chunks: AudioChunks, meter: LoudnessMeter) -> Iterator[np.ndarray]:
    for chunk in chunks:
        meter.update(chunk)
        yield chunk


def _read_to_end(chunks: AudioChunks) -> None:
    for _ in chunks:
        pass

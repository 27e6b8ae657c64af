"""The pass over a whole track after its settings have come to rest: the master as it will be delivered, on disk, with
its meters."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import DeliveryPlan, plan_delivery
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.network import Network
from nmjax.mastering.rendered_track import render_signal
from nmjax.mastering.types import RenderedTrack, RenderPlan
from nmjax.studio.meters import EnergyScan, MeterScan, energy_gain_db
from nmjax.studio.peaks import PeakScan
from nmjax.studio.spool import Spool, write_spool

Watch = Callable[[AudioChunks, float, float], AudioChunks]  # the same chunks; progress moves between two shares


@dataclasses.dataclass
class RenderedSound:
    """A track after the chain and before delivery, in a temporary file that ends with the object.

    Attributes:
        key: identifies the settings of the chain.
        track: opens it.
        scan: of its loudness and peaks.
        max_limiting_db: up to which the scan is exact.
        compressor_gain_db: `[hops]`; None without a compressor.
    """

    key: str
    track: RenderedTrack
    scan: LoudnessScan
    max_limiting_db: float
    compressor_gain_db: Float[np.ndarray, " hops"] | None
    _resources: contextlib.ExitStack

    def close(self) -> None:
        """Remove the temporary file."""
        self._resources.close()


@dataclasses.dataclass(frozen=True)
class WholeMaster:
    """A master on disk.

    Attributes:
        revision: of the track's settings.
        spool: its audio.
        delivery: gain and limiter.
        lufs: its loudness.
        peaks: of its waveform.
        meters: for JSON.
    """

    revision: int
    spool: Spool
    delivery: DeliveryPlan
    lufs: float
    peaks: Float[np.ndarray, "steps 2"]
    meters: dict


def render_sound(
    key: str,
    source: Spool,
    signal: SourceSignal,
    plan: RenderPlan,
    network: Network | None,
    max_limiting_db: float,
    watch: Watch,
) -> RenderedSound:
    """Render a whole track by the mastering engine, and measure it.

    Args:
        key: identifies the settings.
        source: the repaired track.
        signal: the same, measured.
        plan: the settings.
        network: adds the residual; None where the plan has none.
        max_limiting_db: deepest limiting that a delivery may take.
        watch: follows the audio.
    """
    energies: dict[str, EnergyScan] = {}

    def tap(stage: str, chunks: AudioChunks) -> AudioChunks:
        if plan.prediction.settings.compressor is not None and stage in ("eq", "compressor"):
            energies[stage] = EnergyScan(signal.sample_rate)
            chunks = energies[stage].watch(chunks)
        return chunks

    with contextlib.ExitStack() as stack:
        rendered = stack.enter_context(
            render_signal(signal, source.channels, plan, network, folder=source.path.parent, tap=tap)
        )
        scan = LoudnessScan(
            watch(rendered.open_stream(), 0.0, 0.6), signal.sample_rate, source.channels, max_limiting_db
        )
        compressor_gain_db = None
        compressor = plan.prediction.settings.compressor
        if "compressor" in energies and compressor is not None:
            makeup_db = float(compressor.makeup_db[0])
            compressor_gain_db = energy_gain_db(energies["eq"], energies["compressor"]) - makeup_db
        return RenderedSound(key, rendered, scan, max_limiting_db, compressor_gain_db, stack.pop_all())


class _Delivered:
    """A delivery with its meters, of one attempt at its gain."""

    spool: Spool

    def __init__(self, sample_rate: int, channels: int):
        self.before, self.after = EnergyScan(sample_rate), EnergyScan(sample_rate)
        self.meter, self.peaks = MeterScan(sample_rate, channels), PeakScan()


def deliver_sound(
    sound: RenderedSound,
    *,
    spec: DeliverySpec,
    sample_rate: int,
    channels: int,
    path: Path,
    revision: int,
    watch: Watch,
) -> WholeMaster:
    """Gain and limiter of a rendered track, and the result in a spool.

    Args:
        sound: the rendered track.
        spec: loudness and ceiling.
        sample_rate: Hz.
        channels: number of channels.
        path: of the spool.
        revision: of the settings.
        watch: follows the audio.
    """
    attempts: list[_Delivered] = []

    def open_stream() -> AudioChunks:
        attempts.append(_Delivered(sample_rate, channels))
        return attempts[-1].before.watch(watch(sound.track.open_stream(), 0.6, 1.0))

    def store(chunks: AudioChunks) -> None:
        last = attempts[-1]
        last.spool = write_spool(path, last.peaks.watch(last.meter.watch(last.after.watch(chunks))), channels)

    delivery = plan_delivery(open_stream, sample_rate, channels, spec, sound.scan, consume=store)
    delivered = attempts[-1]
    meters = delivered.meter.to_dict(delivery.true_peak_db if math.isfinite(delivery.true_peak_db) else None)
    energy_change_db = energy_gain_db(delivered.before, delivered.after)
    limiter_gain_db = np.minimum(energy_change_db - delivery.gain_db, 0.0)
    meters["limiter_gain_db"] = [round(float(x), 2) for x in limiter_gain_db]
    compressor = sound.compressor_gain_db
    meters["compressor_gain_db"] = [] if compressor is None else [round(float(x), 2) for x in compressor]
    return WholeMaster(revision, delivered.spool, delivery, delivered.meter.lufs, delivered.peaks.result(), meters)

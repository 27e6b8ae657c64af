"""An album of the studio: one gain for all tracks in each delivery, each with its own settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from nmjax.audio.streams import AudioChunks
from nmjax.batch.album import album_gain
from nmjax.batch.album_plan import SongMeter, measure_album_level
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.meter import StreamMeter
from nmjax.mastering.delivery.spec import MIN_LUFS, DeliverySpec
from nmjax.mastering.rendered_track import render_signal
from nmjax.runtime.number_format import format_fixed
from nmjax.studio.ordered import OrderedTrack
from nmjax.studio.track import Track


def album_specs(
    ordered: Sequence[OrderedTrack], specs: Sequence[DeliverySpec], watch: Callable[[Track, AudioChunks], AudioChunks]
) -> tuple[list[tuple[DeliverySpec, ...]], list[str]]:
    """The specs of each track at which all together have the loudness of those of the album, and messages.

    The tracks keep their loudness relative to each other as they are rendered. The one with the least headroom bounds
    the gain.

    Args:
        ordered: tracks of the album, with their settings.
        specs: of the album.
        watch: follows the audio of a track.
    """
    meters, scans = [], {}
    for track, prepared, _ in ordered:
        meter = StreamMeter(track.sample_rate, track.channels)
        with render_signal(
            prepared.signal, track.channels, prepared.plan, prepared.network, folder=track.audio_folder
        ) as rendered:
            chunks = meter.tap(watch(track, rendered.open_stream()))
            scans[track.upload] = LoudnessScan(chunks, track.sample_rate, track.channels)
        meters.append(SongMeter(meter.state, track.sample_rate))
    level = measure_album_level(meters)
    gains = [album_gain(spec.for_input(level.lufs), level.lufs, scans) for spec in specs]
    notes = [note for gain in gains for note in gain.notes]
    for spec, gain in zip(specs, gains, strict=True):
        if math.isfinite(level.lufs):
            lufs = format_fixed(level.lufs + gain.gain_db, "LUFS")
            notes.append(f"{spec.name}: the whole album is at {lufs}; its songs keep their relative loudness.")
    by_spec = list(zip(specs, gains, strict=True))
    return [tuple(_spec_of(spec, scans[x.upload], gain.gain_db) for spec, gain in by_spec) for x, *_ in ordered], notes


def _spec_of(target: DeliverySpec, scan: LoudnessScan, gain_db: float) -> DeliverySpec:
    lufs = scan.lufs + gain_db
    is_possible = math.isfinite(lufs) and MIN_LUFS <= lufs <= 0.0
    return dataclasses.replace(target, lufs=lufs if is_possible else None, relative="")

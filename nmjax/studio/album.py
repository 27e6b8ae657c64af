"""An album of the studio: one gain for all tracks, each with its own settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from nmjax.audio.streams import AudioChunks
from nmjax.batch.album import album_gain
from nmjax.batch.album_plan import SongMeter, measure_album_level
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.meter import StreamMeter
from nmjax.mastering.delivery.plan import MIN_LUFS, DeliverySpec
from nmjax.mastering.master import render_signal
from nmjax.runtime.errors import BadInputError
from nmjax.studio.track import Track


def album_specs(
    tracks: Sequence[Track], specs: Sequence[DeliverySpec], watch: Callable[[Track, AudioChunks], AudioChunks]
) -> tuple[list[DeliverySpec], list[str]]:
    """The spec of each track at which all together have the loudness of one, and messages about a shortfall.

    The tracks keep their loudness relative to each other as they are rendered. The one with the least headroom bounds
    the gain.

    Args:
        tracks: of the album.
        specs: what the album is delivered to.
        watch: follows the audio of a track.

    Raises:
        BadInputError: there are several deliveries.
    """
    if len(specs) != 1:
        raise BadInputError("An album makes one delivery at a time; choose one.")
    target, meters, scans = specs[0], [], {}
    for track in tracks:
        prepared = track.prepare()
        meter = StreamMeter(track.sample_rate, track.channels)
        with render_signal(
            prepared.signal, track.channels, prepared.plan, prepared.network, folder=track.audio_folder
        ) as rendered:
            chunks = meter.tap(watch(track, rendered.open_stream()))
            scans[track.upload] = LoudnessScan(chunks, track.sample_rate, track.channels)
        meters.append(SongMeter(meter.state, track.sample_rate))
    level = measure_album_level(meters)
    gain = album_gain(target.for_input(level.lufs), level.lufs, scans)
    return [_spec_of(target, scans[track.upload], gain.gain_db) for track in tracks], gain.notes


def _spec_of(target: DeliverySpec, scan: LoudnessScan, gain_db: float) -> DeliverySpec:
    lufs = scan.lufs + gain_db
    is_possible = math.isfinite(lufs) and MIN_LUFS <= lufs <= 0.0
    return dataclasses.replace(target, lufs=lufs if is_possible else None, relative="")

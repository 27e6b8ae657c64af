"""Album mastering: `album_plan` with a network and audio files.

Each song is delivered at the loudness that the album's one gain gives it, with the gain solved around the limiter, so
that limiting makes no song quieter. The song with the least headroom bounds the gain.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from rich.console import Console

from nmjax.audio import reader
from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks, add_streams, resample_stream
from nmjax.batch.album_plan import SongMeter, SongOperations, plan_album
from nmjax.batch.jobs import Job
from nmjax.mastering.analysis import SourceSignal, encode_signal, process_chain, residual_stream
from nmjax.mastering.delivery.gain_search import max_reachable_lufs
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.meter import StreamMeter
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.network import Network, PooledFrames
from nmjax.mastering.reference_features import features_from_chunks
from nmjax.mastering.references import read_excerpts
from nmjax.mastering.source import input_signal, measure_source
from nmjax.mastering.track_analysis import plan_render
from nmjax.mastering.types import AlbumSettings, MasteringOptions
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction
from nmjax.reference.features import TrackFeatures
from nmjax.reference.match import ReferenceMatch, match_settings
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_fixed
from nmjax.runtime.text import to_printable

_TOLERANCE_LU = 0.05  # shortfall that counts as reached


class AlbumGain(NamedTuple):
    """Gain of an album in dB, and messages about a shortfall."""

    gain_db: float
    notes: list[str]


def plan_album_options(
    jobs: Sequence[Job], network: Network | None, options: MasteringOptions, console: Console
) -> tuple[MasteringOptions, list[str]]:
    """The options with the settings and the gain that all songs share, and messages about a shortfall.

    Raises:
        BadInputError: there is no network, there are several deliveries, or a song cannot be used.
    """
    if network is None or options.settings:
        raise BadInputError("--album takes its settings from a network; leave --settings out.")
    if len(options.delivery_specs) != 1:
        raise BadInputError("--album makes one delivery; name one with --deliver.")
    target = options.delivery_specs[0]
    songs = _AlbumSongs([job.track for job in jobs], network, options)
    with console.status("Analyzing the album …"):
        plan = plan_album(songs.tracks, songs.operations(), target.lufs or 0.0, math.inf)
    album_lufs = MODEL_LUFS - float(plan.prediction.settings.input_gain_db[0])
    gain = album_gain(target.for_input(album_lufs), plan.rendered_level.lufs, songs.loudness_scans)
    for note in gain.notes:
        print_line(console, note)
    shared = AlbumSettings(plan.prediction, album_lufs, songs.match)
    delivery = dataclasses.replace(target, lufs=None, relative="")  # the gain is `album_gain_db`
    options = dataclasses.replace(options, album=shared, album_gain_db=gain.gain_db, delivery_specs=(delivery,))
    return options, gain.notes


def album_gain(target: DeliverySpec, rendered_lufs: float, loudness_scans: dict[Path, LoudnessScan]) -> AlbumGain:
    """Gain from the rendered album to the target, bounded by the song with the least headroom.

    Args:
        target: loudness and ceiling of the album.
        rendered_lufs: loudness of the album before delivery.
        loudness_scans: of the rendered songs.
    """
    headroom_db = {
        track: max_reachable_lufs(scan, target) - scan.lufs
        for track, scan in loudness_scans.items()
        if math.isfinite(scan.lufs)
    }
    if not headroom_db:
        return AlbumGain(0.0, [])
    loudest_song, max_gain_db = min(headroom_db.items(), key=lambda item: item[1])
    if target.relative == "clean":
        return AlbumGain(max_gain_db, [])
    gain_db = target.lufs - rendered_lufs if target.lufs is not None else 0.0
    if gain_db <= max_gain_db + _TOLERANCE_LU:
        return AlbumGain(gain_db, [])
    note = (
        f"The album is at {format_fixed(rendered_lufs + max_gain_db, 'LUFS')}; more would take over "
        f"{target.max_limiting_db:g} dB of limiting in '{to_printable(loudest_song.name)}'."
    )
    return AlbumGain(max_gain_db, [note])


class _Song(NamedTuple):
    """A song. read_chunks: opens the repaired song; frames: its length."""

    info: AudioInfo
    read_chunks: StreamOpener
    frames: int

    def signal(self, gain_db: float) -> SourceSignal:
        """The song with the album's gain to the model's level."""
        return SourceSignal(self.read_chunks, self.info.sample_rate, MODEL_LUFS - gain_db, self.frames)


@dataclasses.dataclass
class _AlbumSongs:
    """The songs of an album, one at a time.

    Attributes:
        loudness_scans: of the rendered songs, filled by `_meter_rendered`.
        songs: filled by `_meter_input`.
        match: how a reference changed the network's prediction; None without a reference.
    """

    tracks: Sequence[Path]
    network: Network
    options: MasteringOptions
    loudness_scans: dict[Path, LoudnessScan] = dataclasses.field(default_factory=dict)
    songs: dict[Path, _Song] = dataclasses.field(default_factory=dict)
    match: ReferenceMatch | None = None
    _input_gain_db: float = 0.0

    def operations(self) -> SongOperations:
        """The operations of `plan_album`."""
        return SongOperations(
            meter_input=self._meter_input,
            encode=self._encode,
            decode_pooled=self._decode_pooled,
            meter_rendered=self._meter_rendered,
        )

    def _meter_input(self, track: Path) -> SongMeter:
        info, meters = reader.probe(track), {}

        def tap(stage: str, chunks: AudioChunks) -> AudioChunks:
            meters[stage] = StreamMeter(info.sample_rate, info.channels)
            return meters[stage].tap(chunks)

        source = measure_source(input_signal(info), self.options, tap)
        self.songs[track] = _Song(info, source.read_chunks, source.scan.frames)
        return SongMeter(meters["repaired" if source.repairs.active() else "source"].state, info.sample_rate)

    def _encode(self, track: Path, gain_db: float) -> PooledFrames:
        self._input_gain_db = gain_db
        return encode_signal(self.songs[track].signal(gain_db), self.network, self.options.analysis_seconds)

    def _decode_pooled(self, mean: Float[np.ndarray, "inputs size"]) -> Prediction:
        prediction = self.network.decode_pooled(mean)
        if not self.options.reference_target:
            return prediction
        album_signal = _concatenate_songs(self.songs.values(), self._input_gain_db)
        self.match = match_settings(
            prediction,
            _album_features(album_signal, self.songs.values()),
            self.options.reference_target,
            partial(read_excerpts, album_signal),
        )
        return self.match.prediction

    def _meter_rendered(self, track: Path, prediction: Prediction) -> SongMeter:
        info, signal = self.songs[track].info, self.songs[track].signal(float(prediction.settings.input_gain_db[0]))
        shared = AlbumSettings(prediction, signal.lufs)
        render_plan = plan_render(signal, self.network, dataclasses.replace(self.options, album=shared), [])
        audio = process_chain(
            signal, render_plan.prediction.settings, render_plan.rendered_bands, render_plan.rendered_side_bands
        )
        if render_plan.residual_amount:
            audio = add_streams(
                audio, residual_stream(signal, self.network, render_plan.prediction.z, render_plan.residual_amount)
            )
        meter = StreamMeter(info.sample_rate, info.channels)
        self.loudness_scans[track] = LoudnessScan(meter.tap(audio), info.sample_rate, info.channels)
        return SongMeter(meter.state, info.sample_rate)


def _concatenate_songs(songs: Collection[_Song], gain_db: float = 0.0) -> SourceSignal:
    """All songs as one signal at the model's rate; stereo where their numbers of channels differ."""
    same_channels = len({song.info.channels for song in songs}) == 1

    def read_chunks() -> AudioChunks:
        for song in songs:
            for chunk in resample_stream(song.read_chunks(), song.info.sample_rate, SAMPLE_RATE):
                is_ready = same_channels or song.info.channels == 2
                yield chunk if is_ready else np.repeat(reader.to_mono(chunk)[:, None], 2, axis=1)

    num_frames = sum(round(song.frames * SAMPLE_RATE / song.info.sample_rate) for song in songs)
    return SourceSignal(read_chunks, SAMPLE_RATE, MODEL_LUFS - gain_db, num_frames)


def _album_features(album_signal: SourceSignal, songs: Collection[_Song]) -> TrackFeatures:
    """Features of all songs; the side level is that of the stereo songs alone."""
    features = features_from_chunks(album_signal.read_chunks(), album_signal.sample_rate)
    stereo_songs = [song for song in songs if song.info.channels == 2]
    if not stereo_songs or len(stereo_songs) == len(songs):
        return features
    stereo_features = features_from_chunks(_concatenate_songs(stereo_songs).read_chunks(), album_signal.sample_rate)
    return dataclasses.replace(features, side_db=features.mid_db + stereo_features.side_db - stereo_features.mid_db)

"""How an album is mastered: what `album` plans, with a network; its songs keep their relative loudness.

Each song is delivered at the loudness that the album's one gain gives it, solved around the limiter: so a song that the
limiter works on is no quieter for it. The gain is bounded by the song that has the least room.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float
from rich.console import Console

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, add_streams, resample_stream
from nmjax.batch.album_plan import SongOperations, plan_album
from nmjax.batch.jobs import Job, to_printable
from nmjax.dsp import MeterState
from nmjax.mastering.analysis import SourceSignal, encode_signal, process_chain, residual_stream
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.meter import StreamMeter
from nmjax.mastering.delivery.plan import DeliverySpec, max_reachable_lufs
from nmjax.mastering.master import MIN_FRAMES, plan_render
from nmjax.mastering.network import Network, PooledFrames
from nmjax.mastering.references import features_from_chunks, read_excerpts
from nmjax.mastering.types import AlbumSettings, MasteringOptions
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction
from nmjax.reference.features import TrackFeatures
from nmjax.reference.match import ReferenceMatch, match_settings
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError

_TOLERANCE_LU = 0.05  # of what counts as reached


def plan_album_options(
    jobs: Sequence[Job], network: Network | None, options: MasteringOptions, console: Console
) -> tuple[MasteringOptions, list[str]]:
    """The options with what an album's songs share: settings, and the gain to the delivery. And what it falls short
    of, as sentences.

    Raises:
        BadInputError: no network, several deliveries, or a song that cannot be used.
    """
    if network is None or options.settings:
        raise BadInputError("--album takes its settings from a network; leave --settings out.")
    if len(options.delivery_specs) > 1:
        raise BadInputError("--album makes one delivery; name one with --deliver.")
    (target,) = options.delivery_specs
    songs = _AlbumSongs([job.track for job in jobs], network, options)
    with console.status("Listening to the album …"):
        plan = plan_album(songs.tracks, songs.operations(), target.lufs or 0.0, math.inf)
    gain_db, shortfall = _delivery_gain_db(target, plan.rendered_level.lufs, songs.loudness_scans)
    for sentence in shortfall:
        print_line(console, sentence)
    album_lufs = MODEL_LUFS - float(plan.prediction.settings.input_gain_db[0])
    shared = AlbumSettings(plan.prediction, album_lufs, songs.match)
    delivery = dataclasses.replace(target, lufs=None)  # the gain has been found; see `master`
    return dataclasses.replace(options, album=shared, album_gain_db=gain_db, delivery_specs=(delivery,)), shortfall


def _delivery_gain_db(
    target: DeliverySpec, rendered_lufs: float, loudness_scans: dict[Path, LoudnessScan]
) -> tuple[float, list[str]]:
    """From the rendered album at `lufs` to the delivery, and a sentence if that is less than was wanted."""
    audible = {track: scan for track, scan in loudness_scans.items() if math.isfinite(scan.lufs)}
    if not audible:
        return 0.0, []
    headroom_db = {track: max_reachable_lufs(scan, target) - scan.lufs for track, scan in audible.items()}
    limiting_song = min(headroom_db, key=headroom_db.get)
    gain_db = target.lufs - rendered_lufs if target.lufs is not None else 0.0
    if gain_db <= headroom_db[limiting_song] + _TOLERANCE_LU:
        return gain_db, []
    gain_db, name = headroom_db[limiting_song], to_printable(limiting_song.name)
    excess = f"'{name}' more than {target.max_limiting_db:g} dB of limiting"
    return gain_db, [f"The album is at {rendered_lufs + gain_db:.1f} LUFS; more would take in {excess}."]


@dataclasses.dataclass
class _AlbumSongs:
    """An album's songs one at a time, as `album.Steps` wants them. surveys: of the rendered songs, as they come.
    frames: that each was seen to have. match: what a reference made of the network's answer, if there was one."""

    tracks: Sequence[Path]
    network: Network
    options: MasteringOptions
    loudness_scans: dict[Path, LoudnessScan] = dataclasses.field(default_factory=dict)
    frame_counts: dict[Path, int] = dataclasses.field(default_factory=dict)
    match: ReferenceMatch | None = None
    _input_gain_db: float = 0.0

    def operations(self) -> SongOperations:
        """Of these songs."""
        return SongOperations(
            sample_rate=lambda track: reader.probe(track).sample_rate,
            meter_input=self._meter_input,
            encode=self._encode,
            decode_pooled=self._decode_pooled,
            meter_rendered=self._meter_rendered,
        )

    def _meter_input(self, track: Path) -> MeterState:
        info = reader.probe(track)
        meter = StreamMeter(info.sample_rate, info.channels)
        self.frame_counts[track] = sum(len(piece) for piece in meter.tap(reader.read_chunks(track)))
        if self.frame_counts[track] < MIN_FRAMES:
            raise BadInputError("it holds a single sample; there is nothing to master.")
        return meter.state

    def _encode(self, track: Path, gain_db: float) -> PooledFrames:
        self._input_gain_db = gain_db
        return encode_signal(_source_signal(track, gain_db), self.network, self.options.analysis_seconds)

    def _decode_pooled(self, mean: Float[Array, "ears size"]) -> Prediction:
        prediction = self.network.decode_pooled(mean)
        if not self.options.reference_target:
            return prediction
        album_signal = _concatenate_songs(self.frame_counts, self._input_gain_db)
        self.match = match_settings(
            prediction,
            _album_features(album_signal, self.frame_counts),
            self.options.reference_target,
            partial(read_excerpts, album_signal),
        )
        return self.match.prediction

    def _meter_rendered(self, track: Path, prediction: Prediction) -> MeterState:
        info = reader.probe(track)
        signal = _source_signal(track, float(prediction.settings.input_gain_db[0]))
        shared = AlbumSettings(prediction, signal.lufs)
        render_plan = plan_render(signal, self.network, dataclasses.replace(self.options, album=shared), [])
        audio = process_chain(signal, render_plan.prediction.settings, render_plan.rendered_bands)
        if render_plan.residual_amount:
            audio = add_streams(
                audio, residual_stream(signal, self.network, render_plan.prediction.z, render_plan.residual_amount)
            )
        meter = StreamMeter(info.sample_rate, info.channels)
        self.loudness_scans[track] = LoudnessScan(meter.tap(audio), info.sample_rate, info.channels)
        return meter.state


def _source_signal(track: Path, gain_db: float) -> SourceSignal:
    info = reader.probe(track)
    return SourceSignal(lambda: reader.read_chunks(track), info.sample_rate, MODEL_LUFS - gain_db, info.frames)


def _concatenate_songs(frame_counts: Mapping[Path, int], gain_db: float = 0.0) -> SourceSignal:
    """Songs, with their frames, as one signal at the model's rate; as stereo where their channels differ in number."""
    infos = {track: reader.probe(track) for track in frame_counts}
    same_channels = len({info.channels for info in infos.values()}) == 1

    def pieces() -> AudioChunks:
        for track, info in infos.items():
            for piece in resample_stream(reader.read_chunks(track), info.sample_rate, SAMPLE_RATE):
                yield (
                    piece
                    if same_channels or info.channels == 2
                    else np.repeat(reader.to_mono(piece)[:, None], 2, axis=1)
                )

    num_frames = sum(round(frame_counts[track] * SAMPLE_RATE / info.sample_rate) for track, info in infos.items())
    return SourceSignal(pieces, SAMPLE_RATE, MODEL_LUFS - gain_db, num_frames)


def _album_features(album_signal: SourceSignal, frame_counts: Mapping[Path, int]) -> TrackFeatures:
    """Of all songs; how wide they are, those with two channels say alone."""
    features = features_from_chunks(album_signal.read_chunks(), album_signal.sample_rate)
    stereo_frame_counts = {
        track: num_frames for track, num_frames in frame_counts.items() if reader.probe(track).channels == 2
    }
    if not stereo_frame_counts or len(stereo_frame_counts) == len(frame_counts):
        return features
    stereo_features = features_from_chunks(
        _concatenate_songs(stereo_frame_counts).read_chunks(), album_signal.sample_rate
    )
    return dataclasses.replace(features, side_db=features.mid_db + stereo_features.side_db - stereo_features.mid_db)

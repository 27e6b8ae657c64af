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

from nmjax import io
from nmjax.dsp import MeterState
from nmjax.errors import BadInputError
from nmjax.inference.deliver.delivery import Delivery, highest_lufs
from nmjax.inference.deliver.measure import Meter
from nmjax.inference.deliver.survey import Survey
from nmjax.inference.many.album import Steps, plan_album
from nmjax.inference.many.jobs import Job, shown
from nmjax.inference.master import LEAST_FRAMES, Options, Shared, choose
from nmjax.inference.network import Network, Pooled
from nmjax.inference.progress import say
from nmjax.inference.reference import excerpts_of, profile_of_pieces
from nmjax.inference.stream import Pieces, added, resampled
from nmjax.inference.track import Heard, pooled, processed, residual
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction
from nmjax.reference.match import Match, matched
from nmjax.reference.profile import Profile

_NEAR_LU = 0.05  # of what counts as reached


def album_options(
    jobs: Sequence[Job], network: Network | None, options: Options, console: Console
) -> tuple[Options, list[str]]:
    """The options with what an album's songs share: settings, and the gain to the delivery. And what it falls short
    of, as sentences.

    Raises:
        BadInputError: no network, several deliveries, or a song that cannot be used.
    """
    if network is None or options.settings:
        raise BadInputError("--album takes its settings from a network; leave --settings out.")
    if len(options.deliveries) > 1:
        raise BadInputError("--album makes one delivery; name one with --deliver.")
    (wanted,) = options.deliveries
    songs = _Songs([job.track for job in jobs], network, options)
    with console.status("Listening to the album …"):
        plan = plan_album(songs.tracks, songs.steps(), wanted.lufs or 0.0, math.inf)
    gain_db, short = _gain_db(wanted, plan.rendered.lufs, songs.surveys)
    for sentence in short:
        say(console, sentence)
    level = MODEL_LUFS - float(plan.prediction.settings.input_gain_db[0])
    shared = Shared(plan.prediction, level, songs.match)
    delivery = dataclasses.replace(wanted, lufs=None)  # the gain has been found; see `master`
    return dataclasses.replace(options, shared=shared, gain_db=gain_db, deliveries=(delivery,)), short


def _gain_db(wanted: Delivery, lufs: float, songs: dict[Path, Survey]) -> tuple[float, list[str]]:
    """From the rendered album at `lufs` to the delivery, and a sentence if that is less than was wanted."""
    heard = {track: survey for track, survey in songs.items() if math.isfinite(survey.lufs)}
    if not heard:
        return 0.0, []
    room = {track: highest_lufs(survey, wanted) - survey.lufs for track, survey in heard.items()}
    tightest = min(room, key=room.get)
    gain_db = wanted.lufs - lufs if wanted.lufs is not None else 0.0
    if gain_db <= room[tightest] + _NEAR_LU:
        return gain_db, []
    gain_db, name = room[tightest], shown(tightest.name)
    limit = f"'{name}' more than {wanted.max_limiting_db:g} dB of limiting"
    return gain_db, [f"The album is at {lufs + gain_db:.1f} LUFS; more would take in {limit}."]


@dataclasses.dataclass
class _Songs:
    """An album's songs one at a time, as `album.Steps` wants them. surveys: of the rendered songs, as they come.
    frames: that each was seen to have. match: what a reference made of the network's answer, if there was one."""

    tracks: Sequence[Path]
    network: Network
    options: Options
    surveys: dict[Path, Survey] = dataclasses.field(default_factory=dict)
    frames: dict[Path, int] = dataclasses.field(default_factory=dict)
    match: Match | None = None
    _input_gain_db: float = 0.0

    def steps(self) -> Steps:
        """Of these songs."""
        return Steps(
            rate=lambda track: io.probe(track).sample_rate,
            measure=self._measure,
            listen=self._listen,
            settle=self._settle,
            render=self._render,
        )

    def _measure(self, track: Path) -> MeterState:
        info = io.probe(track)
        meter = Meter(info.sample_rate, info.channels)
        self.frames[track] = sum(len(piece) for piece in meter.watch(io.pieces(track)))
        if self.frames[track] < LEAST_FRAMES:
            raise BadInputError("it holds a single sample; there is nothing to master.")
        return meter.state

    def _listen(self, track: Path, gain_db: float) -> Pooled:
        self._input_gain_db = gain_db
        return pooled(_heard(track, gain_db), self.network, self.options.seconds)

    def _settle(self, mean: Float[Array, "ears size"]) -> Prediction:
        prediction = self.network.settle(mean)
        if not self.options.aim:
            return prediction
        row = _in_a_row(self.frames, self._input_gain_db)
        self.match = matched(prediction, _profile(row, self.frames), self.options.aim, partial(excerpts_of, row))
        return self.match.prediction

    def _render(self, track: Path, prediction: Prediction) -> MeterState:
        info = io.probe(track)
        heard = _heard(track, float(prediction.settings.input_gain_db[0]))
        shared = Shared(prediction, heard.lufs)
        chosen = choose(heard, self.network, dataclasses.replace(self.options, shared=shared), [])
        audio = processed(heard, chosen.prediction.settings, chosen.rendered)
        if chosen.amount:
            audio = added(audio, residual(heard, self.network, chosen.prediction.z, chosen.amount))
        meter = Meter(info.sample_rate, info.channels)
        self.surveys[track] = Survey(meter.watch(audio), info.sample_rate, info.channels)
        return meter.state


def _heard(track: Path, gain_db: float) -> Heard:
    info = io.probe(track)
    return Heard(lambda: io.pieces(track), info.sample_rate, MODEL_LUFS - gain_db, info.frames)


def _in_a_row(songs: Mapping[Path, int], gain_db: float = 0.0) -> Heard:
    """Songs, with their frames, as one signal at the model's rate; as stereo where their channels differ in number."""
    infos = {track: io.probe(track) for track in songs}
    alike = len({info.channels for info in infos.values()}) == 1

    def pieces() -> Pieces:
        for track, info in infos.items():
            for piece in resampled(io.pieces(track), info.sample_rate, SAMPLE_RATE):
                yield piece if alike or info.channels == 2 else np.repeat(io.mono(piece)[:, None], 2, axis=1)

    frames = sum(round(songs[track] * SAMPLE_RATE / info.sample_rate) for track, info in infos.items())
    return Heard(pieces, SAMPLE_RATE, MODEL_LUFS - gain_db, frames)


def _profile(row: Heard, songs: Mapping[Path, int]) -> Profile:
    """Of all songs; how wide they are, those with two channels say alone."""
    found = profile_of_pieces(row.pieces(), row.sample_rate)
    wide = {track: frames for track, frames in songs.items() if io.probe(track).channels == 2}
    if not wide or len(wide) == len(songs):
        return found
    of_wide = profile_of_pieces(_in_a_row(wide).pieces(), row.sample_rate)
    return dataclasses.replace(found, side_db=found.mid_db + of_wide.side_db - of_wide.mid_db)

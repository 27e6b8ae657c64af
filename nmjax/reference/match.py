"""From a network's answer to settings that bring a track near to a reference, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Bands, Compressor, Width, compress, equalise, response_db
from nmjax.models import SAMPLE_RATE, Settings
from nmjax.models.settings import EqSettings, Prediction
from nmjax.reference import bells, dynamics, image
from nmjax.reference.profile import BANDS, CENTRES_HZ, Profile, profile_of
from nmjax.reference.wanted import OTHER_SONG, SAME_SONG, Belief, believed, held_db, wanted_db

Excerpts = Callable[[], Float[np.ndarray, "blocks time channel"]]

_RESTRAINT = 0.02  # dB² a dB of a bell's gain
# Single features: what may be wrong with a track (RMS), and what two parts of 30 s of one song differ by.
_CREST_FAULT, _CREST_NOISE = 0.8, 2.0  # dB
_RANGE_FAULT, _RANGE_NOISE = 1.0, 3.0  # LU
_WIDTH_FAULT, _WIDTH_NOISE = 1.3, 3.0  # dB
_WIDTH_SURE = (0.4, 0.6)  # how sure the widths below and above the crossover are beside each other
_NOISE_SECONDS = 30.0
_CREST_CHANGE_DB, _RANGE_CHANGE_LU = (-6.0, 2.0), (-4.0, 2.0)  # more, upwards above all, is no mastering any more
_LEAST_SECONDS = 1.0  # of a track that is compressed
_LEAST_CREST_DB, _LEAST_RANGE_LU = 0.1, 0.2  # less is not worth a compressor
_GRID = jnp.asarray(CENTRES_HZ, jnp.float32)


@dataclasses.dataclass(frozen=True)
class Aim:
    """What a track is to come near to. profile: of the reference, or of several together. name: what people call it.
    strength: 0 (the network's answer, to the bit) to 1; tone, dynamics, width: the same for each kind of feature.
    same_song: the reference is another part or mix of the track's own song, so that only what two parts of a song do
    not differ by anyway is taken as wrong."""

    profile: Profile
    name: str
    strength: float = 1.0
    tone: float = 1.0
    dynamics: float = 1.0
    width: float = 1.0
    same_song: bool = False

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{self.name}{', the same song' if self.same_song else ''}, strength {self.strength:g}"

    @property
    def belief(self) -> Belief:
        """What is believed of the difference before it is heard."""
        return SAME_SONG if self.same_song else OTHER_SONG


@dataclasses.dataclass(frozen=True)
class Match:
    """Settings after a reference. wanted_db: `[bands]` at `CENTRES_HZ`, the curve that the bells were to draw, moved by
    the gain that brings it to theirs. notes: sentences for the user."""

    prediction: Prediction
    aim: Aim
    wanted_db: Float[np.ndarray, "bands"]
    notes: tuple[str, ...] = ()


def matched(prediction: Prediction, track: Profile, aim: Aim, excerpts: Excerpts) -> Match:
    """The network's settings (one track's, at the model's rate) moved towards the reference.

    A silent track, and a strength of 0, leave them as they are.

    Args:
        track: its profile.
        excerpts: `[blocks, time, channel]` of it at the model's rate and level, when they are needed.
    """
    settings = prediction.settings
    there_db = _curve_db(settings.eq)
    if track.silent or aim.strength == 0.0:
        return Match(prediction, aim, there_db)
    settings, wanted = _toned(settings, track, aim)
    compressor, change_db = _compressed(settings, track, aim, excerpts)
    if compressor is not settings.compressor:  # which also moves the tone
        settings, wanted = _toned(prediction.settings, track.moved(change_db), aim)
        settings = settings.replace(compressor=compressor)
    settings = settings.replace(width=_widened(settings, track, aim))
    return Match(prediction.replace(settings=settings, gate_logit=None), aim, wanted, _notes(track, aim))


def _toned(settings: Settings, track: Profile, aim: Aim) -> tuple[Settings, Float[np.ndarray, "bands"]]:
    """The equaliser, and the curve that it was to draw."""
    there_db, share = _curve_db(settings.eq), aim.strength * aim.tone
    if share == 0.0:
        return settings, there_db
    more_db, weight = wanted_db(track, aim.profile, there_db, aim.belief)
    curve_db = held_db(there_db + share * more_db, track)
    found = bells.drawn(settings.eq.bands(), CENTRES_HZ, curve_db, weight, _RESTRAINT)
    eq = EqSettings(found.freq_hz, found.gain_db, found.q, jnp.ones_like(found.q))
    return settings.replace(eq=eq), curve_db + np.average(_curve_db(eq) - curve_db, weights=weight)


def _compressed(
    settings: Settings, track: Profile, aim: Aim, excerpts: Excerpts
) -> tuple[Compressor | None, Float[np.ndarray, "bands"]]:
    """The compressor, and how it moves mid's levels."""
    share, there = aim.strength * aim.dynamics, settings.compressor
    noise = _noise(track, aim.profile)
    crest_db = share * believed(aim.profile.crest_db - track.crest_db, _CREST_FAULT, noise * _CREST_NOISE, aim.belief)
    range_lu = aim.profile.loudness_range - track.loudness_range
    range_lu = share * believed(range_lu, _RANGE_FAULT, noise * _RANGE_NOISE, aim.belief)
    crest_db, range_lu = float(np.clip(crest_db, *_CREST_CHANGE_DB)), float(np.clip(range_lu, *_RANGE_CHANGE_LU))
    worth = abs(crest_db) >= _LEAST_CREST_DB or abs(range_lu) >= _LEAST_RANGE_LU
    if not worth or track.seconds < _LEAST_SECONDS:
        return there, np.zeros(BANDS)
    audio = _equalised(jnp.asarray(excerpts()), _filled(settings.eq.bands()))
    wanted = dynamics.Wanted(crest_db, range_lu, float(np.nan_to_num(track.loudness_range)))
    found = dynamics.fitted(audio, there, wanted)
    if found is there:
        return there, np.zeros(BANDS)
    after = _played(audio, found)
    before, after = (profile_of(list(np.asarray(x))).mid_db for x in (audio, after))
    return found, after - before


def _widened(settings: Settings, track: Profile, aim: Aim) -> Width | None:
    share = aim.strength * aim.width
    if share == 0.0 or not (track.stereo and aim.profile.stereo):
        return settings.width
    curve_db, there = _curve_db(settings.eq), settings.width
    factors = (1.0, 1.0) if there is None else (float(there.low[0]), float(there.high[0]))
    so_far, wanted = image.width_db(track, curve_db, factors), image.width_db(aim.profile)
    apart, noise = wanted - so_far, _noise(track, aim.profile)
    if aim.same_song:  # one fault for both: what they differ in is the music
        apart = np.full(2, np.average(apart, weights=_WIDTH_SURE))
    more = [share * believed(x, _WIDTH_FAULT, noise * _WIDTH_NOISE, aim.belief) for x in apart]
    return image.widened(there, track, curve_db, np.array(more))


def _noise(track: Profile, reference: Profile) -> float:
    """How much surer, or less sure, features are than those of two pieces of 30 s."""
    return float(np.sqrt(sum(0.5 * _NOISE_SECONDS / max(x.seconds, 3.0) for x in (track, reference))))


@jax.jit
def _equalised(audio: Array, bands: Bands) -> Array:
    blocks = len(audio)
    return equalise(audio, jax.tree.map(lambda x: jnp.broadcast_to(x, (blocks, x.shape[1])), bands), SAMPLE_RATE)[0]


@jax.jit
def _played(audio: Array, compressor: Compressor) -> Array:
    return compress(audio, jax.tree.map(lambda x: jnp.broadcast_to(x, (len(audio),)), compressor), SAMPLE_RATE)[0]


def _curve_db(eq: EqSettings) -> Float[np.ndarray, "bands"]:
    return np.asarray(_response_db(_filled(eq.bands()), _GRID, SAMPLE_RATE), np.float64)[0]


_response_db = jax.jit(response_db, static_argnums=2)


def _filled(bands: Bands) -> Bands:
    """With bells of 0 dB up to the most that are drawn, so that one program serves any number."""
    more = ((0, 0), (0, max(0, bells.MOST_BANDS - bands.q.shape[1])))
    return Bands(
        *(jnp.pad(x, more, constant_values=c) for x, c in ((bands.freq_hz, 1e3), (bands.gain_db, 0.0), (bands.q, 1.0)))
    )


def _notes(track: Profile, aim: Aim) -> tuple[str, ...]:
    notes = []
    if np.abs(track.mid_db - aim.profile.mid_db).max() < 0.01:
        notes.append(f"{aim.name} sounds like the track itself; another reference says more.")
    if not aim.profile.known.all():
        notes.append(f"{aim.name} holds nothing above {aim.profile.highest_hz:,.0f} Hz; what lies there was left.")
    return tuple(notes)

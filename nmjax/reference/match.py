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
from nmjax.reference import bells, dynamics, features, image
from nmjax.reference.moments import tone_apart
from nmjax.reference.profile import BANDS, CENTRES_HZ, Profile, profile_of
from nmjax.reference.wanted import OTHER_SONG, SAME_SONG, Belief, comparable, held_db, usable_bands, wanted_db

Excerpts = Callable[[], Float[np.ndarray, "blocks time channel"]]

_RESTRAINT = 0.02  # dB² a dB of a bell's gain
_LEAST_SECONDS = 1.0  # of a track that is compressed
_MUCH_DOUBT_DB = 3.0  # from which on three quarters of a fault are left, docs/reference.md
_UNCHANGED = dynamics.Change(0.0, 0.0)
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
    if share == 0.0 or track.seconds < _LEAST_SECONDS:
        return there, np.zeros(BANDS)
    plain = jnp.asarray(excerpts())
    audio = _equalised(plain, _filled(settings.eq.bands()))
    so_far = dynamics.changed(audio, _played(audio, there)) if there else _UNCHANGED
    changes = dynamics.changed(plain, audio), so_far
    wanted = features.dynamics(track, aim.profile, share, *changes, aim.belief)
    if wanted is None:
        return there, np.zeros(BANDS)
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
    more_db = features.wider_db(track, aim.profile, curve_db, factors, aim.belief, aim.same_song)
    return image.widened(there, track, curve_db, share * more_db)


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
    if not aim.tone:
        return tuple(notes)
    if comparable(track, aim.profile, aim.belief):
        usable = usable_bands(track, aim.profile)
        _, variance = tone_apart(track.moments, aim.profile.moments, usable)
        if (doubt_db := float(np.sqrt(np.mean(variance[usable])))) > _MUCH_DOUBT_DB:
            notes.append(
                f"Little of what {aim.name} plays comes again in the track (how their tone differs is known to within "
                f"{doubt_db:.0f} dB), so little of it was believed; a part that plays the same says more."
            )
    if not aim.profile.known.all():
        notes.append(f"{aim.name} holds nothing above {aim.profile.highest_hz:,.0f} Hz; what lies there was left.")
    return tuple(notes)

"""From a network's answer to settings that bring a track near to a reference, stage by stage."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands, response_db
from nmjax.models import SAMPLE_RATE
from nmjax.models.settings import EqSettings, Prediction
from nmjax.reference import bells
from nmjax.reference.profile import CENTRES_HZ, Profile
from nmjax.reference.wanted import OTHER_SONG, SAME_SONG, held_db, wanted_db

_RESTRAINT = 0.02  # dB² a dB of a bell's gain
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


@dataclasses.dataclass(frozen=True)
class Match:
    """Settings after a reference. wanted_db: `[bands]` at `CENTRES_HZ`, the curve that the bells were to draw, moved by
    the gain that brings it to theirs. notes: sentences for the user."""

    prediction: Prediction
    aim: Aim
    wanted_db: Float[np.ndarray, "bands"]
    notes: tuple[str, ...] = ()


def matched(prediction: Prediction, track: Profile, aim: Aim) -> Match:
    """The network's settings (one track's, at the model's rate) moved towards the reference.

    A silent track, and a strength of 0, leave them as they are.
    """
    there_db = _curve_db(prediction.settings.eq.bands())
    share = aim.strength * aim.tone
    if track.silent or share == 0.0:
        return Match(prediction, aim, there_db)
    more_db, weight = wanted_db(track, aim.profile, there_db, SAME_SONG if aim.same_song else OTHER_SONG)
    curve_db = held_db(there_db + share * more_db, track)
    found = bells.drawn(prediction.settings.eq.bands(), CENTRES_HZ, curve_db, weight, _RESTRAINT)
    drawn_db = _curve_db(found)
    curve_db += np.average(drawn_db - curve_db, weights=weight)
    eq = EqSettings(found.freq_hz, found.gain_db, found.q, jnp.ones_like(found.q))
    settings = prediction.settings.replace(eq=eq)
    return Match(prediction.replace(settings=settings, gate_logit=None), aim, curve_db, _notes(track, aim))


def _curve_db(bands: Bands) -> Float[np.ndarray, "bands"]:
    return np.asarray(response_db(bands, _GRID, SAMPLE_RATE), np.float64)[0]


def _notes(track: Profile, aim: Aim) -> tuple[str, ...]:
    notes = []
    if np.abs(track.mid_db - aim.profile.mid_db).max() < 0.01:
        notes.append(f"{aim.name} sounds like the track itself; another reference says more.")
    if not aim.profile.known.all():
        notes.append(f"{aim.name} holds nothing above {aim.profile.highest_hz:,.0f} Hz; what lies there was left.")
    return tuple(notes)

"""From a network's answer to settings that bring a track near to a reference, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Bands, Compressor, Width, compress, equalize, response_db
from nmjax.models import SAMPLE_RATE, Settings
from nmjax.models.parameters import EqSettings, Prediction
from nmjax.reference import dynamics, eq_fit, estimates, stereo_width
from nmjax.reference.features import BANDS, CENTERS_HZ, TrackFeatures, track_features
from nmjax.reference.frame_matching import tone_difference
from nmjax.reference.target_eq import (
    OTHER_SONG_PRIOR,
    SAME_SONG_PRIOR,
    Prior,
    can_match_frames,
    eq_correction_db,
    limit_boosts,
    usable_bands,
)

ExcerptLoader = Callable[[], Float[np.ndarray, "blocks time channel"]]

_GAIN_PENALTY = 0.02  # dB² a dB of a bell's gain
_MIN_SECONDS = 1.0  # of a track that is compressed
_LOW_CONFIDENCE_DB = 3.0  # from which on three quarters of a fault are left, docs/reference.md
_NO_CHANGE = dynamics.DynamicsChange(0.0, 0.0)
_GRID_HZ = jnp.asarray(CENTERS_HZ, jnp.float32)


@dataclasses.dataclass(frozen=True)
class ReferenceTarget:
    """What a track is to come near to. profile: of the reference, or of several together. name: what people call it.
    strength: 0 (the network's answer, to the bit) to 1; tone, dynamics, width: the same for each kind of feature.
    same_song: the reference is another part or mix of the track's own song, so that only what two parts of a song do
    not differ by anyway is taken as wrong."""

    features: TrackFeatures
    name: str
    strength: float = 1.0
    tone: float = 1.0
    dynamics: float = 1.0
    width: float = 1.0
    same_song: bool = False

    @property
    def description(self) -> str:
        """What it is, for people."""
        return f"{self.name}{', the same song' if self.same_song else ''}, strength {self.strength:g}"

    @property
    def prior(self) -> Prior:
        """What is believed of the difference before it is heard."""
        return SAME_SONG_PRIOR if self.same_song else OTHER_SONG_PRIOR


@dataclasses.dataclass(frozen=True)
class ReferenceMatch:
    """Settings after a reference. wanted_db: `[bands]` at `CENTRES_HZ`, the curve that the bells were to draw, moved by
    the gain that brings it to theirs. notes: sentences for the user."""

    prediction: Prediction
    reference_target: ReferenceTarget
    target_eq_db: Float[np.ndarray, " bands"]
    notes: tuple[str, ...] = ()


def match_settings(
    prediction: Prediction, track: TrackFeatures, reference_target: ReferenceTarget, load_excerpts: ExcerptLoader
) -> ReferenceMatch:
    """The network's settings (one track's, at the model's rate) moved towards the reference.

    A silent track, and a strength of 0, leave them as they are.

    Args:
        track: its profile.
        excerpts: `[blocks, time, channel]` of it at the model's rate and level, when they are needed.
    """
    settings = prediction.settings
    current_eq_db = _eq_response_db(settings.eq)
    if track.silent or reference_target.strength == 0.0:
        return ReferenceMatch(prediction, reference_target, current_eq_db)
    settings, target_eq_db = _match_tone(settings, track, reference_target)
    compressor, change_db = _match_dynamics(settings, track, reference_target, load_excerpts)
    if compressor is not settings.compressor:  # which also moves the tone
        settings, target_eq_db = _match_tone(prediction.settings, track.add_curve(change_db), reference_target)
        settings = settings.replace(compressor=compressor)
    settings = settings.replace(width=_match_width(settings, track, reference_target))
    return ReferenceMatch(
        prediction.replace(settings=settings, gate_logit=None),
        reference_target,
        target_eq_db,
        _notes(track, reference_target),
    )


def _match_tone(
    settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget
) -> tuple[Settings, Float[np.ndarray, " bands"]]:
    """The equaliser, and the curve that it was to draw."""
    current_eq_db, strength = _eq_response_db(settings.eq), reference_target.strength * reference_target.tone
    if strength == 0.0:
        return settings, current_eq_db
    correction_db, weight = eq_correction_db(track, reference_target.features, current_eq_db, reference_target.prior)
    target_eq_db = limit_boosts(current_eq_db + strength * correction_db, track)
    bands = eq_fit.fit_bands(settings.eq.bands(), CENTERS_HZ, target_eq_db, weight, _GAIN_PENALTY)
    eq = EqSettings(bands.freq_hz, bands.gain_db, bands.q, jnp.ones_like(bands.q))
    return settings.replace(eq=eq), target_eq_db + np.average(_eq_response_db(eq) - target_eq_db, weights=weight)


def _match_dynamics(
    settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget, load_excerpts: ExcerptLoader
) -> tuple[Compressor | None, Float[np.ndarray, " bands"]]:
    """The compressor, and how it moves mid's levels."""
    strength, current = reference_target.strength * reference_target.dynamics, settings.compressor
    if strength == 0.0 or track.seconds < _MIN_SECONDS:
        return current, np.zeros(BANDS)
    excerpts = jnp.asarray(load_excerpts())
    audio = _equalize(excerpts, _pad_bands(settings.eq.bands()))
    compressor_change = dynamics.dynamics_change(audio, _compress(audio, current)) if current else _NO_CHANGE
    changes = dynamics.dynamics_change(excerpts, audio), compressor_change
    target = estimates.dynamics_target(track, reference_target.features, strength, *changes, reference_target.prior)
    if target is None:
        return current, np.zeros(BANDS)
    compressor = dynamics.fit_compressor(audio, current, target)
    if compressor is current:
        return current, np.zeros(BANDS)
    after = _compress(audio, compressor)
    before, after = (track_features(list(np.asarray(x))).mid_db for x in (audio, after))
    return compressor, after - before


def _match_width(settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget) -> Width | None:
    strength = reference_target.strength * reference_target.width
    if strength == 0.0 or not (track.stereo and reference_target.features.stereo):
        return settings.width
    eq_db, current = _eq_response_db(settings.eq), settings.width
    factors = (1.0, 1.0) if current is None else (float(current.low[0]), float(current.high[0]))
    change_db = estimates.width_change_db(
        track, reference_target.features, eq_db, factors, reference_target.prior, reference_target.same_song
    )
    return stereo_width.fit_width(current, track, eq_db, strength * change_db)


@jax.jit
def _equalize(audio: Array, bands: Bands) -> Array:
    batch = len(audio)
    return equalize(audio, jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, x.shape[1])), bands), SAMPLE_RATE)[0]


@jax.jit
def _compress(audio: Array, compressor: Compressor) -> Array:
    return compress(audio, jax.tree.map(lambda x: jnp.broadcast_to(x, (len(audio),)), compressor), SAMPLE_RATE)[0]


def _eq_response_db(eq: EqSettings) -> Float[np.ndarray, " bands"]:
    return np.asarray(_response_db(_pad_bands(eq.bands()), _GRID_HZ, SAMPLE_RATE), np.float64)[0]


_response_db = jax.jit(response_db, static_argnums=2)


def _pad_bands(bands: Bands) -> Bands:
    """With bells of 0 dB up to the most that are drawn, so that one program serves any number."""
    padding = ((0, 0), (0, max(0, eq_fit.MAX_BANDS - bands.q.shape[1])))
    return Bands(
        *(
            jnp.pad(x, padding, constant_values=c)
            for x, c in ((bands.freq_hz, 1e3), (bands.gain_db, 0.0), (bands.q, 1.0))
        )
    )


def _notes(track: TrackFeatures, reference_target: ReferenceTarget) -> tuple[str, ...]:
    notes = []
    if np.abs(track.mid_db - reference_target.features.mid_db).max() < 0.01:
        notes.append(f"{reference_target.name} sounds like the track itself; another reference says more.")
    if not reference_target.tone:
        return tuple(notes)
    if can_match_frames(track, reference_target.features, reference_target.prior):
        usable = usable_bands(track, reference_target.features)
        _, variance = tone_difference(track.frames, reference_target.features.frames, usable)
        if (std_error_db := float(np.sqrt(np.mean(variance[usable])))) > _LOW_CONFIDENCE_DB:
            notes.append(
                f"Little of what {reference_target.name} plays comes again in the track (how their tone differs is known to within "
                f"{std_error_db:.0f} dB), so little of it was believed; a part that plays the same says more."
            )
    if not reference_target.features.known_bands.all():
        notes.append(
            f"{reference_target.name} holds nothing above {reference_target.features.max_hz:,.0f} Hz; what lies there was left."
        )
    return tuple(notes)

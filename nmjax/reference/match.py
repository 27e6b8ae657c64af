"""Match the predicted settings to a reference, processor by processor: EQ, compressor, stereo width."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Bands, Compressor, Width, compress, equalize, response_db
from nmjax.models import SAMPLE_RATE, Settings
from nmjax.models.parameters import EqSettings, Prediction
from nmjax.reference import dynamics, eq_fit, stereo_width
from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.features import TrackFeatures, track_features
from nmjax.reference.match_notes import match_notes
from nmjax.reference.posterior import OTHER_SONG_PRIOR, SAME_SONG_PRIOR, Prior
from nmjax.reference.target_eq import eq_correction_db, limit_boosts

ExcerptLoader = Callable[[], Float[np.ndarray, "blocks time channel"]]

_GAIN_PENALTY = 0.02  # dB² per dB of a filter's gain
_MIN_SECONDS = 1.0  # shorter tracks are not compressed
_NO_CHANGE = dynamics.DynamicsChange(crest_db=0.0, slope=0.0)
_GRID_HZ = jnp.asarray(CENTERS_HZ, jnp.float32)


@dataclasses.dataclass(frozen=True)
class ReferenceTarget:
    """What a track is matched to, and how closely.

    Attributes:
        features: features of the reference, or the average of several.
        name: name of the reference for messages.
        strength: 0 leaves the predicted settings bit-identical, 1 applies the whole estimate.
        tone: further factor, 0 to 1, for the EQ.
        dynamics: the same for the compressor.
        width: the same for the stereo width.
        same_song: whether the reference is another section or mix of the track's song; then only differences larger
            than those between two sections of one song are corrected.
        intensity: above 1, the noise of the measured differences counts as so many times smaller.
    """

    features: TrackFeatures
    name: str
    strength: float = 1.0
    tone: float = 1.0
    dynamics: float = 1.0
    width: float = 1.0
    same_song: bool = False
    intensity: float = 1.0

    @property
    def description(self) -> str:
        """Name, relation and strength, for settings files and reports."""
        return f"{self.name}{', the same song' if self.same_song else ''}, strength {self.strength:g}"

    @property
    def prior(self) -> Prior:
        """Prior of the difference between track and reference."""
        prior = SAME_SONG_PRIOR if self.same_song else OTHER_SONG_PRIOR
        return dataclasses.replace(prior, noise_scale=prior.noise_scale / max(1.0, self.intensity))

    @property
    def matched_stages(self) -> frozenset[str]:
        """The stages that the reference decides."""
        shares = {"eq": self.tone, "compressor": self.dynamics, "width": self.width}
        return frozenset(stage for stage, share in shares.items() if self.strength * share > 0.0)


@dataclasses.dataclass(frozen=True)
class ReferenceMatch:
    """Settings after matching.

    Attributes:
        prediction: the matched settings.
        reference_target: the reference.
        target_eq_db: EQ curve that the filters were fitted to, at `CENTERS_HZ`, at the level of their response.
        notes: messages for the user.
    """

    prediction: Prediction
    reference_target: ReferenceTarget
    target_eq_db: Float[np.ndarray, " bands"]
    notes: tuple[str, ...] = ()


class _ToneMatch(NamedTuple):
    """Settings with the matched EQ, the curve it was fitted to, and the share of the difference that was applied."""

    settings: Settings
    target_eq_db: Float[np.ndarray, " bands"]
    applied_share: float | None = None


class _DynamicsMatch(NamedTuple):
    """The matched compressor, and how it changes the levels of mid."""

    compressor: Compressor | None
    tone_change_db: Float[np.ndarray, " bands"]


def match_settings(
    prediction: Prediction, track: TrackFeatures, reference_target: ReferenceTarget, load_excerpts: ExcerptLoader
) -> ReferenceMatch:
    """Move the predicted settings towards a reference; a silent track or strength 0 leaves them unchanged.

    Args:
        prediction: settings of one track at the model's sample rate.
        track: features of the track.
        reference_target: the reference.
        load_excerpts: returns excerpts `[blocks, time, channel]` of the track at the model's sample rate and level;
            called only if the compressor is matched.
    """
    settings = prediction.settings
    if track.silent or reference_target.strength == 0.0:
        return ReferenceMatch(prediction, reference_target, _eq_response_db(settings.eq))
    tone = _match_tone(settings, track, reference_target)
    compressor, tone_change_db = _match_dynamics(tone.settings, track, reference_target, load_excerpts)
    if compressor is not settings.compressor:  # match the EQ again to the compressed signal
        tone = _match_tone(settings, track.add_curve(tone_change_db), reference_target)
        tone = tone._replace(settings=dataclasses.replace(tone.settings, compressor=compressor))
    width = _match_width(tone.settings, track, reference_target)
    settings = dataclasses.replace(tone.settings, width=width)
    notes = match_notes(
        track=track,
        reference=reference_target.features,
        name=reference_target.name,
        prior=reference_target.prior,
        applied_share=tone.applied_share,
    )
    return ReferenceMatch(
        dataclasses.replace(prediction, settings=settings, gate_logit=None), reference_target, tone.target_eq_db, notes
    )


def _match_tone(settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget) -> _ToneMatch:
    current_eq_db, strength = _eq_response_db(settings.eq), reference_target.strength * reference_target.tone
    if strength == 0.0:
        return _ToneMatch(settings, current_eq_db)
    correction = eq_correction_db(track, reference_target.features, current_eq_db, reference_target.prior)
    target_eq_db = limit_boosts(current_eq_db + strength * correction.curve_db, track)
    bands = eq_fit.fit_bands(
        initial=settings.eq.bands(),
        freq_hz=CENTERS_HZ,
        target_db=target_eq_db,
        weight=correction.weight,
        gain_penalty=_GAIN_PENALTY,
    )
    eq = EqSettings(bands.freq_hz, bands.gain_db, bands.q, jnp.ones_like(bands.q))
    level_db = np.average(_eq_response_db(eq) - target_eq_db, weights=correction.weight)
    return _ToneMatch(dataclasses.replace(settings, eq=eq), target_eq_db + level_db, strength * correction.share)


def _match_dynamics(
    settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget, load_excerpts: ExcerptLoader
) -> _DynamicsMatch:
    strength, current = reference_target.strength * reference_target.dynamics, settings.compressor
    unchanged = _DynamicsMatch(current, np.zeros(NUM_BANDS))
    if strength == 0.0 or track.seconds < _MIN_SECONDS:
        return unchanged
    excerpts = jnp.asarray(load_excerpts())
    equalized = _equalize(excerpts, _pad_bands(settings.eq.bands()))
    target = dynamics.dynamics_target(
        track=track,
        reference=reference_target.features,
        strength=strength,
        eq_change=dynamics.dynamics_change(excerpts, equalized),
        compressor_change=dynamics.dynamics_change(equalized, _compress(equalized, current)) if current else _NO_CHANGE,
        prior=reference_target.prior,
    )
    if target is None:
        return unchanged
    compressor = dynamics.fit_compressor(equalized, current, target)
    if compressor is None or compressor is current:
        return unchanged
    compressed = _compress(equalized, compressor)
    before_db, after_db = (track_features(list(np.asarray(x))).mid_db for x in (equalized, compressed))
    return _DynamicsMatch(compressor, after_db - before_db)


def _match_width(settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget) -> Width | None:
    strength = reference_target.strength * reference_target.width
    if strength == 0.0 or not (track.stereo and reference_target.features.stereo):
        return settings.width
    eq_db, current = _eq_response_db(settings.eq), settings.width
    change_db = stereo_width.width_change_db(
        track=track,
        reference=reference_target.features,
        eq_db=eq_db,
        factors=(1.0, 1.0) if current is None else (float(current.low[0]), float(current.high[0])),
        prior=reference_target.prior,
        same_song=reference_target.same_song,
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
    """Pad with filters of 0 dB to the largest number, so that one compiled program serves any number."""
    padding = ((0, 0), (0, max(0, eq_fit.MAX_BANDS - bands.q.shape[1])))
    return Bands(
        freq_hz=jnp.pad(bands.freq_hz, padding, constant_values=1e3),
        gain_db=jnp.pad(bands.gain_db, padding, constant_values=0.0),
        q=jnp.pad(bands.q, padding, constant_values=1.0),
    )

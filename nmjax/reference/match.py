"""Match the predicted settings to a reference, processor by processor: EQ, compressor, stereo width."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Width
from nmjax.models import SAMPLE_RATE, Settings
from nmjax.models.parameters import EqSettings, Prediction, to_numpy
from nmjax.reference import eq_fit, image_match
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.dynamics_match import ExcerptLoader, match_dynamics
from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import EXPANSION, NARROW_BASS, NO_LIMITS, ResponseLimits
from nmjax.reference.match_notes import match_notes
from nmjax.reference.outcome import BOOST, CUT, MatchOutcome, limit_note, match_outcome, width_note
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.reference.response import bands_response_db, eq_response_db, open_settings
from nmjax.reference.target_eq import (
    WithinLimits,
    eq_correction_db,
    limit_gains,
    limits_of_sound,
    share_within_limits,
)

_GAIN_PENALTY = 0.02  # dB² per dB of a filter's gain
_PASSAGE_GAIN_PENALTY, _PASSAGE_TOLERANCE_DB = 0.003, 0.1  # of the same passage, whose target is exact


@dataclasses.dataclass(frozen=True)
class ReferenceMatch:
    """Settings after matching.

    Attributes:
        prediction: the matched settings.
        reference_target: the reference.
        target_eq_db: EQ curve that the filters were fitted to, at `CENTERS_HZ`, at the level of their response.
        notes: messages for the user.
        difference_db: tone of the reference minus that of the track before any EQ, at `CENTERS_HZ`, with the effect of
            the compressor; NaN where it is unknown; None where the tone is not matched.
        limits_reached: some of `outcome.BOOST`, `outcome.CUT`, `limits.EXPANSION` and `limits.NARROW_BASS`.
        limits: of the EQ's response, at equal loudness.
    """

    prediction: Prediction
    reference_target: ReferenceTarget
    target_eq_db: Float[np.ndarray, " bands"]
    notes: tuple[str, ...] = ()
    difference_db: Float[np.ndarray, " bands"] | None = None
    limits_reached: tuple[str, ...] = ()
    limits: ResponseLimits = NO_LIMITS

    def outcome(self, settings: Settings, sample_rate: float = SAMPLE_RATE) -> MatchOutcome | None:
        """How near a master with these settings comes to the reference; None where the tone is not matched.

        Args:
            settings: of the master, which intensity and overrides may have changed.
            sample_rate: rate in Hz at which their bands have the intended response.
        """
        if self.difference_db is None:
            return None
        eq_db = eq_response_db(settings.eq, sample_rate)
        side = settings.eq_side
        side_eq_db = bands_response_db(side.bands(), CENTERS_HZ, sample_rate) if side else 0.0
        return match_outcome(
            name=self.reference_target.name,
            difference_db=self.difference_db,
            eq_db=eq_db - self.limits.loudness_change_db(eq_db, side_eq_db),
            limits_reached=self.limits_reached,
        )


class _ToneMatch(NamedTuple):
    """Settings with the matched EQ, and how it came about.

    Attributes:
        settings: with the matched EQ.
        target_eq_db: the curve that it was fitted to.
        difference_db: measured difference that it corrects; None where the tone is not matched.
        applied_share: share of that difference that was applied; None where the tone is not matched.
        within_limits: how much of the correction at full strength is within the limits.
    """

    settings: Settings
    target_eq_db: Float[np.ndarray, " bands"]
    difference_db: Float[np.ndarray, " bands"] | None = None
    applied_share: float | None = None
    within_limits: WithinLimits = WithinLimits()


def match_settings(
    prediction: Prediction,
    track: TrackFeatures,
    reference_target: ReferenceTarget,
    load_excerpts: ExcerptLoader,
    load_reference_excerpts: ExcerptLoader | None = None,
) -> ReferenceMatch:
    """Move the predicted settings towards a reference; a silent track or strength 0 leaves them unchanged.

    Args:
        prediction: settings of one track at the model's sample rate.
        track: features of the track.
        reference_target: the reference.
        load_excerpts: returns excerpts `[blocks, time, channel]` of the track at the model's sample rate and level;
            called only if the compressor is matched.
        load_reference_excerpts: the same for the reference, of another mix of the same passage.
    """
    settings = to_numpy(prediction.settings)
    if track.silent or reference_target.strength == 0.0:
        return ReferenceMatch(prediction, reference_target, eq_response_db(settings.eq))
    limits = _response_limits(track, reference_target)
    tone = _match_tone(settings, track, reference_target, limits)
    dynamics_match = match_dynamics(tone.settings, track, reference_target, load_excerpts, load_reference_excerpts)
    if dynamics_match.tone_change_db.any():  # match the EQ again to the compressed signal
        compressed = track.add_curve(dynamics_match.tone_change_db)
        tone = _match_tone(settings, compressed, reference_target, limits, start=tone.settings.eq)
    settings, width_match = image_match.match_image(
        dataclasses.replace(tone.settings, compressor=dynamics_match.compressor), track, reference_target
    )
    strength = reference_target.strength * reference_target.tone
    reached = {
        BOOST: strength > tone.within_limits.boost,
        CUT: strength > tone.within_limits.cut,
        EXPANSION: dynamics_match.lacks_expansion,
        NARROW_BASS: width_match.lacks_narrow_bass,
    }
    return ReferenceMatch(
        prediction=dataclasses.replace(prediction, settings=settings, gate_logit=None),
        reference_target=reference_target,
        target_eq_db=tone.target_eq_db,
        notes=_notes(track, reference_target, tone, settings.width),
        difference_db=tone.difference_db,
        limits_reached=tuple(name for name, is_reached in reached.items() if is_reached),
        limits=limits,
    )


def _notes(
    track: TrackFeatures, reference_target: ReferenceTarget, tone: _ToneMatch, width: Width | None
) -> tuple[str, ...]:
    """The messages about a match, the limit that changes it most last."""
    notes = match_notes(
        track=track,
        reference=reference_target.features,
        name=reference_target.name,
        prior=reference_target.prior,
        applied_share=tone.applied_share,
        same_passage=reference_target.same_passage,
    )
    name, is_own_song = reference_target.name, reference_target.is_own_song
    has_image = track.stereo and reference_target.features.has_side and "width" in reference_target.matched_stages
    side_gain_db = 20.0 * float(np.log10(max(width.high[0], 1e-3))) if width and has_image else 0.0
    limits = limit_note(
        name=name,
        within=tone.within_limits,
        strength=reference_target.strength * reference_target.tone,
        limits=reference_target.limits,
        same_song=is_own_song,
    )
    return (*notes, *filter(None, (width_note(name, side_gain_db, is_own_song), limits)))


def _match_tone(
    settings: Settings,
    track: TrackFeatures,
    reference_target: ReferenceTarget,
    limits: ResponseLimits,
    start: EqSettings | None = None,
) -> _ToneMatch:
    """Match the EQ. start: where the fit starts, by default the predicted EQ, which the correction is relative to."""
    current_eq_db, strength = eq_response_db(settings.eq), reference_target.strength * reference_target.tone
    if strength == 0.0:
        return _ToneMatch(settings, current_eq_db)
    correction = eq_correction_db(track, reference_target.features, current_eq_db, reference_target.prior)
    target_eq_db = limit_gains(current_eq_db + strength * correction.curve_db, track, limits)
    bands = eq_fit.fit_bands(
        initial=(start or settings.eq).bands(),
        freq_hz=CENTERS_HZ,
        target_db=target_eq_db,
        weight=correction.weight,
        gain_penalty=_PASSAGE_GAIN_PENALTY if reference_target.same_passage else _GAIN_PENALTY,
        limits=limits,
        tolerance_db=_PASSAGE_TOLERANCE_DB if reference_target.same_passage else eq_fit.TOLERANCE_DB,
    )
    eq = open_settings(bands)
    level_db = np.average(eq_response_db(eq) - target_eq_db, weights=correction.weight)
    return _ToneMatch(
        settings=dataclasses.replace(settings, eq=eq),
        target_eq_db=target_eq_db + level_db,
        difference_db=correction.difference_db,
        applied_share=strength * correction.share,
        within_limits=share_within_limits(current_eq_db, correction.curve_db, track, limits, strength),
    )


def _response_limits(track: TrackFeatures, reference_target: ReferenceTarget) -> ResponseLimits:
    """Limits of the EQ; another song boosts nothing where the track holds nothing."""
    limits = reference_target.limits.response(track)
    return limits if reference_target.is_own_song else limits_of_sound(track, limits)

"""Match the stereo image to a reference: the EQ of the side, and the width."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from nmjax.audio.units import db_to_amplitude
from nmjax.dsp import Width
from nmjax.models import Settings
from nmjax.reference import side_eq, stereo_width
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import NARROW_BASS
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.reference.response import bands_response_db, eq_response_db, open_settings

_AUDIBLY_NARROWER = 0.9  # factor of the bass's side
_MIN_HIGH = db_to_amplitude(-12.0)  # smallest factor of the side above the bass toward another song


class WidthMatch(NamedTuple):
    """The matched width, and whether a narrower bass was needed but not allowed."""

    width: Width | None
    lacks_narrow_bass: bool = False


def match_image(
    settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget
) -> tuple[Settings, WidthMatch]:
    """Match the EQ of the side and the width.

    The EQ comes first, since the tone of a side is the goal whatever its level. Of the same passage the width comes
    first: it is most often what makes the difference, and the EQ corrects the remainder.
    """
    if reference_target.same_passage:
        return _match_passage_image(settings, track, reference_target), WidthMatch(None)
    settings = _match_side(settings, track, reference_target)
    width_match = _match_width(settings, side_eq.after_side_eq(track, settings.eq_side), reference_target)
    return dataclasses.replace(settings, width=width_match.width), width_match


def _match_passage_image(settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget) -> Settings:
    """The width and the EQ of the side that turn the track's side into that of another mix of the passage."""
    strength = reference_target.strength * reference_target.width
    difference = side_eq.side_difference(track, reference_target.features, eq_response_db(settings.eq))
    if strength == 0.0 or difference is None:
        return settings
    width = stereo_width.fit_width_to_curve(strength * difference.gain_db, difference.weight)
    widened = dataclasses.replace(track, side_db=track.side_db + stereo_width.width_gain_db(width))
    settings = dataclasses.replace(_match_side(settings, widened, reference_target), width=width)
    missing_db = strength * difference.gain_db - stereo_width.width_gain_db(width)
    if settings.eq_side:
        missing_db -= bands_response_db(settings.eq_side.bands(), CENTERS_HZ)
    return dataclasses.replace(
        settings, width=stereo_width.scale_width(width, float(np.average(missing_db, weights=difference.power)))
    )


def _match_side(settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget) -> Settings:
    strength = reference_target.strength * min(reference_target.tone, reference_target.width)
    is_other_section = reference_target.same_song and not reference_target.same_passage
    if is_other_section or strength == 0.0:
        return settings
    bands, eq_side = side_eq.fit_side_eq(
        track=track,
        reference=reference_target.features,
        bands=settings.eq.bands(),
        strength=strength,
        prior=reference_target.prior,
        limits=reference_target.limits,
    )
    return dataclasses.replace(settings, eq=open_settings(bands), eq_side=eq_side)


def _match_width(settings: Settings, track: TrackFeatures, reference_target: ReferenceTarget) -> WidthMatch:
    strength = reference_target.strength * reference_target.width
    if strength == 0.0 or not (track.stereo and reference_target.features.has_side):
        return WidthMatch(settings.width)
    eq_db, current = eq_response_db(settings.eq), settings.width
    change_db = stereo_width.width_change_db(
        track=track,
        reference=reference_target.features,
        eq_db=eq_db,
        factors=(1.0, 1.0) if current is None else (float(current.low[0]), float(current.high[0])),
        prior=reference_target.prior,
        same_song=reference_target.same_song and not reference_target.same_passage,
    )
    min_high = 0.0 if reference_target.is_own_song else _MIN_HIGH
    width = stereo_width.fit_width(current, track, eq_db, strength * change_db, (0.0, min_high))
    if NARROW_BASS in reference_target.limits.allowed or width is None or float(width.low[0]) >= 1.0:
        return WidthMatch(width)
    lacks_narrow_bass = float(width.low[0]) < _AUDIBLY_NARROWER
    width = stereo_width.fit_width(current, track, eq_db, strength * change_db, (1.0, min_high))
    return WidthMatch(width, lacks_narrow_bass)

"""Match the dynamics of a track to a reference: the compressor, checked by what it does to excerpts of the track."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Compressor, compress
from nmjax.models import SAMPLE_RATE, Settings
from nmjax.models.parameters import to_numpy
from nmjax.models.processors import PROCESSORS
from nmjax.reference import dynamics, gain_fit
from nmjax.reference.bands import NUM_BANDS
from nmjax.reference.dynamics_target import NO_CHANGE, DynamicsChange, DynamicsTarget, dynamics_target
from nmjax.reference.features import TrackFeatures, track_features
from nmjax.reference.limits import EXPANSION
from nmjax.reference.reference_target import ReferenceTarget

ExcerptLoader = Callable[[], Float[np.ndarray, "blocks time channel"]]
_MIN_SECONDS = 1.0  # shorter tracks are not compressed
_REACHED = 0.1  # share of the cost without a compressor that is near enough; half the gain would leave a quarter


class DynamicsMatch(NamedTuple):
    """The matched compressor, how it changes the levels of mid, and whether an expander was needed but not allowed."""

    compressor: Compressor | None
    tone_change_db: Float[np.ndarray, " bands"]
    lacks_expansion: bool = False


def match_dynamics(
    settings: Settings,
    track: TrackFeatures,
    reference_target: ReferenceTarget,
    load_excerpts: ExcerptLoader,
    load_reference_excerpts: ExcerptLoader | None,
) -> DynamicsMatch:
    """Match the compressor; arguments as of `match.match_settings`, whose settings have the matched EQ."""
    strength, current = reference_target.strength * reference_target.dynamics, settings.compressor
    if strength == 0.0 or track.seconds < _MIN_SECONDS:
        return DynamicsMatch(current, np.zeros(NUM_BANDS))
    may_expand = EXPANSION in reference_target.limits.allowed
    current = current if may_expand else dynamics.without_expansion(current)
    unchanged = DynamicsMatch(current, np.zeros(NUM_BANDS))
    excerpts = load_excerpts()
    equalized = dynamics.filter_excerpts(excerpts, to_numpy(settings.eq.bands(), np.float64).svf(SAMPLE_RATE))
    reference_excerpts = load_reference_excerpts() if load_reference_excerpts else None
    if reference_excerpts is not None and len(reference_excerpts) == len(excerpts):  # else at the limit of eight
        compressor = gain_fit.fit_compressor_to_mix(equalized, reference_excerpts, current, strength)
        compressed = _compress(equalized, compressor) if compressor else None
        return DynamicsMatch(compressor, _tone_change_db(equalized, compressed))
    levels = dynamics.excerpt_levels(equalized)
    target = dynamics_target(
        track=track,
        reference=reference_target.features,
        strength=strength,
        eq_change=dynamics.dynamics_change(dynamics.excerpt_levels(excerpts), levels),
        compressor_change=_compressor_change(equalized, levels, current),
        prior=reference_target.prior,
    )
    if target is None:
        return unchanged
    compressor = dynamics.fit_compressor(equalized, current, target, may_expand)
    lacks_expansion = not may_expand and target.needs_expansion and (compressor is None or compressor is current)
    compressor, compressed = _best_compressor(equalized, levels, compressor, target)
    return DynamicsMatch(compressor, _tone_change_db(equalized, compressed), lacks_expansion)


def _compressor_change(
    audio: Float[np.ndarray, "blocks time channel"], levels: dynamics.ExcerptLevels, compressor: Compressor | None
) -> DynamicsChange:
    """The effect of a compressor on excerpts with these levels."""
    if compressor is None or PROCESSORS["compressor"].is_neutral(compressor):
        return NO_CHANGE
    return dynamics.dynamics_change(levels, dynamics.excerpt_levels(_compress(audio, compressor)))


def _best_compressor(
    audio: Float[np.ndarray, "blocks time channel"],
    levels: dynamics.ExcerptLevels,
    compressor: Compressor | None,
    target: DynamicsTarget,
) -> tuple[Compressor | None, Float[np.ndarray, "blocks time channel"] | None]:
    """The compressor, half of it, or none: the one whose measured effect is nearest to the target; its output.

    A fit sees the compressor's gain alone.
    """
    best, best_audio, best_cost = None, None, target.cost(NO_CHANGE)
    for candidate in (compressor, dynamics.halved(compressor)) if compressor else ():
        compressed = _compress(audio, candidate)
        cost = target.cost(dynamics.dynamics_change(levels, dynamics.excerpt_levels(compressed)))
        if cost < best_cost:
            best, best_audio, best_cost = candidate, compressed, cost
        if cost < _REACHED * target.cost(NO_CHANGE):
            break
    return best, best_audio


def _tone_change_db(
    before: Float[np.ndarray, "blocks time channel"], after: Float[np.ndarray, "blocks time channel"] | None
) -> Float[np.ndarray, " bands"]:
    """How the levels of mid change between two versions of the same excerpts; None for no change."""
    if after is None:
        return np.zeros(NUM_BANDS)
    before_db, after_db = (track_features(x, with_loudness=False).mid_db for x in (before, after))
    return after_db - before_db


def _compress(
    audio: Float[np.ndarray, "blocks time channel"], compressor: Compressor
) -> Float[np.ndarray, "blocks time channel"]:
    values = (np.broadcast_to(getattr(compressor, x.name), len(audio)) for x in dataclasses.fields(compressor))
    return compress(audio, Compressor(*values), SAMPLE_RATE)[0]

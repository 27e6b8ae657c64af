"""What was done to a track, in plain sentences: the first thing that a result says."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.audio.units import amplitude_to_db
from nmjax.dsp import Bands, Compressor, Saturator, Width
from nmjax.mastering.delivery.level_words import describe_level
from nmjax.mastering.render import active_processors
from nmjax.mastering.types import MasteringResult, RenderPlan
from nmjax.models import Settings
from nmjax.reference.response import bands_response_db
from nmjax.runtime.number_format import format_fixed, format_general, format_signed

_GRID_HZ = np.geomspace(20.0, 20_000.0, 400)
_NYQUIST_SHARE = 0.49  # of the rate, up to which responses are read
_CLOSE_DB = 1.0  # an EQ below this is a small correction
_INAUDIBLE_DB = 0.05
_LIGHT_RATIO = 1.15
_SAME_WIDTH_DB = 0.2


class EqPurpose(NamedTuple):
    """What an EQ is for.

    Attributes:
        goal: the end of a sentence about the EQ.
        small: what a small EQ says about the mix; empty where it says nothing.
    """

    goal: str
    small: str = ""


NO_PURPOSE = EqPurpose("")  # of an EQ that a person has set
SIMILAR_MUSIC = EqPurpose(" moves the tone toward similar music", "the network finds little to correct")


def summary_sentences(result: MasteringResult) -> list[str]:
    """What was done to a track: repairs, processing, how near it comes to the reference, loudness of each delivery.

    Nothing for silence.
    """
    if result.input_scan.true_peak == 0.0:
        return []
    repaired = [repair.label for repair in result.render_plan.repairs.active().values()]
    sentences = [f"Repaired first: {', '.join(repaired)}."] if repaired else []
    info = result.info
    sentences += [describe_processing(result.render_plan, info.sample_rate, info.channels, _eq_purpose(result))]
    if outcome := result.render_plan.match_outcome:
        sentences.append(outcome.sentence)
    if loudness_range := _describe_loudness_range(result):
        sentences.append(loudness_range)
    has_several = len(result.delivery_results) > 1
    for delivery in result.delivery_results:
        level = describe_level(delivery.spec, delivery.plan, result.original.lufs, delivery.compliance.lufs)
        sentences += [f"{delivery.spec.name}: {level}" if has_several else level] if level else []
    return sentences


def _eq_purpose(result: MasteringResult) -> EqPurpose:
    if result.network is None or result.has_given_settings:
        return NO_PURPOSE
    if result.network.is_shipped:
        return SIMILAR_MUSIC
    return EqPurpose(f", as your network predicts after {result.network.step:,} steps")


def describe_processing(plan: RenderPlan, sample_rate: int, channels: int, purpose: EqPurpose) -> str:
    """One or two sentences about the EQ and the processors, without the loudness.

    Args:
        plan: what was rendered.
        sample_rate: of the track, in Hz.
        channels: of the track.
        purpose: what the EQ is for where it matches no reference.
    """
    processors = _describe_processors(plan.prediction.settings, channels)
    if plan.match and "eq" in plan.match.reference_target.matched_stages:
        purpose = EqPurpose(f" moves the tone toward {plan.match.reference_target.name}")
    elif plan.eq_scale < 1.0:
        purpose = purpose._replace(small="")
    eq = _describe_eq(plan.rendered_bands, sample_rate, purpose)
    side = _describe_side_eq(plan.rendered_side_bands, sample_rate)
    return " ".join([eq, *([side] if side else []), *([f"Then {processors}."] if processors else [])])


def _describe_eq(bands: Bands, sample_rate: int, purpose: EqPurpose) -> str:
    freq_hz = _GRID_HZ[_NYQUIST_SHARE * sample_rate > _GRID_HZ]
    gain_db = bands_response_db(bands, freq_hz, sample_rate)
    largest_db = float(np.abs(gain_db).max())
    if largest_db < _INAUDIBLE_DB:
        return "No EQ: the tone stays as it is."
    if largest_db < _CLOSE_DB and purpose.small:
        return f"At most {format_fixed(largest_db, 'dB')} of EQ: {purpose.small}."
    return f"An EQ of {_describe_extremes(gain_db, freq_hz)}{purpose.goal}."


def _describe_loudness_range(result: MasteringResult) -> str:
    """The loudness range before and after a match beside that of its reference; empty without one."""
    target = result.render_plan.match and result.render_plan.match.reference_target
    before_lu = result.original.loudness_range_lu
    after_lu = result.delivery_results[0].compliance.loudness_range_lu
    if not target or not all(map(math.isfinite, (before_lu, after_lu, target.features.loudness_range))):
        return ""
    goal = f"{target.name}: {format_fixed(target.features.loudness_range, 'LU')}"
    return f"The loudness range goes from {format_fixed(before_lu)} to {format_fixed(after_lu, 'LU')} ({goal})."


def _describe_side_eq(bands: Bands | None, sample_rate: int) -> str:
    """A sentence about the response of the side's equalizer; empty where it is inaudible."""
    if bands is None:
        return ""
    freq_hz = _GRID_HZ[_NYQUIST_SHARE * sample_rate > _GRID_HZ]
    gain_db = bands_response_db(bands, freq_hz, sample_rate)
    if float(np.abs(gain_db).max()) < _INAUDIBLE_DB:
        return ""
    return f"On the side alone {_describe_extremes(gain_db, freq_hz)}."


def _describe_extremes(gain_db: Float[np.ndarray, " points"], freq_hz: Float[np.ndarray, " points"]) -> str:
    """The largest gain and cut, or one of them where the other is less than half as large."""
    largest_db = float(np.abs(gain_db).max())
    extremes = [i for i in (int(gain_db.argmax()), int(gain_db.argmin())) if abs(gain_db[i]) >= 0.5 * largest_db]
    extremes.sort(key=lambda i: -abs(gain_db[i]))
    return " and ".join(f"{format_signed(gain_db[i], 'dB')} at {_format_hz(freq_hz[i])}" for i in extremes)


def _describe_processors(settings: Settings, channels: int) -> str:
    """The processors that change the signal, as the end of a sentence; empty where there is none."""
    descriptions = {"compressor": _describe_compressor, "saturator": _describe_saturator, "width": _describe_width}
    parts = [descriptions[name](getattr(settings, name)) for name in active_processors(settings, channels)]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _describe_compressor(compressor: Compressor) -> str:
    ratio, makeup_db = float(compressor.ratio[0]), float(compressor.makeup_db[0])
    if ratio == 1.0:
        return f"a gain of {format_signed(makeup_db, 'dB')}"
    kind = "compression" if ratio > 1.0 else "expansion"
    strength = "very light " if 1.0 / _LIGHT_RATIO < ratio < _LIGHT_RATIO else ""
    return f"{strength}{kind} (ratio {format_general(ratio, digits=3)})"


def _describe_saturator(saturator: Saturator) -> str:
    return f"saturation ({100.0 * float(saturator.mix[0]):.0f} % of the signal)"


def _describe_width(width: Width) -> str:
    changes_db = [amplitude_to_db(max(float(x[0]), 1e-3)) for x in (width.low, width.high)]
    if max(map(abs, changes_db)) < _SAME_WIDTH_DB:
        return "almost no change of the stereo width"
    low, high = (format_signed(x, "dB") for x in changes_db)
    kind = "a wider" if min(changes_db) >= 0.0 else "a narrower" if max(changes_db) <= 0.0 else "another"
    change = f"side {low}" if low == high else f"side {low} in the bass, {high} above"
    return f"{kind} stereo image ({change})"


def _format_hz(freq_hz: float) -> str:
    return f"{format_fixed(freq_hz / 1000.0)} kHz" if freq_hz >= 1000.0 else f"{round(freq_hz)} Hz"

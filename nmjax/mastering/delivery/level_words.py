"""How loud a delivery is beside its input, in a sentence for people."""

from __future__ import annotations

import math

from nmjax.mastering.delivery.gain_search import TOLERANCE_LU
from nmjax.mastering.delivery.plan import DeliveryPlan
from nmjax.mastering.delivery.spec import PRESETS, DeliverySpec
from nmjax.runtime.number_format import format_fixed, format_general

_SIMILAR_LU = 0.5  # a change below this is hardly audible
_MIN_REDUCTION_DB = 0.05


def describe_level(spec: DeliverySpec, plan: DeliveryPlan, input_lufs: float, lufs: float) -> str:
    """What a delivery does to the loudness, and why; empty for a signal without loudness.

    Args:
        spec: what was asked for.
        plan: how it is delivered.
        input_lufs: loudness of the input.
        lufs: measured loudness of the master.
    """
    if not (math.isfinite(input_lufs) and math.isfinite(lufs)):
        return ""
    return f"{_describe_change(spec, plan, input_lufs, lufs)}.{_describe_limiter(plan)}"


def _describe_change(spec: DeliverySpec, plan: DeliveryPlan, input_lufs: float, lufs: float) -> str:
    change_lu = round(lufs, 1) - round(input_lufs, 1)  # what a reader computes from the levels in the sentence
    is_up = change_lu > 0.0
    levels = f"from {format_fixed(input_lufs)} to {format_fixed(lufs, 'LUFS')}"
    change = f"Turned {'up' if is_up else 'down'} by {format_fixed(abs(change_lu), 'dB')}, {levels}"
    limiting = f"{spec.max_limiting_db:g} dB of limiting"
    if spec.relative == "clean":
        return f"{change}: any louder would take more than {limiting}"
    if not plan.meets_spec:
        return f"{change}, as far as {limiting} allows" if spec.true_peak_db is not None else change
    if spec.relative == "keep" and abs(change_lu) <= TOLERANCE_LU:
        return "The loudness of your mix is unchanged"
    if spec.lufs is None:
        is_same = abs(change_lu) < TOLERANCE_LU
        return "The loudness stays as it is" if is_same else f"{change} by the processing alone; no gain was asked for"
    if spec.name in PRESETS and spec.lufs != PRESETS[spec.name].lufs:
        return f"{change}, like the whole album"
    if abs(change_lu) < 0.05:
        return f"The loudness stays at {format_fixed(lufs, 'LUFS')}"
    goal = _describe_goal(spec)
    if abs(change_lu) < _SIMILAR_LU:
        return f"{change}: your mix is already about as loud as {goal}"
    return f"{change}: your mix is {'quieter' if is_up else 'louder'} than {goal}"


def _describe_goal(spec: DeliverySpec) -> str:
    """What the loudness is compared with, after "than" and "as"."""
    if spec.name == "streaming":
        return "streaming services play"
    lufs = format_general(round(spec.lufs or 0.0, 1), "LUFS")
    return f"a {spec.name} master ({lufs})" if spec.name in PRESETS else f"the {lufs} that you asked for"


def _describe_limiter(plan: DeliveryPlan) -> str:
    reduction = plan.gain_reduction
    if reduction.max_db < _MIN_REDUCTION_DB:
        return ""
    percent = 100.0 * reduction.active_fraction
    share = f"{percent:.0f} %" if percent >= 1.0 else "less than 1 %"
    return f" The limiter lowers peaks by up to {format_fixed(reduction.max_db, 'dB')}, during {share} of the track."

"""The report's charts of the stages behind the equaliser."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from nmjax.dsp import Compressor, static_curve_db
from nmjax.inference.report import svg
from nmjax.inference.report.figures import (
    INPUT,
    MASTER,
    audible,
    extremes,
    figure,
    gain_axis,
    level_axis,
    signed,
)
from nmjax.inference.report.insight import FLOOR_DB, Heardings
from nmjax.inference.report.passage import Passed

__all__ = ["FLOOR_DB", "gain_over_time", "static_curve", "steps", "widths"]
_LEVELS_DB = np.linspace(-60.0, 0.0, 241)
_SPAN_DB = 40.0  # of a chart of widths
_REACH_DB = 80.0  # bands further below the loudest hold no music
_STEP_LINES = (
    {"colour": svg.BLACK, "dash": "7 3"},
    {"colour": svg.ORANGE, "width": 2.2},
    {"colour": svg.BLUE},
    {"colour": svg.PURPLE, "dash": "2 3"},
)


def static_curve(settings: Compressor, input_gain_db: float) -> str:
    """Level out over level in, for steady levels, of one track's compressor."""
    out = np.asarray(static_curve_db(jnp.asarray(_LEVELS_DB, jnp.float32)[None], settings), np.float64)[0]
    threshold = float(np.asarray(settings.threshold_db)[0])
    at = np.interp(threshold, _LEVELS_DB, out)
    curves = [
        svg.Curve(_LEVELS_DB, _LEVELS_DB, "Unchanged", **INPUT),
        svg.Curve(_LEVELS_DB, out, "Compressor", **MASTER),
        svg.Curve(
            np.full(2, threshold), np.array([-60.0, at]), f"Threshold, {signed(threshold)} dB", svg.BLACK, 1.4, "2 3"
        ),
    ]
    caption = (
        "Steady levels, make-up included, at the level at which the model works: 0 dB is the peak of a sine that has "
        f"{signed(-input_gain_db)} dBFS in the track."
    )
    ends = " to ".join(f"{signed(float(out[i]))} dB at {signed(float(_LEVELS_DB[i]))} dB" for i in (0, -1))
    x = svg.linear_axis("level in (dB)", -60.0, 0.0)
    y = svg.linear_axis("level out (dB)", min(-60.0, float(out.min())), max(0.0, float(out.max())))
    return figure("static-curve", "Static curve of the compressor", f"From {ends}.", x, y, curves, caption)


def gain_over_time(passed: Passed, makeup_db: float, upwards: bool) -> str:
    """The compressor's gain without its make-up over time: the mean of each stretch and its extreme moment."""
    extreme = passed.most_db if upwards else passed.least_db
    curves = [
        svg.Curve(passed.seconds, extreme - makeup_db, "Furthest (10 ms)", svg.SKY, 0.8),
        svg.Curve(passed.seconds, passed.gain_db - makeup_db, "Mean of a stretch", fill=True, **MASTER),
    ]
    values = np.concatenate([curve.y for curve in curves])
    values = values[np.isfinite(values)]
    low, high = (float(f(values, initial=0.0)) for f in (np.min, np.max))
    y = svg.linear_axis(
        "gain without make-up (dB)", min(low, 0.0 if upwards else -3.0), max(high, 3.0 if upwards else 0.0)
    )
    said = f"From {signed(low)} to {signed(high)} dB."
    seconds = float(passed.seconds[-1]) if len(passed.seconds) else 1.0
    caption = "Measured from what went in and what came out; silence is left out."
    title = "Gain reduction over time"
    return figure("reduction", title, said, svg.time_axis(seconds), y, curves, caption)


def widths(before: Heardings, after: Heardings) -> str:
    """The side's level beside the mid's, over frequency, before and after the width stage."""
    curves = [
        svg.Curve(before.freq_hz, _beside_mid(before), "Before", **INPUT),
        svg.Curve(after.freq_hz, _beside_mid(after), "After", **MASTER),
    ]
    caption = "The level of what the channels differ in beside that of what they share; lower is nearer to mono."
    y = level_axis("side − mid (dB)", curves, _SPAN_DB)
    return figure("width", "Width over frequency", extremes(curves[1]), svg.frequency_axis(), y, curves, caption)


def steps(parts: Mapping[str, tuple[Heardings, Heardings]]) -> str:
    """How each part of the chain changed the long-term spectrum; parts: by name, what went in and what came out."""
    curves = []
    for (name, (before, after)), line in zip(parts.items(), _STEP_LINES, strict=False):
        levels = before.total_db, after.total_db
        music = np.logical_and(*(x > max(x.max(initial=FLOOR_DB) - _REACH_DB, FLOOR_DB) for x in levels))
        curves.append(svg.Curve(after.freq_hz, np.where(music, after.total_db - before.total_db, np.nan), name, **line))
    caption = "Power in twelfths of an octave that comes out of each part, beside what goes in."
    title = "Change of the spectrum, part by part"
    return figure("steps", title, extremes(curves[-1]), svg.frequency_axis(), gain_axis(curves), curves, caption)


def _beside_mid(heard: Heardings) -> np.ndarray:
    """NaN where either is silent."""
    return audible(heard.side_db) - audible(heard.mid_db)

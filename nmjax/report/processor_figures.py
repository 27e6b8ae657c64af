"""The report's charts of the stages behind the equaliser."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from nmjax.dsp import Compressor, static_curve_db
from nmjax.report import svg
from nmjax.report.figures import (
    INPUT_STYLE,
    MASTER_STYLE,
    describe_extremes,
    format_signed,
    gain_axis,
    level_axis,
    mask_silence,
    render_figure,
)
from nmjax.report.gain_trace import GainTrace
from nmjax.report.track_analysis import FLOOR_DB, SignalAnalysis

__all__ = ["FLOOR_DB", "chain_spectra_figure", "gain_trace_figure", "static_curve_figure", "width_figure"]
_INPUT_LEVELS_DB = np.linspace(-60.0, 0.0, 241)
_SPAN_DB = 40.0  # of a chart of widths
_DYNAMIC_RANGE_DB = 80.0  # bands further below the loudest hold no music
_LINE_STYLES = (
    {"color": svg.BLACK, "dash": "7 3"},
    {"color": svg.ORANGE, "line_width": 2.2},
    {"color": svg.BLUE},
    {"color": svg.PURPLE, "dash": "2 3"},
)


def static_curve_figure(settings: Compressor, input_gain_db: float) -> str:
    """Level out over level in, for steady levels, of one track's compressor."""
    output_db = np.asarray(static_curve_db(jnp.asarray(_INPUT_LEVELS_DB, jnp.float32)[None], settings), np.float64)[0]
    threshold_db = float(np.asarray(settings.threshold_db)[0])
    threshold_output_db = np.interp(threshold_db, _INPUT_LEVELS_DB, output_db)
    curves = [
        svg.PlotCurve(_INPUT_LEVELS_DB, _INPUT_LEVELS_DB, "Unchanged", **INPUT_STYLE),
        svg.PlotCurve(_INPUT_LEVELS_DB, output_db, "Compressor", **MASTER_STYLE),
        svg.PlotCurve(
            np.full(2, threshold_db),
            np.array([-60.0, threshold_output_db]),
            f"Threshold, {format_signed(threshold_db)} dB",
            svg.BLACK,
            1.4,
            "2 3",
        ),
    ]
    caption = (
        "Steady levels, make-up included, at the level at which the model works: 0 dB is the peak of a sine that has "
        f"{format_signed(-input_gain_db)} dBFS in the track."
    )
    ends = " to ".join(
        f"{format_signed(float(output_db[i]))} dB at {format_signed(float(_INPUT_LEVELS_DB[i]))} dB" for i in (0, -1)
    )
    x = svg.linear_axis("level in (dB)", -60.0, 0.0)
    y = svg.linear_axis("level out (dB)", min(-60.0, float(output_db.min())), max(0.0, float(output_db.max())))
    return render_figure("static-curve", "Static curve of the compressor", f"From {ends}.", x, y, curves, caption)


def gain_trace_figure(trace: GainTrace, makeup_db: float, is_expander: bool) -> str:
    """The compressor's gain without its make-up over time: the mean of each stretch and its extreme moment."""
    extreme_db = trace.max_gain_db if is_expander else trace.min_gain_db
    curves = [
        svg.PlotCurve(trace.times_s, extreme_db - makeup_db, "Furthest (10 ms)", svg.SKY, 0.8),
        svg.PlotCurve(trace.times_s, trace.gain_db - makeup_db, "Mean of a stretch", fill=True, **MASTER_STYLE),
    ]
    values = np.concatenate([curve.y for curve in curves])
    values = values[np.isfinite(values)]
    low, high = (float(f(values, initial=0.0)) for f in (np.min, np.max))
    y = svg.linear_axis(
        "gain without make-up (dB)", min(low, 0.0 if is_expander else -3.0), max(high, 3.0 if is_expander else 0.0)
    )
    description = f"From {format_signed(low)} to {format_signed(high)} dB."
    duration_s = float(trace.times_s[-1]) if len(trace.times_s) else 1.0
    caption = "Measured from what went in and what came out; silence is left out."
    title = "Gain reduction over time"
    return render_figure("reduction", title, description, svg.time_axis(duration_s), y, curves, caption)


def width_figure(before: SignalAnalysis, after: SignalAnalysis) -> str:
    """The side's level beside the mid's, over frequency, before and after the width stage."""
    curves = [
        svg.PlotCurve(before.freq_hz, _side_to_mid_db(before), "Before", **INPUT_STYLE),
        svg.PlotCurve(after.freq_hz, _side_to_mid_db(after), "After", **MASTER_STYLE),
    ]
    caption = "The level of what the channels differ in beside that of what they share; lower is nearer to mono."
    y = level_axis("side − mid (dB)", curves, _SPAN_DB)
    return render_figure(
        "width", "Width over frequency", describe_extremes(curves[1]), svg.frequency_axis(), y, curves, caption
    )


def chain_spectra_figure(spectra: Mapping[str, tuple[SignalAnalysis, SignalAnalysis]]) -> str:
    """How each part of the chain changed the long-term spectrum; parts: by name, what went in and what came out."""
    curves = []
    for (name, (before, after)), style in zip(spectra.items(), _LINE_STYLES, strict=False):
        levels_db = before.total_db, after.total_db
        in_range = np.logical_and(*(x > max(x.max(initial=FLOOR_DB) - _DYNAMIC_RANGE_DB, FLOOR_DB) for x in levels_db))
        curves.append(
            svg.PlotCurve(after.freq_hz, np.where(in_range, after.total_db - before.total_db, np.nan), name, **style)
        )
    caption = "Power in twelfths of an octave that comes out of each part, beside what goes in."
    title = "Change of the spectrum, part by part"
    return render_figure(
        "steps", title, describe_extremes(curves[-1]), svg.frequency_axis(), gain_axis(curves), curves, caption
    )


def _side_to_mid_db(analysis: SignalAnalysis) -> np.ndarray:
    """NaN where either is silent."""
    return mask_silence(analysis.side_db) - mask_silence(analysis.mid_db)

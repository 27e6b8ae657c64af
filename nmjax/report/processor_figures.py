"""The report's charts of the processors after the equalizer, and of the saturator that was undone before it."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from nmjax.dsp import Compressor, static_curve_db
from nmjax.mastering.repair.saturation import SaturationRepair
from nmjax.report import charts
from nmjax.report.charts import PlotCurve
from nmjax.report.figures import (
    Figure,
    describe_extremes,
    gain_axis,
    level_axis,
    mask_silence,
)
from nmjax.report.gain_trace import GainTrace
from nmjax.report.track_analysis import SignalAnalysis, in_range_mask
from nmjax.runtime.number_format import format_signed

_INPUT_LEVELS_DB = np.linspace(-60.0, 0.0, 241)
_MIN_VISIBLE_DB = 0.05
_MIN_REDUCTION_DB = 3.0  # shown at least in the chart of the gain reduction
_WIDTH_RANGE_DB = 40.0  # shown below the maximum in the chart of the width
_CHAIN_STYLES = ("eq", "compressor", "other", "side")


def static_curve_figure(settings: Compressor, input_gain_db: float) -> Figure:
    """Output level over input level of one track's compressor, in the steady state."""
    output_db = np.asarray(static_curve_db(jnp.asarray(_INPUT_LEVELS_DB, jnp.float32)[None], settings), np.float64)[0]
    threshold_db = float(np.asarray(settings.threshold_db)[0])
    threshold_output_db = np.interp(threshold_db, _INPUT_LEVELS_DB, output_db)
    curves = [
        PlotCurve(_INPUT_LEVELS_DB, _INPUT_LEVELS_DB, "Unchanged", "input"),
        PlotCurve(_INPUT_LEVELS_DB, output_db, "Compressor", "master"),
        PlotCurve(
            x=np.full(2, threshold_db),
            y=np.array([-60.0, threshold_output_db]),
            name=f"Threshold, {format_signed(threshold_db, 'dB')}",
            style="marker",
        ),
    ]
    ends = " to ".join(
        f"{format_signed(float(output_db[i]), 'dB')} at {format_signed(float(_INPUT_LEVELS_DB[i]), 'dB')}"
        for i in (0, -1)
    )
    chart = charts.Chart(
        title="Static curve of the compressor",
        description=f"From {ends}.",
        x=charts.linear_axis("input level (dB)", -60.0, 0.0),
        y=charts.linear_axis("output level (dB)", min(-60.0, float(output_db.min())), max(0.0, float(output_db.max()))),
        curves=curves,
    )
    caption = (
        "Steady sine waves, make-up gain included. The network works at a level of its own: its 0 dB is "
        f"{format_signed(-input_gain_db, 'dBFS')} in this track."
    )
    return Figure(chart, caption)


def inverse_curve_figure(repair: SaturationRepair) -> Figure | None:
    """The curve that undoes a saturator, for both halves of the waveform; None where it is straight."""
    if not repair.has_curve:
        return None
    levels = np.array([0.0, *repair.levels])
    halves = [np.array([0.0, *half]) for half in (repair.positive, repair.negative)]
    curves = [
        PlotCurve(levels, levels, "Unchanged", "input"),
        PlotCurve(levels, halves[0], "Positive half", "master"),
        PlotCurve(levels, halves[1], "Negative half", "extreme"),
    ]
    chart = charts.Chart(
        title="Inverse curve of the saturator",
        description=f"The highest peaks rise by {format_signed(repair.rise_db, 'dB')}.",
        x=charts.linear_axis("level of a sample before", 0.0, float(levels[-1]), unit=""),
        y=charts.linear_axis("level after", 0.0, float(max(half[-1] for half in halves)), unit=""),
        curves=curves,
    )
    return Figure(chart, "Full scale is 1. The settings file holds the curve as a table.")


def compressor_figure(trace: GainTrace, makeup_db: float, is_expander: bool) -> Figure:
    """The compressor's gain over time without make-up gain."""
    chart = _gain_chart(trace, makeup_db, "compressor", is_expander=is_expander)
    return Figure(chart, "Without make-up gain, measured from the compressor's input and output. Silence is left out.")


def limiter_figure(trace: GainTrace, gain_db: float) -> Figure | None:
    """The limiter's gain reduction over time; None where it did nothing. gain_db: of the delivery, before it."""
    if not np.any(trace.min_gain_db - gain_db < -_MIN_VISIBLE_DB):  # False for NaN, which silence has
        return None
    chart = _gain_chart(trace, gain_db, "limiter")
    return Figure(chart, "Measured from the limiter's input and output. Silence is left out.")


def _gain_chart(trace: GainTrace, constant_db: float, style: str, is_expander: bool = False) -> charts.Chart:
    """A processor's gain over time without a constant one: the mean of each interval and its extreme."""
    extreme_db = trace.max_gain_db if is_expander else trace.min_gain_db
    curves = [
        PlotCurve(trace.times_s, extreme_db - constant_db, "Extreme over 10 ms", "extreme"),
        PlotCurve(trace.times_s, trace.gain_db - constant_db, "Mean", style, fill=True),
    ]
    values = np.concatenate([curve.y for curve in curves])
    values = values[np.isfinite(values)]
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    axis_low, axis_high = (low, max(high, _MIN_REDUCTION_DB)) if is_expander else (min(low, -_MIN_REDUCTION_DB), high)
    return charts.Chart(
        title=f"Gain reduction of the {style} over time",
        description=f"From {format_signed(low)} to {format_signed(high, 'dB')}.",
        x=charts.time_axis(float(trace.times_s[-1]) if len(trace.times_s) else 1.0),
        y=charts.linear_axis("gain (dB)", axis_low, axis_high),
        curves=curves,
    )


def width_figure(before: SignalAnalysis, after: SignalAnalysis) -> Figure:
    """The level of the side relative to mid over frequency, before and after the width processor."""
    curves = [
        PlotCurve(analysis.freq_hz, _side_to_mid_db(analysis), name, style)
        for analysis, name, style in ((before, "Before", "input"), (after, "After", "master"))
    ]
    chart = charts.Chart(
        title="Width over frequency",
        description=describe_extremes(curves[1]),
        x=charts.frequency_axis(),
        y=level_axis("side − mid (dB)", curves, _WIDTH_RANGE_DB),
        curves=curves,
    )
    return Figure(chart, "Level of the side relative to mid. Lower means narrower.")


def chain_spectra_figure(spectra: Mapping[str, tuple[SignalAnalysis, SignalAnalysis]]) -> Figure:
    """The change of the long-term spectrum by each processor. spectra: its input and output, by name."""
    curves = []
    for (name, (before, after)), style in zip(spectra.items(), _CHAIN_STYLES, strict=False):
        in_range = in_range_mask(before.total_db) & in_range_mask(after.total_db)
        change_db = np.where(in_range, after.total_db - before.total_db, np.nan)
        curves.append(PlotCurve(after.freq_hz, change_db, name, style))
    chart = charts.Chart(
        title="Change of the spectrum by each processor",
        description=describe_extremes(curves[-1]),
        x=charts.frequency_axis(),
        y=gain_axis(curves),
        curves=curves,
    )
    return Figure(chart, "Output power relative to input power in twelfth-octave bands.")


def _side_to_mid_db(analysis: SignalAnalysis) -> np.ndarray:
    """The side's level minus mid's; NaN where either is silent, all NaN unless stereo."""
    if analysis.side_db is None:
        return np.full(len(analysis.freq_hz), np.nan)
    return mask_silence(analysis.side_db) - mask_silence(analysis.mid_db)

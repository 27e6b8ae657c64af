"""The charts of the report: which curves they show, with their captions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.models.parameters import EqSettings
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.match import ReferenceMatch
from nmjax.reference.response import bands_response_db, single_band_responses_db
from nmjax.report import charts
from nmjax.report.charts import PlotCurve, json_numbers
from nmjax.report.spectral_change import ResidualSpectrum, SpectralChange
from nmjax.report.track_analysis import FLOOR_DB, SignalAnalysis
from nmjax.runtime.number_format import format_fixed, format_general, format_signed

_MIN_RANGE_DB = 3.0  # of a gain axis, so that a tenth of a dB does not fill the chart
_SPECTRUM_RANGE_DB, _LOUDNESS_RANGE_LU = 80.0, 30.0  # shown below the maximum


@dataclasses.dataclass(frozen=True)
class Figure:
    """A chart with a caption. The page draws it with `<nm-chart>`."""

    chart: charts.Chart
    caption: str = ""

    @property
    def properties(self) -> str:
        """The properties of `<nm-chart>` as JSON."""
        return _compact_json({"chart": self.chart.to_dict()})


@dataclasses.dataclass(frozen=True)
class EqFigure:
    """The equalizer over the spectra, as the studio shows it. The page draws it with `<nm-eq>`.

    Attributes:
        properties: of `<nm-eq>` as JSON.
        legend: style and name of each line.
        caption: below it.
    """

    properties: str
    legend: Sequence[tuple[str, str]]
    caption: str


def eq_figure(
    eq: EqSettings,
    before: SignalAnalysis,
    after: SignalAnalysis,
    match: ReferenceMatch | None = None,
    eq_side: EqSettings | None = None,
) -> EqFigure:
    """The response of the equalizer and of each band over the spectra, of the side's equalizer, and of a target."""
    grid_hz = before.freq_hz
    band_db = single_band_responses_db(eq.bands(), grid_hz)
    total = PlotCurve(x=grid_hz, y=band_db.sum(axis=0), name="All bands", style="total")
    lines = []
    if eq_side is not None:
        lines.append(PlotCurve(grid_hz, bands_response_db(eq_side.bands(), grid_hz), "Side alone", "side"))
    if match:
        target_db = np.interp(np.log(grid_hz), np.log(CENTERS_HZ), match.target_eq_db)
        lines.append(PlotCurve(grid_hz, target_db, f"Target from {match.reference_target.name}", "reference"))
    caption = "Each numbered shape is one band. The heavy line is all bands together, over the spectra of both signals."
    if eq_side is not None:
        caption += " The side's own bands come on top of it, for half of left − right."
    properties = {
        "readonly": True,
        "description": f"Equalizer. {describe_extremes(total)}",
        "bands": _eq_bands(eq),
        "isExact": True,
        "curves": {
            "freq_hz": json_numbers(grid_hz),
            "bands": [json_numbers(row) for row in band_db],
            "total": json_numbers(total.y),
            "spectrum_before": json_numbers(before.total_db),
            "spectrum_after": json_numbers(after.total_db[: len(grid_hz)]),
        },
        "lines": [{"name": x.name, "style": x.style, "values": json_numbers(x.y)} for x in lines],
    }
    legend = [("total", "All bands"), ("input", "Input"), ("master", "Master"), *((x.style, x.name) for x in lines)]
    return EqFigure(_compact_json(properties), legend, caption)


def _eq_bands(eq: EqSettings) -> list[dict[str, float]]:
    columns = (np.asarray(column)[0].tolist() for column in (eq.freq_hz, eq.rendered_gain_db, eq.q))
    names = ("freq_hz", "gain_db", "q")
    return [{k: float(f"{x:.5g}") for k, x in zip(names, row, strict=True)} for row in zip(*columns, strict=True)]


def spectra_figure(before: SignalAnalysis, after: SignalAnalysis, match: ReferenceMatch | None = None) -> Figure:
    """The long-term spectra of input and master, as mid and side where both are stereo.

    With a reference, the spectrum of its mid is added, shifted to the level of the master.
    """
    caption = "Power in twelfth-octave bands over the whole track."
    if before.side_db is not None and after.side_db is not None:
        caption += " Mid is the mean of both channels, side is half of their difference."
        curves = [
            PlotCurve(before.freq_hz, mask_silence(before.mid_db), "Input, mid", "input"),
            PlotCurve(after.freq_hz, mask_silence(after.mid_db), "Master, mid", "master"),
            PlotCurve(before.freq_hz, mask_silence(before.side_db), "Input, side", "input-side"),
            PlotCurve(after.freq_hz, mask_silence(after.side_db), "Master, side", "master-side"),
        ]
    else:
        curves = [
            PlotCurve(before.freq_hz, mask_silence(before.total_db), "Input", "input"),
            PlotCurve(after.freq_hz, mask_silence(after.total_db), "Master", "master"),
        ]
    master = curves[1]
    if match:
        curves.append(_reference_curve(match, master))
    return Figure(_spectrum_chart("Spectra", curves, described=master), caption)


def _reference_curve(match: ReferenceMatch, master: PlotCurve) -> PlotCurve:
    """The spectrum of the reference's mid, shifted by its median distance from the master's."""
    features = match.reference_target.features
    reference_db = np.where(features.known_bands, features.mid_db, np.nan)
    offset_db = np.interp(np.log(CENTERS_HZ), np.log(master.x), master.y) - reference_db
    median_offset_db = np.nanmedian(offset_db) if np.isfinite(offset_db).any() else 0.0
    name = f"{match.reference_target.name}, mid"
    return PlotCurve(x=CENTERS_HZ, y=reference_db + median_offset_db, name=name, style="reference")


def change_figure(change: SpectralChange, eq_db: Float[np.ndarray, " bands"]) -> Figure:
    """The change of the spectrum beside the response of the equalizer."""
    change_curve = PlotCurve(change.freq_hz, change.change_db, "Master − input", "master", fill=True)
    curves = [change_curve, PlotCurve(change.freq_hz, eq_db, "Equalizer", "eq")]
    chart = charts.Chart(
        title="Change of the spectrum",
        description=describe_extremes(change_curve),
        x=charts.frequency_axis(),
        y=gain_axis(curves),
        curves=curves,
    )
    return Figure(chart, f"A broadband gain of {format_signed(change.gain_db, 'dB')} is removed.")


def loudness_figure(before: SignalAnalysis, after: SignalAnalysis, target_lufs: float | None) -> Figure:
    """Short-term loudness of input and master over time, and the target."""
    duration_s = max(before.duration_s, after.duration_s)
    master = PlotCurve(after.times_s, after.short_term_lufs, "Master", "master")
    curves = [PlotCurve(before.times_s, before.short_term_lufs, "Input", "input"), master]
    if target_lufs is not None:
        name = f"Target, {format_general(round(target_lufs, 1), 'LUFS')}"
        curves.append(PlotCurve(np.array([0.0, duration_s]), np.full(2, target_lufs), name, "marker"))
    chart = charts.Chart(
        title="Loudness over time",
        description=_describe_range(master),
        x=charts.time_axis(duration_s),
        y=level_axis("LUFS", curves, _LOUDNESS_RANGE_LU),
        curves=curves,
    )
    return Figure(chart, "Short-term loudness (EBU Tech 3341): loudness of the preceding 3 s.")


def residual_figure(residual: ResidualSpectrum) -> Figure:
    """The spectra of the residual and of the signal to which it is added."""
    added = PlotCurve(residual.freq_hz, mask_silence(residual.residual_db), "Residual", "master")
    signal = PlotCurve(residual.freq_hz, mask_silence(residual.signal_db), "Signal before the residual", "input")
    return Figure(_spectrum_chart("Residual network", [signal, added], described=added))


def mask_silence(level_db: Float[np.ndarray, " bands"]) -> Float[np.ndarray, " bands"]:
    """Levels with NaN in silent bands."""
    return np.where(level_db > FLOOR_DB, level_db, np.nan)


def gain_axis(curves: Sequence[PlotCurve]) -> charts.Axis:
    """A symmetric axis of gains that holds all curves."""
    range_db = max(_MIN_RANGE_DB, 1.15 * float(np.abs(_finite_values(curves)).max(initial=0.0)))
    return charts.linear_axis("gain (dB)", -range_db, range_db)


def level_axis(label: str, curves: Sequence[PlotCurve], max_range: float) -> charts.Axis:
    """An axis of levels from the maximum down to the minimum, but at most by `max_range`."""
    values = _finite_values(curves)
    if not len(values):  # silence
        values = np.array([-max_range, 0.0])
    top = float(values.max())
    bottom = max(float(values.min()), top - max_range)
    return charts.linear_axis(label, bottom - 1.0, top + 1.0, "LUFS" if label == "LUFS" else "dB")


def describe_extremes(curve: PlotCurve) -> str:
    """The lowest and the highest gain of a curve over frequency, in words."""
    if not np.isfinite(curve.y).any():
        return "No signal."
    low, high = int(np.nanargmin(curve.y)), int(np.nanargmax(curve.y))
    low_text, high_text = (
        f"{format_signed(float(curve.y[i]), 'dB')} at {float(curve.x[i]):,.0f} Hz" for i in (low, high)
    )
    return f"From {low_text} to {high_text}."


def _spectrum_chart(title: str, curves: Sequence[PlotCurve], described: PlotCurve) -> charts.Chart:
    """A chart of levels over frequency, with the description of one of its curves."""
    return charts.Chart(
        title=title,
        description=_describe_range(described),
        x=charts.frequency_axis(),
        y=level_axis("dB", curves, _SPECTRUM_RANGE_DB),
        curves=curves,
    )


def _describe_range(curve: PlotCurve) -> str:
    values = _finite_values([curve])
    if not len(values):
        return "No signal."
    return f"{curve.name}: from {format_fixed(values.min())} to {format_fixed(values.max())}."


def _finite_values(curves: Sequence[PlotCurve]) -> np.ndarray:
    values = np.concatenate([curve.y for curve in curves])
    return values[np.isfinite(values)]


def _compact_json(properties: dict[str, Any]) -> str:
    return json.dumps(properties, separators=(",", ":"), ensure_ascii=False)

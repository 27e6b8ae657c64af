"""The charts of the report: which curves they show, with their captions. `svg` draws them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from nmjax.dsp import Bands
from nmjax.models import SAMPLE_RATE
from nmjax.models.parameters import EqSettings
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.match import ReferenceMatch
from nmjax.reference.response import compiled_response_db
from nmjax.report import svg
from nmjax.report.spectral_change import ResidualSpectrum, SpectralChange
from nmjax.report.svg import LineStyle, PlotCurve
from nmjax.report.track_analysis import FLOOR_DB, SignalAnalysis
from nmjax.runtime.number_format import format_fixed, format_general, format_signed

_GRID_HZ = np.geomspace(20.0, 20_000.0, 300)
_BAND_COLORS = (svg.BLUE, svg.ORANGE, svg.GREEN, svg.PURPLE, svg.RED)
_MIN_VISIBLE_DB = 0.05  # a band that changes less is not drawn
_MIN_RANGE_DB = 3.0  # of a gain axis, so that a tenth of a dB does not fill the chart
_SPECTRUM_RANGE_DB, _LOUDNESS_RANGE_LU = 80.0, 30.0  # shown below the maximum
INPUT_STYLE = LineStyle(svg.BLUE, dash="7 3")
MASTER_STYLE = LineStyle(svg.ORANGE, width=2.2)
MARKER_STYLE = LineStyle(svg.BLACK, width=1.4, dash="2 3")  # of targets and thresholds
_INPUT_SIDE_STYLE = LineStyle(svg.BLUE, width=1.4, dash="2 3")
_MASTER_SIDE_STYLE = LineStyle(svg.ORANGE, width=1.1)
_REFERENCE_STYLE = LineStyle(svg.GREEN, width=1.6, dash="6 2 1 2")
_ALL_BANDS_STYLE = LineStyle(svg.BLACK, width=2.6)
_EQ_STYLE = LineStyle(svg.BLACK, dash="7 3")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A chart with a legend and a caption.

    element_id: unique in the page.
    legend: the curves that the legend names; None for all that have a name.
    """

    element_id: str
    chart: svg.Chart
    caption: str = ""
    legend: Sequence[PlotCurve] | None = None

    @property
    def wide(self) -> Markup:
        """The drawing for a wide window."""
        return svg.render_chart(self.chart, f"{self.element_id}-wide", width=860, height=330)

    @property
    def narrow(self) -> Markup:
        """The drawing for a narrow window, in which the text of the wide one would be too small."""
        return svg.render_chart(self.chart, f"{self.element_id}-narrow", width=400, height=270)

    @property
    def legend_entries(self) -> list[tuple[Markup, str]]:
        """A swatch and a name for each entry of the legend."""
        curves = self.chart.curves if self.legend is None else self.legend
        return [(svg.render_swatch(curve.style), curve.name) for curve in curves if curve.name]


def eq_figure(eq: EqSettings, match: ReferenceMatch | None = None, eq_side: EqSettings | None = None) -> Figure:
    """The response of the equalizer and of each band, of the side's equalizer, and the target of a reference."""
    band_db = band_responses_db(eq, _GRID_HZ)
    bands = [
        PlotCurve(
            x=_GRID_HZ,
            y=gain_db,
            style=LineStyle(_BAND_COLORS[i % len(_BAND_COLORS)], width=1.2),
            fill=True,
            peak_label=str(i + 1),
        )
        for i, gain_db in enumerate(band_db)
        if np.abs(gain_db).max() >= _MIN_VISIBLE_DB
    ]
    total = PlotCurve(x=_GRID_HZ, y=band_db.sum(axis=0), name="All bands", style=_ALL_BANDS_STYLE)
    legend = [total]
    if eq_side is not None:
        side_db = band_responses_db(eq_side, _GRID_HZ).sum(axis=0)
        legend.append(PlotCurve(x=_GRID_HZ, y=side_db, name="Side alone", style=_MASTER_SIDE_STYLE))
    if match:
        name = f"Target from {match.reference_target.name}"
        legend.append(PlotCurve(x=CENTERS_HZ, y=match.target_eq_db, name=name, style=_REFERENCE_STYLE))
    curves = [*bands, *legend]
    chart = svg.Chart(
        title="Equalizer",
        description=describe_extremes(total),
        x=svg.frequency_axis(),
        y=gain_axis(curves),
        curves=curves,
    )
    caption = "Each numbered shape is the response of one band. The heavy line is the response of all bands together."
    if eq_side is not None:
        caption += " The side's own bands come on top of it, for half of left − right."
    return Figure("eq", chart, caption, legend)


def spectra_figure(before: SignalAnalysis, after: SignalAnalysis, match: ReferenceMatch | None = None) -> Figure:
    """The long-term spectra of input and master, as mid and side where both are stereo.

    With a reference, the spectrum of its mid is added, shifted to the level of the master.
    """
    caption = "Power in twelfth-octave bands over the whole track."
    if before.side_db is not None and after.side_db is not None:
        caption += " Mid is the mean of both channels, side is half of their difference."
        curves = [
            PlotCurve(before.freq_hz, mask_silence(before.mid_db), "Input, mid", INPUT_STYLE),
            PlotCurve(after.freq_hz, mask_silence(after.mid_db), "Master, mid", MASTER_STYLE),
            PlotCurve(before.freq_hz, mask_silence(before.side_db), "Input, side", _INPUT_SIDE_STYLE),
            PlotCurve(after.freq_hz, mask_silence(after.side_db), "Master, side", _MASTER_SIDE_STYLE),
        ]
    else:
        curves = [
            PlotCurve(before.freq_hz, mask_silence(before.total_db), "Input", INPUT_STYLE),
            PlotCurve(after.freq_hz, mask_silence(after.total_db), "Master", MASTER_STYLE),
        ]
    master = curves[1]
    if match:
        curves.append(_reference_curve(match, master))
    return Figure("spectra", _spectrum_chart("Spectra", curves, described=master), caption)


def _reference_curve(match: ReferenceMatch, master: PlotCurve) -> PlotCurve:
    """The spectrum of the reference's mid, shifted by its median distance from the master's."""
    features = match.reference_target.features
    reference_db = np.where(features.known_bands, features.mid_db, np.nan)
    offset_db = np.interp(np.log(CENTERS_HZ), np.log(master.x), master.y) - reference_db
    median_offset_db = np.nanmedian(offset_db) if np.isfinite(offset_db).any() else 0.0
    name = f"{match.reference_target.name}, mid"
    return PlotCurve(x=CENTERS_HZ, y=reference_db + median_offset_db, name=name, style=_REFERENCE_STYLE)


def change_figure(change: SpectralChange, eq_db: Float[np.ndarray, " bands"]) -> Figure:
    """The change of the spectrum beside the response of the equalizer."""
    change_curve = PlotCurve(change.freq_hz, change.change_db, "Master − input", MASTER_STYLE, fill=True)
    curves = [change_curve, PlotCurve(change.freq_hz, eq_db, "Equalizer", _EQ_STYLE)]
    chart = svg.Chart(
        title="Change of the spectrum",
        description=describe_extremes(change_curve),
        x=svg.frequency_axis(),
        y=gain_axis(curves),
        curves=curves,
    )
    return Figure("change", chart, f"A broadband gain of {format_signed(change.gain_db, 'dB')} is removed.")


def loudness_figure(before: SignalAnalysis, after: SignalAnalysis, target_lufs: float | None) -> Figure:
    """Short-term loudness of input and master over time, and the target."""
    duration_s = max(before.duration_s, after.duration_s)
    master = PlotCurve(after.times_s, after.short_term_lufs, "Master", MASTER_STYLE)
    curves = [PlotCurve(before.times_s, before.short_term_lufs, "Input", INPUT_STYLE), master]
    if target_lufs is not None:
        name = f"Target, {format_general(target_lufs, 'LUFS')}"
        curves.append(PlotCurve(np.array([0.0, duration_s]), np.full(2, target_lufs), name, MARKER_STYLE))
    chart = svg.Chart(
        title="Loudness over time",
        description=_describe_range(master),
        x=svg.time_axis(duration_s),
        y=level_axis("LUFS", curves, _LOUDNESS_RANGE_LU),
        curves=curves,
    )
    return Figure("loudness", chart, "Short-term loudness (EBU Tech 3341): loudness of the preceding 3 s.")


def residual_figure(residual: ResidualSpectrum) -> Figure:
    """The spectra of the residual and of the signal to which it is added."""
    added = PlotCurve(residual.freq_hz, mask_silence(residual.residual_db), "Residual", MASTER_STYLE)
    signal = PlotCurve(residual.freq_hz, mask_silence(residual.signal_db), "Signal before the residual", INPUT_STYLE)
    return Figure("residual", _spectrum_chart("Residual network", [signal, added], described=added))


def band_responses_db(eq: EqSettings, freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, "bands points"]:
    """The response in dB of each band of one track's equalizer, at the sample rate of the model."""
    freq, gain_db, q = (jnp.asarray(np.asarray(x)[0, :, None]) for x in (eq.freq_hz, eq.rendered_gain_db, eq.q))
    bands = Bands(freq_hz=freq, gain_db=gain_db, q=q)
    return np.asarray(compiled_response_db(bands, np.asarray(freq_hz, np.float32), SAMPLE_RATE), np.float64)


def mask_silence(level_db: Float[np.ndarray, " bands"]) -> Float[np.ndarray, " bands"]:
    """Levels with NaN in silent bands."""
    return np.where(level_db > FLOOR_DB, level_db, np.nan)


def gain_axis(curves: Sequence[PlotCurve]) -> svg.Axis:
    """A symmetric axis of gains that holds all curves."""
    range_db = max(_MIN_RANGE_DB, 1.15 * float(np.abs(_finite_values(curves)).max(initial=0.0)))
    return svg.linear_axis("gain (dB)", -range_db, range_db)


def level_axis(unit: str, curves: Sequence[PlotCurve], max_range: float) -> svg.Axis:
    """An axis of levels from the maximum down to the minimum, but at most by `max_range`."""
    values = _finite_values(curves)
    if not len(values):  # silence
        values = np.array([-max_range, 0.0])
    top = float(values.max())
    bottom = max(float(values.min()), top - max_range)
    return svg.linear_axis(unit, bottom - 1.0, top + 1.0)


def describe_extremes(curve: PlotCurve) -> str:
    """The lowest and the highest gain of a curve over frequency, in words."""
    if not np.isfinite(curve.y).any():
        return "No signal."
    low, high = int(np.nanargmin(curve.y)), int(np.nanargmax(curve.y))
    low_text, high_text = (
        f"{format_signed(float(curve.y[i]), 'dB')} at {float(curve.x[i]):,.0f} Hz" for i in (low, high)
    )
    return f"From {low_text} to {high_text}."


def _spectrum_chart(title: str, curves: Sequence[PlotCurve], described: PlotCurve) -> svg.Chart:
    """A chart of levels over frequency, with the description of one of its curves."""
    return svg.Chart(
        title=title,
        description=_describe_range(described),
        x=svg.frequency_axis(),
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

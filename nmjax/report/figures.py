"""The report's charts: what is drawn, from the facts; how lines become SVG is svg.py's."""

from __future__ import annotations

from html import escape

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands, response_db
from nmjax.models import SAMPLE_RATE
from nmjax.models.parameters import EqSettings
from nmjax.reference.features import CENTERS_HZ
from nmjax.reference.match import ReferenceMatch
from nmjax.report import svg
from nmjax.report.spectral_change import ResidualSpectrum, SpectralChange
from nmjax.report.track_analysis import FLOOR_DB, SignalAnalysis

_GRID_HZ = np.geomspace(20.0, 20_000.0, 300)
_BAND_COLORS = (svg.BLUE, svg.ORANGE, svg.GREEN, svg.PURPLE, svg.RED)
_SIZES = (("wide", 860, 330), ("narrow", 400, 270))  # scaled to a narrow window, a wide drawing's text is too small
_MIN_RANGE_DB = 3.0  # of a chart of gains, so that a tenth of a dB does not look like a mountain
_SPAN_DB, _SPAN_LU = 80.0, 30.0  # how far down spectra and loudness are shown
INPUT_STYLE = {"color": svg.BLUE, "dash": "7 3"}
REFERENCE_STYLE = {"color": svg.GREEN, "dash": "6 2 1 2", "line_width": 1.6}
MASTER_STYLE = {"color": svg.ORANGE, "line_width": 2.2}


def eq_figure(eq: EqSettings, match: ReferenceMatch | None = None) -> str:
    """The equaliser's curve, each band beneath it with its number, and the curve that a reference asked for."""
    band_db = band_responses_db(eq, _GRID_HZ)
    curves = [
        svg.PlotCurve(_GRID_HZ, gain_db, "", _BAND_COLORS[i % len(_BAND_COLORS)], 1.2, fill=True, peak_label=str(i + 1))
        for i, gain_db in enumerate(band_db)
        if np.abs(gain_db).max() >= 0.05  # what cannot be seen needs no number
    ]
    total = svg.PlotCurve(_GRID_HZ, band_db.sum(axis=0), "All bands together", svg.BLACK, 2.6)
    legend_curves = [total]
    if match:
        legend_curves.append(
            svg.PlotCurve(
                CENTERS_HZ, match.target_eq_db, f"Asked for by {match.reference_target.name}", **REFERENCE_STYLE
            )
        )
    all_curves = [*curves, *legend_curves]
    caption = "Each numbered shape is one band; the heavy line is what they do together."
    return render_figure(
        "eq",
        "Equaliser",
        describe_extremes(total),
        svg.frequency_axis(),
        gain_axis(all_curves),
        all_curves,
        caption,
        legend_curves,
    )


def spectra_figure(before: SignalAnalysis, after: SignalAnalysis, match: ReferenceMatch | None = None) -> str:
    """The long-term spectra of input and master, of mid and side where both are stereo; and that of a reference's
    mid, at the master's level."""
    is_stereo = before.side_db is not None and after.side_db is not None
    mid_suffix = ", mid" if is_stereo else ""
    curves = [
        svg.PlotCurve(
            before.freq_hz,
            mask_silence(before.mid_db if is_stereo else before.total_db),
            f"Input{mid_suffix}",
            **INPUT_STYLE,
        ),
        svg.PlotCurve(
            after.freq_hz,
            mask_silence(after.mid_db if is_stereo else after.total_db),
            f"Master{mid_suffix}",
            **MASTER_STYLE,
        ),
    ]
    if is_stereo:
        side_styles = {"color": svg.BLUE, "dash": "2 3", "line_width": 1.4}, {"color": svg.ORANGE, "line_width": 1.1}
        curves += [
            svg.PlotCurve(before.freq_hz, mask_silence(before.side_db), "Input, side", **side_styles[0]),
            svg.PlotCurve(after.freq_hz, mask_silence(after.side_db), "Master, side", **side_styles[1]),
        ]
    caption = "Power in twelfths of an octave over the whole track."
    if match:
        curves.append(_reference_curve(match, after.freq_hz, curves[1].y))
    if is_stereo:
        caption += " Mid is what both channels share, side is what differs."
    return _spectrum_figure("spectra", "Spectra", curves, caption)


def _reference_curve(match: ReferenceMatch, freq_hz: np.ndarray, level_db: np.ndarray) -> svg.PlotCurve:
    """A reference's levels, half of each band's power for a twelfth of an octave, moved to the level of a curve."""
    is_known = match.reference_target.features.known_bands
    reference_db = np.where(is_known, match.reference_target.features.mid_db, np.nan)
    offset_db = np.interp(np.log(CENTERS_HZ), np.log(freq_hz), level_db) - reference_db
    median_offset_db = np.nanmedian(offset_db) if np.isfinite(offset_db).any() else 0.0
    return svg.PlotCurve(
        CENTERS_HZ, reference_db + median_offset_db, f"{match.reference_target.name}, mid", **REFERENCE_STYLE
    )


def change_figure(change: SpectralChange, eq_db: Float[np.ndarray, " bands"]) -> str:
    """How the spectrum changed, with the equaliser's curve over it."""
    change_curve = svg.PlotCurve(change.freq_hz, change.change_db, "Master − input", fill=True, **MASTER_STYLE)
    eq_curve = svg.PlotCurve(change.freq_hz, eq_db, "Equaliser's curve", svg.BLACK, 1.8, "7 3")
    curves = [change_curve, eq_curve]
    caption = (
        f"The gain of {format_signed(change.gain_db)} dB between them, which is the same everywhere, is taken out."
    )
    return render_figure("change", "Change of the spectrum", describe_extremes(change_curve), svg.frequency_axis(), gain_axis(curves), curves,
                   caption)  # fmt: skip


def loudness_figure(before: SignalAnalysis, after: SignalAnalysis, target_lufs: float | None) -> str:
    """Short-term loudness of input and master over time, and the target."""
    curves = [
        svg.PlotCurve(before.times_s, before.short_term_lufs, "Input", **INPUT_STYLE),
        svg.PlotCurve(after.times_s, after.short_term_lufs, "Master", **MASTER_STYLE),
    ]
    duration_s = max(before.duration_s, after.duration_s)
    if target_lufs is not None:
        text = f"Target, {use_true_minus(f'{target_lufs:g}')} LUFS"
        curves.append(svg.PlotCurve(np.array([0.0, duration_s]), np.full(2, target_lufs), text, svg.BLACK, 1.4, "2 3"))
    x, y = svg.time_axis(duration_s), level_axis("LUFS", curves, _SPAN_LU)
    caption = "Loudness of the three seconds up to each moment (short-term loudness after EBU Tech 3341)."
    return render_figure("loudness", "Loudness over time", _describe_range(curves[1]), x, y, curves, caption)


def residual_figure(residual: ResidualSpectrum) -> str:
    """The spectra of what the second network added, and of the signal to which it was added."""
    curves = [
        svg.PlotCurve(residual.freq_hz, mask_silence(residual.signal_db), "Signal to which it is added", **INPUT_STYLE),
        svg.PlotCurve(
            residual.freq_hz, mask_silence(residual.residual_db), "Added by the second network", **MASTER_STYLE
        ),
    ]
    return _spectrum_figure("residual", "What the second network added", curves, "")


def band_responses_db(eq: EqSettings, freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, "bands points"]:
    """Each band's gain in dB as the model means it; `eq` holds one track."""
    separate_bands = Bands(*(jnp.asarray(np.asarray(x)[0, :, None]) for x in (eq.freq_hz, eq.rendered_gain_db, eq.q)))
    return np.asarray(_response_db_jit(separate_bands, jnp.asarray(freq_hz, jnp.float32), SAMPLE_RATE), np.float64)


_response_db_jit = jax.jit(response_db, static_argnums=2)


def format_signed(value: float, digits: int = 1) -> str:
    """With a sign, a true minus; 0 has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0.0 else use_true_minus(text)


def use_true_minus(text: str) -> str:
    """With a true minus."""
    return text.replace("-", "−")


def _spectrum_figure(element_id: str, title: str, curves: list[svg.PlotCurve], caption: str) -> str:
    y = level_axis("dB", curves, _SPAN_DB)
    return render_figure(element_id, title, _describe_range(curves[1]), svg.frequency_axis(), y, curves, caption)


def render_figure(
    element_id: str, title: str, description: str, x: svg.Axis, y: svg.Axis, curves: list[svg.PlotCurve], caption: str,
    legend_curves: list[svg.PlotCurve] | None = None,
) -> str:  # fmt: skip
    """A chart for wide and one for narrow windows, with the legend of `named` (all curves) and a caption."""
    drawings = "".join(
        f'<div class="{css_class}">{svg.render_chart(f"{element_id}-{css_class}", title, description, x, y, curves, width, height)}</div>'
        for css_class, width, height in _SIZES
    )
    text = f"<p>{escape(caption)}</p>" if caption else ""
    return f"<figure>{drawings}<figcaption>{svg.render_legend(legend_curves or curves)}{text}</figcaption></figure>"


def mask_silence(level_db: Float[np.ndarray, " bands"]) -> Float[np.ndarray, " bands"]:
    """NaN where there is nothing."""
    return np.where(level_db > FLOOR_DB, level_db, np.nan)


def _finite_values(curves: list[svg.PlotCurve]) -> np.ndarray:
    values = np.concatenate([curve.y for curve in curves])
    return values[np.isfinite(values)]


def gain_axis(curves: list[svg.PlotCurve]) -> svg.Axis:
    """As far up as down, and not too near."""
    range_db = max(_MIN_RANGE_DB, 1.15 * float(np.abs(_finite_values(curves)).max(initial=0.0)))
    return svg.linear_axis("gain (dB)", -range_db, range_db)


def level_axis(unit: str, curves: list[svg.PlotCurve], span: float) -> svg.Axis:
    """From the loudest down to the quietest, but no further than `span`."""
    values = _finite_values(curves)
    if not len(values):  # silence
        values = np.array([-span, 0.0])
    top = float(values.max())
    bottom = max(float(values.min()), top - span)
    return svg.linear_axis(unit, bottom - 1.0, top + 1.0)


def describe_extremes(curve: svg.PlotCurve) -> str:
    """Lowest and highest gain of a curve over frequency, in words."""
    if not np.isfinite(curve.y).any():
        return "Nothing was heard."
    low, high = (int(f(curve.y)) for f in (np.nanargmin, np.nanargmax))
    extreme_texts = (f"{format_signed(float(curve.y[i]))} dB at {float(curve.x[i]):,.0f} Hz" for i in (low, high))
    return f"From {' to '.join(extreme_texts)}."


def _describe_range(curve: svg.PlotCurve) -> str:
    values = _finite_values([curve])
    if not len(values):
        return "Nothing was heard."
    return f"{curve.name}: from {use_true_minus(f'{values.min():.1f}')} to {use_true_minus(f'{values.max():.1f}')}."

"""The report's charts: what is drawn, from the facts; how lines become SVG is svg.py's."""

from __future__ import annotations

from html import escape

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands, response_db
from nmjax.inference.report import svg
from nmjax.inference.report.change import Change, Residual
from nmjax.inference.report.insight import FLOOR_DB, Heardings
from nmjax.models import SAMPLE_RATE
from nmjax.models.settings import EqSettings
from nmjax.reference.match import Match
from nmjax.reference.profile import CENTRES_HZ

_GRID_HZ = np.geomspace(20.0, 20_000.0, 300)
_BAND_COLOURS = (svg.BLUE, svg.ORANGE, svg.GREEN, svg.PURPLE, svg.RED)
_SIZES = (("wide", 860, 330), ("narrow", 400, 270))  # scaled to a narrow window, a wide drawing's text is too small
_LEAST_REACH_DB = 3.0  # of a chart of gains, so that a tenth of a dB does not look like a mountain
_SPAN_DB, _SPAN_LU = 80.0, 30.0  # how far down spectra and loudness are shown
INPUT = {"colour": svg.BLUE, "dash": "7 3"}
REFERENCE = {"colour": svg.GREEN, "dash": "6 2 1 2", "width": 1.6}
MASTER = {"colour": svg.ORANGE, "width": 2.2}


def equaliser(eq: EqSettings, match: Match | None = None) -> str:
    """The equaliser's curve, each band beneath it with its number, and the curve that a reference asked for."""
    each = band_curves(eq, _GRID_HZ)
    curves = [
        svg.Curve(_GRID_HZ, gain_db, "", _BAND_COLOURS[i % len(_BAND_COLOURS)], 1.2, fill=True, mark=str(i + 1))
        for i, gain_db in enumerate(each)
        if np.abs(gain_db).max() >= 0.05  # what cannot be seen needs no number
    ]
    total = svg.Curve(_GRID_HZ, each.sum(axis=0), "All bands together", svg.BLACK, 2.6)
    named = [total]
    if match:
        named.append(svg.Curve(CENTRES_HZ, match.wanted_db, f"Asked for by {match.aim.name}", **REFERENCE))
    shown = [*curves, *named]
    caption = "Each numbered shape is one band; the heavy line is what they do together."
    return figure("eq", "Equaliser", extremes(total), svg.frequency_axis(), gain_axis(shown), shown, caption, named)


def spectra(before: Heardings, after: Heardings, match: Match | None = None) -> str:
    """The long-term spectra of input and master, of mid and side where both are stereo; and that of a reference's
    mid, at the master's level."""
    stereo = before.side_db is not None and after.side_db is not None
    middle = ", mid" if stereo else ""
    curves = [
        svg.Curve(before.freq_hz, audible(before.mid_db if stereo else before.total_db), f"Input{middle}", **INPUT),
        svg.Curve(after.freq_hz, audible(after.mid_db if stereo else after.total_db), f"Master{middle}", **MASTER),
    ]
    if stereo:
        thin = {"colour": svg.BLUE, "dash": "2 3", "width": 1.4}, {"colour": svg.ORANGE, "width": 1.1}
        curves += [
            svg.Curve(before.freq_hz, audible(before.side_db), "Input, side", **thin[0]),
            svg.Curve(after.freq_hz, audible(after.side_db), "Master, side", **thin[1]),
        ]
    caption = "Power in twelfths of an octave over the whole track."
    if match:
        curves.append(_reference(match, after.freq_hz, curves[1].y))
    if stereo:
        caption += " Mid is what both channels share, side is what differs."
    return _spectrum_figure("spectra", "Spectra", curves, caption)


def _reference(match: Match, freq_hz: np.ndarray, level_db: np.ndarray) -> svg.Curve:
    """A reference's levels, half of each band's power for a twelfth of an octave, moved to the level of a curve."""
    known = match.aim.profile.known
    wanted_db = np.where(known, match.aim.profile.mid_db, np.nan)
    apart = np.interp(np.log(CENTRES_HZ), np.log(freq_hz), level_db) - wanted_db
    middle = np.nanmedian(apart) if np.isfinite(apart).any() else 0.0
    return svg.Curve(CENTRES_HZ, wanted_db + middle, f"{match.aim.name}, mid", **REFERENCE)


def change(found: Change, curve_db: Float[np.ndarray, "bands"]) -> str:
    """How the spectrum changed, with the equaliser's curve over it."""
    done = svg.Curve(found.freq_hz, found.change_db, "Master − input", fill=True, **MASTER)
    curve = svg.Curve(found.freq_hz, curve_db, "Equaliser's curve", svg.BLACK, 1.8, "7 3")
    shown = [done, curve]
    caption = f"The gain of {signed(found.gain_db)} dB between them, which is the same everywhere, is taken out."
    return figure("change", "Change of the spectrum", extremes(done), svg.frequency_axis(), gain_axis(shown), shown,
                   caption)  # fmt: skip


def loudness(before: Heardings, after: Heardings, target_lufs: float | None) -> str:
    """Short-term loudness of input and master over time, and the target."""
    curves = [
        svg.Curve(before.seconds, before.short_term, "Input", **INPUT),
        svg.Curve(after.seconds, after.short_term, "Master", **MASTER),
    ]
    length = max(before.duration, after.duration)
    if target_lufs is not None:
        text = f"Target, {minus(f'{target_lufs:g}')} LUFS"
        curves.append(svg.Curve(np.array([0.0, length]), np.full(2, target_lufs), text, svg.BLACK, 1.4, "2 3"))
    x, y = svg.time_axis(length), level_axis("LUFS", curves, _SPAN_LU)
    caption = "Loudness of the three seconds up to each moment (short-term loudness after EBU Tech 3341)."
    return figure("loudness", "Loudness over time", _between(curves[1]), x, y, curves, caption)


def residual(found: Residual) -> str:
    """The spectra of what the second network added, and of the signal to which it was added."""
    curves = [
        svg.Curve(found.freq_hz, audible(found.signal_db), "Signal to which it is added", **INPUT),
        svg.Curve(found.freq_hz, audible(found.residual_db), "Added by the second network", **MASTER),
    ]
    return _spectrum_figure("residual", "What the second network added", curves, "")


def band_curves(eq: EqSettings, freq_hz: Float[np.ndarray, "points"]) -> Float[np.ndarray, "bands points"]:
    """Each band's gain in dB as the model means it; `eq` holds one track."""
    alone = Bands(*(jnp.asarray(np.asarray(x)[0, :, None]) for x in (eq.freq_hz, eq.rendered_gain_db, eq.q)))
    return np.asarray(_response_db(alone, jnp.asarray(freq_hz, jnp.float32), SAMPLE_RATE), np.float64)


_response_db = jax.jit(response_db, static_argnums=2)


def signed(value: float, digits: int = 1) -> str:
    """With a sign, a true minus; 0 has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0.0 else minus(text)


def minus(text: str) -> str:
    """With a true minus."""
    return text.replace("-", "−")


def _spectrum_figure(ident: str, title: str, curves: list[svg.Curve], caption: str) -> str:
    y = level_axis("dB", curves, _SPAN_DB)
    return figure(ident, title, _between(curves[1]), svg.frequency_axis(), y, curves, caption)


def figure(
    ident: str, title: str, description: str, x: svg.Axis, y: svg.Axis, curves: list[svg.Curve], caption: str,
    named: list[svg.Curve] | None = None,
) -> str:  # fmt: skip
    """A chart for wide and one for narrow windows, with the legend of `named` (all curves) and a caption."""
    drawings = "".join(
        f'<div class="{size}">{svg.chart(f"{ident}-{size}", title, description, x, y, curves, width, height)}</div>'
        for size, width, height in _SIZES
    )
    text = f"<p>{escape(caption)}</p>" if caption else ""
    return f"<figure>{drawings}<figcaption>{svg.legend(named or curves)}{text}</figcaption></figure>"


def audible(level_db: Float[np.ndarray, "bands"]) -> Float[np.ndarray, "bands"]:
    """NaN where there is nothing."""
    return np.where(level_db > FLOOR_DB, level_db, np.nan)


def _finite(curves: list[svg.Curve]) -> np.ndarray:
    values = np.concatenate([curve.y for curve in curves])
    return values[np.isfinite(values)]


def gain_axis(curves: list[svg.Curve]) -> svg.Axis:
    """As far up as down, and not too near."""
    reach = max(_LEAST_REACH_DB, 1.15 * float(np.abs(_finite(curves)).max(initial=0.0)))
    return svg.linear_axis("gain (dB)", -reach, reach)


def level_axis(unit: str, curves: list[svg.Curve], span: float) -> svg.Axis:
    """From the loudest down to the quietest, but no further than `span`."""
    values = _finite(curves)
    if not len(values):  # silence
        values = np.array([-span, 0.0])
    top = float(values.max())
    bottom = max(float(values.min()), top - span)
    return svg.linear_axis(unit, bottom - 1.0, top + 1.0)


def extremes(curve: svg.Curve) -> str:
    """Lowest and highest gain of a curve over frequency, in words."""
    if not np.isfinite(curve.y).any():
        return "Nothing was heard."
    low, high = (int(f(curve.y)) for f in (np.nanargmin, np.nanargmax))
    ends = (f"{signed(float(curve.y[i]))} dB at {float(curve.x[i]):,.0f} Hz" for i in (low, high))
    return f"From {' to '.join(ends)}."


def _between(curve: svg.Curve) -> str:
    values = _finite([curve])
    if not len(values):
        return "Nothing was heard."
    return f"{curve.name}: from {minus(f'{values.min():.1f}')} to {minus(f'{values.max():.1f}')}."

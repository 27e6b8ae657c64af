"""The mastering observer that plots the response of the equalizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from nmjax import plots
from nmjax.audio.streams import AudioChunks
from nmjax.dsp import Bands, response_db
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.types import MasteringResult
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.match import ReferenceMatch
from nmjax.runtime.number_format import format_signed

_MIN_VISIBLE_DB = 0.05  # a smaller gain would be 0.0 in the legend


class EqPlotter:
    """A `MasteringObserver` that plots the response of the equalizer, where a plot is requested."""

    def tap(self, stage: str, chunks: AudioChunks) -> AudioChunks:
        """Return the chunks; the plot needs no audio."""
        return chunks

    def write_files(
        self, result: MasteringResult, open_rendered: StreamOpener, temporary_paths: Mapping[Path, Path]
    ) -> None:
        """Write the plot into its temporary file."""
        if not result.outputs.plot:
            return
        render_plan = result.render_plan
        plot_eq(
            bands=render_plan.prediction.settings.eq.bands(),
            sample_rate=render_plan.eq_sample_rate,
            title=f"{result.outputs.masters[0].name}: equalizer",
            path=temporary_paths[result.outputs.plot],
            match=render_plan.match,
            side_bands=eq_side.bands() if (eq_side := render_plan.prediction.settings.eq_side) is not None else None,
        )


def plot_eq(
    bands: Bands,
    sample_rate: int,
    title: str,
    path: Path,
    match: ReferenceMatch | None = None,
    side_bands: Bands | None = None,
) -> None:
    """Plot the response of an equalizer as PNG.

    Args:
        bands: `[1, bands]`.
        sample_rate: Hz, at which the bands are rendered.
        title: above the plot.
        path: the file to write.
        match: its target response is added.
        side_bands: of the side's equalizer, whose response is added.
    """
    freq_hz = np.geomspace(20.0, min(20_000.0, sample_rate / 2), 600)
    visible = np.flatnonzero(np.abs(np.asarray(bands.gain_db)[0]) >= _MIN_VISIBLE_DB)  # others are closed
    single_bands = [
        Bands(freq_hz=bands.freq_hz[:, i : i + 1], gain_db=bands.gain_db[:, i : i + 1], q=bands.q[:, i : i + 1])
        for i in (visible if len(visible) else [0])
    ]
    responses = [
        np.asarray(response_db(band, jnp.asarray(freq_hz, jnp.float32), sample_rate))[0] for band in single_bands
    ]
    target = side = None
    if side_bands is not None:
        side_db = np.asarray(response_db(side_bands, jnp.asarray(freq_hz, jnp.float32), sample_rate))[0]
        side = plots.ResponseCurve(freq_hz=freq_hz, response_db=side_db, name="side alone")
    if match:
        name = f"target from {match.reference_target.name}"
        target = plots.ResponseCurve(freq_hz=CENTERS_HZ, response_db=match.target_eq_db, name=name)
    plots.plot_eq_response(
        path,
        freq_hz=freq_hz,
        band_db=np.stack(responses),
        names=[f"{float(b.freq_hz[0, 0]):,.0f} Hz {format_signed(float(b.gain_db[0, 0]), 'dB')}" for b in single_bands],
        title=title,
        target=target,
        side=side,
    )

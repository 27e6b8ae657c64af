"""The picture of an equaliser."""

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
from nmjax.reference.features import CENTERS_HZ
from nmjax.reference.match import ReferenceMatch


class EqPlotter:
    """A `MasteringObserver` that plots the equalizer's response, where a plot is asked for."""

    def tap(self, stage: str, chunks: AudioChunks) -> AudioChunks:
        """Returns the chunks; the plot needs no audio."""
        return chunks

    def write_files(
        self, result: MasteringResult, open_rendered: StreamOpener, temporary_paths: Mapping[Path, Path]
    ) -> None:
        """Writes the PNG."""
        if not result.outputs.plot:
            return
        render_plan = result.render_plan
        plot_eq(
            render_plan.prediction.settings.eq.bands(),
            render_plan.eq_sample_rate,
            title=f"{result.outputs.masters[0].name}: equalizer",
            path=temporary_paths[result.outputs.plot],
            match=render_plan.match,
        )


def plot_eq(bands: Bands, sample_rate: int, title: str, path: Path, match: ReferenceMatch | None = None) -> None:
    """The curve of `bands` (`[1, bands]`), as they draw it at `sample_rate` (Hz), as a PNG; with the curve that a
    reference asked for."""
    freq_hz = np.geomspace(20.0, min(20_000.0, sample_rate / 2), 600)
    single_bands = [
        Bands(*(x[:, i : i + 1] for x in (bands.freq_hz, bands.gain_db, bands.q))) for i in range(bands.q.shape[1])
    ]
    curves = [np.asarray(response_db(band, jnp.asarray(freq_hz, jnp.float32), sample_rate))[0] for band in single_bands]
    names = [f"{float(b.freq_hz[0, 0]):,.0f} Hz {float(b.gain_db[0, 0]):+.1f} dB" for b in single_bands]
    target_curve = match and (CENTERS_HZ, match.target_eq_db, f"asked for by {match.reference_target.name}")
    plots.plot_eq_response(path, freq_hz, np.stack(curves), names, title, target_curve)

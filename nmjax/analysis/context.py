"""Shared inputs of all analysis sections, and labels for axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nmjax.analysis.predictions import CollectionPredictions
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.mastering.network import Network
from nmjax.runtime import atomic_files

THIRD_OCTAVE_FREQ_HZ = np.array(THIRD_OCTAVES_HZ)


@dataclasses.dataclass(frozen=True)
class AnalysisContext:
    """Shared inputs of all analysis sections.

    Attributes:
        predictions: settings of all tracks.
        network: the network that predicted them.
        out: folder of the results.
        gate_threshold: a gate is open above it.
        has_windows: whether `out` has the settings of windows too.
        seed: of confidence intervals, tests, clusters and probes.
    """

    predictions: CollectionPredictions
    network: Network
    out: Path
    gate_threshold: float
    has_windows: bool
    seed: int = 0

    def save_plot(self, name: str, plot: Callable, *arguments, **options) -> Path:
        """Write `name.png` and `name.svg` with a function of `nmjax.plots.collection`; return the path of the SVG."""
        return save_png_and_svg(self.out / name, plot, *arguments, **options)

    @property
    def band_labels(self) -> list[str]:
        """Number and median frequency of each band, in two lines."""
        median_freq_hz = np.median(self.predictions.settings["freq_hz"], axis=0)
        return [f"{i}\n{format_hz(f)}" for i, f in enumerate(median_freq_hz, 1)]


def save_png_and_svg(stem: Path, plot: Callable, *arguments, **options) -> Path:
    """Write `stem`.png and `stem`.svg with a function of `nmjax.plots.collection`; return the path of the SVG."""
    svg_path = stem.with_name(f"{stem.name}.svg")
    for path in (stem.with_name(f"{stem.name}.png"), svg_path):
        with atomic_files.temporary_sibling(path) as temporary:
            plot(temporary, *arguments, **options)
            atomic_files.commit_file(temporary, path)
    return svg_path


def base_name(name: str) -> str:
    """A track's name without its folders."""
    return name.rpartition("/")[2]


def format_hz(freq_hz: float) -> str:
    """A frequency as a short label: 63, 2.5k."""
    return f"{freq_hz:.0f}" if freq_hz < 995.0 else f"{freq_hz / 1000.0:.3g}k"


def nominal_frequency_label(freq_hz: float) -> str:
    """The label of a third octave: the nominal frequency of IEC 61260."""
    names = np.outer([10.0, 100.0, 1000.0, 10_000.0], (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)).ravel()
    return format_hz(names[np.argmin(np.abs(np.log(names / freq_hz)))])

"""The equalizer for two command-line programs, both with peaking filters of the Audio EQ Cookbook in double precision:

    sox --effects-file eq.sox track.wav out.wav
    ffmpeg -i track.wav -filter_script:a eq.ffmpeg out.wav     # FFmpeg 7 and later: -/filter:a eq.ffmpeg

Both begin with the sample rate, so a track of another rate is resampled to it. Every channel gets the same filters.
Neither format has comments, so the title is left out.
"""

from __future__ import annotations

from nmjax.dsp import Bands
from nmjax.mastering.settings.export_text import format_number, peaking_filters


def to_sox(bands: Bands, sample_rate: int, title: str) -> str:
    """A file of effects for SoX, on one line: another line would start another chain.

    Args:
        bands: `[1, bands]`, peaking filters.
        sample_rate: in Hz.
        title: not written.

    Raises:
        BadInputError: a band of another kind.
    """
    effects = [f"rate {sample_rate}"]
    for freq, gain, q in (map(format_number, band) for band in peaking_filters(bands)):
        effects.append(f"equalizer {freq} {q}q {gain}")
    return " ".join(effects) + "\n"


def to_ffmpeg(bands: Bands, sample_rate: int, title: str) -> str:
    """A filter graph for FFmpeg on one line. Arguments as in `to_sox`."""
    graph = [f"aresample={sample_rate}", "aformat=sample_fmts=dblp"]
    for freq, gain, q in (map(format_number, band) for band in peaking_filters(bands)):
        graph.append(f"equalizer=f={freq}:t=q:w={q}:g={gain}")
    return ",".join(graph) + "\n"

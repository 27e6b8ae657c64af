"""The equalizer for two command-line programs, both with peaking filters of the Audio EQ Cookbook in double precision:

    sox --effects-file eq.sox track.wav out.wav
    ffmpeg -i track.wav -filter_script:a eq.ffmpeg out.wav     # FFmpeg 7 and later: -/filter:a eq.ffmpeg

Both begin with the sample rate, so a track of another rate is resampled to it. Every channel gets the same filters.
Neither format has comments, so the title is left out. Bands of the side are for FFmpeg alone: SoX applies an effect to
all channels.
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


def to_ffmpeg(bands: Bands, sample_rate: int, title: str, side_bands: Bands | None = None) -> str:
    """A filter graph for FFmpeg on one line. Arguments as in `to_sox`; side_bands: of the side, of stereo alone."""
    graph = [f"aresample={sample_rate}", "aformat=sample_fmts=dblp", *_ffmpeg_filters(bands)]
    if side_bands is not None:
        graph.append("pan=stereo|FL=0.5*FL+0.5*FR|FR=0.5*FL-0.5*FR")  # mid, side
        graph += [f"{text}:c=FR" for text in _ffmpeg_filters(side_bands)]
        graph.append("pan=stereo|FL=FL+FR|FR=FL-FR")
    return ",".join(graph) + "\n"


def _ffmpeg_filters(bands: Bands) -> list[str]:
    rows = (map(format_number, band) for band in peaking_filters(bands))
    return [f"equalizer=f={freq}:t=q:w={q}:g={gain}" for freq, gain, q in rows]

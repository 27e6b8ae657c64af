"""A configuration of CamillaDSP 3 or later (`.yml`), which is complete: it reads raw float samples from standard input
and writes them to standard output. For playback, replace its `capture` and `playback` by your devices.

Both channels get the same filters, so mid and side get them too, and the configuration needs no mixer. CamillaDSP
computes peaking filters of the Audio EQ Cookbook in double precision.
"""

from __future__ import annotations

from nmjax.dsp import Bands
from nmjax.mastering.settings.export_text import comment_lines, format_number, peaking_filters, quote


def to_camilladsp(bands: Bands, sample_rate: int, title: str) -> str:
    """The text of the configuration.

    Args:
        bands: `[1, bands]`, peaking filters.
        sample_rate: in Hz, the configuration's.
        title: its title.

    Raises:
        BadInputError: a band of another kind.
    """
    filters = peaking_filters(bands)
    lines = [*comment_lines(sample_rate, title), f"title: {quote(title)}", *_device_lines(sample_rate)]
    names = [f"band_{number}" for number in range(1, len(filters) + 1)]
    lines += ["filters:" if filters else "filters: {}"]
    for name, band in zip(names, filters, strict=True):
        values = zip(("freq", "gain", "q"), map(format_number, band), strict=True)
        lines += [f"  {name}:", "    type: Biquad", "    parameters:", "      type: Peaking"]
        lines += [f"      {key}: {value}" for key, value in values]
    if not filters:
        return "\n".join([*lines, "pipeline: []"]) + "\n"
    lines += ["pipeline:", "  - type: Filter", "    channels: [0, 1]", "    names:"]
    return "\n".join([*lines, *(f"      - {name}" for name in names)]) + "\n"


def _device_lines(sample_rate: int) -> list[str]:
    lines = ["devices:", f"  samplerate: {sample_rate}", "  chunksize: 1024"]
    for role, kind in (("capture", "Stdin"), ("playback", "Stdout")):
        lines += [f"  {role}:", f"    type: {kind}", "    channels: 2", "    format: FLOAT32LE"]
    return lines

"""A configuration of CamillaDSP 3 or later (`.yml`), which is complete: it reads raw float samples from standard input
and writes them to standard output. For playback, replace its `capture` and `playback` by your devices.

Both channels get the same filters. Bands of the side need mid and side: two mixers make them, and left and right again.
CamillaDSP computes peaking filters of the Audio EQ Cookbook in double precision.
"""

from __future__ import annotations

from nmjax.dsp import Bands
from nmjax.mastering.settings.export_text import PeakingFilter, comment_lines, format_number, peaking_filters, quote

_TO_MID_SIDE, _TO_LEFT_RIGHT = "to_mid_side", "to_left_right"  # and the factor of both channels
_MIXERS = {_TO_MID_SIDE: 0.5, _TO_LEFT_RIGHT: 1.0}


def to_camilladsp(bands: Bands, sample_rate: int, title: str, side_bands: Bands | None = None) -> str:
    """The text of the configuration.

    Args:
        bands: `[1, bands]`, peaking filters.
        sample_rate: in Hz, the configuration's.
        title: its title.
        side_bands: `[1, bands]`, of the side alone.

    Raises:
        BadInputError: a band of another kind.
    """
    filters = {f"band_{number}": band for number, band in enumerate(peaking_filters(bands), 1)}
    side = {} if side_bands is None else {f"side_{n}": band for n, band in enumerate(peaking_filters(side_bands), 1)}
    lines = [*comment_lines(sample_rate, title), f"title: {quote(title)}", *_device_lines(sample_rate)]
    lines += ["filters:" if filters or side else "filters: {}", *_filter_lines({**filters, **side})]
    pipeline = _step_lines("0, 1", list(filters)) if filters else []
    if side:
        lines += ["mixers:", *(line for name in _MIXERS for line in _mixer_lines(name))]
        pipeline += [*_mixer_step(_TO_MID_SIDE), *_step_lines("1", list(side)), *_mixer_step(_TO_LEFT_RIGHT)]
    lines += ["pipeline:", *pipeline] if pipeline else ["pipeline: []"]
    return "\n".join(lines) + "\n"


def _filter_lines(filters: dict[str, PeakingFilter]) -> list[str]:
    lines = []
    for name, band in filters.items():
        values = zip(("freq", "gain", "q"), map(format_number, band), strict=True)
        lines += [f"  {name}:", "    type: Biquad", "    parameters:", "      type: Peaking"]
        lines += [f"      {key}: {value}" for key, value in values]
    return lines


def _step_lines(channels: str, names: list[str]) -> list[str]:
    lines = ["  - type: Filter", f"    channels: [{channels}]", "    names:"]
    return [*lines, *(f"      - {name}" for name in names)]


def _mixer_step(name: str) -> list[str]:
    return ["  - type: Mixer", f"    name: {name}"]


def _mixer_lines(name: str) -> list[str]:
    """Sum and difference of both channels, times a factor."""
    lines = [f"  {name}:", "    channels:", "      in: 2", "      out: 2", "    mapping:"]
    for channel, inverted in ((0, "false"), (1, "true")):
        lines += [f"      - dest: {channel}", "        sources:"]
        for source, is_inverted in ((0, "false"), (1, inverted)):
            lines += [
                f"          - channel: {source}",
                f"            gain: {_MIXERS[name]}",
                "            scale: linear",
            ]
            lines.append(f"            inverted: {is_inverted}")
    return lines


def _device_lines(sample_rate: int) -> list[str]:
    lines = ["devices:", f"  samplerate: {sample_rate}", "  chunksize: 1024"]
    for role, kind in (("capture", "Stdin"), ("playback", "Stdout")):
        lines += [f"  {role}:", f"    type: {kind}", "    channels: 2", "    format: FLOAT32LE"]
    return lines

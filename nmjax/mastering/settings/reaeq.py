"""A preset library for REAPER's ReaEQ (`.RPL`; in ReaEQ: +, "Import preset library").

The format is not published. This writer follows libraries and projects that REAPER wrote and users published: a text
frame around base64, and in it, little-endian,

- the host's record of 60 bytes: the plug-in's id 'reeq' and 0xFEED5EEE; the number of inputs and a 64-bit channel mask
  for each, the same for outputs (here two each); the size of the state; 1; 0x00100000;
- the plug-in's state: the size of a band (33 bytes) and their number; each band as type (8: peaking; 0 and 1 are
  shelves, 3 and 4 low- and high-pass), whether it is on, frequency in Hz, gain as a factor (double), bandwidth in
  octaves (double), a byte 1; then 1, 1, the output gain as a factor (double), 0;
- the name of the program between zero bytes, and 16.

The bandwidth is B = 2/ln 2 · asinh(1/(2Q)) (R. Bristow-Johnson), between the points of half the gain in dB. Whether
ReaEQ narrows it near half the rate, as the bilinear transform does, was not measured.
"""

from __future__ import annotations

import base64
import struct

import numpy as np

from nmjax.audio.units import db_to_amplitude
from nmjax.dsp import Bands
from nmjax.mastering.settings.export_text import PeakingFilter, one_line, peaking_filters
from nmjax.runtime.errors import BadInputError

_PEAKING_TYPE = 8
_FREQ_HZ, _GAIN_DB, _OCTAVES = (20.0, 24_000.0), (-90.0, 24.0), (0.01, 4.0)  # the ranges of its controls
_LINE_LENGTH = 128  # characters of base64


def to_reaeq(bands: Bands, sample_rate: int, title: str) -> str:
    """The text of a library with one preset.

    Args:
        bands: `[1, bands]`, peaking filters.
        sample_rate: in Hz; part of the preset's name, because the format has no comments.
        title: the preset's name.

    Raises:
        BadInputError: a band outside ReaEQ's ranges.
    """
    name = f"{one_line(title.replace('`', ' '))} ({sample_rate} Hz)"
    state = _plugin_state(peaking_filters(bands))
    payload = _host_header(len(state)) + state + b"\0" + name.encode() + b"\0" + struct.pack("<i", 16)
    encoded = base64.b64encode(payload).decode()
    lines = "\n".join(f"    {encoded[i : i + _LINE_LENGTH]}" for i in range(0, len(encoded), _LINE_LENGTH))
    return f"<REAPER_PRESET_LIBRARY `VST: ReaEQ (Cockos)`\n  <PRESET `{name}`\n{lines}\n  >\n>\n"


def q_to_octaves(q: float) -> float:
    """The bandwidth in octaves of a peaking filter with this Q."""
    return 2.0 / np.log(2.0) * float(np.arcsinh(0.5 / q))


def _host_header(size: int) -> bytes:
    two_channels = struct.pack("<iqq", 2, 1, 2)
    return struct.pack("<4sI", b"qeer", 0xFEED5EEE) + 2 * two_channels + struct.pack("<iii", size, 1, 0x100000)


def _plugin_state(rows: list[PeakingFilter]) -> bytes:
    records = [struct.pack("<ii", 33, len(rows))]
    for band_number, (freq_hz, gain_db, q) in enumerate(rows, 1):
        octaves = q_to_octaves(q)
        for value, (low, high), unit in (
            (freq_hz, _FREQ_HZ, "Hz"),
            (gain_db, _GAIN_DB, "dB"),
            (octaves, _OCTAVES, "octaves"),
        ):
            if not low <= value <= high:
                raise BadInputError(
                    f"Band {band_number} has {value:.4g} {unit}; choose {low:g} to {high:g}, or export as .txt or .csv."
                )
        records.append(struct.pack("<iidddB", _PEAKING_TYPE, 1, freq_hz, db_to_amplitude(gain_db), octaves, 1))
    return b"".join(records) + struct.pack("<iidi", 1, 1, 1.0, 0)

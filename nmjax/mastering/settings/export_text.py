"""What the export formats share: the bands as numbers, titles on one line, and the line that names the rate."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from nmjax.dsp import Bands
from nmjax.runtime.errors import BadInputError


class PeakingFilter(NamedTuple):
    """Frequency in Hz, gain in dB and Q of a peaking filter, as in R. Bristow-Johnson's Audio EQ Cookbook."""

    freq_hz: float
    gain_db: float
    q: float


def peaking_filters(bands: Bands) -> list[PeakingFilter]:
    """The filters of bands `[1, bands]`.

    Raises:
        BadInputError: a band of another kind.
    """
    if bands.kind != "peaking":
        raise BadInputError("Only peaking filters can be exported; the bands contain another kind.")
    columns = (np.asarray(x, np.float64)[0].tolist() for x in (bands.freq_hz, bands.gain_db, bands.q))
    return [PeakingFilter(*row) for row in zip(*columns, strict=True)]


def format_number(value: float) -> str:
    """A decimal number that reads back to the same float32, without an exponent and with a decimal point."""
    return np.format_float_positional(np.float32(value), unique=True, trim="0")


def one_line(title: str) -> str:
    """A title without line breaks and other unprintable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in title).split())


def quote(title: str) -> str:
    """A title on one line as a string of JSON, which is a string of YAML as well."""
    return json.dumps(one_line(title), ensure_ascii=False)


def comment_lines(sample_rate: int, title: str) -> list[str]:
    """Two lines of comment: the title, and the rate for which the bands are."""
    return [
        f"# {one_line(title)}",
        f"# for the sample rate {sample_rate} Hz; at other rates the response differs at high frequencies",
    ]

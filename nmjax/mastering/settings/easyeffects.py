"""An output preset of EasyEffects (`.json`): its equalizer in the mode "APO (DR)", peaking filters of the Audio EQ
Cookbook in the place of the analog prototypes that it uses otherwise.

The format has no comments and no rate: the preset's name, which is the file's, should tell the rate of PipeWire.
"""

from __future__ import annotations

import json

from nmjax.dsp import Bands
from nmjax.mastering.settings.export_text import PeakingFilter, format_number, one_line, peaking_filters
from nmjax.runtime.errors import BadInputError

_MAX_BANDS = 32
_RANGES = {"freq_hz": (10.0, 24_000.0, "Hz"), "gain_db": (-36.0, 36.0, "dB"), "q": (0.0, 100.0, "as its Q")}


def to_easyeffects(bands: Bands, sample_rate: int, title: str) -> str:
    """The text of the preset.

    Args:
        bands: `[1, bands]`, peaking filters.
        sample_rate: in Hz.
        title: of the track; both are written to a key that EasyEffects ignores.

    Raises:
        BadInputError: a band of another kind or outside the equalizer's ranges, no band, or more than 32.
    """
    filters = peaking_filters(bands)
    if not 1 <= len(filters) <= _MAX_BANDS:
        raise BadInputError(
            f"The equalizer of EasyEffects has 1 to {_MAX_BANDS} bands, not {len(filters)}; export as .txt or .csv."
        )
    _check_ranges(filters)
    channel = {f"band{index}": _band(band) for index, band in enumerate(filters)}
    equalizer = {
        "balance": 0.0,
        "bypass": False,
        "input-gain": 0.0,
        "left": channel,
        "mode": "IIR",
        "num-bands": len(filters),
        "output-gain": 0.0,
        "pitch-left": 0.0,
        "pitch-right": 0.0,
        "right": channel,
        "split-channels": False,
    }
    output = {"blocklist": [], "equalizer#0": equalizer, "plugins_order": ["equalizer#0"]}
    about = f"{one_line(title)}, for the sample rate {sample_rate} Hz"
    return json.dumps({"nmjax": about, "output": output}, indent=4, ensure_ascii=False) + "\n"


def _band(band: PeakingFilter) -> dict[str, object]:
    return {
        "frequency": float(format_number(band.freq_hz)),
        "gain": float(format_number(band.gain_db)),
        "mode": "APO (DR)",
        "mute": False,
        "q": float(format_number(band.q)),
        "slope": "x1",
        "solo": False,
        "type": "Bell",
        "width": 4.0,
    }


def _check_ranges(filters: list[PeakingFilter]) -> None:
    for number, band in enumerate(filters, 1):
        for value, (low, high, unit) in zip(band, _RANGES.values(), strict=True):
            if not low <= value <= high:
                raise BadInputError(
                    f"Band {number} has {value:.4g} {unit}; EasyEffects allows {low:g} to {high:g}, "
                    "so export as .txt or .csv."
                )

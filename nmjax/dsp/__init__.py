"""Pure signal functions on `[batch, time, channel]`: no Flax, no settings files, no audio files."""

from nmjax.dsp.bands import Bands, equalise, response_db, response_phase
from nmjax.dsp.loudness import integrated_loudness, true_peak_db
from nmjax.dsp.varying import equalise_varying

__all__ = [
    "Bands",
    "equalise",
    "equalise_varying",
    "integrated_loudness",
    "response_db",
    "response_phase",
    "true_peak_db",
]

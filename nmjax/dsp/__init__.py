"""Pure signal functions on `[batch, time, channel]`: no Flax, no settings files, no audio files."""

from nmjax.dsp.bands import Bands, equalise, response_db
from nmjax.dsp.loudness import integrated_loudness, true_peak_db

__all__ = ["Bands", "equalise", "integrated_loudness", "response_db", "true_peak_db"]

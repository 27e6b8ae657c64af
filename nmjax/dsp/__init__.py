"""Pure signal functions on `[batch, time, channel]`: no Flax, no settings files, no audio files."""

from nmjax.dsp.auditory import bark_spectrum_db, smoothed_db, third_octaves_db
from nmjax.dsp.bands import Bands, equalise, response_db, response_phase
from nmjax.dsp.loudness import (
    integrated_loudness,
    loudness_range,
    momentary_loudness,
    short_term_loudness,
)
from nmjax.dsp.meter import MeterState, Reading, meter_state, metered, reading
from nmjax.dsp.spectral import power_spectra
from nmjax.dsp.true_peak import true_peak_db
from nmjax.dsp.varying import equalise_varying

__all__ = [
    "Bands",
    "MeterState",
    "Reading",
    "bark_spectrum_db",
    "equalise",
    "equalise_varying",
    "integrated_loudness",
    "loudness_range",
    "meter_state",
    "metered",
    "momentary_loudness",
    "power_spectra",
    "reading",
    "response_db",
    "response_phase",
    "short_term_loudness",
    "smoothed_db",
    "third_octaves_db",
    "true_peak_db",
]

"""Pure signal functions on `[batch, time, channel]`: no Flax, no settings files, no audio files."""

from nmjax.dsp.auditory import bark_spectrum_db, smoothed_db, third_octaves_db
from nmjax.dsp.bands import Bands, equalise, response_db, response_phase
from nmjax.dsp.compressor import (
    COMPRESSOR_LIMITS,
    Compressor,
    CompressorState,
    compress,
    control_hop,
    reduction_db,
    static_curve_db,
)
from nmjax.dsp.loudness import (
    integrated_loudness,
    loudness_range,
    momentary_loudness,
    short_term_loudness,
)
from nmjax.dsp.meter import MeterState, Reading, meter_state, metered, reading
from nmjax.dsp.saturator import (
    SATURATOR_LATENCY,
    SATURATOR_LIMITS,
    Saturator,
    SaturatorState,
    saturate,
    saturate_stream,
)
from nmjax.dsp.spectral import power_spectra
from nmjax.dsp.true_peak import true_peak_db
from nmjax.dsp.varying import equalise_varying
from nmjax.dsp.width import WIDTH_LIMITS, Width, mono_compatibility_db, widen

__all__ = [
    "COMPRESSOR_LIMITS",
    "SATURATOR_LATENCY",
    "SATURATOR_LIMITS",
    "WIDTH_LIMITS",
    "Bands",
    "Compressor",
    "CompressorState",
    "MeterState",
    "Reading",
    "Saturator",
    "SaturatorState",
    "Width",
    "bark_spectrum_db",
    "compress",
    "control_hop",
    "equalise",
    "equalise_varying",
    "integrated_loudness",
    "loudness_range",
    "meter_state",
    "metered",
    "momentary_loudness",
    "mono_compatibility_db",
    "power_spectra",
    "reading",
    "reduction_db",
    "response_db",
    "response_phase",
    "saturate",
    "saturate_stream",
    "short_term_loudness",
    "smoothed_db",
    "static_curve_db",
    "third_octaves_db",
    "true_peak_db",
    "widen",
]

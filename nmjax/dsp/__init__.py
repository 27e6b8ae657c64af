"""Pure, differentiable signal processing in JAX on `[batch, time, channel]` arrays."""

from nmjax.dsp.compressor import (
    COMPRESSOR_LIMITS,
    Compressor,
    CompressorState,
    compress,
    control_hop,
    detector_level_db,
    gain_reduction_db,
    level_gain_reduction_db,
    static_curve_db,
)
from nmjax.dsp.equalizer import Bands, equalize, response_db, response_phase
from nmjax.dsp.filterbanks import bark_spectrum_db, smooth_spectrum_db, third_octave_spectrum_db
from nmjax.dsp.loudness import integrated_loudness, loudness_range, momentary_loudness, short_term_loudness
from nmjax.dsp.loudness_stream import MeterReading, MeterState, initial_meter_state, read_meter, update_meter
from nmjax.dsp.saturator import (
    SATURATOR_LATENCY,
    SATURATOR_LIMITS,
    Saturator,
    SaturatorState,
    saturate,
    saturate_stream,
)
from nmjax.dsp.stft import power_spectra
from nmjax.dsp.time_varying import equalize_time_varying
from nmjax.dsp.true_peak import true_peak_db
from nmjax.dsp.width import WIDTH_LIMITS, Width, mono_compatibility_db, widen

__all__ = [
    "COMPRESSOR_LIMITS",
    "SATURATOR_LATENCY",
    "SATURATOR_LIMITS",
    "WIDTH_LIMITS",
    "Bands",
    "Compressor",
    "CompressorState",
    "MeterReading",
    "MeterState",
    "Saturator",
    "SaturatorState",
    "Width",
    "bark_spectrum_db",
    "compress",
    "control_hop",
    "detector_level_db",
    "equalize",
    "equalize_time_varying",
    "gain_reduction_db",
    "initial_meter_state",
    "integrated_loudness",
    "level_gain_reduction_db",
    "loudness_range",
    "momentary_loudness",
    "mono_compatibility_db",
    "power_spectra",
    "read_meter",
    "response_db",
    "response_phase",
    "saturate",
    "saturate_stream",
    "short_term_loudness",
    "smooth_spectrum_db",
    "static_curve_db",
    "third_octave_spectrum_db",
    "true_peak_db",
    "update_meter",
    "widen",
]

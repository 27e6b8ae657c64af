"""True peak level, ITU-R BS.1770-4, annex 2."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nmjax.dsp.numerics import amplitude_to_db
from nmjax.dsp.validation import check_audio, check_sample_rate
from nmjax.runtime.lazy_jax import Array, jax, jnp

# The annex's interpolation filter, 4 phases of 12 taps in units of 2⁻¹³; the last two are the first two reversed.
_PHASE_0 = np.array([14, 90, -161, 272, -487, 1125, 7964, -838, 390, -218, 122, -68]) / 8192
_PHASE_1 = np.array([-239, 240, -424, 730, -1364, 3810, 6388, -1641, 832, -477, 271, -155]) / 8192
_PHASES = np.stack([_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1]])
TRUE_PEAK_OVERLAP = len(_PHASE_0) - 1  # samples by which chunks of a signal must overlap
_OVERSAMPLE_2X_FROM_HZ = 96_000


def true_peak_db(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """True peak in dBTP over all channels: the maximum of the interpolated values and of the samples themselves.

    Oversampling is 4× below 96 kHz and 2× from there on (every second phase of the same filter), since the annex asks
    for at least 192 kHz. The signal is padded with silence. The gradient is that of the largest value.

    Args:
        audio: any length above 0, any number of channels.
        sample_rate: Hz, above 0.

    Returns:
        dBTP; −inf for silence.

    Raises:
        ValueError: audio of another rank or type, a rate that is not above 0.
    """
    check_audio(audio)
    check_sample_rate(sample_rate)
    padding = ((0, 0), (TRUE_PEAK_OVERLAP, TRUE_PEAK_OVERLAP), (0, 0))
    return amplitude_to_db(true_peak_amplitude(jnp.pad(audio, padding), sample_rate))


def true_peak_amplitude(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """True peak amplitude of a chunk, without padding: only where the filter's 12 samples are all in the chunk.

    The maximum over chunks that overlap by `TRUE_PEAK_OVERLAP` samples is the true peak of the whole signal.
    """
    batch, time, channels = audio.shape
    signal = jnp.moveaxis(audio, 2, 1).reshape(batch * channels, time, 1)
    peak = jnp.max(jnp.abs(signal), axis=(1, 2))
    phases = _PHASES if sample_rate < _OVERSAMPLE_2X_FROM_HZ else _PHASES[::2]
    interpolated = jax.lax.conv_general_dilated(
        signal,
        jnp.asarray(phases.T[:, None, :], audio.dtype),
        window_strides=(1,),
        padding="VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    peak = jnp.maximum(jnp.max(jnp.abs(interpolated), axis=(1, 2)), peak)
    return jnp.max(peak.reshape(batch, channels), axis=1)

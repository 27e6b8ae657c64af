"""True peak after annex 2 of ITU-R BS.1770-4."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp.numerics import amplitude_to_db
from nmjax.dsp.validation import check_audio, check_sample_rate

# The annex's interpolation filter: 4 phases of 12 taps, the last two mirroring the first two.
_PHASE_0 = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_PHASE_1 = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip
_PHASES = np.array([_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1]])
TRUE_PEAK_OVERLAP = len(_PHASE_0) - 1  # samples by which pieces of a signal have to overlap
_OVERSAMPLE_2X_FROM_HZ = 96_000


def true_peak_db(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """True peak in dBTP over all channels, `[batch]`: the standard's interpolation, and the samples themselves.

    Four times the rate below 96 kHz and twice from there on (every second phase of the same filter), since the annex
    asks for 192 kHz at least. Before and after the signal is silence. Differentiable by the one sample or interpolated
    value that is the largest.

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
    """The same as an amplitude and of a piece of a longer signal: only between samples whose neighbours are all there.

    Pieces that overlap by `REACH` samples give the whole's value as their maximum.
    """
    batch, time, channels = audio.shape
    signal = jnp.moveaxis(audio, 2, 1).reshape(batch * channels, time, 1)
    peak = jnp.max(jnp.abs(signal), axis=(1, 2))
    interpolated = jax.lax.conv_general_dilated(
        signal,
        jnp.asarray((_PHASES if sample_rate < _OVERSAMPLE_2X_FROM_HZ else _PHASES[::2]).T[:, None, :], audio.dtype),
        window_strides=(1,),
        padding="VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    peak = jnp.maximum(jnp.max(jnp.abs(interpolated), axis=(1, 2)), peak)
    return jnp.max(peak.reshape(batch, channels), axis=1)

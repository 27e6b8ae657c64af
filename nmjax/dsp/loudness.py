"""Programme loudness after ITU-R BS.1770 (-4; -5 left mono to 5.1 as it was) and true peak after its annex 2."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.numerics import decibels, safe_log
from nmjax.dsp.svf import Svf, k_weighting

ABSOLUTE_GATE = -70.0  # LUFS
_RELATIVE_GATE = -10.0  # LU below the loudness of what passed the absolute gate
_OFFSET = -0.691  # so that a 997 Hz sine at 0 dBFS in one channel reads −3.01
_LN10_10 = math.log(10.0) / 10.0
_HOPS = 4  # a gating block is 400 ms, every 100 ms
_SHORT_HOPS = 30  # short-term loudness is that of 3 s
_RANGE_GATE = -20.0  # LU below the mean power of what passed the absolute gate
_RANGE_SHARES = (0.10, 0.95)  # of the gated short-term loudness

# The standard's interpolation filter: 4 phases of 12 taps, the last two mirroring the first two.
_PHASE_0 = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_PHASE_1 = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip
TRUE_PEAK_TAPS = len(_PHASE_0)


def hop_samples(sample_rate: float) -> int:
    """Samples in the 100 ms from which gating blocks are built."""
    return round(0.1 * sample_rate)


def channel_weights(channels: int) -> np.ndarray:
    """BS.1770's weights: 1 for mono and stereo; for 5.1 in the order L R C LFE Ls Rs, 1.41 behind and 0 for the LFE.

    Raises:
        ValueError: another number of channels.
    """
    if channels == 6:
        return np.array([1.0, 1.0, 1.0, 0.0, 1.41, 1.41], np.float32)
    if channels > 2:
        raise ValueError(f"channels is {channels}; loudness is defined here for 1, 2 and 6 (5.1)")
    return np.ones(channels, np.float32)


def weighted(
    audio: Float[Array, "batch time channel"],
    sample_rate: float,
    state: Float[Array, "batch channel 2 2"] | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel 2 2"]]:
    """The K-weighted signal and the filters' state after it; pieces in turn equal the whole."""
    svf = jax.tree.map(lambda x: jnp.broadcast_to(x, (audio.shape[0], 2)), k_weighting(sample_rate))
    svf = Svf(*(x.astype(audio.dtype) for x in (svf.g, svf.k, svf.m0, svf.m1, svf.m2)))
    if state is None:
        state = initial_state(svf, audio.shape[0], audio.shape[2], audio.dtype)
    return cascade(audio, svf, state)


def hop_powers(weighted_audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch hops"]:
    """Mean power of each whole 100 ms of a K-weighted signal, summed over channels with their weights."""
    hop = hop_samples(sample_rate)
    batch, time, channels = weighted_audio.shape
    hops = weighted_audio[:, : time // hop * hop].reshape(batch, time // hop, hop, channels)
    weights = jnp.asarray(channel_weights(channels), weighted_audio.dtype)[None, None]
    return jnp.sum(jnp.mean(hops * hops, axis=2) * weights, axis=2)


def _powers(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch hops"]:
    """`hop_powers` of a whole signal from rest."""
    return hop_powers(weighted(audio, sample_rate)[0], sample_rate)


def gated_power(powers: Float[Array, "batch hops"]) -> Float[Array, "batch"]:
    """Mean power over the 400 ms blocks that pass both gates; 0 where none does. The gates carry no gradient."""
    blocks = _sliding_mean(powers, _HOPS)
    still = jax.lax.stop_gradient(blocks)
    passed = still > math.exp((ABSOLUTE_GATE - _OFFSET) * _LN10_10)
    relative = _masked_mean(still, passed) * math.exp(_RELATIVE_GATE * _LN10_10)
    return _masked_mean(blocks, passed & (still > relative[:, None]))


def _sliding_mean(powers: Float[Array, "batch hops"], size: int) -> Float[Array, "batch blocks"]:
    """The mean of every `size` hops in a row; no blocks where there are fewer hops."""
    count = max(0, powers.shape[1] - size + 1)
    return sum(powers[:, i : i + count] for i in range(size)) / size


def _masked_mean(x: Array, mask: Array) -> Array:
    return jnp.sum(jnp.where(mask, x, 0.0), axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)


def loudness_of_power(power: Float[Array, "..."]) -> Float[Array, "..."]:
    """LUFS of a K-weighted power; 0 gives −inf."""
    return _OFFSET + 10.0 * jnp.log10(power)


def integrated_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch"]:
    """Integrated loudness in LUFS with both gates, `[batch]`; −inf for silence and below 400 ms.

    Args:
        audio: 1, 2 or 6 channels.
        sample_rate: Hz.
    """
    return loudness_of_power(gated_power(_powers(audio, sample_rate)))


def momentary_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch blocks"]:
    """Loudness in LUFS of each 400 ms, every 100 ms, without gates (EBU Tech 3341); none below 400 ms.

    Arguments as in `integrated_loudness`. Block i is from i·100 ms on.
    """
    return loudness_of_power(_sliding_mean(_powers(audio, sample_rate), _HOPS))


def short_term_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch blocks"]:
    """The same of each 3 s."""
    return loudness_of_power(_sliding_mean(_powers(audio, sample_rate), _SHORT_HOPS))


def loudness_range(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch"]:
    """Loudness range (LRA) in LU after EBU Tech 3342, `[batch]`; 0 for silence and below 3 s.

    From the 10th to the 95th percentile (nearest rank) of the short-term loudness, every 100 ms, that lies above −70
    LUFS and above 20 LU below the mean power of what does. Arguments as in `integrated_loudness`.
    """
    blocks = _sliding_mean(_powers(audio, sample_rate), _SHORT_HOPS)
    if not blocks.shape[1]:
        return jnp.zeros_like(blocks, shape=blocks.shape[:1])
    passed = blocks > math.exp((ABSOLUTE_GATE - _OFFSET) * _LN10_10)
    relative = _masked_mean(blocks, passed) * math.exp(_RANGE_GATE * _LN10_10)
    passed = passed & (blocks > relative[:, None])
    count = jnp.sum(passed, axis=1)
    ordered = jnp.sort(jnp.where(passed, blocks, jnp.inf), axis=1)
    low, high = (
        jnp.take_along_axis(ordered, jnp.round(share * jnp.maximum(count - 1, 0)).astype(int)[:, None], axis=1)[:, 0]
        for share in _RANGE_SHARES
    )
    some = count > 0
    return jnp.where(some, 10.0 * jnp.log10(jnp.where(some, high / low, 1.0)), 0.0)


def floored_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch"]:
    """The same held at −70 LUFS with gradient 0 there, for losses: finite for silence and for one sample."""
    power = gated_power(_powers(audio, sample_rate))
    floor = math.exp((ABSOLUTE_GATE - _OFFSET) * _LN10_10)
    return _OFFSET + safe_log(power, floor) / _LN10_10


def true_peak_db(audio: Float[Array, "batch time channel"]) -> Float[Array, "batch"]:
    """True peak in dBTP over all channels, `[batch]`: the standard's ×4 interpolation, and the samples themselves.

    Before and after the signal is silence. −inf for silence.
    """
    rest = TRUE_PEAK_TAPS - 1
    return true_peak_within_db(jnp.pad(audio, ((0, 0), (rest, rest), (0, 0))))


def true_peak_within_db(audio: Float[Array, "batch time channel"]) -> Float[Array, "batch"]:
    """The same of a piece of a longer signal: only between samples whose neighbours are all there.

    Pieces that overlap by `TRUE_PEAK_TAPS - 1` samples give the whole's value as their maximum.
    """
    phases = np.array([_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1]])
    kernel = jnp.asarray(phases.T[:, None, :], audio.dtype)
    batch, time, channels = audio.shape
    signal = jnp.moveaxis(audio, 2, 1).reshape(batch * channels, time, 1)
    between = jax.lax.conv_general_dilated(
        signal,
        kernel,
        window_strides=(1,),
        padding="VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    peak = jnp.maximum(jnp.max(jnp.abs(between), axis=(1, 2)), jnp.max(jnp.abs(signal), axis=(1, 2)))
    return decibels(jnp.max(peak.reshape(batch, channels), axis=1))

"""Programme loudness after ITU-R BS.1770 (-4; -5 left mono to 5.1 as it was) and EBU Tech 3341 and 3342.

Everything is built from the power of steps of 20 ms, fine enough for the momentary loudness's test signals; every
fifth step ends a hop of 100 ms, from which the gating blocks and the short-term loudness are built.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.numerics import log10_or_neg_inf, safe_log
from nmjax.dsp.svf import k_weighting_svf
from nmjax.dsp.validation import check_audio, check_sample_rate

ABSOLUTE_GATE_LUFS = -70.0  # LUFS
RELATIVE_GATE_LU = -10.0  # LU below the loudness of what passed the absolute gate
RANGE_GATE_LU = -20.0  # the same for the loudness range
RANGE_PERCENTILES = (0.10, 0.95)  # of the gated short-term loudness
STEPS_PER_HOP = 5
MOMENTARY_STEPS = 20  # 400 ms
SHORT_TERM_STEPS = 150  # 3 s
_OFFSET_LUFS = -0.691  # so that a 997 Hz sine at 0 dBFS in one channel reads −3.01
_LN10_10 = math.log(10.0) / 10.0


def samples_per_step(sample_rate: float) -> int:
    """Samples in the 20 ms from which everything is built, rounded to whole ones (220 at 11,025 Hz, 0.2 % short)."""
    return max(1, round(sample_rate / 50.0))


# By position, as WAV orders the channels: 1.41 to the sides (60 to 120 degrees; 5.1's Ls and Rs), 1 in front and behind
# 120 degrees, 0 for the LFE (BS.1770-4, tables 3 and 4).
_CHANNEL_WEIGHTS = {
    1: (1.0,),
    2: (1.0, 1.0),
    3: (1.0, 1.0, 1.0),  # L R C
    4: (1.0, 1.0, 1.41, 1.41),  # L R Ls Rs
    5: (1.0, 1.0, 1.0, 1.41, 1.41),  # L R C Ls Rs
    6: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41),  # 5.1: L R C LFE Ls Rs
    7: (1.0, 1.0, 1.0, 0.0, 1.0, 1.41, 1.41),  # 6.1: L R C LFE, centre behind, left and right side
    8: (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41),  # 7.1: L R C LFE, left and right behind, left and right side
}


def channel_weights(num_channels: int) -> np.ndarray:
    """BS.1770's weights, `[channel]`, for the layouts of 1 to 8 channels that are listed above.

    Raises:
        ValueError: another number of channels.
    """
    if num_channels not in _CHANNEL_WEIGHTS:
        raise ValueError(f"channels is {num_channels}; loudness is defined here for 1 to {max(_CHANNEL_WEIGHTS)}")
    return np.array(_CHANNEL_WEIGHTS[num_channels], np.float32)


def k_weight(
    audio: Float[Array, "batch time channel"],
    sample_rate: float,
    state: Float[Array, "batch channel 2 2"] | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel 2 2"]]:
    """The K-weighted signal and the filters' state after it; pieces in turn equal the whole."""
    svf = jax.tree.map(lambda x: jnp.broadcast_to(x, (audio.shape[0], 2)), k_weighting_svf(sample_rate))
    svf = svf.astype(audio.dtype)
    if state is None:
        state = initial_state(svf, audio.shape[0], audio.shape[2], audio.dtype)
    return cascade(audio, svf, state)


def weighted_energy(k_weighted: Float[Array, "batch time channel"]) -> Float[Array, "batch time"]:
    """The squares of a K-weighted signal, summed over channels with their weights."""
    weights = jnp.asarray(channel_weights(k_weighted.shape[2]), k_weighted.dtype)
    return jnp.sum(k_weighted * k_weighted * weights[None, None], axis=2)


def step_powers(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch steps"]:
    """The mean K-weighted power of each whole step of a signal from rest."""
    check_audio(audio)
    check_sample_rate(sample_rate)
    step_length = samples_per_step(sample_rate)
    energy = weighted_energy(k_weight(audio, sample_rate)[0])
    num_steps = energy.shape[1] // step_length
    return jnp.mean(energy[:, : num_steps * step_length].reshape(audio.shape[0], num_steps, step_length), axis=2)


def sliding_mean(powers: Float[Array, "batch steps"], size: int) -> Float[Array, "batch blocks"]:
    """The mean of every `size` in a row; no blocks where there are fewer."""
    if powers.shape[1] < size:
        return powers[:, :0]
    return jax.lax.reduce_window(powers, 0.0, jax.lax.add, (1, size), (1, 1), "VALID") / size


def _block_powers(powers: Float[Array, "batch steps"], steps_per_block: int) -> Float[Array, "batch blocks"]:
    """The mean power of blocks of so many steps, a block every 100 ms."""
    num_hops = powers.shape[1] // STEPS_PER_HOP
    hop_powers = jnp.mean(
        powers[:, : num_hops * STEPS_PER_HOP].reshape(powers.shape[0], num_hops, STEPS_PER_HOP), axis=2
    )
    return sliding_mean(hop_powers, steps_per_block // STEPS_PER_HOP)


def lufs_to_power(lufs: float) -> float:
    """The K-weighted power of a loudness in LUFS."""
    return math.exp((lufs - _OFFSET_LUFS) * _LN10_10)


def power_to_lufs(power: Float[Array, "..."]) -> Float[Array, "..."]:
    """LUFS of a K-weighted power; 0 gives −inf with gradient 0."""
    return _OFFSET_LUFS + 10.0 * log10_or_neg_inf(power)


def gated_power(powers: Float[Array, "batch steps"]) -> Float[Array, " batch"]:
    """Mean power over the 400 ms blocks that pass both gates; 0 where none does. The gates carry no gradient."""
    blocks = _block_powers(powers, MOMENTARY_STEPS)
    return _masked_mean(blocks, _gate_mask(blocks, RELATIVE_GATE_LU))


def _gate_mask(blocks: Float[Array, "batch blocks"], relative_gate_lu: float) -> Array:
    """Which blocks lie above −70 LUFS, and above the relative gate from the mean power of those that do."""
    detached = jax.lax.stop_gradient(blocks)
    mask = detached > lufs_to_power(ABSOLUTE_GATE_LUFS)
    threshold = _masked_mean(detached, mask) * math.exp(relative_gate_lu * _LN10_10)
    return mask & (detached > threshold[:, None])


def _masked_mean(x: Array, mask: Array) -> Array:
    return jnp.sum(jnp.where(mask, x, 0.0), axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)


def integrated_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """Integrated loudness in LUFS with both gates, `[batch]`; −inf for silence and below 400 ms.

    Differentiable by the audio, at −inf with gradient 0.

    Args:
        audio: 1 to 8 channels, in the order of `channel_weights`.
        sample_rate: Hz, above 0.

    Raises:
        ValueError: audio of another rank, type or number of channels, a rate that is not above 0.
    """
    return power_to_lufs(gated_power(step_powers(audio, sample_rate)))


def momentary_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch blocks"]:
    """Loudness in LUFS of each 400 ms, every 20 ms, without gates (EBU Tech 3341); none below 400 ms.

    Arguments and errors as in `integrated_loudness`. Block i is from i·20 ms on.
    """
    return power_to_lufs(sliding_mean(step_powers(audio, sample_rate), MOMENTARY_STEPS))


def short_term_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch blocks"]:
    """The same of each 3 s, every 100 ms."""
    return power_to_lufs(_block_powers(step_powers(audio, sample_rate), SHORT_TERM_STEPS))


def loudness_range(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """Loudness range (LRA) in LU after EBU Tech 3342, `[batch]`; 0 for silence and below 3 s.

    From the 10th to the 95th percentile (nearest rank) of the short-term loudness, every 100 ms, that lies above −70
    LUFS and above 20 LU below the mean power of what does. Differentiable by the audio: the two blocks at the
    percentiles carry it. Arguments and errors as in `integrated_loudness`.
    """
    blocks = _block_powers(step_powers(audio, sample_rate), SHORT_TERM_STEPS)
    if not blocks.shape[1]:
        return jnp.zeros_like(blocks, shape=blocks.shape[:1])
    mask = _gate_mask(blocks, RANGE_GATE_LU)
    count = jnp.sum(mask, axis=1)
    sorted_powers = jnp.sort(jnp.where(mask, blocks, jnp.inf), axis=1)
    low, high = (
        jnp.take_along_axis(sorted_powers, percentile_index(fraction, count)[:, None], axis=1)[:, 0]
        for fraction in RANGE_PERCENTILES
    )
    is_nonempty = count > 0
    return jnp.where(
        is_nonempty, 10.0 * jnp.log10(jnp.where(is_nonempty, high / jnp.where(is_nonempty, low, 1.0), 1.0)), 0.0
    )


def percentile_index(fraction: float, count: Array) -> Array:
    """The place, from 0 on, of a percentile among `count` ordered values: the nearest, halves upwards."""
    return jnp.floor(fraction * jnp.maximum(count - 1, 0) + 0.5).astype(int)


def clamped_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """The same held at −70 LUFS with gradient 0 there, for losses: finite for silence and for one sample."""
    power = gated_power(step_powers(audio, sample_rate))
    return _OFFSET_LUFS + safe_log(power, lufs_to_power(ABSOLUTE_GATE_LUFS)) / _LN10_10

"""Program loudness: ITU-R BS.1770-4 (unchanged in -5 for mono to 5.1), EBU Tech 3341 and 3342.

All measures are computed from the mean power of 20 ms steps, the resolution that the momentary loudness of EBU's test
signals needs. Five steps make a hop of 100 ms, from which the gating blocks and the short-term loudness are computed.
"""

from __future__ import annotations

import math

from jaxtyping import Float

from nmjax.audio.bs1770 import channel_weights
from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.numerics import log10_or_neg_inf, safe_log
from nmjax.dsp.svf import k_weighting_svf
from nmjax.dsp.validation import check_audio, check_sample_rate
from nmjax.runtime.lazy_jax import Array, jax, jnp

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0  # relative to the loudness of the blocks that pass the absolute gate
RANGE_GATE_LU = -20.0  # the relative gate of the loudness range
RANGE_PERCENTILES = (0.10, 0.95)  # of the gated short-term loudness
STEPS_PER_HOP = 5
MOMENTARY_STEPS = 20  # 400 ms
SHORT_TERM_STEPS = 150  # 3 s
_OFFSET_LUFS = -0.691  # so that a 997 Hz sine at 0 dBFS in one channel reads −3.01
_LN10_10 = math.log(10.0) / 10.0


def samples_per_step(sample_rate: float) -> int:
    """Samples in a step of 20 ms, rounded (220 at 11,025 Hz: 0.2 % short)."""
    return max(1, round(sample_rate / 50.0))


def k_weight(
    audio: Float[Array, "batch time channel"],
    sample_rate: float,
    state: Float[Array, "batch channel 2 2"] | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel 2 2"]]:
    """The K-weighted signal, and the state of the filters after it for the next chunk."""
    svf = jax.tree.map(lambda x: jnp.broadcast_to(x, (audio.shape[0], 2)), k_weighting_svf(sample_rate))
    svf = svf.astype(audio.dtype)
    if state is None:
        state = initial_state(svf, audio.shape[0], audio.shape[2], audio.dtype)
    return cascade(audio, svf, state)


def weighted_energy(k_weighted: Float[Array, "batch time channel"]) -> Float[Array, "batch time"]:
    """The square of a K-weighted signal, summed over the channels with their weights."""
    weights = jnp.asarray(channel_weights(k_weighted.shape[2]), k_weighted.dtype)
    return jnp.sum(k_weighted * k_weighted * weights[None, None], axis=2)


def step_powers(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch steps"]:
    """The mean K-weighted power of each complete 20 ms step, with the filters initially at rest."""
    check_audio(audio)
    check_sample_rate(sample_rate)
    step_length = samples_per_step(sample_rate)
    energy = weighted_energy(k_weight(audio, sample_rate)[0])
    num_steps = energy.shape[1] // step_length
    return jnp.mean(energy[:, : num_steps * step_length].reshape(audio.shape[0], num_steps, step_length), axis=2)


def sliding_mean(powers: Float[Array, "batch steps"], size: int) -> Float[Array, "batch blocks"]:
    """The mean of every `size` consecutive powers; empty if there are fewer."""
    if powers.shape[1] < size:
        return powers[:, :0]
    return jax.lax.reduce_window(powers, 0.0, jax.lax.add, (1, size), (1, 1), "VALID") / size


def _block_powers(powers: Float[Array, "batch steps"], steps_per_block: int) -> Float[Array, "batch blocks"]:
    """The mean power of blocks of `steps_per_block` steps, one block every 100 ms."""
    num_hops = powers.shape[1] // STEPS_PER_HOP
    hops = powers[:, : num_hops * STEPS_PER_HOP].reshape(powers.shape[0], num_hops, STEPS_PER_HOP)
    return sliding_mean(jnp.mean(hops, axis=2), steps_per_block // STEPS_PER_HOP)


def lufs_to_power(lufs: float) -> float:
    """The K-weighted mean power that corresponds to a loudness in LUFS."""
    return math.exp((lufs - _OFFSET_LUFS) * _LN10_10)


def power_to_lufs(power: Float[Array, "..."]) -> Float[Array, "..."]:
    """The loudness in LUFS of a K-weighted mean power; −inf with gradient 0 at 0."""
    return _OFFSET_LUFS + 10.0 * log10_or_neg_inf(power)


def gated_power(powers: Float[Array, "batch steps"]) -> Float[Array, " batch"]:
    """Mean power of the 400 ms blocks that pass both gates; 0 if none does. The gates have no gradient."""
    blocks = _block_powers(powers, MOMENTARY_STEPS)
    return _masked_mean(blocks, _gate_mask(blocks, RELATIVE_GATE_LU))


def _gate_mask(blocks: Float[Array, "batch blocks"], relative_gate_lu: float) -> Array:
    """Which blocks are above −70 LUFS and above the relative gate, whose reference is the mean of the former."""
    detached = jax.lax.stop_gradient(blocks)
    mask = detached > lufs_to_power(ABSOLUTE_GATE_LUFS)
    threshold = _masked_mean(detached, mask) * math.exp(relative_gate_lu * _LN10_10)
    return mask & (detached > threshold[:, None])


def _masked_mean(x: Array, mask: Array) -> Array:
    return jnp.sum(jnp.where(mask, x, 0.0), axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)


def integrated_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """Integrated loudness in LUFS with both gates; −inf for silence and for signals shorter than 400 ms.

    Differentiable by the audio; the gradient is 0 where the loudness is −inf.

    Args:
        audio: 1 to 8 channels, in the order of `channel_weights`.
        sample_rate: Hz, above 0.

    Raises:
        ValueError: audio of another rank, type or number of channels, a rate that is not above 0.
    """
    return power_to_lufs(gated_power(step_powers(audio, sample_rate)))


def momentary_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch blocks"]:
    """Momentary loudness in LUFS (EBU Tech 3341): blocks of 400 ms, one every 20 ms, ungated.

    Block i starts at i·20 ms; a signal shorter than 400 ms has none. Arguments and errors as in `integrated_loudness`.
    """
    return power_to_lufs(sliding_mean(step_powers(audio, sample_rate), MOMENTARY_STEPS))


def short_term_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, "batch blocks"]:
    """Short-term loudness in LUFS (EBU Tech 3341): blocks of 3 s, one every 100 ms, ungated.

    Block i starts at i·100 ms; a signal shorter than 3 s has none. Arguments and errors as in `integrated_loudness`.
    """
    return power_to_lufs(_block_powers(step_powers(audio, sample_rate), SHORT_TERM_STEPS))


def loudness_range(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """Loudness range (LRA) in LU (EBU Tech 3342); 0 for silence and for signals shorter than 3 s.

    The difference between the 95th and the 10th percentile (nearest rank) of the gated short-term loudness, one block
    every 100 ms. The gradient is that of the two blocks at the percentiles. Arguments and errors as in
    `integrated_loudness`.
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
    power_ratio = jnp.where(is_nonempty, high / jnp.where(is_nonempty, low, 1.0), 1.0)
    return jnp.where(is_nonempty, 10.0 * jnp.log10(power_ratio), 0.0)


def percentile_index(fraction: float, count: Array) -> Array:
    """The index of a percentile among `count` sorted values: the nearest rank, halves rounded up."""
    return jnp.floor(fraction * jnp.maximum(count - 1, 0) + 0.5).astype(int)


def clamped_loudness(audio: Float[Array, "batch time channel"], sample_rate: float) -> Float[Array, " batch"]:
    """Integrated loudness clamped to at least −70 LUFS, with gradient 0 there, for losses.

    Finite for silence and for a single sample. Arguments and errors as in `integrated_loudness`.
    """
    power = gated_power(step_powers(audio, sample_rate))
    return _OFFSET_LUFS + safe_log(power, lufs_to_power(ABSOLUTE_GATE_LUFS)) / _LN10_10

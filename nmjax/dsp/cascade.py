"""Filters in series over a signal: per sample as the readable reference, and in blocks as what everything uses.

In blocks of L samples the recursion is one matrix product a block with its impulse response, one with what each state
rings out to, and a recursion over the blocks' states; `nmjax.dsp.block_recursion` makes the matrices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.block_recursion import (
    apply_transition,
    batched_matmul,
    block_matrices,
    block_states,
    svf_step,
    toeplitz,
    vary_like,
)
from nmjax.dsp.svf import Svf

BLOCK_LENGTH = (
    64  # samples; the products cost 2·BLOCK + 8·bands FLOPs a sample, shorter blocks mean more states to follow
)


def initial_state(svf: Svf, batch: int, channels: int, dtype=jnp.float32) -> Float[Array, "batch channel bands 2"]:
    """A state at rest for `batch` signals of `channels` channels: both integrators of every filter at zero."""
    return jnp.zeros((batch, channels, svf.g.shape[-1], 2), dtype)


def cascade_per_sample(
    audio: Float[Array, "batch time channel"], svf: Svf, state: Float[Array, "batch channel bands 2"]
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """The recursion as it is defined, one sample a step. Same arguments and results as `cascade`; slow."""
    channel_svf = jax.tree.map(lambda x: x[:, None, :].astype(audio.dtype), svf)

    def step(state, x):
        y, state_delta = svf_step(channel_svf, x, state)
        return state + state_delta, y

    state, y = jax.lax.scan(step, vary_like(state, audio), jnp.moveaxis(audio, 1, 0))
    return jnp.moveaxis(y, 0, 1), state


def choose_block_length(num_samples: int) -> int:
    """A block's length for so many samples: the nearest to 64 of 48, 52 … 96 that divides them, since cutting off a
    rest means copying the signal twice; 64 where none does."""
    divisors = [length for length in range(48, 97, 4) if num_samples % length == 0]
    return min(num_samples, min(divisors, key=lambda length: abs(length - BLOCK_LENGTH), default=BLOCK_LENGTH))


def cascade(
    audio: Float[Array, "batch time channel"],
    svf: Svf,
    state: Float[Array, "batch channel bands 2"],
    block_length: int | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Filters in series over a signal, in blocks; the same for any `block` and for any cut of the signal.

    Args:
        audio: any length, also shorter than a block; its dtype (float32 or float64) is the arithmetic's.
        svf: coefficients, `[batch, bands]`; all channels get the same.
        state: from `initial_state` or from the piece before.
        block: samples a block; `block_for` chooses.

    Returns:
        the filtered signal and the state after its last sample.
    """
    batch, time, channels = audio.shape
    svf = svf.astype(audio.dtype)
    block_size = min(block_length or choose_block_length(time), time)
    impulse, matrices = block_matrices(svf, block_size)
    num_blocks = -(-time // block_size)
    x = jnp.pad(jnp.moveaxis(audio, 2, 1), ((0, 0), (0, 0), (0, num_blocks * block_size - time)))
    x = x.reshape(batch, channels * num_blocks, block_size)
    input_states = batched_matmul(x, matrices.input_to_state).reshape(batch, channels, num_blocks, -1)
    initial_states, final_state = block_states(
        state.reshape(batch, channels, -1), input_states, matrices.transition_delta
    )
    y = batched_matmul(x, toeplitz(impulse)) + batched_matmul(
        initial_states.reshape(batch, channels * num_blocks, -1), matrices.state_to_output
    )
    if remainder := time % block_size:
        tail = x.reshape(batch, channels, num_blocks, block_size)[:, :, -1, :remainder]
        final_state = apply_transition(
            initial_states[:, :, -1], block_matrices(svf, remainder)[1].transition_delta
        ) + batched_matmul(tail, matrices.input_to_state[:, block_size - remainder :])
    y = jnp.moveaxis(y.reshape(batch, channels, num_blocks * block_size)[:, :, :time], 1, 2)
    return y, final_state.reshape(batch, channels, -1, 2)

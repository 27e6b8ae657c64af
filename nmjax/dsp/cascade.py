"""Filters in series over a signal: the per-sample recursion as the readable reference, and the block form in use.

In blocks of L samples the recursion is one matrix product with the impulse response, one with the response to the
state before the block, and a recursion over the states of the blocks. `nmjax.dsp.block_recursion` makes the matrices.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

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
from nmjax.runtime.lazy_jax import Array, jax, jnp

BLOCK_LENGTH = 64  # samples: the products cost 2·64 + 8·bands FLOPs per sample; shorter blocks mean more scan steps


def initial_state(svf: Svf, batch: int, channels: int, dtype=np.float32) -> Float[Array, "batch channel bands 2"]:
    """The state at rest for `batch` signals of `channels` channels: both integrators of every filter at zero."""
    return jnp.zeros((batch, channels, svf.g.shape[-1], 2), dtype)


def cascade_per_sample(
    audio: Float[Array, "batch time channel"], svf: Svf, state: Float[Array, "batch channel bands 2"]
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Reference form of `cascade`: the recursion as defined, one sample per step. Same arguments and results; slow."""
    channel_svf = jax.tree.map(lambda x: x[:, None, :].astype(audio.dtype), svf)

    def step(state, x):
        y, state_delta = svf_step(channel_svf, x, state)
        return state + state_delta, y

    state, y = jax.lax.scan(step, vary_like(state, audio), jnp.moveaxis(audio, 1, 0))
    return jnp.moveaxis(y, 0, 1), state


def choose_block_length(num_samples: int) -> int:
    """The length from 48, 52 … 96 nearest to 64 that divides `num_samples`, or 64 if none does.

    A length that divides the signal saves the copies for padding and trimming it.
    """
    divisors = [length for length in range(48, 97, 4) if num_samples % length == 0]
    return min(num_samples, min(divisors, key=lambda length: abs(length - BLOCK_LENGTH), default=BLOCK_LENGTH))


def cascade(
    audio: Float[Array, "batch time channel"],
    svf: Svf,
    state: Float[Array, "batch channel bands 2"],
    block_length: int | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Filter a signal in blocks; the result does not depend on the block length or on how the signal is chunked.

    Args:
        audio: any length, also shorter than a block. Its dtype (float32 or float64) is that of the arithmetic.
        svf: coefficients, `[batch, bands]`, the same for all channels.
        state: from `initial_state`, or returned for the previous chunk.
        block_length: samples per block; `choose_block_length` if not given.

    Returns:
        the filtered signal, and the state after its last sample.
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
    if remainder := time % block_size:  # the last block is padded: its final state is that after the remainder
        tail = x.reshape(batch, channels, num_blocks, block_size)[:, :, -1, :remainder]
        final_state = apply_transition(
            initial_states[:, :, -1], block_matrices(svf, remainder)[1].transition_delta
        ) + batched_matmul(tail, matrices.input_to_state[:, block_size - remainder :])
    y = jnp.moveaxis(y.reshape(batch, channels, num_blocks * block_size)[:, :, :time], 1, 2)
    return y, final_state.reshape(batch, channels, -1, 2)

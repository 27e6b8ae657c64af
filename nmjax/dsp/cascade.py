"""Filters in series over a signal: per sample as the readable reference, and in blocks as what everything uses.

In blocks of L samples the recursion is one matrix product a block with its impulse response, one with what each state
rings out to, and a recursion over the blocks' states; `nmjax.dsp.stretch` makes the matrices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.stretch import advance, moved, product, spread_as, states_between, stretch, toeplitz
from nmjax.dsp.svf import Svf

BLOCK = 64  # samples; the products cost 2·BLOCK + 8·bands FLOPs a sample, shorter blocks mean more states to follow


def initial_state(svf: Svf, batch: int, channels: int, dtype=jnp.float32) -> Float[Array, "batch channel bands 2"]:
    """A state at rest for `batch` signals of `channels` channels: both integrators of every filter at zero."""
    return jnp.zeros((batch, channels, svf.g.shape[-1], 2), dtype)


def cascade_by_sample(
    audio: Float[Array, "batch time channel"], svf: Svf, state: Float[Array, "batch channel bands 2"]
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """The recursion as it is defined, one sample a step. Same arguments and results as `cascade`; slow."""
    per_channel = jax.tree.map(lambda x: x[:, None, :].astype(audio.dtype), svf)

    def step(state, x):
        y, change = advance(per_channel, x, state)
        return state + change, y

    state, y = jax.lax.scan(step, spread_as(state, audio), jnp.moveaxis(audio, 1, 0))
    return jnp.moveaxis(y, 0, 1), state


def block_for(time: int) -> int:
    """A block's length for so many samples: the nearest to 64 of 48, 52 … 96 that divides them, since cutting off a
    rest means copying the signal twice; 64 where none does."""
    dividing = [length for length in range(48, 97, 4) if time % length == 0]
    return min(time, min(dividing, key=lambda length: abs(length - BLOCK), default=BLOCK))


def cascade(
    audio: Float[Array, "batch time channel"],
    svf: Svf,
    state: Float[Array, "batch channel bands 2"],
    block: int | None = None,
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
    length = min(block or block_for(time), time)
    impulse, whole = stretch(svf, length)
    blocks = -(-time // length)
    x = jnp.pad(jnp.moveaxis(audio, 2, 1), ((0, 0), (0, 0), (0, blocks * length - time)))
    x = x.reshape(batch, channels * blocks, length)
    kicked = product(x, whole.kick).reshape(batch, channels, blocks, -1)
    before, last = states_between(state.reshape(batch, channels, -1), kicked, whole.drift)
    y = product(x, toeplitz(impulse)) + product(before.reshape(batch, channels * blocks, -1), whole.ring)
    if rest := time % length:
        tail = x.reshape(batch, channels, blocks, length)[:, :, -1, :rest]
        last = moved(before[:, :, -1], stretch(svf, rest)[1].drift) + product(tail, whole.kick[:, length - rest :])
    y = jnp.moveaxis(y.reshape(batch, channels, blocks * length)[:, :, :time], 1, 2)
    return y, last.reshape(batch, channels, -1, 2)

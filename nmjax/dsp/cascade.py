"""Filters in series over a signal: per sample as the readable reference, and in blocks as what everything uses.

A linear recursion over T samples is, for blocks of L samples, one matrix product and a recursion over T/L states. The
block's impulse response, its response to each state and what it leaves behind in the state all fall out of running the
per-sample recursion once, for L steps, on one impulse and on each unit state.

What float32 loses here it loses while the matrices are built. So they are built in delta form: with the integrators'
increments d1 = a2·v3 − b1·i1 and d2 = a2·i1 + a3·v3 (b1 = 1 − a1 formed without the subtraction), the state's change
is accumulated instead of the state, and the blocks are scanned with A^L − I.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.svf import Svf

BLOCK = 64  # samples; the matrix product costs 2·BLOCK FLOPs a sample, the states take 2·√(T/BLOCK) steps
_EXACT = jax.lax.Precision.HIGHEST


def initial_state(svf: Svf, batch: int, channels: int, dtype=jnp.float32) -> Float[Array, "batch channel bands 2"]:
    """A state at rest for `batch` signals of `channels` channels: both integrators of every filter at zero."""
    return jnp.zeros((batch, channels, svf.g.shape[-1], 2), dtype)


def advance(svf: Svf, x: Array, state: Array) -> tuple[Array, Array]:
    """One sample through the filters in series. `x [...]`, `state [..., bands, 2]` → `y [...]`, the state's change."""
    scale = 1.0 / (1.0 + svf.g * (svf.g + svf.k))
    a2 = svf.g * scale
    a3, b1 = svf.g * a2, svf.g * (svf.g + svf.k) * scale
    changes = []
    for n in range(svf.g.shape[-1]):
        i1, i2 = state[..., n, 0], state[..., n, 1]
        v3 = x - i2
        d1 = a2[..., n] * v3 - b1[..., n] * i1
        d2 = a2[..., n] * i1 + a3[..., n] * v3
        x = svf.m0[..., n] * x + svf.m1[..., n] * (i1 + d1) + svf.m2[..., n] * (i2 + d2)
        changes.append(jnp.stack([2.0 * d1, 2.0 * d2], axis=-1))
    return x, jnp.stack(changes, axis=-2)


def cascade_by_sample(
    audio: Float[Array, "batch time channel"], svf: Svf, state: Float[Array, "batch channel bands 2"]
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """The recursion as it is defined, one sample a step. Same arguments and results as `cascade`; slow."""
    per_channel = jax.tree.map(lambda x: x[:, None, :].astype(audio.dtype), svf)

    def step(state, x):
        y, change = advance(per_channel, x, state)
        return state + change, y

    state, y = jax.lax.scan(step, state, jnp.moveaxis(audio, 1, 0))
    return jnp.moveaxis(y, 0, 1), state


def _block_responses(svf: Svf, length: int) -> tuple[Array, Array, Array, Array]:
    """What a block of `length` samples does, found by running the recursion on an impulse and on each unit state.

    Returns:
        impulse `[batch, length]`: the block's impulse response.
        ring `[batch, states, length]`: its output from each unit state, with no input.
        kick `[batch, length, states]`: the state t samples after an impulse, counted from the end: `kick[:, i]` is what
            an impulse at sample i leaves behind at the end of the block.
        drift `[length, batch, states, states]`: A^(t+1) − I, by rows: what each unit state has become.
    """
    batch, bands = svf.g.shape
    states = 2 * bands
    lanes = jax.tree.map(lambda x: x[:, None, :], svf)
    unit = jnp.eye(1 + states, dtype=svf.g.dtype)[:, 1:].reshape(1, 1 + states, bands, 2)
    impulse = jnp.zeros((length, 1 + states), svf.g.dtype).at[0, 0].set(1.0)

    def step(change, x):
        y, more = advance(lanes, jnp.broadcast_to(x, (batch, 1 + states)), unit + change)
        change = change + more
        return change, (y, change)

    start = jnp.zeros((batch, 1 + states, bands, 2), svf.g.dtype)
    _, (y, change) = jax.lax.scan(step, start, impulse)
    change = change.reshape(length, batch, 1 + states, states)
    kick = jnp.flip(jnp.moveaxis(change[:, :, 0], 0, 1), axis=1)
    return y[:, :, 0].T, jnp.moveaxis(y[:, :, 1:], 0, 2), kick, change[:, :, 1:]


def _toeplitz(impulse: Float[Array, "batch length"]) -> Float[Array, "batch length length"]:
    """Rows of the causal convolution: `[b, i, j]` is the response at j to an impulse at i (0 for j < i).

    By tiling and cutting: a gather's gradient is a scatter-add, several times slower on the CPU.
    """
    batch, length = impulse.shape
    padded = jnp.concatenate([impulse, jnp.zeros_like(impulse)], axis=1)
    rows = jnp.tile(padded, (1, length))[:, : length * (2 * length - 1)]
    return rows.reshape(batch, length, 2 * length - 1)[:, :, :length]


def cascade(
    audio: Float[Array, "batch time channel"],
    svf: Svf,
    state: Float[Array, "batch channel bands 2"],
    block: int = BLOCK,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Filters in series over a signal, in blocks; the same for any `block` and for any cut of the signal.

    Args:
        audio: any length, also shorter than a block; its dtype (float32 or float64) is the arithmetic's.
        svf: coefficients, `[batch, bands]`; all channels get the same.
        state: from `initial_state` or from the piece before.
        block: samples a block.

    Returns:
        the filtered signal and the state after its last sample.
    """
    batch, time, channels = audio.shape
    svf = svf.astype(audio.dtype)
    block = min(block, time)
    impulse, ring, kick, drift = _block_responses(svf, block)
    through, state = _toeplitz(impulse), state.reshape(batch, channels, -1)
    count, rest = divmod(time, block)
    x = audio[:, : count * block].reshape(batch, count, block, channels)
    kicked = jnp.einsum("bnlc,bls->bncs", x, kick, precision=_EXACT)
    before, state = _states_between(state, kicked, drift[-1])
    y = jnp.einsum("bnlc,blm->bnmc", x, through, precision=_EXACT)
    y = y + jnp.einsum("bncs,bsm->bnmc", before, ring, precision=_EXACT)
    y = y.reshape(batch, count * block, channels)
    if rest:
        x = audio[:, count * block :]
        tail = jnp.einsum("blc,blm->bmc", x, through[:, :rest, :rest], precision=_EXACT)
        tail = tail + jnp.einsum("bcs,bsm->bmc", state, ring[:, :, :rest], precision=_EXACT)
        kicked = jnp.einsum("blc,bls->bcs", x, kick[:, block - rest :], precision=_EXACT)
        state = moved(state, drift[rest - 1]) + kicked
        y = jnp.concatenate([y, tail], axis=1)
    return y, state.reshape(batch, channels, -1, 2)


def moved(state: Array, drift: Array) -> Array:
    """States `[batch, lanes, states]` after a time whose transition less the identity is `drift`, with no input."""
    return state + jnp.einsum("bcs,bst->bct", state, drift, precision=_EXACT)


def _states_between(
    state: Float[Array, "batch channel states"],
    kicked: Float[Array, "batch blocks channel states"],
    drift: Float[Array, "batch states states"],
) -> tuple[Float[Array, "batch blocks channel states"], Float[Array, "batch channel states"]]:
    """The state before each block, and the last; `kicked` is what each block leaves behind, `drift` A^L − I.

    On two levels: groups of √blocks blocks, each from rest, all groups at once; then the groups' starts in turn; then
    what each start has become at each block. So 5 s take 118 steps instead of 3,446: a step costs a kernel's launch on
    an accelerator, and a small matrix product on the CPU. The powers of A ride along as more lanes: P' = P + P·D + D.
    """
    batch, blocks, channels, states = kicked.shape
    size = math.isqrt(blocks) + 1
    groups = -(-(blocks + 1) // size)
    kicked = jnp.pad(kicked, ((0, 0), (0, groups * size - blocks), (0, 0), (0, 0)))
    kicked = jnp.moveaxis(kicked.reshape(batch, groups, size, channels, states), 2, 0)
    kicked = kicked.reshape(size, batch, groups * channels, states)
    lanes = jnp.concatenate([kicked, jnp.broadcast_to(drift, (size, batch, states, states))], axis=2)
    end, inside = jax.lax.scan(lambda p, u: (moved(p, drift) + u, p), jnp.zeros_like(lanes[0]), lanes)
    left = jnp.moveaxis(end[:, : groups * channels].reshape(batch, groups, channels, states), 1, 0)
    over = end[:, groups * channels :]
    _, starts = jax.lax.scan(lambda s, u: (moved(s, over) + u, s), state, left)
    powers = inside[:, :, groups * channels :]
    inside = inside[:, :, : groups * channels].reshape(size, batch, groups, channels, states)
    become = jnp.einsum("gbcs,kbst->kbgct", starts, powers, precision=_EXACT)
    between = inside + become + jnp.moveaxis(starts, 0, 1)[None]
    between = jnp.moveaxis(between, 0, 2).reshape(batch, groups * size, channels, states)
    return between[:, :blocks], between[:, blocks]

"""Filters in series over a signal: per sample as the readable reference, and in blocks as what everything uses.

A linear recursion over T samples is, for blocks of L samples, one matrix product and a scan over T/L states. The
block's impulse response, its response to each state and what it leaves behind in the state all fall out of running the
per-sample recursion once, for L steps, on one impulse and on each unit state.

What float32 loses here it loses while the matrices are built. So they are built in delta form: with the integrators'
increments d1 = a2·v3 − b1·i1 and d2 = a2·i1 + a3·v3 (b1 = 1 − a1 formed without the subtraction), the state's change
is accumulated instead of the state, and the blocks are scanned with A^L − I.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.svf import Svf

BLOCK = 64  # samples; the matrix product costs 2·BLOCK FLOPs a sample, the scan takes T/BLOCK steps
_EXACT = jax.lax.Precision.HIGHEST


def initial_state(svf: Svf, batch: int, channels: int, dtype=jnp.float32) -> Float[Array, "batch channel bands 2"]:
    """A state at rest for `batch` signals of `channels` channels: both integrators of every filter at zero."""
    return jnp.zeros((batch, channels, svf.g.shape[-1], 2), dtype)


def _advance(svf: Svf, x: Array, state: Array) -> tuple[Array, Array]:
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
        y, change = _advance(per_channel, x, state)
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
        y, more = _advance(lanes, jnp.broadcast_to(x, (batch, 1 + states)), unit + change)
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
    impulse, ring, kick, drift = _block_responses(svf, block)
    through = jnp.concatenate([_toeplitz(impulse), kick], axis=2)
    state = state.reshape(batch, channels, -1)
    count, rest = divmod(time, block)
    pieces = []
    if count:
        blocks = audio[:, : count * block].reshape(batch, count, block, channels)
        out = jnp.einsum("bnlc,blm->bncm", blocks, through, precision=_EXACT)
        state, before = _scan_states(state, jnp.moveaxis(out[..., block:], 1, 0), drift[-1])
        y = out[..., :block] + jnp.einsum("nbcs,bsm->bncm", before, ring, precision=_EXACT)
        pieces.append(jnp.moveaxis(y, 3, 2).reshape(batch, count * block, channels))
    if rest:
        x = audio[:, count * block :]
        y = jnp.einsum("blc,blm->bmc", x, through[:, :rest, :rest], precision=_EXACT)
        pieces.append(y + jnp.einsum("bcs,bsm->bmc", state, ring[:, :, :rest], precision=_EXACT))
        kicked = jnp.einsum("blc,bls->bcs", x, kick[:, block - rest :], precision=_EXACT)
        state = state + jnp.einsum("bcs,bst->bct", state, drift[rest - 1], precision=_EXACT) + kicked
    y = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=1)
    return y, state.reshape(batch, channels, -1, 2)


def _scan_states(state: Array, kicked: Array, drift: Array) -> tuple[Array, Array]:
    """States at the start of every block, `[blocks, batch, channel, states]`, and the last; from A^L − I."""

    def step(state, u):
        moved = jnp.einsum("bcs,bst->bct", state, drift, precision=_EXACT)
        return state + moved + u, state

    return jax.lax.scan(step, state, kicked)

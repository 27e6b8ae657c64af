"""What filters do over a stretch of samples, as matrices, and the states from stretch to stretch.

A linear recursion is over any number of samples again linear in the state before and in the input. `Stretch` holds
those maps for so many samples; two in a row are one (`joined`), so the maps for 64 samples take four doublings of those
for four, which come from running the recursion on an impulse and on each unit state.

What float32 loses, it loses here. So the transition A is never written: its distance from the identity is, A − I, whose
elements are small and keep their digits where A's, near 1, would lose them.
"""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.svf import Svf

EXACT = jax.lax.Precision.HIGHEST
_STEPS = 4
_RADIX = 16  # blocks a group: 16 steps on each level, so 16·log16(blocks) steps in all


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Stretch:
    """Filters in series over `length` samples; `states` is two a filter.

    kick `[batch, length, states]`: what an impulse at each sample leaves behind in the state at the end.
    drift `[batch, states, states]`: A^length − I by rows: how each unit state has changed at the end, with no input.
    ring `[batch, states, length]`: the output from each unit state, with no input.
    """

    kick: Array
    drift: Array
    ring: Array


def advance(svf: Svf, x: Array, state: Array) -> tuple[Array, Array]:
    """One sample through the filters in series. `x [...]`, `state [..., bands, 2]` → `y [...]`, the state's change.

    In delta form: with the integrators' increments d1 = a2·v3 − b1·i1 and d2 = a2·i1 + a3·v3 (b1 = 1 − a1 formed
    without the subtraction), the change is 2·d1 and 2·d2.
    """
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


def by_steps(svf: Svf, length: int) -> tuple[Array, Stretch]:
    """The recursion run for `length` steps on an impulse and on each unit state.

    Returns:
        impulse `[batch, length]`: the output of the impulse.
        the stretch's maps.
    """
    batch, bands = svf.g.shape
    states = 2 * bands
    lanes = jax.tree.map(lambda x: x[:, None, :], svf)
    unit = jnp.eye(1 + states, dtype=svf.g.dtype)[:, 1:].reshape(1, 1 + states, bands, 2)
    impulse = jnp.zeros((length, 1 + states), svf.g.dtype).at[0, 0].set(1.0)

    def step(change, x):
        y, more = advance(lanes, jnp.broadcast_to(x, (batch, 1 + states)), unit + change)
        change = change + more
        return change, (y, change[:, 0])

    start = spread_as(jnp.zeros((batch, 1 + states, bands, 2), svf.g.dtype), svf.g)
    change, (y, kicked) = jax.lax.scan(step, start, impulse)
    kick = jnp.flip(jnp.moveaxis(kicked.reshape(length, batch, states), 0, 1), axis=1)
    drift = change.reshape(batch, 1 + states, states)[:, 1:]
    return y[:, :, 0].T, Stretch(kick, drift, jnp.moveaxis(y[:, :, 1:], 0, 2))


def spread_as(x: Array, other: Array) -> Array:
    """`x` as it is, but inside `shard_map` of a type that varies over the devices as `other` does: the start of a scan
    has to, where its steps do. (The choice between equals is dropped by the compiler.)"""
    return jnp.where(jnp.isnan(other.reshape(-1)[0]), x, x)


def product(a: Array, b: Array) -> Array:
    """`[batch, i, j]` times `[batch, j, k]`, exact in float32 on every backend."""
    return jnp.einsum("bij,bjk->bik", a, b, precision=EXACT)


def moved(state: Array, drift: Array) -> Array:
    """States `[batch, lanes, states]` after a time whose transition less the identity is `drift`, with no input."""
    return state + product(state, drift)


def joined(first: Stretch, second: Stretch) -> Stretch:
    """One stretch after the other."""
    return Stretch(
        kick=jnp.concatenate([moved(first.kick, second.drift), second.kick], axis=1),
        drift=moved(first.drift, second.drift) + second.drift,
        ring=jnp.concatenate([first.ring, second.ring + product(first.drift, second.ring)], axis=2),
    )


def stretch(svf: Svf, length: int) -> tuple[Float[Array, "batch length"], Stretch]:
    """The impulse response of `length` samples (at least 1), and their maps: a few steps, then doublings.

    The steps' roundings differ from sample to sample, those of a map that is doubled add up; after four steps nothing
    is gained by more that counts (`benchmarks/exactness.py`).
    """
    count, rest = divmod(length, _STEPS)
    impulse, power = by_steps(svf, min(length, _STEPS))
    last_kick = power.kick[:, -1:]  # of a single sample
    whole = by_steps(svf, rest)[1] if rest else None
    while count:
        if count & 1:
            whole = power if whole is None else joined(power, whole)
        count >>= 1
        if count:
            power = joined(power, power)
    later = product(last_kick, whole.ring)[:, 0, : length - 1]
    return jnp.concatenate([impulse[:, :1], later], axis=1), whole


def toeplitz(impulse: Float[Array, "batch length"]) -> Float[Array, "batch length length"]:
    """Rows of the causal convolution: `[b, i, j]` is the response at j to an impulse at i (0 for j < i).

    By tiling and cutting: a gather's gradient is a scatter-add, several times slower on the CPU.
    """
    batch, length = impulse.shape
    padded = jnp.concatenate([impulse, jnp.zeros_like(impulse)], axis=1)
    rows = jnp.tile(padded, (1, length))[:, : length * (2 * length - 1)]
    return rows.reshape(batch, length, 2 * length - 1)[:, :, :length]


def _in_turn(start: Array, kicked: Array, drift: Array) -> tuple[Array, Array]:
    """The last state, and the one before each block, `[blocks, batch, lanes, states]` as `kicked`."""
    return jax.lax.scan(lambda s, u: (moved(s, drift) + u, s), spread_as(start, kicked), kicked)


def states_between(
    state: Float[Array, "batch channel states"],
    kicked: Float[Array, "batch channel blocks states"],
    drift: Float[Array, "batch states states"],
) -> tuple[Float[Array, "batch channel blocks states"], Float[Array, "batch channel states"]]:
    """The state before each block, and the last; `kicked` is what each block leaves behind, `drift` A^L − I.

    One block after the other where there are few. Else in groups of 16, each from rest and all groups at once; then the
    groups' starts in the same way; then what each start has become at each block. So 5 s take 47 steps instead of
    3,675: a step costs a kernel's launch on an accelerator and several small operations' dispatch on a CPU. The powers
    of A ride along as more lanes.
    """
    batch, channels, blocks, states = kicked.shape
    if blocks <= _RADIX:
        last, before = _in_turn(state, jnp.moveaxis(kicked, 2, 0), drift)
        return jnp.moveaxis(before, 0, 2), last
    groups = blocks // _RADIX + 1  # the last one is not full, so that its start is followed by the last state
    kicked = jnp.pad(kicked, ((0, 0), (0, 0), (0, groups * _RADIX - blocks), (0, 0)))
    lanes = jnp.moveaxis(kicked.reshape(batch, channels * groups, _RADIX, states), 2, 0)
    lanes = jnp.concatenate([lanes, jnp.broadcast_to(drift, (_RADIX, batch, states, states))], axis=2)
    end, inside = _in_turn(jnp.zeros_like(lanes[0]), lanes, drift)
    left, over = end[:, :-states].reshape(batch, channels, groups, states), end[:, -states:]
    starts, _ = states_between(state, left, over)
    starts = starts.reshape(batch, channels * groups, states)
    powers = jnp.moveaxis(inside[:, :, -states:], 0, 2).reshape(batch, states, _RADIX * states)
    become = product(starts, powers).reshape(batch, channels * groups, _RADIX, states)
    between = jnp.moveaxis(inside[:, :, :-states], 0, 2) + starts[:, :, None] + become
    between = between.reshape(batch, channels, groups * _RADIX, states)
    return between[:, :, :blocks], between[:, :, blocks]

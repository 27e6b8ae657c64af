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

HIGHEST_PRECISION = jax.lax.Precision.HIGHEST
_DIRECT_STEPS = 4
_RADIX = 16  # blocks a group: 16 steps on each level, so 16·log16(blocks) steps in all


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BlockMatrices:
    """Filters in series over `length` samples; `states` is two a filter.

    kick `[batch, length, states]`: what an impulse at each sample leaves behind in the state at the end.
    drift `[batch, states, states]`: A^length − I by rows: how each unit state has changed at the end, with no input.
    ring `[batch, states, length]`: the output from each unit state, with no input.
    """

    input_to_state: Array
    transition_delta: Array
    state_to_output: Array


def svf_step(svf: Svf, x: Array, state: Array) -> tuple[Array, Array]:
    """One sample through the filters in series. `x [...]`, `state [..., bands, 2]` → `y [...]`, the state's change.

    In delta form: with the integrators' increments d1 = a2·v3 − b1·i1 and d2 = a2·i1 + a3·v3 (b1 = 1 − a1 formed
    without the subtraction), the change is 2·d1 and 2·d2.
    """
    scale = 1.0 / (1.0 + svf.g * (svf.g + svf.k))
    a2 = svf.g * scale
    a3, b1 = svf.g * a2, svf.g * (svf.g + svf.k) * scale
    deltas = []
    for n in range(svf.g.shape[-1]):
        i1, i2 = state[..., n, 0], state[..., n, 1]
        v3 = x - i2
        d1 = a2[..., n] * v3 - b1[..., n] * i1
        d2 = a2[..., n] * i1 + a3[..., n] * v3
        x = svf.m0[..., n] * x + svf.m1[..., n] * (i1 + d1) + svf.m2[..., n] * (i2 + d2)
        deltas.append(jnp.stack([2.0 * d1, 2.0 * d2], axis=-1))
    return x, jnp.stack(deltas, axis=-2)


def simulate_block(svf: Svf, length: int) -> tuple[Array, BlockMatrices]:
    """The recursion run for `length` steps on an impulse and on each unit state.

    Returns:
        impulse `[batch, length]`: the output of the impulse.
        the stretch's maps.
    """
    batch, bands = svf.g.shape
    states = 2 * bands
    lane_svf = jax.tree.map(lambda x: x[:, None, :], svf)
    unit_states = jnp.eye(1 + states, dtype=svf.g.dtype)[:, 1:].reshape(1, 1 + states, bands, 2)
    impulse = jnp.zeros((length, 1 + states), svf.g.dtype).at[0, 0].set(1.0)

    def step(state_delta, x):
        y, step_delta = svf_step(lane_svf, jnp.broadcast_to(x, (batch, 1 + states)), unit_states + state_delta)
        state_delta = state_delta + step_delta
        return state_delta, (y, state_delta[:, 0])

    start = vary_like(jnp.zeros((batch, 1 + states, bands, 2), svf.g.dtype), svf.g)
    state_delta, (y, impulse_states) = jax.lax.scan(step, start, impulse)
    input_to_state = jnp.flip(jnp.moveaxis(impulse_states.reshape(length, batch, states), 0, 1), axis=1)
    transition_delta = state_delta.reshape(batch, 1 + states, states)[:, 1:]
    return y[:, :, 0].T, BlockMatrices(input_to_state, transition_delta, jnp.moveaxis(y[:, :, 1:], 0, 2))


def vary_like(x: Array, reference: Array) -> Array:
    """`x` as it is, but inside `shard_map` of a type that varies over the devices as `other` does: the start of a scan
    has to, where its steps do. (The choice between equals is dropped by the compiler.)"""
    return jnp.where(jnp.isnan(reference.reshape(-1)[0]), x, x)


def batched_matmul(a: Array, b: Array) -> Array:
    """`[batch, i, j]` times `[batch, j, k]`, exact in float32 on every backend."""
    return jnp.einsum("bij,bjk->bik", a, b, precision=HIGHEST_PRECISION)


def apply_transition(state: Array, transition_delta: Array) -> Array:
    """States `[batch, lanes, states]` after a time whose transition less the identity is `drift`, with no input."""
    return state + batched_matmul(state, transition_delta)


def compose(first: BlockMatrices, second: BlockMatrices) -> BlockMatrices:
    """One stretch after the other."""
    return BlockMatrices(
        input_to_state=jnp.concatenate(
            [apply_transition(first.input_to_state, second.transition_delta), second.input_to_state], axis=1
        ),
        transition_delta=apply_transition(first.transition_delta, second.transition_delta) + second.transition_delta,
        state_to_output=jnp.concatenate(
            [
                first.state_to_output,
                second.state_to_output + batched_matmul(first.transition_delta, second.state_to_output),
            ],
            axis=2,
        ),
    )


def block_matrices(svf: Svf, length: int) -> tuple[Float[Array, "batch length"], BlockMatrices]:
    """The impulse response of `length` samples (at least 1), and their maps: a few steps, then doublings.

    The steps' roundings differ from sample to sample, those of a map that is doubled add up; after four steps nothing
    is gained by more that counts (`benchmarks/exactness.py`).
    """
    count, remainder = divmod(length, _DIRECT_STEPS)
    impulse, power_matrices = simulate_block(svf, min(length, _DIRECT_STEPS))
    last_input_to_state = power_matrices.input_to_state[:, -1:]  # of a single sample
    matrices = simulate_block(svf, remainder)[1] if remainder else None
    while count:
        if count & 1:
            matrices = power_matrices if matrices is None else compose(power_matrices, matrices)
        count >>= 1
        if count:
            power_matrices = compose(power_matrices, power_matrices)
    later_samples = batched_matmul(last_input_to_state, matrices.state_to_output)[:, 0, : length - 1]
    return jnp.concatenate([impulse[:, :1], later_samples], axis=1), matrices


def toeplitz(impulse: Float[Array, "batch length"]) -> Float[Array, "batch length length"]:
    """Rows of the causal convolution: `[b, i, j]` is the response at j to an impulse at i (0 for j < i).

    By tiling and cutting: a gather's gradient is a scatter-add, several times slower on the CPU.
    """
    batch, length = impulse.shape
    padded = jnp.concatenate([impulse, jnp.zeros_like(impulse)], axis=1)
    rows = jnp.tile(padded, (1, length))[:, : length * (2 * length - 1)]
    return rows.reshape(batch, length, 2 * length - 1)[:, :, :length]


def _scan_blocks(initial_state: Array, input_states: Array, transition_delta: Array) -> tuple[Array, Array]:
    """The last state, and the one before each block, `[blocks, batch, lanes, states]` as `kicked`."""
    return jax.lax.scan(
        lambda s, u: (apply_transition(s, transition_delta) + u, s),
        vary_like(initial_state, input_states),
        input_states,
    )


def block_states(
    state: Float[Array, "batch channel states"],
    input_states: Float[Array, "batch channel blocks states"],
    transition_delta: Float[Array, "batch states states"],
) -> tuple[Float[Array, "batch channel blocks states"], Float[Array, "batch channel states"]]:
    """The state before each block, and the last; `kicked` is what each block leaves behind, `drift` A^L − I.

    One block after the other where there are few. Else in groups of 16, each from rest and all groups at once; then the
    groups' starts in the same way; then what each start has become at each block. So 5 s take 47 steps instead of
    3,675: a step costs a kernel's launch on an accelerator and several small operations' dispatch on a CPU. The powers
    of A ride along as more lanes.
    """
    batch, channels, num_blocks, states = input_states.shape
    if num_blocks <= _RADIX:
        final_state, initial_states = _scan_blocks(state, jnp.moveaxis(input_states, 2, 0), transition_delta)
        return jnp.moveaxis(initial_states, 0, 2), final_state
    num_groups = num_blocks // _RADIX + 1  # the last one is not full, so that its start is followed by the last state
    input_states = jnp.pad(input_states, ((0, 0), (0, 0), (0, num_groups * _RADIX - num_blocks), (0, 0)))
    lanes = jnp.moveaxis(input_states.reshape(batch, channels * num_groups, _RADIX, states), 2, 0)
    lanes = jnp.concatenate([lanes, jnp.broadcast_to(transition_delta, (_RADIX, batch, states, states))], axis=2)
    group_ends, states_in_groups = _scan_blocks(jnp.zeros_like(lanes[0]), lanes, transition_delta)
    group_input_states, group_delta = (
        group_ends[:, :-states].reshape(batch, channels, num_groups, states),
        group_ends[:, -states:],
    )
    group_starts, _ = block_states(state, group_input_states, group_delta)
    group_starts = group_starts.reshape(batch, channels * num_groups, states)
    transition_powers = jnp.moveaxis(states_in_groups[:, :, -states:], 0, 2).reshape(batch, states, _RADIX * states)
    propagated = batched_matmul(group_starts, transition_powers).reshape(batch, channels * num_groups, _RADIX, states)
    all_states = jnp.moveaxis(states_in_groups[:, :, :-states], 0, 2) + group_starts[:, :, None] + propagated
    all_states = all_states.reshape(batch, channels, num_groups * _RADIX, states)
    return all_states[:, :, :num_blocks], all_states[:, :, num_blocks]

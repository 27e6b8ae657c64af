"""State-space block recursion: filters in series over blocks of samples as matrix products.

Over any number of samples a linear recursion is linear in its initial state and in its input. `BlockMatrices` holds
these maps for a block of samples. Two consecutive blocks compose into one, so the matrices for 64 samples come from
running the recursion for four samples on an impulse and on each unit state, and from four doublings.

The transition matrix A over a block is stored as A − I: its entries are small and keep their digits in float32, whereas
those of A, near 1, would lose them.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable

from jaxtyping import Float

from nmjax.dsp.namespace import namespace
from nmjax.dsp.svf import Svf
from nmjax.runtime.lazy_jax import Array, jax, jnp, register_dataclass

HIGHEST_PRECISION = "highest"
DIRECT_STEPS = 4  # samples simulated before the doublings; more bring no measurable accuracy
_RADIX = 16  # blocks per group: 16 steps on each level, so 16·log16(blocks) steps in all


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class BlockMatrices:
    """Linear maps of filters in series over a block of `length` samples; `states` is two per filter.

    Attributes:
        input_to_state: `[batch, length, states]`, the state at the end of the block from a unit impulse at each sample.
        transition_delta: `[batch, states, states]`, A^length − I by rows: the change of each unit state over the block
            without input.
        state_to_output: `[batch, states, length]`, the output from each unit state without input.
    """

    input_to_state: Array
    transition_delta: Array
    state_to_output: Array


def svf_step(svf: Svf, x: Array, state: Array) -> tuple[Array, Array]:
    """One sample through filters in series.

    In delta form: the increments of the integrators are d1 = a2·v3 − b1·i1 and d2 = a2·i1 + a3·v3 (b1 = 1 − a1, formed
    without the subtraction), and the state changes by 2·d1 and 2·d2.

    Args:
        svf: coefficients, `[..., bands]`.
        x: input, `[...]`.
        state: integrator states, `[..., bands, 2]`.

    Returns:
        the output `[...]`, and the change of the state `[..., bands, 2]`.
    """
    xp, scale = namespace(svf.g, x, state), 1.0 / (1.0 + svf.g * (svf.g + svf.k))
    a2 = svf.g * scale
    a3, b1 = svf.g * a2, svf.g * (svf.g + svf.k) * scale
    deltas = []
    for n in range(svf.g.shape[-1]):
        i1, i2 = state[..., n, 0], state[..., n, 1]
        v3 = x - i2
        d1 = a2[..., n] * v3 - b1[..., n] * i1
        d2 = a2[..., n] * i1 + a3[..., n] * v3
        x = svf.m0[..., n] * x + svf.m1[..., n] * (i1 + d1) + svf.m2[..., n] * (i2 + d2)
        deltas.append(xp.stack([2.0 * d1, 2.0 * d2], axis=-1))
    return x, xp.stack(deltas, axis=-2)


def simulate_block(svf: Svf, length: int) -> tuple[Array, BlockMatrices]:
    """Run the recursion for `length` samples on an impulse and on each unit state.

    Returns:
        the impulse response `[batch, length]`, and the matrices of the block.
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
    impulse_response, state_to_output = y[:, :, 0].T, jnp.moveaxis(y[:, :, 1:], 0, 2)
    return impulse_response, BlockMatrices(input_to_state, transition_delta, state_to_output)


def vary_like(x: Array, reference: Array) -> Array:
    """`x`, with the varying manual axes of `reference` inside `jax.shard_map` (like `jax.lax.pvary`).

    The initial carry of a scan needs them if the carry of its steps has them. The compiler removes the selection
    between two equal operands.
    """
    return jnp.where(jnp.isnan(reference.reshape(-1)[0]), x, x)


def batched_matmul(a: Array, b: Array) -> Array:
    """`[batch, i, j]` times `[batch, j, k]`, in full float32 precision on every backend."""
    return jnp.einsum("bij,bjk->bik", a, b, precision=HIGHEST_PRECISION)


def apply_transition(state: Array, transition_delta: Array) -> Array:
    """States `[batch, lanes, states]` after a transition I + `transition_delta`, without input."""
    return state + batched_matmul(state, transition_delta)


def compose(first: BlockMatrices, second: BlockMatrices) -> BlockMatrices:
    """The matrices of a block followed by another."""
    input_to_state = apply_transition(first.input_to_state, second.transition_delta)
    input_to_state = jnp.concatenate([input_to_state, second.input_to_state], axis=1)
    transition_delta = apply_transition(first.transition_delta, second.transition_delta) + second.transition_delta
    state_to_output = second.state_to_output + batched_matmul(first.transition_delta, second.state_to_output)
    state_to_output = jnp.concatenate([first.state_to_output, state_to_output], axis=2)
    return BlockMatrices(input_to_state, transition_delta, state_to_output)


def block_matrices(svf: Svf, length: int) -> tuple[Float[Array, "batch length"], BlockMatrices]:
    """The impulse response over `length` samples (at least 1) and the matrices of a block of that length.

    A few simulated samples, then doublings. The rounding errors of simulated samples differ from sample to sample,
    whereas those of a doubled matrix add up (measured in `benchmarks/float32_accuracy.py`).
    """
    count, remainder = divmod(length, DIRECT_STEPS)
    impulse, power_matrices = simulate_block(svf, min(length, DIRECT_STEPS))
    last_input_to_state = power_matrices.input_to_state[:, -1:]  # from a single sample
    matrices = simulate_block(svf, remainder)[1] if remainder else None
    while count:
        if count & 1:
            matrices = power_matrices if matrices is None else compose(power_matrices, matrices)
        count >>= 1
        if count:
            power_matrices = compose(power_matrices, power_matrices)
    assert matrices is not None  # length is at least 1
    later_samples = batched_matmul(last_input_to_state, matrices.state_to_output)[:, 0, : length - 1]
    return jnp.concatenate([impulse[:, :1], later_samples], axis=1), matrices


def toeplitz(impulse: Float[Array, "batch length"]) -> Float[Array, "batch length length"]:
    """Matrices of the causal convolution: `[b, i, j]` is the response at j to an impulse at i (0 for j < i).

    By tiling and slicing, since the gradient of a gather is a scatter-add, several times slower on a CPU.
    """
    batch, length = impulse.shape
    padded = jnp.concatenate([impulse, jnp.zeros_like(impulse)], axis=1)
    rows = jnp.tile(padded, (1, length))[:, : length * (2 * length - 1)]
    return rows.reshape(batch, length, 2 * length - 1)[:, :, :length]


def _scan_blocks(state: Array, input_states: Array, transition_delta: Array, reference: Array) -> tuple[Array, Array]:
    """The final state, and the state before each block, `[blocks, batch, lanes, states]` like `input_states`."""
    step = lambda s, u: (apply_transition(s, transition_delta) + u, s)  # noqa: E731
    return jax.lax.scan(step, vary_like(state, reference), input_states)


def _transition_powers(transition_delta: Array) -> Array:
    """A^k − I for k from 0 to 16, `[batch, 17, states, states]`, by doublings."""
    powers = transition_delta[:, None]
    while powers.shape[1] < _RADIX:
        last = powers[:, -1:]
        product = jnp.einsum("bnij,bnjk->bnik", powers, last, precision=HIGHEST_PRECISION)
        powers = jnp.concatenate([powers, powers + product + last], axis=1)
    return jnp.concatenate([jnp.zeros_like(powers[:, :1]), powers], axis=1)


def _linear_block_states(
    state: Array, input_states: Array, transition_delta: Array, reference: Array
) -> tuple[Array, Array]:
    """`block_states`, written so that JAX sees it to be linear in the states for a known transition.

    Args:
        reference: an array that varies over the same manual axes as `input_states`, see `vary_like`.
    """
    batch, channels, num_blocks, states = input_states.shape
    if num_blocks <= _RADIX:
        final_state, initial_states = _scan_blocks(state, jnp.moveaxis(input_states, 2, 0), transition_delta, reference)
        return jnp.moveaxis(initial_states, 0, 2), final_state
    num_groups = num_blocks // _RADIX + 1  # the last group is never full, so the final state is among its states
    input_states = jnp.pad(input_states, ((0, 0), (0, 0), (0, num_groups * _RADIX - num_blocks), (0, 0)))
    lanes = jnp.moveaxis(input_states.reshape(batch, channels * num_groups, _RADIX, states), 2, 0)
    group_ends, states_in_groups = _scan_blocks(jnp.zeros_like(lanes[0]), lanes, transition_delta, reference)
    powers = _transition_powers(transition_delta)
    group_ends = group_ends.reshape(batch, channels, num_groups, states)
    group_starts, _ = _linear_block_states(state, group_ends, powers[:, -1], reference)
    group_starts = group_starts.reshape(batch, channels * num_groups, states)
    powers_by_rows = jnp.moveaxis(powers[:, :-1], 1, 2).reshape(batch, states, _RADIX * states)
    propagated = batched_matmul(group_starts, powers_by_rows).reshape(batch, channels * num_groups, _RADIX, states)
    all_states = jnp.moveaxis(states_in_groups, 0, 2) + group_starts[:, :, None] + propagated
    all_states = all_states.reshape(batch, channels, num_groups * _RADIX, states)
    return all_states[:, :, :num_blocks], all_states[:, :, num_blocks]


def block_states(
    state: Float[Array, "batch channel states"],
    input_states: Float[Array, "batch channel blocks states"],
    transition_delta: Float[Array, "batch states states"],
) -> tuple[Float[Array, "batch channel blocks states"], Float[Array, "batch channel states"]]:
    """The state before each block, and the final state.

    Up to 16 blocks are scanned one after the other. More are split into groups of 16: all groups at once from rest,
    then recursively the initial states of the groups, then the contribution of each initial state to the blocks of its
    group. Five seconds take 47 steps instead of 3,675; each step costs a kernel launch on an accelerator and the
    dispatch of several small operations on a CPU.

    Args:
        state: before the first block.
        input_states: the contribution of each block's input to the state at its end.
        transition_delta: A − I over a block.
    """
    return _differentiable_block_states()(state, input_states, transition_delta)


@functools.cache
def _differentiable_block_states() -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    """`block_states` with its own rule of differentiation."""
    function = jax.custom_jvp(lambda state, inputs, transition: _linear_block_states(state, inputs, transition, inputs))
    function.defjvp(_block_states_jvp)
    return function


def _block_states_jvp(primals, tangents):
    """A change dA of the transition acts like an input s·dA to each block. So the gradient is the recursion backwards
    and one product, instead of the gradients of every group, step and power."""
    state, input_states, transition_delta = primals
    state_change, input_change, transition_change = tangents
    initial_states, final_state = block_states(state, input_states, transition_delta)
    batch, channels, num_blocks, states = initial_states.shape
    by_block = initial_states.reshape(batch, channels * num_blocks, states)
    input_change = input_change + batched_matmul(by_block, transition_change).reshape(input_change.shape)
    changes = _linear_block_states(state_change, input_change, transition_delta, input_states)
    return (initial_states, final_state), changes

"""Breakdown of the time of `equalize`: each matrix product and the recursion over the states by itself.

    python benchmarks/equalizer_parts.py

8 signals of 5 s, 5 bands, blocks of 60 samples; the fastest of 60 runs, since other work on the machine only adds time.
GFLOP/s can be compared with those of a large product.
"""

import time

import jax
import jax.numpy as jnp

from nmjax.dsp import Bands, equalize
from nmjax.dsp.block_recursion import HIGHEST_PRECISION, batched_matmul, block_matrices, block_states

BATCH, TIME, BANDS, BLOCK, RATE = 8, 220_500, 5, 60, 44_100.0
BLOCKS, STATES = TIME // BLOCK, 2 * BANDS


def fastest_s(function, *arguments):
    compiled, took = jax.jit(function), []
    jax.block_until_ready(compiled(*arguments))
    for _ in range(60):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        took.append(time.perf_counter() - start)
    return min(took)


def matrix_gradient(a, b):
    """The gradient of a product by its matrix, summed over the blocks."""
    return jnp.einsum("bni,bnj->bij", a, b, precision=HIGHEST_PRECISION)


def normal(*shape):
    return 0.1 * jax.random.normal(jax.random.key(len(shape)), shape)


def loss(audio, *settings):
    return jnp.mean(equalize(audio, Bands(*settings), RATE)[0] ** 2)


def states_only(state, input_states, transition_delta):
    return block_states(state, input_states, transition_delta)[0]


def block_states_energy(*arguments):
    return jnp.sum(states_only(*arguments) ** 2)


def main():
    x, square = normal(BATCH, BLOCKS, BLOCK), normal(2048, 2048)
    states, through = normal(BATCH, BLOCKS, STATES), normal(BATCH, BLOCK, BLOCK)
    input_to_state, state_to_output, transition_delta = (
        normal(BATCH, BLOCK, STATES),
        normal(BATCH, STATES, BLOCK),
        -0.1 * jnp.eye(STATES),
    )
    transition_delta = jnp.broadcast_to(transition_delta, (BATCH, STATES, STATES))
    zero_state, block_inputs = jnp.zeros((BATCH, 1, STATES)), states[:, None]
    settings = [jnp.full((BATCH, BANDS), value) for value in (1000.0, 3.0, 1.0)]
    audio = normal(BATCH, TIME, 1)
    unit = 2 * BATCH * TIME
    recursion = 4 * BATCH * BLOCKS * STATES**2
    parts = [
        ("square product of 2048 (the peak)", lambda: fastest_s(jnp.matmul, square, square), 2 * 2048**3),
        ("impulse response: blocks × [60, 60]", lambda: fastest_s(batched_matmul, x, through), unit * BLOCK),
        ("into the states: blocks × [60, 10]", lambda: fastest_s(batched_matmul, x, input_to_state), unit * STATES),
        (
            "out of the states: states × [10, 60]",
            lambda: fastest_s(batched_matmul, states, state_to_output),
            unit * STATES,
        ),
        (
            "states from block to block",
            lambda: fastest_s(states_only, zero_state, block_inputs, transition_delta),
            recursion,
        ),
        ("the matrices", lambda: fastest_s(lambda *s: block_matrices(Bands(*s).svf(RATE), BLOCK), *settings), None),
        ("a copy of the signal", lambda: fastest_s(lambda a: 1.5 * a, audio), None),
        ("whole, forward", lambda: fastest_s(lambda a, *s: equalize(a, Bands(*s), RATE)[0], audio, *settings), None),
        ("gradient by the [60, 60]", lambda: fastest_s(matrix_gradient, x, x), unit * BLOCK),
        ("gradient by the [60, 10]", lambda: fastest_s(matrix_gradient, x, states), unit * STATES),
        ("gradient by the [10, 60]", lambda: fastest_s(matrix_gradient, states, x), unit * STATES),
        (
            "states with gradient",
            lambda: fastest_s(
                jax.grad(block_states_energy, argnums=(1, 2)), zero_state, block_inputs, transition_delta
            ),
            3 * recursion,
        ),
        ("whole, with gradient", lambda: fastest_s(jax.grad(loss, argnums=(0, 1, 2, 3)), audio, *settings), None),
    ]
    for name, measure, flop in parts:
        seconds = measure()
        print(f"{name:40s} {seconds * 1e3:7.2f} ms" + (f" {flop / seconds / 1e9:6.0f} GFLOP/s" if flop else ""))


if __name__ == "__main__":
    main()

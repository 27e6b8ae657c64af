"""Filters in series over a stream, by NumPy in float64: `cascade` where nothing is to be differentiated.

It needs no import of JAX and no compiled program. A block of samples is a matrix product with the impulse response, one
with the response to the state before it, and a recursion over the states of the blocks, as in
`nmjax.dsp.block_recursion`. In float64 the matrices come from a simulated block, without doublings.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float

from nmjax.dsp.block_recursion import svf_step
from nmjax.dsp.svf import Svf

_LENGTH = 48  # samples of a block; 32 to 64 take about as long
_GROUP = 32  # blocks whose states are passed on one after the other, for all groups at once


class BlockFilter:
    """Filters in series.

    Args:
        svf: coefficients of one signal, `[1, bands]`.
    """

    def __init__(self, svf: Svf):
        impulse, self._input_to_state, self._state_to_output, self._transitions = _simulate_block(
            svf.astype(np.float64)
        )
        self._input_to_output = np.zeros((_LENGTH, _LENGTH))
        for start in range(_LENGTH):
            self._input_to_output[start, start:] = impulse[: _LENGTH - start]
        powers = [np.eye(self._transitions.shape[1])]
        for _ in range(_GROUP):
            powers.append(powers[-1] @ self._transitions[-1])
        self._group_transition = powers.pop()
        self._propagation = np.concatenate(powers, axis=1)  # a state to those before each block of its group

    def initial_state(self, channels: int) -> Float[np.ndarray, "channel states"]:
        """The state at rest."""
        return np.zeros((channels, len(self._group_transition)))

    def process(
        self, audio: Float[np.ndarray, "frames channel"], state: Float[np.ndarray, "channel states"]
    ) -> tuple[Float[np.ndarray, "frames channel"], Float[np.ndarray, "channel states"]]:
        """The next chunk of any length above 0, filtered, in float64, and the state after it.

        Args:
            audio: the chunk.
            state: the state after the chunk before, or at rest.
        """
        filtered, state = self.process_rows(audio.T, state)
        return filtered.T, state

    def process_rows(
        self, audio: Float[np.ndarray, "channel frames"], state: Float[np.ndarray, "channel states"]
    ) -> tuple[Float[np.ndarray, "channel frames"], Float[np.ndarray, "channel states"]]:
        """As `process`, of audio whose channels are rows."""
        channels, frames = audio.shape
        num_blocks = -(-frames // _LENGTH)
        x = np.zeros((channels, num_blocks * _LENGTH))
        x[:, :frames] = audio
        rows = x.reshape(channels * num_blocks, _LENGTH)
        input_states = (rows @ self._input_to_state).reshape(channels, num_blocks, -1)
        states = self._states_before_blocks(state, input_states)
        y = rows @ self._input_to_output
        y += states.reshape(channels * num_blocks, -1) @ self._state_to_output
        tail = frames - (num_blocks - 1) * _LENGTH  # samples of the last block
        state = states[:, -1] @ self._transitions[tail - 1]
        state += x[:, frames - tail : frames] @ self._input_to_state[_LENGTH - tail :]
        return y.reshape(channels, -1)[:, :frames], state

    def _states_before_blocks(
        self, state: Float[np.ndarray, "channel states"], input_states: Float[np.ndarray, "channel blocks states"]
    ) -> Float[np.ndarray, "channel blocks states"]:
        """The state before each block, from the states that each block alone would leave."""
        channels, num_blocks, size = input_states.shape
        num_groups = -(-num_blocks // _GROUP)
        padded = np.zeros((channels, num_groups * _GROUP, size))
        padded[:, :num_blocks] = input_states
        by_step = np.ascontiguousarray(np.moveaxis(padded.reshape(channels * num_groups, _GROUP, size), 1, 0))
        in_groups, end = np.empty_like(by_step), np.zeros((channels * num_groups, size))
        for step, inputs in enumerate(by_step):  # from rest, in all groups at once
            in_groups[step] = end
            end = end @ self._transitions[-1] + inputs
        starts = np.empty((channels, num_groups, size))
        for group, group_end in enumerate(np.moveaxis(end.reshape(channels, num_groups, size), 1, 0)):
            starts[:, group] = state
            state = state @ self._group_transition + group_end
        states = (starts.reshape(channels * num_groups, size) @ self._propagation).reshape(-1, _GROUP, size)
        states += np.moveaxis(in_groups, 0, 1)
        return states.reshape(channels, -1, size)[:, :num_blocks]


def filter_blocks(
    audio: Float[np.ndarray, "batch time channel"],
    svf: Svf,
    state: Float[np.ndarray, "batch channel bands 2"],
) -> tuple[Float[np.ndarray, "batch time channel"], Float[np.ndarray, "batch channel bands 2"]]:
    """`cascade` of NumPy arrays, computed in float64; the results have the type of the audio."""
    filtered, states = np.empty_like(audio), np.empty_like(state)
    for row, signal in enumerate(audio):
        block_filter = _block_filter(tuple(tuple(x[row].tolist()) for x in (svf.g, svf.k, svf.m0, svf.m1, svf.m2)))
        filtered[row], end = block_filter.process(signal, state[row].reshape(len(state[row]), -1).astype(np.float64))
        states[row] = end.reshape(state[row].shape)
    return filtered, states


@functools.lru_cache(maxsize=32)
def _block_filter(coefficients: tuple[tuple[float, ...], ...]) -> BlockFilter:
    """The filter of one signal; cached, since all chunks of a stream have the same."""
    return BlockFilter(Svf(*(np.array([x]) for x in coefficients)))


def _simulate_block(
    svf: Svf,
) -> tuple[
    Float[np.ndarray, " length"],
    Float[np.ndarray, "length states"],
    Float[np.ndarray, "states length"],
    Float[np.ndarray, "length states states"],
]:
    """The recursion sample by sample, from an impulse at rest and from each unit state without input.

    Returns:
        the impulse response; the state at the end of the block from an impulse at each sample; the output from each
        unit state; the transition of the state over 1, 2 … samples.
    """
    bands = svf.g.shape[-1]
    lanes = Svf(*(np.broadcast_to(x, (1 + 2 * bands, bands)) for x in (svf.g, svf.k, svf.m0, svf.m1, svf.m2)))
    state = np.concatenate([np.zeros((1, 2 * bands)), np.eye(2 * bands)]).reshape(-1, bands, 2)
    x = np.zeros(1 + 2 * bands)
    outputs, states = [], []
    for sample in range(_LENGTH):
        x[0] = 1.0 if sample == 0 else 0.0
        y, change = svf_step(lanes, x, state)
        state = state + change
        outputs.append(y)
        states.append(state.reshape(1 + 2 * bands, 2 * bands))
    output, all_states = np.stack(outputs, axis=1), np.stack(states)
    return output[0], all_states[::-1, 0], output[1:], all_states[:, 1:]

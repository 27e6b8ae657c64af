"""Second-order sections over a stream in float64: an exact recursion, as matrix products over blocks of samples.

Over 32 samples the recursion is linear in its state and in its input, so a few matrices replace 32 steps. It is as fast
as `scipy.signal.sosfilt`, whose import takes most of a second before a track is opened. `nmjax.dsp.block_recursion` has
the same idea with gradients.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_BLOCK = 32  # samples
_GROUP = 16  # blocks whose states come from one product
_GROUPS = 32  # whose states come from another one
_PIECE = _GROUPS * _GROUP * _BLOCK  # samples: few enough that no product makes OpenBLAS start threads, whose
# synchronization costs more than they save (30 times as much where another thread is busy)
_DENORMAL = 1e-30  # a state below becomes 0: denormal numbers are slow, after minutes of silence


class SectionFilter:
    """Filters a signal by sections in series, chunk by chunk; the chunks may have any size.

    Args:
        sos: b0, b1, b2, a0 = 1, a1, a2 of each section, as for `scipy.signal.sosfilt`.
        channels: number of channels.

    Attributes:
        state: `[channel, states]`, two a section, of the transposed direct form II.
    """

    def __init__(self, sos: Float[np.ndarray, "sections 6"], channels: int):
        self._sos = sos
        states = 2 * len(self._sos)
        self.state = np.zeros((channels, states))
        self._make_block_matrices(states)
        self._group_matrix, self._group_transitions = _chain(self._powers[_BLOCK], _GROUP)
        self._piece_matrix, self._piece_transitions = _chain(self._group_transitions[:, -states:], _GROUPS)

    def __call__(self, samples: Float[np.ndarray, "channel frames"]) -> Float[np.ndarray, "channel frames"]:
        """The next chunk, filtered."""
        pieces = [self._filter(samples[:, start : start + _PIECE]) for start in range(0, samples.shape[1], _PIECE)]
        return np.concatenate(pieces, axis=1) if pieces else np.zeros(samples.shape)

    def _filter(self, samples: np.ndarray) -> np.ndarray:
        num_frames = samples.shape[1]
        num_groups = -(-num_frames // (_GROUP * _BLOCK))
        padded = np.zeros((len(samples), num_groups * _GROUP * _BLOCK))
        padded[:, :num_frames] = samples
        blocks = padded.reshape(len(samples), num_groups, _GROUP, _BLOCK)
        states = self._block_states(blocks @ self._input_to_state)
        filtered = blocks @ self._impulse_matrix
        filtered += states @ self._state_to_output
        self.state = self._state_after(blocks.reshape(len(samples), -1, _BLOCK), states, num_frames)
        return filtered.reshape(len(samples), -1)[:, :num_frames]

    def _block_states(self, inputs: np.ndarray) -> Float[np.ndarray, "channel groups group states"]:
        """The state at the start of each block, from what each block's input adds to the state at its end."""
        channels, num_groups, size, states = inputs.shape
        within = inputs.reshape(channels, num_groups, size * states) @ self._group_matrix
        ends, width = within[..., -states:].reshape(channels, -1), num_groups * states
        starts = ends @ self._piece_matrix[:width, :width] + self.state @ self._piece_transitions[:, :width]
        from_starts = starts.reshape(channels, num_groups, states) @ self._group_transitions[:, : size * states]
        return (within[..., : size * states] + from_starts).reshape(inputs.shape)

    def _state_after(self, blocks: np.ndarray, states: np.ndarray, num_frames: int) -> np.ndarray:
        """The state after the last sample, which may lie within a block."""
        last, rest = (num_frames - 1) // _BLOCK, (num_frames - 1) % _BLOCK + 1
        state = states.reshape(len(blocks), -1, states.shape[-1])[:, last] @ self._powers[rest]
        state = state + blocks[:, last, :rest] @ self._input_to_state[_BLOCK - rest :]
        state[np.abs(state) < _DENORMAL] = 0.0
        return state

    def _make_block_matrices(self, states: int) -> None:
        """Runs the recursion for a block on a unit impulse and on each unit state."""
        output, state = self._step(np.eye(1 + states)[0], np.eye(1 + states)[:, 1:])
        outputs, ends = [output], [state]
        for _ in range(_BLOCK - 1):
            output, state = self._step(np.zeros(1 + states), state)
            outputs.append(output)
            ends.append(state)
        outputs, ends = np.stack(outputs, axis=1), np.stack(ends)
        delay = np.arange(_BLOCK)[None] - np.arange(_BLOCK)[:, None]
        self._impulse_matrix = np.where(delay >= 0, outputs[0][np.maximum(delay, 0)], 0.0)
        self._state_to_output = outputs[1:]
        self._input_to_state = ends[::-1, 0].copy()
        self._powers = np.concatenate([np.eye(states)[None], ends[:, 1:]])  # transitions over 0 to 32 samples

    def _step(
        self, x: Float[np.ndarray, " lanes"], state: Float[np.ndarray, "lanes states"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """One sample of the transposed direct form II: the output, and the next state."""
        new_state = np.empty_like(state)
        for n, (b0, b1, b2, _, a1, a2) in enumerate(self._sos):
            y = b0 * x + state[:, 2 * n]
            new_state[:, 2 * n] = b1 * x - a1 * y + state[:, 2 * n + 1]
            new_state[:, 2 * n + 1] = b2 * x - a2 * y
            x = y
        return x, new_state


def _chain(transition: Float[np.ndarray, "states states"], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps of `count` blocks in a row, to the states before each block and after the last.

    Returns:
        `[count · states, (count + 1) · states]` from what each block's input adds to the state at its end, and
        `[states, (count + 1) · states]` from the state before the first.
    """
    states = len(transition)
    powers = [np.eye(states)]
    for _ in range(count):
        powers.append(powers[-1] @ transition)
    matrix = np.zeros((count, states, count + 1, states))
    for block in range(count):
        matrix[block, :, block + 1 :] = np.moveaxis(np.stack(powers[: count - block]), 0, 1)
    return matrix.reshape(count * states, -1), np.concatenate(powers, axis=1)

"""Smooth branching ballistics: the envelope of an overshoot with attack and release, in JAX or in NumPy.

The recursion is linear but for the choice between attack and release. JAX scans it point by point. In NumPy a step
costs a microsecond however few values it has, so the points are divided into segments that run side by side from
guessed starts; Newton's method on the starts then makes each segment begin where the one before it ends. Within a
choice of attacks and releases that is exact, so a few passes are enough, and only segments that still change run again.

Sources: D. Giannoulis, M. Massberg, J. Reiss, "Digital Dynamic Range Compressor Design" (JAES 60, 2012), eq. 17
(smooth branching); A. Bellen, M. Zennaro, "Parallel algorithms for initial-value problems for difference and
differential equations" (J. Comput. Appl. Math. 25, 1989) (segments side by side).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp.block_recursion import vary_like
from nmjax.dsp.namespace import namespace
from nmjax.runtime.lazy_jax import Array, jax, jnp

_POINTS_PER_STEP = 4  # scan steps unrolled, so that an accelerator launches a kernel for 64 samples instead of 16
_MIN_TIME_MS = 1e-3  # for traced values, which cannot be rejected
_SEGMENT_POINTS = 32
_TOLERANCE_DB = 1e-10  # by which a segment may begin beside the end of the one before it
_UNCHANGED = 1e-3  # share of it that need not run again; many of them together stay below it


class Ballistics(NamedTuple):
    """Coefficients of a step from point to point, `[batch]` each: y + b·(o0 − y) + c·(o1 − o0).

    Attributes:
        attack_b, attack_c: where the overshoot in the middle of the step is above the envelope.
        release_b, release_c: elsewhere.
    """

    attack_b: Array
    attack_c: Array
    release_b: Array
    release_c: Array


def ballistics(attack_ms: Float[Array, " batch"], release_ms: Float[Array, " batch"], step_ms: float) -> Ballistics:
    """Coefficients of time constants, exact for an overshoot that moves linearly between the points.

    With x = step/τ, b = 1 − e^(−x) and c = 1 − b/x, the solution of τ·y' = o − y over a step is
    y + b·(o0 − y) + c·(o1 − o0).
    """

    def coefficients(time_ms: Array) -> tuple[Array, Array]:
        xp = namespace(time_ms)
        x = step_ms / xp.maximum(time_ms, _MIN_TIME_MS)
        b = -xp.expm1(-x)
        return b, 1.0 - b / x

    return Ballistics(*coefficients(attack_ms), *coefficients(release_ms))


def branching_envelope(
    overshoot: Float[Array, "batch points"], initial: Float[Array, " batch"], coefficients: Ballistics
) -> Float[Array, "batch points"]:
    """The envelope of an overshoot.

    Args:
        overshoot: in dB, from the point of `initial` on.
        initial: the envelope at the first point.
        coefficients: of each signal.

    Returns:
        The envelope at all points, `initial` first.
    """
    if namespace(overshoot, initial, *coefficients) is np:
        return _envelope_by_segments(overshoot, initial, coefficients)
    attack_b, attack_c, release_b, release_c = coefficients

    def step(envelope, endpoints):
        before, after = endpoints
        is_rising = 0.5 * (before + after) > envelope
        b, c = jnp.where(is_rising, attack_b, release_b), jnp.where(is_rising, attack_c, release_c)
        envelope = envelope + b * (before - envelope) + c * (after - before)
        return envelope, envelope

    points = overshoot.T
    pairs = points[:-1], points[1:]
    _, envelope = jax.lax.scan(step, vary_like(initial, overshoot), pairs, unroll=_POINTS_PER_STEP)
    return jnp.concatenate([initial[:, None], envelope.T], axis=1)


class _Segments(NamedTuple):
    """Steps of segments, `[steps, segments]`, and what each step leaves of the envelope, `[segments]`.

    Attributes:
        middle: overshoot in the middle of the step.
        attack_input, release_input: what a step adds to what it leaves of the envelope.
        attack_left, release_left: the share that it leaves.
    """

    middle: np.ndarray
    attack_input: np.ndarray
    release_input: np.ndarray
    attack_left: np.ndarray
    release_left: np.ndarray

    def run(self, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The envelope after each step, and the derivative of its last value by the start."""
        envelope, slope, result = start, np.ones_like(start), np.empty_like(self.middle)
        for i, middle in enumerate(self.middle):
            is_rising = middle > envelope
            left = np.where(is_rising, self.attack_left, self.release_left)
            envelope = left * envelope
            envelope += np.where(is_rising, self.attack_input[i], self.release_input[i])
            slope *= left
            result[i] = envelope
        return result, slope

    def select(self, segments: np.ndarray) -> _Segments:
        """Some of the segments."""
        return _Segments(*(x[..., segments] for x in self))


def _envelope_by_segments(overshoot: np.ndarray, initial: np.ndarray, coefficients: Ballistics) -> np.ndarray:
    batch, num_steps = overshoot.shape[0], overshoot.shape[1] - 1
    count = max(1, -(-num_steps // _SEGMENT_POINTS))
    segments, start = _segments(np.asarray(overshoot, np.float64), coefficients, count)
    start[:, 0] = initial
    result, slope = segments.run(start.ravel())
    for _ in range(count):  # each pass sets at least one more start right
        correction = np.zeros((batch, count))
        correction[:, 1:] = result[-1].reshape(batch, count)[:, :-1] - start[:, 1:]
        _add_up(correction[:, 1:], slope.reshape(batch, count)[:, :-1].copy())
        if np.abs(correction).max() <= _TOLERANCE_DB:
            break
        start += correction
        changed = np.flatnonzero(np.abs(correction) > _UNCHANGED * _TOLERANCE_DB)
        result[:, changed], slope[changed] = segments.select(changed).run(start.ravel()[changed])
    by_point = np.moveaxis(result.reshape(-1, batch, count), 0, 2).reshape(batch, -1)[:, :num_steps]
    return np.concatenate([np.asarray(initial)[:, None], by_point], axis=1).astype(overshoot.dtype)


def _segments(overshoot: np.ndarray, coefficients: Ballistics, count: int) -> tuple[_Segments, np.ndarray]:
    """The segments of all signals, and guesses of the envelope at their starts, `[batch, segments]`."""
    batch, num_points = overshoot.shape
    padded = np.pad(overshoot, ((0, 0), (0, count * _SEGMENT_POINTS + 1 - num_points)), mode="edge")

    def by_step(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values.reshape(batch * count, _SEGMENT_POINTS).T)

    before, change = by_step(padded[:, :-1]), by_step(np.diff(padded, axis=1))
    attack_b, attack_c, release_b, release_c = (np.repeat(np.asarray(x, np.float64), count) for x in coefficients)
    segments = _Segments(
        middle=before + 0.5 * change,
        attack_input=attack_b * before + attack_c * change,
        release_input=release_b * before + release_c * change,
        attack_left=1.0 - attack_b,
        release_left=1.0 - release_b,
    )
    return segments, padded[:, :-1:_SEGMENT_POINTS].copy()


def _add_up(corrections: np.ndarray, slopes: np.ndarray) -> None:
    """Adds to each start's correction that of the start before it times its slope, in place, by doubling.

    Args:
        corrections: of all starts but the first, `[batch, starts]`, each as if the one before it were right.
        slopes: of the segments before them.
    """
    distance = 1
    while distance < corrections.shape[1]:
        corrections[:, distance:] += slopes[:, distance:] * corrections[:, :-distance]
        slopes[:, distance:] *= slopes[:, :-distance].copy()
        distance *= 2

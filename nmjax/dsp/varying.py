"""Settings that change over time, without clicks and without instability.

The coefficients move linearly from point to point, sample by sample. However they move, nothing can blow up: the
trapezoidal filter's state turns by the Cayley transform of g·[[−k, −1], [1, 0]], whose symmetric part is never positive
for g > 0 and k > 0, so with no input every step leaves each filter's state as long as it was or shorter.

Source of the argument: V. Zavalishin, "The Art of VA Filter Design" (2018), ch. 8 (time-varying stability of the
trapezoidal integrator). A transposed direct form has no such guarantee.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.arguments import check_audio, check_state, require
from nmjax.dsp.bands import Bands
from nmjax.dsp.cascade import initial_state
from nmjax.dsp.stretch import advance, moved, spread_as
from nmjax.dsp.svf import Svf


def equalise_varying(
    audio: Float[Array, "batch time channel"],
    bands: Bands,
    hop: int,
    sample_rate: float,
    state: Float[Array, "batch channel bands 2"] | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Render a cascade whose settings change: each array of `bands` is `[points, batch, bands]`.

    Point p holds at sample p·hop; in between the filters' coefficients are interpolated linearly. Two points with
    hop = time are a smooth ramp between two settings; a stream's next piece begins with the point that the last
    ended with, and the returned state. Costs about 2·bands + channels times a fixed setting's recursion, since each
    hop's response to each unit state is followed; hops run side by side.

    Args:
        audio: any length above 0, float32 or float64.
        bands: settings at 0, hop, 2·hop …; at least one point beyond the last sample: points ≥ ⌈time/hop⌉ + 1.
        hop: samples from point to point, above 0.
        sample_rate: Hz, above 0.
        state: the state returned for the piece before; none starts at rest.

    Returns:
        the signal and the state after its last sample.

    Raises:
        ValueError: too few points, a hop below 1, arrays or a state of another shape, or as `Bands.svf`.
    """
    check_audio(audio)
    batch, time, channels = audio.shape
    require(isinstance(hop, int) and hop >= 1, "hop", "at least 1 sample, a whole number", hop)
    shapes = [list(x.shape) for x in (bands.freq_hz, bands.gain_db, bands.q)]
    alike = len(shapes[0]) == 3 and shapes[0] == shapes[1] == shapes[2] and shapes[0][1] == batch
    require(alike, "bands", f"three arrays [points, {batch}, bands], a row a signal", f"of shapes {shapes}")
    hops = -(-time // hop)
    points = bands.freq_hz.shape[0]
    require(points > hops, "bands", f"at least {hops + 1} points for {time} samples and a hop of {hop}", points)
    svf = _at_points(bands, sample_rate, hops + 1).astype(audio.dtype)
    if state is None:
        state = initial_state(jax.tree.map(lambda x: x[0], svf), batch, channels, audio.dtype)
    check_state(state, (batch, channels, svf.g.shape[-1], 2))
    blocks = jnp.pad(audio, ((0, 0), (0, hops * hop - time), (0, 0))).reshape(batch, hops, hop, channels)
    return _hops_in_turn(blocks, svf, state, time)


def _at_points(bands: Bands, sample_rate: float, points: int) -> Svf:
    """Coefficients at the first `points` points, `[points, batch, bands]`."""
    rows, batch, count = bands.freq_hz.shape
    flat = jax.tree.map(lambda x: x.reshape(rows * batch, count), bands)
    return jax.tree.map(lambda x: x.reshape(rows, batch, count)[:points], flat.svf(sample_rate))


def _ends(svf: Svf) -> tuple[Svf, Svf]:
    """Coefficients at the start and at the end of each hop."""
    return jax.tree.map(lambda x: x[:-1], svf), jax.tree.map(lambda x: x[1:], svf)


def _hops_in_turn(
    blocks: Float[Array, "batch hops hop channel"], svf: Svf, state: Float[Array, "batch channel bands 2"], time: int
) -> tuple[Array, Array]:
    """All hops at once from rest and from each unit state; then the states in turn, and what they add."""
    batch, hops, hop, channels = blocks.shape
    bands = state.shape[2]
    states = 2 * bands
    here, there = (jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1)[:, :, None], side) for side in _ends(svf))
    unit = jnp.eye(states, dtype=blocks.dtype).reshape(states, bands, 2)
    start = jnp.concatenate([jnp.zeros((channels, bands, 2), blocks.dtype), unit])
    start = jnp.broadcast_to(start, (batch, hops, channels + states, bands, 2))
    quiet = jnp.zeros((batch, hops, states), blocks.dtype)
    stop = time - (hops - 1) * hop  # samples of the last hop that are signal

    def step(carry, at):
        change, ended = carry
        share = at.astype(blocks.dtype) / hop
        now = jax.tree.map(lambda a, b: a + share * (b - a), here, there)
        x = jnp.concatenate([blocks[:, :, at], quiet], axis=2)
        y, more = advance(now, x, start + change)
        change = change + more
        return (change, jnp.where(at == stop - 1, change, ended)), y

    nothing = spread_as(jnp.zeros_like(start), blocks)
    (change, ended), y = jax.lax.scan(step, (nothing, nothing), jnp.arange(hop))
    y = jnp.moveaxis(y, 0, 2)  # [batch, hops, hop, channel + states]
    change = change.at[:, -1].set(ended[:, -1]).reshape(batch, hops, channels + states, states)
    state, before = _carried(state.reshape(batch, channels, states), change, channels)
    ring = jnp.einsum("bnls,nbcs->bnlc", y[..., channels:], before, precision="highest")
    out = (y[..., :channels] + ring).reshape(batch, hops * hop, channels)[:, :time]
    return out, state.reshape(batch, channels, bands, 2)


def _carried(state: Array, change: Array, channels: int) -> tuple[Array, Array]:
    """The last state and the state before each hop, `[hops, batch, channel, states]`, from what each hop does."""

    def step(state, hop):
        kicked, drift = hop[:, :channels], hop[:, channels:]
        return moved(state, drift) + kicked, state

    return jax.lax.scan(step, spread_as(state, change), jnp.moveaxis(change, 1, 0))

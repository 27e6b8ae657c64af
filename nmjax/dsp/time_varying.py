"""An equalizer whose settings change over time, without clicks and without instability.

The coefficients move linearly from breakpoint to breakpoint, sample by sample. The filters are stable for any such
movement: the state of the trapezoidal filter is updated by the Cayley transform of g·[[−k, −1], [1, 0]], whose
symmetric part is never positive for g > 0 and k > 0, so the norm of each filter's state never grows without input.

Source: V. Zavalishin, "The Art of VA Filter Design" (2018), ch. 8 (time-varying stability of the trapezoidal
integrator). A transposed direct form has no such guarantee.
"""

from __future__ import annotations

from jaxtyping import Float

from nmjax.dsp.block_recursion import apply_transition, svf_step, vary_like
from nmjax.dsp.cascade import initial_state
from nmjax.dsp.equalizer import Bands
from nmjax.dsp.svf import Svf
from nmjax.dsp.validation import check_audio, check_state, require
from nmjax.runtime.lazy_jax import Array, jax, jnp


def equalize_time_varying(
    audio: Float[Array, "batch time channel"],
    bands: Bands,
    hop: int,
    sample_rate: float,
    state: Float[Array, "batch channel bands 2"] | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Filter audio with a cascade whose settings change; each array of `bands` is `[points, batch, bands]`.

    Breakpoint p holds at sample p·hop; between breakpoints the filters' coefficients are interpolated linearly. Two
    breakpoints with hop = time make a smooth ramp between two settings. The next chunk of a stream starts with the
    last breakpoint of the previous chunk and with the returned state.

    All hops run in parallel. The cost is about (2·bands + channels) times that of the per-sample recursion with fixed
    settings, since the response of each hop to each unit state is simulated.

    Args:
        audio: any length above 0, float32 or float64.
        bands: settings at samples 0, hop, 2·hop …, at least ⌈time/hop⌉ + 1 of them.
        hop: samples between breakpoints, at least 1.
        sample_rate: Hz, above 0.
        state: the state returned for the previous chunk; at rest if not given.

    Returns:
        the filtered signal, and the state after its last sample.

    Raises:
        ValueError: too few breakpoints, a hop below 1, arrays or a state of another shape, or as `Bands.svf`.
    """
    check_audio(audio)
    batch, time, channels = audio.shape
    require(isinstance(hop, int) and hop >= 1, "hop", "at least 1 sample, a whole number", hop)
    shapes = [list(x.shape) for x in (bands.freq_hz, bands.gain_db, bands.q)]
    is_consistent = len(shapes[0]) == 3 and shapes[0] == shapes[1] == shapes[2] and shapes[0][1] == batch
    require(is_consistent, "bands", f"three arrays [points, {batch}, bands], a row a signal", f"of shapes {shapes}")
    num_hops = -(-time // hop)
    num_points = bands.freq_hz.shape[0]
    requirement = f"at least {num_hops + 1} points for {time} samples and a hop of {hop}"
    require(num_points > num_hops, "bands", requirement, num_points)
    svf = _svf_at_points(bands, sample_rate, num_hops + 1).astype(audio.dtype)
    if state is None:
        state = initial_state(jax.tree.map(lambda x: x[0], svf), batch, channels, audio.dtype)
    check_state(state, (batch, channels, svf.g.shape[-1], 2))
    blocks = jnp.pad(audio, ((0, 0), (0, num_hops * hop - time), (0, 0))).reshape(batch, num_hops, hop, channels)
    return _render_hops(blocks, svf, state, num_samples=time)


def _svf_at_points(bands: Bands, sample_rate: float, num_points: int) -> Svf:
    """The coefficients at the first `num_points` breakpoints, `[points, batch, bands]`."""
    num_rows, batch, num_bands = bands.freq_hz.shape
    flat = jax.tree.map(lambda x: x.reshape(num_rows * batch, num_bands), bands)
    return jax.tree.map(lambda x: x.reshape(num_rows, batch, num_bands)[:num_points], flat.svf(sample_rate))


def _render_hops(
    blocks: Float[Array, "batch hops hop channel"],
    svf: Svf,
    state: Float[Array, "batch channel bands 2"],
    num_samples: int,
) -> tuple[Array, Array]:
    """Simulate all hops at once from rest and from each unit state, then propagate the states from hop to hop."""
    batch, hops, hop, channels = blocks.shape
    bands = state.shape[2]
    num_states = 2 * bands
    first_points, last_points = jax.tree.map(lambda x: x[:-1], svf), jax.tree.map(lambda x: x[1:], svf)
    start_svf, end_svf = (
        jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1)[:, :, None], points) for points in (first_points, last_points)
    )
    unit_states = jnp.eye(num_states, dtype=blocks.dtype).reshape(num_states, bands, 2)
    initial_states = jnp.concatenate([jnp.zeros((channels, bands, 2), blocks.dtype), unit_states])
    initial_states = jnp.broadcast_to(initial_states, (batch, hops, channels + num_states, bands, 2))
    zero_input = jnp.zeros((batch, hops, num_states), blocks.dtype)
    last_hop_length = num_samples - (hops - 1) * hop  # samples of the last hop that are not padding

    def step(deltas, sample_index):
        state_delta, final_delta = deltas
        fraction = sample_index.astype(blocks.dtype) / hop
        svf_now = jax.tree.map(lambda a, b: a + fraction * (b - a), start_svf, end_svf)
        x = jnp.concatenate([blocks[:, :, sample_index], zero_input], axis=2)
        y, step_delta = svf_step(svf_now, x, initial_states + state_delta)
        state_delta = state_delta + step_delta
        return (state_delta, jnp.where(sample_index == last_hop_length - 1, state_delta, final_delta)), y

    zero_delta = vary_like(jnp.zeros_like(initial_states), blocks)
    (state_delta, final_delta), y = jax.lax.scan(step, (zero_delta, zero_delta), jnp.arange(hop))
    y = jnp.moveaxis(y, 0, 2)  # [batch, hops, hop, channel + states]
    state_delta = state_delta.at[:, -1].set(final_delta[:, -1]).reshape(batch, hops, channels + num_states, num_states)
    state, hop_states = _propagate_states(state.reshape(batch, channels, num_states), state_delta, channels)
    state_response = jnp.einsum("bnls,nbcs->bnlc", y[..., channels:], hop_states, precision="highest")
    out = (y[..., :channels] + state_response).reshape(batch, hops * hop, channels)[:, :num_samples]
    return out, state.reshape(batch, channels, bands, 2)


def _propagate_states(state: Array, hop_deltas: Array, num_channels: int) -> tuple[Array, Array]:
    """The final state, and the state before each hop, `[hops, batch, channel, states]`."""

    def step(state, hop_delta):
        input_state, transition_delta = hop_delta[:, :num_channels], hop_delta[:, num_channels:]
        return apply_transition(state, transition_delta) + input_state, state

    return jax.lax.scan(step, vary_like(state, hop_deltas), jnp.moveaxis(hop_deltas, 1, 0))

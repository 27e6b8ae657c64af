"""The parametric equaliser: bands in physical units in, sound or a curve out."""

from __future__ import annotations

import dataclasses
import math
import typing

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.svf import peaking, response


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Bands:
    """Peaking bands in series, each array `[batch, bands]`.

    freq_hz: centre frequency in Hz, above 0. gain_db: gain at the centre. q: quality factor, above 0.
    """

    freq_hz: Array
    gain_db: Array
    q: Array


def equalise(
    audio: Float[Array, "batch time channel"],
    bands: Bands,
    sample_rate: float,
    state: Float[Array, "batch channel bands 2"] | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Render a cascade of RBJ peaking biquads; every channel gets the same settings, so the stereo image stays.

    Args:
        audio: any length above 0; float32, or float64 where x64 is enabled.
        bands: settings, one row for each signal of the batch.
        sample_rate: Hz, above 0.
        state: the state returned for the piece before; none starts at rest.

    Returns:
        the equalised signal and the state after its last sample, so that pieces in turn equal the whole.
    """
    svf = peaking(bands.freq_hz, bands.gain_db, bands.q, sample_rate)
    if state is None:
        state = initial_state(svf, audio.shape[0], audio.shape[2], audio.dtype)
    return cascade(audio, svf, state)


def response_db(bands: Bands, freq_hz: Float[Array, "points"], sample_rate: float) -> Float[Array, "batch points"]:
    """The rendered curve of all bands together in dB at `freq_hz` (0 to half the rate), `[batch, points]`."""
    h = response(peaking(bands.freq_hz, bands.gain_db, bands.q, sample_rate), freq_hz, sample_rate)
    power = jnp.real(h) ** 2 + jnp.imag(h) ** 2
    return jnp.sum(jnp.log(power), axis=1) * (10.0 / math.log(10.0))

"""The saturator: neutral to the bit, level, aliasing, DC, in pieces, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import SATURATOR_LATENCY, Saturator, saturate, saturate_stream

from .oracles import error_db, noise

RATE = 44_100.0
RENDER = jax.jit(saturate, static_argnums=2)
STREAM = jax.jit(saturate_stream, static_argnums=2)


def saturator(drive_db=12.0, mix=0.7, asymmetry=0.5, dtype=jnp.float32):
    return Saturator(*(jnp.asarray(np.atleast_1d(x), dtype) for x in (drive_db, mix, asymmetry)))


def test_mix_nothing_is_the_identity_to_the_bit_and_alive():
    audio = jnp.asarray(noise(1, 1, 500, 2))
    np.testing.assert_array_equal(RENDER(audio, saturator(mix=0.0), RATE), audio)
    slope = jax.grad(lambda s: jnp.sum(saturate(audio, s, RATE) ** 2))(saturator(mix=0.0))
    assert abs(slope.mix[0]) > 1e-3


@pytest.mark.parametrize("piece", [1, 50, 300])
def test_pieces_in_turn_are_the_whole(piece):
    time = 1200 if piece > 1 else 100
    audio, settings = noise(2, 2, time, 2, level=0.3), saturator([12.0, 20.0], [0.7, -0.4], [0.5, 1.0])
    whole = RENDER(audio, settings, RATE)
    fed, state, parts = np.pad(audio, ((0, 0), (0, piece * -(-SATURATOR_LATENCY // piece)), (0, 0))), None, []
    for start in range(0, fed.shape[1], piece):
        y, state = STREAM(fed[:, start : start + piece], settings, RATE, state)
        parts.append(np.asarray(y))
    late = np.concatenate(parts, axis=1)[:, SATURATOR_LATENCY : SATURATOR_LATENCY + time]
    assert error_db(late, whole) <= -105.0

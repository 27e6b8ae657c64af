"""The compressor: against a plain loop in float64, its curve and times, in pieces, neutral to the bit, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Compressor, compress

from .oracles import error_db, noise

RATE = 44_100.0
RENDER = jax.jit(compress, static_argnums=(2, 4))
NEUTRAL = {"ratio": 1.0, "makeup_db": 0.0}
SETTINGS = {
    "threshold_db": -24.0,
    "ratio": 4.0,
    "attack_ms": 10.0,
    "release_ms": 100.0,
    "knee_db": 6.0,
    "makeup_db": 3.0,
}


def compressor(dtype=jnp.float32, **other):
    return Compressor(**{k: jnp.asarray(np.atleast_1d(v), dtype) for k, v in (SETTINGS | other).items()})


def test_ratio_one_is_the_identity_to_the_bit_and_alive():
    audio = jnp.asarray(noise(1, 1, 3000, 2, level=0.3))
    np.testing.assert_array_equal(RENDER(audio, compressor(**NEUTRAL), RATE)[0], audio)
    slope = jax.grad(lambda s: jnp.sum(compress(audio, s, RATE)[0] ** 2))(compressor(**NEUTRAL))
    assert abs(slope.ratio[0]) > 1.0


@pytest.mark.parametrize("sidechain_hz", [0.0, 150.0])
def test_pieces_in_turn_are_the_whole(sidechain_hz):
    audio, settings = noise(2, 1, 1000, 2, level=0.3), compressor()
    whole, last = RENDER(audio, settings, RATE, None, sidechain_hz)
    state, parts = None, []
    for start in range(0, 1000, 192):
        y, state = RENDER(audio[:, start : start + 192], settings, RATE, state, sidechain_hz)
        parts.append(np.asarray(y))
    assert error_db(np.concatenate(parts, axis=1), whole) <= -110.0
    assert error_db(state.followed_db, last.followed_db) <= -110.0

"""Time-varying settings: a plain loop in float64, no clicks, and stability for any movement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Bands, equalize, equalize_time_varying
from nmjax.dsp.svf import peaking

from .oracles import error_db, noise, random_bands

RATE = 44_100.0
RENDER = jax.jit(equalize_time_varying, static_argnums=(2, 3))


def random_breakpoints(seed, count, batch, bands):
    return Bands(*(jnp.asarray(x.reshape(count, batch, bands)) for x in random_bands(seed, count * batch, bands)))


def per_sample_reference(audio, bands, hop):
    """Zavalishin's recursion, a sample, a signal and a band at a time, coefficients interpolated between points."""
    count, batch, width = bands.freq_hz.shape
    with jax.enable_x64(True):
        flat = (
            np.asarray(x, np.float64).reshape(count * batch, width) for x in (bands.freq_hz, bands.gain_db, bands.q)
        )
        svf = peaking(*(jnp.asarray(x) for x in flat), RATE)
        rows = np.stack([np.asarray(x).reshape(count, batch, width) for x in (svf.g, svf.k, svf.m0, svf.m1, svf.m2)])
    y, state = np.zeros(audio.shape), np.zeros((batch, audio.shape[2], width, 2))
    for b, t, c in np.ndindex(batch, audio.shape[1], audio.shape[2]):
        p, r = divmod(t, hop)
        x = float(audio[b, t, c])
        for n in range(width):
            g, k, m0, m1, m2 = rows[:, p, b, n] + (rows[:, p + 1, b, n] - rows[:, p, b, n]) * (r / hop)
            s1, s2 = state[b, c, n]
            v1 = (s1 + g * (x - s2)) / (1 + g * (g + k))
            v2 = s2 + g * v1
            state[b, c, n] = 2 * v1 - s1, 2 * v2 - s2
            x = m0 * x + m1 * v1 + m2 * v2
        y[b, t, c] = x
    return y, state


@pytest.mark.parametrize("time", [300, 257, 256, 20])
def test_matches_the_per_sample_recursion(time):
    bands, audio = random_breakpoints(1, 6, 2, 2), noise(2, 2, time, 2)
    y, state = RENDER(audio, bands, 64, RATE)
    reference, reference_state = per_sample_reference(audio, bands, 64)
    assert error_db(y, reference) <= -110.0
    assert error_db(state, reference_state) <= -110.0


def test_constant_settings_equal_the_static_equalizer():
    settings, audio = [jnp.asarray(x) for x in random_bands(3, 2, 5)], noise(4, 2, 1000, 2)
    still = Bands(*(jnp.broadcast_to(x, (9, 2, 5)) for x in settings))
    y, state = RENDER(audio, still, 128, RATE)
    reference, reference_state = equalize(jnp.asarray(audio), Bands(*settings), RATE)
    assert error_db(y, reference) <= -110.0
    assert error_db(state, reference_state) <= -110.0


def test_streaming_equals_one_call():
    bands, audio = random_breakpoints(5, 9, 1, 3), noise(6, 1, 512, 1)
    whole, last = RENDER(audio, bands, 64, RATE)
    state, chunks = None, []
    for i in range(0, 8, 2):
        part = jax.tree.map(lambda x, i=i: x[i : i + 3], bands)
        y, state = RENDER(audio[:, i * 64 : (i + 2) * 64], part, 64, RATE, state)
        chunks.append(y)
    assert error_db(jnp.concatenate(chunks, axis=1), whole) <= -110.0
    assert error_db(state, last) <= -110.0


def test_a_ramp_does_not_click_where_a_switch_does():
    """A low sine through a peaking filter whose gain rises: the energy above 2 kHz is the click."""
    time = 8192
    audio = jnp.asarray(np.sin(2 * np.pi * 100.0 * np.arange(time) / RATE)[None, :, None], jnp.float32)
    shut, open_ = (Bands(jnp.full((1, 1), 100.0), jnp.full((1, 1), g), jnp.ones((1, 1))) for g in (0.0, 12.0))
    ramp = jax.tree.map(lambda a, b: jnp.stack([a, b]), shut, open_)
    smooth = RENDER(audio, ramp, time, RATE)[0]
    half, state = equalize(audio[:, : time // 2], shut, RATE)
    switched = jnp.concatenate([half, equalize(audio[:, time // 2 :], open_, RATE, state)[0]], axis=1)

    def above(y):
        spectrum = np.abs(np.fft.rfft(np.asarray(y, np.float64)[0, :, 0] * np.blackman(time)))
        return 20 * np.log10(spectrum[np.fft.rfftfreq(time, 1 / RATE) > 2000].max() / spectrum.max())

    assert above(smooth) < -110.0
    assert above(switched) > above(smooth) + 15.0


def test_random_jumps_of_the_settings_are_stable():
    """Random settings from the widest range at every sample, then silence: the norm of the state must not grow."""
    rng = np.random.default_rng(7)
    count, bands = 2001, 4
    wild = Bands(
        jnp.asarray(10.0 * 2200.0 ** rng.uniform(size=(count, 1, bands)), jnp.float32),
        jnp.asarray(rng.uniform(-24, 24, (count, 1, bands)), jnp.float32),
        jnp.asarray(10.0 ** rng.uniform(-1, 1.6, (count, 1, bands)), jnp.float32),
    )
    y, state = RENDER(noise(8, 1, 1000, 1), jax.tree.map(lambda x: x[:1001], wild), 1, RATE)
    assert np.all(np.isfinite(y))
    first = Bands(wild.freq_hz[1000:, :, :1], wild.gain_db[1000:, :, :1], wild.q[1000:, :, :1])
    _, decayed_state = RENDER(jnp.zeros((1, 1000, 1)), first, 1, RATE, state[:, :, :1])
    assert np.linalg.norm(decayed_state) <= np.linalg.norm(state[:, :, :1])


def test_the_gradient_reaches_every_point():
    bands, audio = random_breakpoints(9, 5, 1, 2), jnp.asarray(noise(10, 1, 256, 1))
    slopes = jax.jit(jax.grad(lambda b: jnp.sum(equalize_time_varying(audio, b, 64, RATE)[0] ** 2)))(bands)
    for slope in (slopes.freq_hz, slopes.gain_db, slopes.q):
        assert np.all(np.isfinite(slope))
        assert np.all(slope != 0.0)


def test_too_few_breakpoints_are_rejected():
    with pytest.raises(ValueError, match=r"bands must be at least 5 points for 256 samples and a hop of 64; it is 4"):
        equalize_time_varying(jnp.zeros((1, 256, 1)), random_breakpoints(11, 4, 1, 2), 64, RATE)
    with pytest.raises(ValueError, match=r"hop must be at least 1 sample"):
        equalize_time_varying(jnp.zeros((1, 256, 1)), random_breakpoints(11, 4, 1, 2), 0, RATE)

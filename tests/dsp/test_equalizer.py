"""Guarantees of the equalizer: neutral settings, bands near Nyquist, causality, and the frequency response."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp.equalizer import Bands, equalize, response_db

from .oracles import error_db, noise, peaking_sos, random_bands, sosfilt_batch

RATE = 44_100.0


@jax.jit
def render(audio, freq_hz, gain_db, q, state=None):
    return equalize(audio, Bands(freq_hz, gain_db, q), RATE, state)


def random_settings(seed, batch, bands):
    return tuple(jnp.asarray(x) for x in random_bands(seed, batch, bands))


def test_every_channel_gets_the_same_settings():
    freq_hz, gain_db, q = random_settings(1, 3, 5)
    audio = noise(2, 3, 300, 2)
    y, _ = render(audio, freq_hz, gain_db, q)
    assert error_db(y, sosfilt_batch(audio, peaking_sos(freq_hz, gain_db, q, RATE))) <= -105.0


def test_streaming_equals_one_call():
    freq_hz, gain_db, q = random_settings(1, 3, 5)
    audio = noise(2, 3, 300, 2)
    whole, last = render(audio, freq_hz, gain_db, q)
    first, state = render(audio[:, :130], freq_hz, gain_db, q)
    second, state = render(audio[:, 130:], freq_hz, gain_db, q, state)
    assert error_db(jnp.concatenate([first, second], axis=1), whole) <= -105.0
    assert error_db(state, last) <= -105.0


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zero_gain_is_bit_identical(zero):
    freq_hz, gain_db, q = random_settings(3, 3, 5)
    audio = noise(4, 3, 300, 2, level=10.0)
    np.testing.assert_array_equal(render(audio, freq_hz, jnp.full_like(gain_db, zero), q)[0], audio)


@pytest.mark.parametrize("share", [0.5001, 0.6, 3.0])
def test_a_band_above_nyquist_is_transparent(share):
    _, gain_db, q = random_settings(5, 3, 5)
    audio = noise(6, 3, 300, 2)
    np.testing.assert_array_equal(render(audio, jnp.full_like(q, share * RATE), gain_db, q)[0], audio)


@pytest.mark.parametrize("share, left", [(0.485, 1.0), (0.49, 1.0), (0.4925, 0.75), (0.495, 0.5), (0.4975, 0.25)])
def test_a_band_fades_out_towards_nyquist(share, left):
    """A fading band is the cookbook filter at 0.49 of the rate with the remaining gain."""
    with jax.enable_x64(True):
        freq_hz, gain_db, q = (jnp.full((1, 1), x, jnp.float64) for x in (share * RATE, 9.0, 2.0))
        audio = jnp.asarray(noise(7, 1, 300, 1), jnp.float64)
        y, _ = render(audio, freq_hz, gain_db, q)
    sos = peaking_sos([[min(share, 0.49) * RATE]], [[9.0 * left]], [[2.0]], RATE)
    assert error_db(y, sosfilt_batch(audio, sos)) <= -200.0


def test_a_faded_band_has_a_finite_gradient():
    """At 0.5 of the rate tan is infinite; the gradient by the frequency must stay finite."""
    freq_hz = jnp.array([[0.49, 0.495, 0.5, 0.7, 1e-4]]) * RATE

    def energy(freq_hz):
        y, _ = render(noise(8, 1, 300, 1), freq_hz, jnp.full((1, 5), 6.0), jnp.ones((1, 5)))
        return jnp.sum(y * y)

    slope = jax.jit(jax.grad(energy))(freq_hz)[0]
    assert np.all(np.isfinite(slope))
    assert slope[1] < 0.0  # the gain decreases with the frequency
    assert slope[3] == 0.0


def test_causality():
    """∂y[t]/∂x[s] is exactly 0 for s > t, also inside a block, and not 0 for s ≤ t."""
    freq_hz, gain_db, q = random_settings(9, 1, 5)
    _, pull = jax.vjp(lambda x: render(x, freq_hz, gain_db, q)[0], jnp.asarray(noise(10, 1, 200, 1)))
    pull = jax.jit(pull)
    for t in (0, 30, 63, 64, 150, 199):
        (slope,) = pull(jnp.zeros((1, 200, 1)).at[0, t, 0].set(1.0))
        np.testing.assert_array_equal(slope[0, t + 1 :, 0], 0.0)
        assert np.all(slope[0, max(0, t - 20) : t + 1, 0] != 0.0)


def test_response_db_matches_the_impulse_response():
    """The response is that of the rendered audio: the Fourier transform of a filtered impulse."""
    freq_hz, gain_db, q = (jnp.asarray(x) for x in ([[500.0, 2000.0, 9000.0]], [[6.0, -9.0, 4.0]], [[1.0, 2.0, 0.7]]))
    impulse = jnp.zeros((1, 8192, 1)).at[0, 0, 0].set(1.0)
    spectrum = np.fft.rfft(np.asarray(render(impulse, freq_hz, gain_db, q)[0], np.float64)[0, :, 0])
    points = np.fft.rfftfreq(8192, 1.0 / RATE)[1:-1]
    curve = response_db(Bands(freq_hz, gain_db, q), jnp.asarray(points), RATE)[0]
    np.testing.assert_allclose(curve, 20 * np.log10(np.abs(spectrum[1:-1])), atol=2e-3)

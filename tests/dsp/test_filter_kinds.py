"""Every kind of filter against the cookbook in float64, alone and mixed; invalid arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp import Bands, equalize, response_db, response_phase
from nmjax.dsp.svf import FILTER_DESIGNS
from nmjax.dsp.validation import check_state

from .oracles import design_sos, error_db, noise, random_bands, sosfilt_batch

RATE = 48_000.0
MIXED = ("high_pass", "peaking", "peaking", "notch", "low_shelf", "high_shelf", "all_pass", "band_pass", "low_pass")
RENDER = jax.jit(equalize, static_argnums=2)


def make_bands(kind, settings, dtype=jnp.float32):
    return Bands(*(jnp.asarray(x, dtype) for x in settings), kind)


@pytest.mark.parametrize("kind", FILTER_DESIGNS)
def test_each_kind_matches_the_cookbook(kind):
    settings, audio = random_bands(1, 12, 2), noise(2, 12, 3000, 1)
    reference = sosfilt_batch(audio, design_sos(kind, *settings, RATE))
    assert error_db(RENDER(audio, make_bands(kind, settings), RATE)[0], reference) <= -105.0
    with jax.enable_x64(True):
        wide = jnp.asarray(audio, jnp.float64)
        assert error_db(RENDER(wide, make_bands(kind, settings, jnp.float64), RATE)[0], reference) <= -200.0


def test_kinds_can_be_mixed_and_keep_their_order():
    settings, audio = random_bands(3, 4, len(MIXED)), noise(4, 4, 3000, 2)
    columns = [design_sos(kind, *(x[:, i] for x in settings), RATE) for i, kind in enumerate(MIXED)]
    with jax.enable_x64(True):
        y, _ = RENDER(jnp.asarray(audio, jnp.float64), make_bands(MIXED, settings, jnp.float64), RATE)
    assert error_db(y, sosfilt_batch(audio, np.stack(columns, axis=1))) <= -190.0


@pytest.mark.parametrize("kind", FILTER_DESIGNS)
def test_magnitude_and_phase_are_freqzs(kind):
    settings, points = random_bands(5, 3, 1), np.geomspace(20.0, 20_000.0, 101)
    sos = design_sos(kind, *(np.asarray(x, np.float64) for x in settings), RATE)
    reference = np.stack([sosfreqz(s, points, fs=RATE)[1] for s in sos])
    with jax.enable_x64(True):
        filters = make_bands(kind, settings, jnp.float64)
        level = np.asarray(response_db(filters, jnp.asarray(points), RATE))
        phase = np.asarray(response_phase(filters, jnp.asarray(points), RATE))
    np.testing.assert_allclose(level, 20 * np.log10(np.abs(reference)), atol=1e-7)
    np.testing.assert_allclose(np.exp(1j * phase), reference / np.abs(reference), atol=1e-7)


def test_the_kind_is_static_and_the_settings_are_leaves():
    filters = make_bands("notch", random_bands(6, 2, 1))
    assert len(jax.tree.leaves(filters)) == 3
    assert jax.tree.map(lambda x: x, filters).kind == "notch"


ONE = {"freq_hz": [[1000.0]], "gain_db": [[3.0]], "q": [[1.0]]}
BAD = [
    ({"freq_hz": [[30_000.0]]}, r"freq_hz must be .*24000 Hz.* it is 30000"),
    ({"freq_hz": [[0.0]]}, r"freq_hz must be above 0"),
    ({"freq_hz": [[np.nan]]}, r"freq_hz must be .* it is nan"),
    ({"q": [[0.0]]}, r"q must be from 0.001 to 1e6; it is 0"),
    ({"q": [[-2.0]]}, r"q must be from 0.001 to 1e6; it is -2"),
    ({"gain_db": [[np.inf]]}, r"gain_db must be from -200 to 200 dB; it is inf"),
    ({"gain_db": [[1.0, 2.0]]}, r"of one shape"),
    ({"freq_hz": [[]], "gain_db": [[]], "q": [[]]}, r"with at least one band"),
    ({"freq_hz": [1000.0], "gain_db": [3.0], "q": [1.0]}, r"of one shape \[batch, bands\]"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD)
def test_invalid_settings_are_reported_with_their_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        equalize(jnp.zeros((1, 100, 1)), Bands(**{k: jnp.asarray(v) for k, v in (ONE | wrong).items()}), RATE)


def test_other_invalid_arguments_are_reported():
    good = make_bands("peaking", [np.asarray(x) for x in ONE.values()])
    with pytest.raises(ValueError, match=r"sample_rate must be above 0 Hz; it is -1"):
        equalize(jnp.zeros((1, 100, 1)), good, -1.0)
    with pytest.raises(ValueError, match=r"audio must be at least one sample"):
        equalize(jnp.zeros((1, 0, 1)), good, RATE)
    with pytest.raises(ValueError, match=r"bands must be one row a signal \(2\); it is 1"):
        equalize(jnp.zeros((2, 100, 1)), good, RATE)
    with pytest.raises(ValueError, match=r"unknown kind of filter 'lowpass'; did you mean 'low_pass'\?"):
        make_bands("lowpass", [np.asarray(x) for x in ONE.values()])
    with pytest.raises(ValueError, match=r"kind must be one a band; it is 2 for 1 bands"):
        equalize(jnp.zeros((1, 100, 1)), make_bands(("notch", "notch"), [np.asarray(x) for x in ONE.values()]), RATE)


def test_a_state_of_another_shape_is_rejected():
    """Also a state of the same size, of stereo and five bands instead of mono and ten.

    `check_state` is called directly: a session with shape checks rejects the call of `equalize` by its annotations.
    """
    with pytest.raises(ValueError, match=r"state must be of shape \[1, 1, 10, 2\], .* it is of shape \[1, 2, 5, 2\]"):
        check_state(jnp.zeros((1, 2, 5, 2)), (1, 1, 10, 2))


def test_a_frequency_grid_out_of_range_is_rejected():
    good = make_bands("peaking", [np.asarray(x) for x in ONE.values()])
    with pytest.raises(ValueError, match=r"freq_hz must be between 0 and half the sample rate \(24000 Hz\); it is -5"):
        response_db(good, jnp.array([100.0, -5.0]), RATE)


def weighted_energy(settings, audio, kind):
    """The energy of the output, with increasing weight over time; settings are freq_hz, gain_db and q."""
    y, _ = equalize(audio, Bands(*settings.reshape(3, 1, 1), kind), RATE)
    return jnp.sum(y**2 * jnp.linspace(1.0, 2.0, audio.shape[1])[None, :, None])


ENERGY = jax.jit(weighted_energy, static_argnums=2)
ENERGY_GRADIENT = jax.jit(jax.grad(weighted_energy), static_argnums=2)


@pytest.mark.parametrize("kind", FILTER_DESIGNS)
@pytest.mark.parametrize("freq_hz", [11_999.0, 12_000.0, 12_001.0, 300.0])
def test_the_gradient_of_every_kind_is_the_finite_difference(kind, freq_hz):
    """Also at a quarter of the rate, where two branches of tan meet."""
    with jax.enable_x64(True):
        audio, at = jnp.asarray(noise(9, 1, 300, 1), jnp.float64), jnp.array([freq_hz, 5.0, 0.9])
        slope, direction = ENERGY_GRADIENT(at, audio, kind), jnp.array([100.0, 1.0, 0.1])
        above, below = (ENERGY(at + step * direction, audio, kind) for step in (1e-5, -1e-5))
        reference = (above - below) / 2e-5
        np.testing.assert_allclose(slope @ direction, reference, rtol=1e-6)
        assert abs(slope[0]) > 0.0


def test_response_in_the_stop_band_is_exact_in_float32_with_finite_gradients():
    """Far below the corner of a high-pass, where the response cancels, and at 0 Hz, where it is 0."""
    settings = [np.full((1, 1), x, np.float32) for x in (10_000.0, 0.0, 0.7)]
    points = np.array([1.0, 5.0, 10.0])
    with jax.enable_x64(True):
        double = response_db(make_bands("high_pass", settings, jnp.float64), jnp.asarray(points), RATE)
    single = response_db(make_bands("high_pass", settings), jnp.asarray(points, jnp.float32), RATE)
    np.testing.assert_allclose(single, double, atol=1e-3)
    grid = jnp.array([0.0, 100.0])
    value, slope = jax.value_and_grad(lambda f: response_db(Bands(f, f, f / f, "high_pass"), grid, RATE)[0, 1])(
        jnp.full((1, 1), 100.0)
    )
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_traced_values_are_clipped_to_their_ranges():
    audio = jnp.asarray(noise(7, 1, 500, 1))
    wild = jax.jit(lambda f: equalize(audio, Bands(f, jnp.full((1, 1), 6.0), jnp.ones((1, 1)), "low_pass"), RATE)[0])
    assert np.all(np.isfinite(wild(jnp.asarray([[40_000.0]]))))
    assert error_db(wild(jnp.asarray([[40_000.0]])), wild(jnp.asarray([[0.49 * RATE]]))) < -140.0
    peaking = jax.jit(lambda g, q: equalize(audio, Bands(jnp.full((1, 1), 500.0), g, q), RATE)[0])
    for gain_db, q in ((1e4, 1.0), (-1e4, 1.0), (6.0, 0.0), (6.0, -1.0), (6.0, 1e30)):
        assert np.all(np.isfinite(peaking(jnp.full((1, 1), gain_db), jnp.full((1, 1), q))))

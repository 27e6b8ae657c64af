"""Filter designs against RBJ's cookbook, the table of BS.1770 and SciPy's freqz."""

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.equalizer import Bands, response_db
from nmjax.dsp.svf import frequency_response, high_shelf, k_weighting_svf, low_shelf, peaking

from .oracles import (
    BS1770_SOS,
    error_db,
    high_shelf_sos,
    low_shelf_sos,
    noise,
    peaking_sos,
    random_bands,
    sosfilt_batch,
)

POINTS = np.geomspace(10.0, 22_000.0, 200)
RUN = jax.jit(cascade)


def filter_audio(audio, svf, dtype):
    svf = jax.tree.map(lambda x: jnp.broadcast_to(x, (audio.shape[0], x.shape[1])), svf)
    return RUN(jnp.asarray(audio, dtype), svf, initial_state(svf, audio.shape[0], audio.shape[2], dtype))[0]


@pytest.mark.parametrize("design, sos", [(low_shelf, low_shelf_sos), (high_shelf, high_shelf_sos)])
def test_shelves_match_the_cookbook(design, sos):
    freq_hz, gain_db, q = random_bands(1, 32, 2)
    q = np.clip(q, 0.5, 1.0)
    audio = noise(2, 32, 4000, 1)
    reference = sosfilt_batch(audio, sos(freq_hz, gain_db, q, 44_100.0))
    svf = design(jnp.asarray(freq_hz), jnp.asarray(gain_db), jnp.asarray(q), 44_100.0)
    assert error_db(filter_audio(audio, svf, jnp.float32), reference) <= -105.0
    with jax.enable_x64(True):
        svf = design(*(jnp.asarray(x, jnp.float64) for x in (freq_hz, gain_db, q)), 44_100.0)
        assert error_db(filter_audio(audio, svf, jnp.float64), reference) <= -200.0


def test_k_weighting_matches_the_standards_table_at_48_khz():
    audio = noise(3, 1, 24_000, 1)
    reference = sosfilt_batch(audio, BS1770_SOS[None])
    assert error_db(filter_audio(audio, k_weighting_svf(48_000.0), jnp.float32), reference) <= -105.0
    with jax.enable_x64(True):
        assert error_db(filter_audio(audio, k_weighting_svf(48_000.0), jnp.float64), reference) <= -200.0


@pytest.mark.parametrize("sample_rate", [22_050.0, 44_100.0, 96_000.0])
def test_k_weighting_matches_de_man_at_other_rates(sample_rate):
    stages = pyloudnorm.Meter(sample_rate, filter_class="DeMan")._filters.values()
    sos = np.stack([np.concatenate([stage.b, stage.a]) for stage in stages])
    points = np.geomspace(10.0, 0.49 * sample_rate, 100)
    _, reference = sosfreqz(sos, points, fs=sample_rate)
    with jax.enable_x64(True):
        result = np.asarray(frequency_response(k_weighting_svf(sample_rate), jnp.asarray(points), sample_rate))[0].prod(
            axis=0
        )
    np.testing.assert_allclose(20 * np.log10(np.abs(result / reference)), 0.0, atol=1e-3)


@pytest.mark.parametrize("sample_rate", [44_100.0, 96_000.0])
def test_response_db_matches_freqz(sample_rate):
    settings = random_bands(4, 16, 10)
    sos = peaking_sos(*settings, sample_rate)
    reference = np.array([20 * np.log10(np.abs(sosfreqz(s, POINTS, fs=sample_rate)[1])) for s in sos])
    single = response_db(Bands(*map(jnp.asarray, settings)), jnp.asarray(POINTS), sample_rate)
    np.testing.assert_allclose(single, reference, atol=2e-3)
    with jax.enable_x64(True):
        double = response_db(Bands(*(jnp.asarray(x, jnp.float64) for x in settings)), jnp.asarray(POINTS), sample_rate)
    np.testing.assert_allclose(double, reference, atol=1e-8)


def test_shelves_reach_their_gain_at_the_ends_and_half_of_it_at_their_frequency():
    one = jnp.ones((1, 1))
    ends = jnp.array([0.5, 1000.0, 21_900.0])
    for design, expected in [(low_shelf, [6.0, 3.0, 0.0]), (high_shelf, [0.0, 3.0, 6.0])]:
        h = frequency_response(design(1000.0 * one, 6.0 * one, 0.7 * one, 44_100.0), ends, 44_100.0)
        np.testing.assert_allclose(20 * np.log10(np.abs(h[0, 0])), expected, atol=2e-3)


def test_zero_gain_is_bit_identical_for_every_design():
    freq_hz, gain_db, q = (jnp.asarray(x) for x in random_bands(5, 8, 2))
    audio = noise(6, 8, 200, 1)
    for design in (peaking, low_shelf, high_shelf):
        np.testing.assert_array_equal(
            filter_audio(audio, design(freq_hz, 0.0 * gain_db, q, 44_100.0), jnp.float32), audio
        )

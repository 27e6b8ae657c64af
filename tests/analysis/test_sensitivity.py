"""Jacobians of a toy network in closed form, and of a real one against finite differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.signal import sosfreqz

from nmjax.analysis.sensitivity import apply_third_octave_gains, settings_jacobian
from nmjax.audio.k_weighting import k_weighting_sos
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.models import EqSettings, Prediction, build_model
from nmjax.models.parameters import at_model_level
from tests.random_networks import random_network
from tests.synthetic_audio import music

SIZE, RATE = 8192, 44_100
FREQ = np.fft.rfftfreq(SIZE, 1.0 / RATE)
INPUT_BANDS = (17, 20)  # 1 kHz and 2 kHz: the inputs of the toy network


def third_octave_weights() -> np.ndarray:
    """`[bins, 31]` in plain NumPy: a triangle over log frequency around each third octave, constant beyond the ends."""
    position = np.interp(np.log(np.maximum(FREQ, 1e-3)), np.log(THIRD_OCTAVES_HZ), np.arange(31.0))
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(31.0)))


def center_bin(number: int) -> np.ndarray:
    """The bin on which a third octave is centered, as a mask."""
    return np.arange(len(FREQ)) == np.argmin(np.abs(FREQ - THIRD_OCTAVES_HZ[number]))


def toy_network(signal: jax.Array) -> Prediction:
    """Band 1 compensates half of the level at 1 kHz; the gate of band 2 opens with the level at 2 kHz."""
    power = jnp.abs(jnp.fft.rfft(jnp.mean(signal, axis=1))) ** 2
    level = [10.0 * jnp.log10(jnp.sum(jnp.where(center_bin(n), power, 0.0))) for n in INPUT_BANDS]
    gain = jnp.stack([-0.5 * level[0], jnp.float32(2.0)])[None]
    gate = jnp.stack([jnp.float32(1.0), 0.01 * level[1]])[None]
    freq, q = jnp.array([[1000.0, 2000.0]]), jnp.ones((1, 2))
    return Prediction(at_model_level(EqSettings(freq, gain, q, gate)), jnp.zeros((1, 512)))


def excerpt() -> jax.Array:
    return jnp.asarray(music(SIZE / RATE)[:SIZE], jnp.float32)


def test_jacobian_of_a_toy_network_matches_the_closed_form():
    x = excerpt()
    result = jax.jit(lambda a: settings_jacobian(toy_network, a))(x)
    spectrum = np.fft.rfft(np.asarray(x, np.float64), axis=0)
    k = np.abs(sosfreqz(k_weighting_sos(RATE), FREQ, fs=RATE)[1]) ** 2
    power = k * np.sum(np.abs(spectrum) ** 2, axis=1)
    loudness_per_db = power @ third_octave_weights() / power.sum()  # change of the loudness per dB in a third octave
    at = [third_octave_weights()[center_bin(n)][0] for n in INPUT_BANDS]
    first = -0.5 * (at[0] - loudness_per_db)
    second = 2.0 * 0.01 * (at[1] - loudness_per_db)
    np.testing.assert_allclose(result["rendered_gain_db"], [first, second], atol=2e-4)
    np.testing.assert_allclose(result["gate"][1], 0.01 * (at[1] - loudness_per_db), atol=2e-5)
    np.testing.assert_allclose(result["log2_freq"], 0.0)
    assert np.argmin(result["rendered_gain_db"][0]) == INPUT_BANDS[0]
    assert result["eq_response_db"][17, 17] < -0.4  # the peaking filter at 1 kHz


def test_a_real_network_against_finite_differences():
    net, x = random_network("2"), excerpt()

    def predict(signal):
        return build_model(net.config).apply(net.variables, signal[None], method="predict")

    result = jax.jit(lambda a: settings_jacobian(predict, a))(x)
    step = 0.25

    settings_at = jax.jit(lambda gains: predict(apply_third_octave_gains(x, gains)).settings)

    def ends(name, number):
        gain_steps = np.zeros((2, 31), np.float32)
        gain_steps[:, number] = (-step, step)
        settings = [settings_at(m) for m in gain_steps]
        values = [np.asarray(s.eq.rendered_gain_db[0] if name == "eq" else s.compressor.ratio) for s in settings]
        return (values[1] - values[0]) / (2 * step)

    for number in (8, 17, 25):
        scale = np.abs(result["rendered_gain_db"]).max()
        np.testing.assert_allclose(result["rendered_gain_db"][:, number], ends("eq", number), atol=0.03 * scale)
    ratio = result["compressor_ratio"][0]
    np.testing.assert_allclose(ratio[17], ends("ratio", 17)[0], atol=0.05 * np.abs(ratio).max() + 1e-4)


def test_gains_change_one_third_octave_and_not_the_loudness():
    x = excerpt()
    gains = np.zeros(31, np.float32)
    gains[17] = 6.0
    y = np.asarray(apply_third_octave_gains(x, jnp.asarray(gains)), np.float64)
    before, after = (np.abs(np.fft.rfft(np.asarray(s, np.float64), axis=0)) for s in (x, y))
    ratio = 20 * np.log10(after[:, 0] / before[:, 0])
    middle = int(np.flatnonzero(center_bin(17))[0])
    assert abs(ratio[middle] - ratio[50] - 6.0) < 0.3  # the center is between two bins
    k = np.abs(sosfreqz(k_weighting_sos(RATE), FREQ, fs=RATE)[1])[:, None] ** 2
    assert abs(10 * np.log10(np.sum(k * after**2) / np.sum(k * before**2))) < 1e-3
    np.testing.assert_allclose(apply_third_octave_gains(x, jnp.zeros(31)), x, atol=1e-6)
    np.testing.assert_array_equal(apply_third_octave_gains(0.0 * x, jnp.asarray(gains)), 0.0)

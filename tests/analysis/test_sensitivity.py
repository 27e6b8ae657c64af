"""Derivatives of a made-up network whose answers are known, and of a real one beside finite differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.signal import sosfreqz

from nmjax.analysis.sensitivity import jacobian_of, shaped
from nmjax.dsp.auditory import THIRD_OCTAVES_HZ
from nmjax.loudness import k_weighting
from nmjax.models import EqSettings, Prediction, build_model
from nmjax.models.settings import at_model_level
from tests.inference.networks import network
from tests.music import music

SIZE, RATE = 8192, 44_100
FREQ = np.fft.rfftfreq(SIZE, 1.0 / RATE)
HEARD = (17, 20)  # 1 kHz and 2 kHz: what the made-up network listens to


def weights() -> np.ndarray:
    """`[bins, 31]` in plain NumPy: a triangle over log frequency around each third octave, held beyond the ends."""
    place = np.interp(np.log(np.maximum(FREQ, 1e-3)), np.log(THIRD_OCTAVES_HZ), np.arange(31.0))
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(31.0)))


def bins(number: int) -> np.ndarray:
    """The bin on which a third octave is centred, as a mask."""
    return np.arange(len(FREQ)) == np.argmin(np.abs(FREQ - THIRD_OCTAVES_HZ[number]))


def made_up(signal: jax.Array) -> Prediction:
    """Takes back half of the level at 1 kHz in band 1; opens band 2's gate with that at 2 kHz."""
    power = jnp.abs(jnp.fft.rfft(jnp.mean(signal, axis=1))) ** 2
    level = [10.0 * jnp.log10(jnp.sum(jnp.where(bins(n), power, 0.0))) for n in HEARD]
    gain = jnp.stack([-0.5 * level[0], jnp.float32(2.0)])[None]
    gate = jnp.stack([jnp.float32(1.0), 0.01 * level[1]])[None]
    freq, q = jnp.array([[1000.0, 2000.0]]), jnp.ones((1, 2))
    return Prediction(at_model_level(EqSettings(freq, gain, q, gate)), jnp.zeros((1, 512)))


def audio() -> jax.Array:
    return jnp.asarray(music(SIZE / RATE)[:SIZE], jnp.float32)


def test_a_network_whose_answers_are_known():
    x = audio()
    found = jax.jit(lambda a: jacobian_of(made_up, a))(x)
    spectrum = np.fft.rfft(np.asarray(x, np.float64), axis=0)
    k = np.abs(sosfreqz(k_weighting(RATE), FREQ, fs=RATE)[1]) ** 2
    power = k * np.sum(np.abs(spectrum) ** 2, axis=1)
    share = power @ weights() / power.sum()  # by how much a decibel in a third octave raises the loudness
    at = [weights()[bins(n)][0] for n in HEARD]
    first = -0.5 * (at[0] - share)
    second = 2.0 * 0.01 * (at[1] - share)
    np.testing.assert_allclose(found["rendered_gain_db"], [first, second], atol=2e-4)
    np.testing.assert_allclose(found["gate"][1], 0.01 * (at[1] - share), atol=2e-5)
    np.testing.assert_allclose(found["octaves"], 0.0)
    assert np.argmin(found["rendered_gain_db"][0]) == HEARD[0]
    assert found["curve_db"][17, 17] < -0.4  # the bell at 1 kHz follows its gain


def test_a_real_network_against_finite_differences():
    net, x = network("2"), audio()

    def predict(signal):
        return build_model(net.config).apply(net.variables, signal[None], method="predict")

    found = jax.jit(lambda a: jacobian_of(predict, a))(x)
    step = 0.25

    moved_by = jax.jit(lambda gains: predict(shaped(x, gains)).settings)

    def ends(name, number):
        moved = np.zeros((2, 31), np.float32)
        moved[:, number] = (-step, step)
        settings = [moved_by(m) for m in moved]
        values = [np.asarray(s.eq.rendered_gain_db[0] if name == "eq" else s.compressor.ratio) for s in settings]
        return (values[1] - values[0]) / (2 * step)

    for number in (8, 17, 25):
        scale = np.abs(found["rendered_gain_db"]).max()
        np.testing.assert_allclose(found["rendered_gain_db"][:, number], ends("eq", number), atol=0.03 * scale)
    ratio = found["compressor_ratio"][0]
    np.testing.assert_allclose(ratio[17], ends("ratio", 17)[0], atol=0.05 * np.abs(ratio).max() + 1e-4)


def test_shaping_moves_one_third_octave_and_keeps_the_loudness():
    x = audio()
    gains = np.zeros(31, np.float32)
    gains[17] = 6.0
    y = np.asarray(shaped(x, jnp.asarray(gains)), np.float64)
    before, after = (np.abs(np.fft.rfft(np.asarray(s, np.float64), axis=0)) for s in (x, y))
    ratio = 20 * np.log10(after[:, 0] / before[:, 0])
    middle = int(np.flatnonzero(bins(17))[0])
    assert abs(ratio[middle] - ratio[50] - 6.0) < 0.3  # the centre lies between two bins
    k = np.abs(sosfreqz(k_weighting(RATE), FREQ, fs=RATE)[1])[:, None] ** 2
    assert abs(10 * np.log10(np.sum(k * after**2) / np.sum(k * before**2))) < 1e-3
    np.testing.assert_allclose(shaped(x, jnp.zeros(31)), x, atol=1e-6)
    np.testing.assert_array_equal(shaped(0.0 * x, jnp.asarray(gains)), 0.0)

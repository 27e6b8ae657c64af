"""Dither against its theory, and signals that get none."""

import numpy as np
import pytest

from nmjax.audio.dither import Quantizer

FULL_SCALE = 2**15


def quantization_error(signal, seed=1, size=10_000):
    """Of a signal in steps of 16 bits."""
    quantizer = Quantizer("PCM_16", seed)
    chunks = [quantizer(signal[i : i + size] / FULL_SCALE) for i in range(0, len(signal), size)]
    return np.concatenate(chunks) - signal


def test_dither_is_triangular_white_and_different_in_each_channel():
    """Total error of TPDF dither: mean 0 and variance 1/4 step² at every level; raw rounding has 1/12 at best."""
    rng = np.random.default_rng(0)
    signal = 100.0 * rng.normal(size=(200_000, 2)) + 0.123
    result = quantization_error(signal)
    assert np.abs(result).max() < 1.5
    np.testing.assert_allclose(result.mean(axis=0), 0.0, atol=0.005)
    np.testing.assert_allclose(result.var(axis=0), 0.25, rtol=0.01)
    power = np.abs(np.fft.rfft(result[:, 0].reshape(-1, 500), axis=1)[:, 1:-1]) ** 2
    bands = power.mean(axis=0).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(bands / bands.mean(), 1.0, atol=0.03)
    for lag in (0, 1):
        assert abs(np.corrcoef(result[lag:, 0], result[: len(result) - lag, 1])[0, 1]) < 0.01


@pytest.mark.parametrize("level", [0.1, 0.25, 0.5, 0.9])
def test_the_error_does_not_follow_the_signal(level):
    """Mean and variance of the error are the same at any place between two steps (rounding alone: mean −level)."""
    result = quantization_error(np.full((100_000, 1), level))
    assert result.mean() == pytest.approx(0.0, abs=0.01)
    assert result.var() == pytest.approx(0.25, abs=0.01)


def test_values_on_quantization_steps_are_unchanged():
    rng = np.random.default_rng(0)
    integers = rng.integers(-FULL_SCALE, FULL_SCALE, (5000, 2))
    for subtype, scale in (("PCM_16", 1), ("PCM_24", 2**16), ("PCM_32", 2**16)):
        np.testing.assert_array_equal(Quantizer(subtype, 3)(integers / FULL_SCALE), integers * scale)
    silence_first = np.concatenate([np.zeros((300, 2)), np.full((300, 2), 0.4)])
    result = Quantizer("PCM_16", 3)(silence_first / FULL_SCALE)
    assert not result[:300].any()
    assert result[300:].any()


def test_the_same_seed_gives_the_same_integers_in_chunks_of_any_size():
    signal = np.concatenate([np.zeros((7, 2)), 50.0 * np.random.default_rng(0).normal(size=(9999, 2))])
    first = quantization_error(signal)
    for size in (1, 3, 4096):
        np.testing.assert_array_equal(quantization_error(signal[:3000], size=size), first[:3000])
    assert (quantization_error(signal, seed=2) != first).any()


def test_no_seed_and_32_bits_are_rounding_alone():
    signal = np.random.default_rng(0).uniform(-1, 1, (1000, 1))
    np.testing.assert_array_equal(
        Quantizer("PCM_16")(signal), np.clip(np.rint(signal * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    )
    np.testing.assert_array_equal(Quantizer("PCM_32", 1)(signal), Quantizer("PCM_32")(signal))
    np.testing.assert_array_equal(Quantizer("FLOAT", 1)(signal), signal.astype(np.float32))


def test_full_scale_is_clipped():
    result = Quantizer("PCM_24", 1)(np.array([[1.5], [-1.5]]))
    np.testing.assert_array_equal(result[:, 0], [(2**23 - 1) * 256, -(2**31)])

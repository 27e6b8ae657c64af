"""Short-time spectra against an explicit DFT, and A-weighting against the table of IEC 61672-1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp.stft import a_weighting_db, a_weights, frame, magnitude_floor, magnitudes, mid_side

from .oracles import error_db, noise, stft_magnitudes

# IEC 61672-1, table 3: nominal third octaves from 10 Hz to 20 kHz.
_IEC_TABLE = "-70.4 -63.4 -56.7 -50.5 -44.7 -39.4 -34.6 -30.2 -26.2 -22.5 -19.1 -16.1 -13.4 -10.9 -8.6 -6.6 -4.8 -3.2 "
_IEC_TABLE += "-1.9 -0.8 0.0 0.6 1.0 1.2 1.3 1.2 1.0 0.5 -0.1 -1.1 -2.5 -4.3 -6.6 -9.3"
IEC_A_DB = [float(level) for level in _IEC_TABLE.split()]
EXACT_HZ = 1000.0 * 10.0 ** (np.arange(-20, 14) / 10.0)


@pytest.mark.parametrize("window, hop, time", [(64, 16, 1000), (64, 64, 200), (256, 32, 100), (512, None, 2048)])
def test_magnitudes_match_a_plain_stft(window, hop, time):
    audio = noise(1, 2, time, 2)
    reference = np.maximum(stft_magnitudes(audio, window, hop or window // 4), 1e-5 * window / 4)
    assert error_db(magnitudes(jnp.asarray(audio), window, hop), reference) <= -120.0


def test_a_sine_has_a_quarter_of_the_window_in_its_bin():
    sine = np.sin(2 * np.pi * 8 / 64 * np.arange(640)).astype(np.float32)
    result = magnitudes(jnp.asarray(sine[None, :, None]), 64)[0, 0, 10]
    np.testing.assert_allclose(result[7:10], [8.0, 16.0, 8.0], rtol=1e-4)
    np.testing.assert_allclose(result[10:], magnitude_floor(64), atol=2e-5)


@pytest.mark.parametrize("time", [1, 2, 5, 31, 32, 33, 100])
@pytest.mark.parametrize("hop", [8, 16, 32])
def test_frames_are_centered_and_reflected_at_both_ends(time, hop):
    """Also for a signal shorter than half a window, which is reflected several times."""
    signal = np.arange(1.0, time + 1.0, dtype=np.float32)
    padded = np.pad(signal, 16, mode="reflect")
    reference = np.stack([padded[start : start + 32] for start in range(0, time + 1, hop)])
    np.testing.assert_array_equal(frame(jnp.asarray(signal), 32, hop), reference, strict=True)


def test_a_window_not_divisible_by_the_hop_is_rejected():
    with pytest.raises(ValueError, match="multiple of hop"):
        frame(jnp.zeros(100), 32, 12)


def test_silence_is_floored_without_a_gradient():
    audio = jnp.zeros((1, 200, 1)).at[0, 150:, 0].set(0.5)
    np.testing.assert_array_equal(magnitudes(audio, 64)[0, 0, :5], np.float32(magnitude_floor(64)))
    slope = jax.grad(lambda x: jnp.sum(jnp.log(magnitudes(x, 64))))(audio)
    assert np.all(np.isfinite(slope))
    np.testing.assert_array_equal(slope[0, :96, 0], 0.0)  # up to the center of frame 4 all frames are silent
    assert np.all(slope[0, 150:, 0] != 0.0)


def test_the_gradient_of_magnitudes_is_the_finite_difference():
    with jax.enable_x64(True):
        audio, direction = (jnp.asarray(noise(seed, 1, 150, 1), jnp.float64) for seed in (2, 3))

        def total(x):
            return jnp.sum(jnp.log(magnitudes(x, 64)))

        slope = jnp.sum(jax.grad(total)(audio) * direction)
        step = 1e-7
        reference = (total(audio + step * direction) - total(audio - step * direction)) / (2 * step)
        np.testing.assert_allclose(slope, reference, rtol=1e-5)


def test_a_weighting_matches_the_standard():
    np.testing.assert_allclose(a_weighting_db(EXACT_HZ), IEC_A_DB, atol=0.1)
    np.testing.assert_allclose(a_weighting_db(np.array([1000.0])), 0.0, atol=1e-3)
    assert a_weighting_db(np.array([0.0]))[0] == -np.inf


def test_a_weights_are_at_the_frequencies_of_the_bins():
    """480 samples at 48 kHz put bin n at n·100 Hz."""
    weights = a_weights(480, 48_000.0)
    assert weights[0] == 0.0
    third_octaves = {1: -19.1, 10: 0.0, 20: 1.2, 40: 1.0, 80: -1.1}
    for bin_, level in third_octaves.items():
        np.testing.assert_allclose(20 * np.log10(weights[bin_]), level, atol=0.15)


def test_mid_side_twice_is_the_identity_and_keeps_the_energy():
    audio = jnp.asarray(noise(4, 2, 500, 2))
    encoded = mid_side(audio)
    np.testing.assert_allclose(mid_side(encoded), audio, atol=1e-7)
    np.testing.assert_allclose(jnp.sum(encoded**2, axis=(1, 2)), jnp.sum(audio**2, axis=(1, 2)), rtol=1e-5)


def test_mono_is_in_mid_and_opposite_channels_in_side():
    mono = jnp.asarray(noise(5, 1, 100, 1))
    both, opposite = mid_side(mono * jnp.ones((1, 1, 2))), mid_side(mono * jnp.array([[[1.0, -1.0]]]))
    np.testing.assert_allclose(both[..., 0], np.sqrt(2) * mono[..., 0], rtol=1e-6)
    np.testing.assert_array_equal(both[..., 1], 0.0)
    np.testing.assert_array_equal(opposite[..., 0], 0.0)

"""Loudness against pyloudnorm (De Man's filters) and the figures of the standard; gains to a target loudness."""

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest

from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.dsp.loudness import (
    channel_weights,
    clamped_loudness,
    gated_power,
    integrated_loudness,
    loudness_range,
    momentary_loudness,
    power_to_lufs,
    short_term_loudness,
    step_powers,
)

from .oracles import noise

RATE = 44_100.0
MEASURE = jax.jit(integrated_loudness, static_argnums=1)
FLOORED = jax.jit(clamped_loudness, static_argnums=1)
POWERS = jax.jit(step_powers, static_argnums=1)
GAIN_DB = jax.jit(loudness_gain_db, static_argnums=(1, 2))
GRADIENT = jax.jit(jax.grad(lambda x: jnp.sum(clamped_loudness(x, RATE))))


def reference_lufs(audio, sample_rate):
    meter = pyloudnorm.Meter(int(sample_rate), filter_class="DeMan")
    return [meter.integrated_loudness(np.asarray(x, np.float64)) for x in audio]


def program(sample_rate, channels):
    """Four signals of 1.7 s: steady; 30 dB quieter from 0.6 s; below −70 LUFS until 0.8 s; rising by 40 dB."""
    time = int(1.7 * sample_rate)
    at = np.arange(time) / sample_rate
    curves = np.zeros(time), -30.0 * (at > 0.6), -70.0 * (at < 0.8), 40.0 * (at / 1.7 - 1.0)
    return (noise(1, 4, time, channels) * 10.0 ** (np.stack(curves)[..., None] / 20)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [44_100.0, 48_000.0])
def test_integrated_loudness_is_pyloudnorms(sample_rate, channels):
    audio = program(sample_rate, channels)
    result = MEASURE(jnp.asarray(audio), sample_rate)
    np.testing.assert_allclose(result, reference_lufs(audio, sample_rate), atol=0.01)


def test_both_gates_change_the_test_signals():
    """Without gates the signals of the test above would read at least 1 LU lower."""
    powers = POWERS(jnp.asarray(program(RATE, 1)), RATE)
    gained = power_to_lufs(gated_power(powers)) - power_to_lufs(jnp.mean(powers, axis=1))
    assert np.all(gained[1:3] > 1.0)
    np.testing.assert_allclose(gained[0], 0.0, atol=0.05)


def test_a_full_scale_sine_in_one_channel_reads_minus_3_01():
    sine = np.sin(2 * np.pi * 997.0 * np.arange(44_100) / RATE)
    audio = np.stack([sine, 0.0 * sine], axis=1)[None].astype(np.float32)
    np.testing.assert_allclose(MEASURE(jnp.asarray(audio), RATE), -3.01, atol=0.01)


def test_a_block_of_400_ms_is_needed():
    audio = jnp.asarray(noise(2, 1, 17_640, 1))
    assert MEASURE(audio[:, :17_639], RATE)[0] == -np.inf
    np.testing.assert_allclose(MEASURE(audio, RATE), reference_lufs(audio, RATE), atol=0.01)


def test_surround_channels_have_the_standards_weights():
    """L R C LFE Ls Rs: pyloudnorm has no LFE and measures the other five."""
    audio = noise(3, 1, 22_050, 6)
    np.testing.assert_allclose(
        MEASURE(jnp.asarray(audio), RATE), reference_lufs(audio[..., [0, 1, 2, 4, 5]], RATE), atol=0.01
    )
    alone = MEASURE(jnp.asarray(audio[0, :, :1] * np.eye(6, dtype=np.float32)[:, None]), RATE)
    np.testing.assert_allclose(alone[jnp.array([1, 2])], alone[jnp.array([0, 0])], atol=1e-4)
    np.testing.assert_allclose(alone[4:] - alone[0], 10 * np.log10(1.41), atol=1e-3)
    assert alone[3] == -np.inf


def test_channel_counts_without_a_definition_are_rejected():
    with pytest.raises(ValueError, match="channels is 9"):
        channel_weights(9)


def test_other_channel_layouts():
    """3 and 5 channels against pyloudnorm; 6.1 and 7.1 against the weights: more for side channels only."""
    for channels in (3, 5):
        audio = noise(4, 1, 22_050, channels)
        np.testing.assert_allclose(MEASURE(jnp.asarray(audio), RATE), reference_lufs(audio, RATE), atol=0.01)
    powers = {channels: channel_weights(channels).tolist() for channels in (4, 7, 8)}
    louder = pytest.approx(10 ** (1.5 / 10), abs=0.005)
    assert powers[4] == [1, 1, louder, louder]
    assert powers[7] == [1, 1, 1, 0, 1, louder, louder]
    assert powers[8] == [1, 1, 1, 0, 1, 1, louder, louder]


def edge_cases():
    """Silence, one sample, a sine below −70 LUFS, and its first 0.1 s alone; each of 1.2 s."""
    sine = 1e-4 * np.sin(2 * np.pi * 1000.0 * np.arange(52_920) / RATE)
    audio = np.stack([0.0 * sine, np.eye(1, 52_920)[0] * 1e-3, sine, np.where(np.arange(52_920) < 4410, sine, 0.0)])
    return jnp.asarray(audio[..., None], jnp.float32)


def mono_program():
    """The first 1.2 s of the mono programs."""
    return jnp.asarray(program(RATE, 1)[:, :52_920])


def test_loudness_is_minus_infinity_if_no_block_passes_the_gates():
    np.testing.assert_array_equal(MEASURE(edge_cases(), RATE), -np.inf)


@pytest.mark.parametrize("audio", [edge_cases(), jnp.ones((1, 1, 1))], ids=["quiet", "one sample long"])
def test_the_floor_is_finite_and_has_no_gradient(audio):
    np.testing.assert_allclose(FLOORED(audio, RATE), -70.0, atol=1e-4)
    np.testing.assert_array_equal(GRADIENT(audio), 0.0)


def test_above_the_floor_one_decibel_is_one_unit():
    """The gradient along the signal itself is 20/ln 10, gates or not: a gain of 1 + ε adds 20/ln 10·ε dB."""
    np.testing.assert_allclose(FLOORED(mono_program(), RATE), MEASURE(mono_program(), RATE), atol=1e-4)
    along = jnp.sum(GRADIENT(mono_program()) * mono_program(), axis=(1, 2))
    np.testing.assert_allclose(along, 20.0 / np.log(10.0), rtol=1e-4)


def test_the_gain_brings_each_signal_to_the_loudness():
    gain_db = GAIN_DB(mono_program(), RATE, -20.0)
    np.testing.assert_allclose(MEASURE(apply_gain_db(mono_program(), gain_db), RATE), -20.0, atol=1e-3)
    np.testing.assert_array_equal(GAIN_DB(edge_cases(), RATE, -20.0), 0.0)


def test_the_gain_has_no_gradient():
    """The gradient of the scaled signal is the gain alone."""
    slope = jax.jit(jax.grad(lambda x: jnp.sum(apply_gain_db(x, GAIN_DB(x, RATE, -20.0)))))(mono_program())
    expected = 10.0 ** (np.asarray(GAIN_DB(mono_program(), RATE, -20.0)) / 20.0)
    np.testing.assert_allclose(slope, np.broadcast_to(expected[:, None, None], slope.shape), rtol=1e-5)


@pytest.mark.parametrize("name", ["integrated", "range", "momentary", "short-term"])
def test_gradients_are_finite_differences(name):
    """In float64, at a rate that keeps 6 s short; the signal swells, so that the range is not 0."""
    measure = {
        "integrated": integrated_loudness,
        "range": loudness_range,
        "momentary": momentary_loudness,
        "short-term": short_term_loudness,
    }[name]
    total = jax.jit(lambda x: jnp.sum(measure(x, 4000.0)))
    with jax.enable_x64(True):
        swell = np.linspace(0.05, 1.0, 24_000)[None, :, None]
        audio, direction = (jnp.asarray(noise(seed, 1, 24_000, 1) * swell, jnp.float64) for seed in (6, 7))
        slope, step = jnp.sum(jax.jit(jax.grad(total))(audio) * direction), 1e-5
        reference = (total(audio + step * direction) - total(audio - step * direction)) / (2 * step)
        assert abs(reference) > 1e-3
        np.testing.assert_allclose(slope, reference, rtol=1e-5)


def test_digital_silence_gives_finite_gradients():
    """The loudest block of music after silence, whose own loudness is −inf."""
    audio = jnp.asarray(noise(8, 1, 24_000, 1)).at[:, :16_000].set(0.0)
    measures = (momentary_loudness, short_term_loudness, integrated_loudness)
    gradients = jax.jit(lambda x: [jax.grad(lambda x, m=m: jnp.max(m(x, 4000.0)))(x) for m in measures])
    for slope in gradients(audio):
        assert np.isfinite(slope).all()
        assert np.any(slope != 0.0)


def test_invalid_arguments_are_reported():
    with pytest.raises(ValueError, match="sample_rate must be above 0 Hz; it is 0"):
        integrated_loudness(jnp.zeros((1, 100, 1)), 0.0)
    with pytest.raises(ValueError, match=r"sample_rate must be above 3364 Hz for K-weighting.*; it is 3000"):
        integrated_loudness(jnp.zeros((1, 100, 1)), 3000.0)
    with pytest.raises(ValueError, match="audio must be at least one sample"):
        integrated_loudness(jnp.zeros((1, 0, 1)), RATE)

"""The streaming meter against whole-signal measures for any chunking, and its readings without enough audio."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import (
    initial_meter_state,
    integrated_loudness,
    loudness_range,
    momentary_loudness,
    read_meter,
    short_term_loudness,
    true_peak_db,
    update_meter,
)

from .oracles import noise

RATE = 8_000
UPDATE = jax.jit(update_meter, static_argnums=1)
READING = jax.jit(read_meter, static_argnums=1)
INTEGRATED = jax.jit(integrated_loudness, static_argnums=1)
RANGE = jax.jit(loudness_range, static_argnums=1)
MOMENTARY = jax.jit(momentary_loudness, static_argnums=1)
SHORT_TERM = jax.jit(short_term_loudness, static_argnums=1)
TRUE_PEAK = jax.jit(true_peak_db, static_argnums=1)


def program(channels=2):
    """Two streams of 9.03 s: one that swells and falls by 30 dB, one with a second of silence."""
    time = int(9.03 * RATE)
    at = np.arange(time) / RATE
    curves = np.stack([15.0 * np.sin(at), np.where((at > 3) & (at < 4), -np.inf, -6.0)])
    return (noise(1, 2, time, channels) * 10.0 ** (curves[..., None] / 20)).astype(np.float32)


def measure_in_chunks(audio, size):
    """The reading after chunks of `size` samples; the last one is padded with a value that must not be measured."""
    state = initial_meter_state(audio.shape[0], audio.shape[2])
    for start in range(0, audio.shape[1], size):
        chunk = audio[:, start : start + size]
        padded = np.full((audio.shape[0], size, audio.shape[2]), 9.0, np.float32)
        padded[:, : chunk.shape[1]] = chunk
        state = UPDATE(jnp.asarray(padded), RATE, state, chunk.shape[1])
    return READING(state, RATE)


@pytest.mark.parametrize("size", [pytest.param(53, marks=pytest.mark.slow), 160, 5003, 80_000])
def test_streaming_equals_one_call(size):
    audio = program()
    time = audio.shape[1] if size > 53 else 4 * RATE
    audio = audio[:, :time]
    result, whole = measure_in_chunks(audio, size), jnp.asarray(audio)
    momentary, short = MOMENTARY(whole, RATE), SHORT_TERM(whole, RATE)
    np.testing.assert_allclose(result.integrated_lufs, INTEGRATED(whole, RATE), atol=0.01)
    np.testing.assert_allclose(result.loudness_range_lu, RANGE(whole, RATE), atol=0.011)
    np.testing.assert_allclose(result.max_momentary_lufs, jnp.max(momentary, axis=1), atol=1e-3)
    np.testing.assert_allclose(result.max_short_term_lufs, jnp.max(short, axis=1), atol=1e-3)
    np.testing.assert_allclose(result.momentary_lufs, momentary[:, -1], atol=1e-3)
    np.testing.assert_allclose(result.true_peak_db, TRUE_PEAK(whole, RATE), atol=1e-4)
    np.testing.assert_allclose(result.sample_peak_db, 20 * np.log10(np.abs(audio).max(axis=(1, 2))), atol=1e-4)


def test_the_test_signal_has_a_large_loudness_range():
    assert RANGE(jnp.asarray(program()), RATE)[0] > 10.0


def test_values_without_enough_audio_are_minus_infinity():
    empty = READING(initial_meter_state(1, 2), RATE)
    for value in (
        empty.integrated_lufs,
        empty.momentary_lufs,
        empty.max_short_term_lufs,
        empty.true_peak_db,
        empty.sample_peak_db,
    ):
        assert value[0] == -np.inf
    assert empty.loudness_range_lu[0] == 0.0
    early = measure_in_chunks(program()[:1, : int(0.39 * RATE)], 1000)
    assert early.integrated_lufs[0] == early.momentary_lufs[0] == early.max_momentary_lufs[0] == -np.inf
    assert np.isfinite(early.true_peak_db[0])
    second = measure_in_chunks(program()[:1, : 2 * RATE], 1000)
    assert np.isfinite(second.momentary_lufs[0])
    assert second.short_term_lufs[0] == second.max_short_term_lufs[0] == -np.inf


def test_the_short_term_reading_is_that_of_the_last_three_seconds():
    audio = program()[:, : 5 * RATE]
    expected = SHORT_TERM(jnp.asarray(audio), RATE)[:, -1]
    np.testing.assert_allclose(measure_in_chunks(audio, 1000).short_term_lufs, expected, atol=1e-3)


def test_memory_does_not_grow():
    state = initial_meter_state(1, 1)
    sizes = [x.size for x in jax.tree.leaves(state)]
    for _ in range(3):
        state = UPDATE(jnp.asarray(noise(2, 1, 5003, 1)), RATE, state)
        assert [x.size for x in jax.tree.leaves(state)] == sizes


def test_louder_than_full_scale_is_counted():
    """Hundreds of times full scale, as a float file can hold."""
    audio = 300.0 * program()
    expected = INTEGRATED(jnp.asarray(audio), RATE)
    np.testing.assert_allclose(measure_in_chunks(audio, 5003).integrated_lufs, expected, atol=0.01)


def tones(*sections):
    """A 1 kHz sine in sections of (dBFS, seconds), `[1, time, 1]`."""
    level = np.concatenate([np.full(round(seconds * RATE), 10.0 ** (db / 20)) for db, seconds in sections])
    return (level * np.sin(2 * np.pi * 1000.0 * np.arange(len(level)) / RATE))[None, :, None].astype(np.float32)


@pytest.mark.parametrize("db", [-12.78, -12.80, -22.98, -23.02])
def test_many_blocks_of_one_loudness_just_beside_a_gate(db):
    """A long quiet tone within hundredths of an LU of the relative gate of the loudness or of the range."""
    audio = tones((-10.0, 20), (-10.0 + db, 20))
    result, whole = measure_in_chunks(audio, 5003), jnp.asarray(audio)
    np.testing.assert_allclose(result.integrated_lufs, INTEGRATED(whole, RATE), atol=0.01)
    np.testing.assert_allclose(result.loudness_range_lu, RANGE(whole, RATE), atol=0.02)


def test_louder_than_every_bin_is_counted_by_its_power():
    """A float file scaled like integers: +71 LUFS."""
    audio = 10_000.0 * tones((-10.0, 3), (-13.0, 3))
    expected = INTEGRATED(jnp.asarray(audio), RATE)
    np.testing.assert_allclose(measure_in_chunks(audio, 5003).integrated_lufs, expected, atol=0.01)


def test_empty_chunks_and_batches_of_surround():
    state = UPDATE(jnp.asarray(noise(3, 2, 9000, 6)), RATE, initial_meter_state(2, 6))
    again = UPDATE(jnp.full((2, 50, 6), 9.0), RATE, state, 0)
    for before, after in zip(jax.tree.leaves(READING(state, RATE)), jax.tree.leaves(READING(again, RATE)), strict=True):
        np.testing.assert_array_equal(before, after)
    expected = INTEGRATED(jnp.asarray(noise(3, 2, 9000, 6)), RATE)
    np.testing.assert_allclose(READING(state, RATE).integrated_lufs, expected, atol=0.01)


def test_invalid_arguments_are_reported():
    with pytest.raises(ValueError, match=r"state must be of shape \[1, 2, 2, 2\]"):
        update_meter(jnp.zeros((1, 100, 2)), RATE, initial_meter_state(1, 1))
    with pytest.raises(ValueError, match="sample_rate must be above 0 Hz; it is 0"):
        update_meter(jnp.zeros((1, 100, 1)), 0, initial_meter_state(1, 1))
    with pytest.raises(ValueError, match="channels is 9"):
        initial_meter_state(1, 9)

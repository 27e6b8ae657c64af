"""Declipping: consistent with its input, independent of chunks, and an improvement; its steps against plain NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp.declip import declip, declip_chunks, window_length
from nmjax.dsp.social_sparsity import analyze_frames, persistent_wiener_gain, synthesize_frames

from .oracles import noise

RATE = 8_000  # frames of 1024 samples, blocks of 49,152


def synthetic_music(frames=70_000):
    """Decaying chords with vibrato in two channels, peak about 1, `[frames, 2]` float32."""
    rng, time = np.random.default_rng(1), np.arange(frames) / RATE
    music = np.zeros((frames, 2))
    for start in np.arange(0.0, frames / RATE, 0.4):
        envelope = np.where(time >= start, np.exp(-3.0 * (time - start)), 0.0)
        for pitch in rng.choice([110.0, 146.8, 220.0, 261.6, 329.6, 440.0, 587.3], 3, replace=False):
            phase = 2.0 * np.pi * pitch * (time - start) + 0.3 * np.sin(30.0 * time)
            note = sum(np.sin(n * phase) / n**1.5 for n in range(1, 6))
            music += (envelope * note)[:, None] * rng.uniform(0.2, 1.0, 2)
    return (music / np.abs(music).max()).astype(np.float32)


def sdr_db(clean, signal):
    error = signal.astype(np.float64) - clean
    return 10.0 * np.log10(np.sum(clean.astype(np.float64) ** 2) / np.sum(error**2))


MUSIC = synthetic_music()
LEVELS = np.array([[0.35, 0.4], [0.3, np.inf]], np.float32)  # right: only its positive half
CLIPPED = np.clip(MUSIC, -LEVELS[:, 1], LEVELS[:, 0])


@pytest.fixture(scope="module")
def restored():
    return declip(CLIPPED, LEVELS, RATE)


def test_unclipped_samples_are_bit_identical_and_clipped_ones_only_grow(restored):
    clipped, high, low = CLIPPED, LEVELS[:, 0], -LEVELS[:, 1]
    is_high, is_low = clipped >= high, clipped <= low
    is_clipped = is_high | is_low
    assert 0.02 < is_clipped.mean() < 0.3
    np.testing.assert_array_equal(restored[~is_clipped].view(np.int32), clipped[~is_clipped].view(np.int32))
    assert np.all(restored[is_high] >= clipped[is_high]) and np.all(restored[is_low] <= clipped[is_low])
    np.testing.assert_array_equal(np.clip(restored, low, high), clipped)


@pytest.mark.parametrize("lengths", [[1, 4095, 50_000], [997] * 60, [0, 60_000, 0]])
def test_the_result_does_not_depend_on_the_chunks(restored, lengths):
    chunks = np.split(CLIPPED, np.minimum(np.cumsum(lengths), len(CLIPPED)))
    result = np.concatenate(list(declip_chunks(iter(chunks), LEVELS, RATE)))
    np.testing.assert_array_equal(result, restored, strict=True)


def test_the_stream_is_read_no_further_than_a_block_ahead():
    num_read = 0

    def read():
        nonlocal num_read
        for chunk in np.split(CLIPPED, np.arange(1000, len(CLIPPED), 1000)):
            num_read += len(chunk)
            yield chunk

    first = next(declip_chunks(read(), LEVELS, RATE))
    assert len(first) <= num_read < len(first) + 3_000


def test_music_gains_ten_db_in_each_channel(restored):
    for channel in range(2):
        clean, clipped, result = MUSIC[:, channel], CLIPPED[:, channel], restored[:, channel]
        assert sdr_db(clean, result) - sdr_db(clean, clipped) > 10.0


@pytest.mark.parametrize("level", [0.9, 0.6, 0.2])  # one per effort
def test_sines_are_recovered(level):
    time = np.arange(20_000) / RATE
    freq_hz = np.array([201.3, 517.7, 893.1])
    clean = np.sum(0.33 * np.sin(2.0 * np.pi * freq_hz * time[:, None] + freq_hz), axis=1, keepdims=True)
    clean = clean.astype(np.float32)
    clipped = np.clip(clean, -level, level)
    result = declip(clipped, np.full((1, 2), level), RATE)
    inside = slice(1_000, -1_000)  # a sine that begins or ends is not sparse
    assert sdr_db(clean[inside], result[inside]) - sdr_db(clean[inside], clipped[inside]) > 20.0


@pytest.mark.parametrize("frames", [0, 1, 3_000])
def test_nothing_changes_where_nothing_is_clipped(frames):
    audio = MUSIC[:frames].copy()
    audio[:1] = -0.0
    result = declip(audio, np.full((2, 2), np.inf), RATE)
    np.testing.assert_array_equal(result.view(np.int32), audio.view(np.int32), strict=True)


def test_segments_far_from_clipped_samples_are_unchanged():
    audio = 0.5 * MUSIC
    audio[30_000:30_010, 0] = 0.8
    result = declip(audio, np.full((2, 2), 0.8), RATE)
    changed = np.flatnonzero(np.any(result != audio, axis=1))
    assert len(changed) > 0 and np.all((changed >= 30_000) & (changed < 30_010))


def test_frames_and_gains_match_plain_numpy():
    window, segment = 64, noise(1, 2, 32 * 9)
    sine = np.sin(np.pi * (np.arange(window) + 0.5) / window)
    starts = range(0, 32 * 8, 32)
    frames = np.stack([segment[:, start : start + window] * sine for start in starts], axis=1)
    np.testing.assert_allclose(analyze_frames(jnp.asarray(segment), window), frames, atol=1e-6)

    power, threshold = np.abs(np.fft.rfft(frames)) ** 2, np.array([0.3, 0.6], np.float32)
    gain = np.zeros_like(power)
    for segment_index, frame, bin_ in np.ndindex(power.shape):
        neighbors = [min(max(frame + shift, 0), 7) for shift in (-2, -1, 0, 1, 2)]
        energy = np.mean([power[segment_index, neighbor, bin_] for neighbor in neighbors])
        gain[segment_index, frame, bin_] = max(0.0, 1.0 - threshold[segment_index] ** 2 / energy)
    assert np.any(gain == 0.0) and np.any(gain > 0.5)
    result = persistent_wiener_gain(jnp.asarray(power, jnp.float32), jnp.asarray(threshold))
    np.testing.assert_allclose(result, gain, atol=1e-5)


def test_synthesis_is_the_adjoint_of_analysis_and_its_inverse_inside():
    segments, frames = noise(2, 1, 32 * 6), noise(3, 1, 5, 64)
    analyzed = analyze_frames(jnp.asarray(segments), 64)
    synthesized = synthesize_frames(jnp.asarray(frames))
    np.testing.assert_allclose(np.sum(analyzed * frames), np.sum(segments * synthesized), rtol=1e-4)
    np.testing.assert_allclose(synthesize_frames(analyzed)[:, 32:-32], segments[:, 32:-32], atol=1e-6)


@pytest.mark.parametrize(
    "rate, length", [(8_000, 1024), (22_050, 4096), (44_100, 8192), (48_000, 8192), (96_000, 16_384)]
)
def test_frames_are_at_most_190_ms(rate, length):
    assert window_length(rate) == length


@pytest.mark.parametrize(
    "audio, levels, message",
    [
        (MUSIC[:100], np.ones((1, 2)), r"\[frames, 1\]"),
        (MUSIC[:100].astype(np.float64), np.ones((2, 2)), "float32"),
        (np.full((100, 2), np.nan, np.float32), np.ones((2, 2)), "finite"),
        (MUSIC[:100], np.ones(2), r"\[channel, 2\]"),
        (MUSIC[:100], np.zeros((2, 2)), "above 0"),
        (MUSIC[:100], np.full((2, 2), np.nan), "above 0"),
    ],
)
def test_bad_arguments_are_rejected(audio, levels, message):
    with pytest.raises(ValueError, match=message):
        list(declip_chunks([audio], levels, RATE))

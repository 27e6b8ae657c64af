"""The synthetic test signals of EBU Tech 3341 (2016, table 1) and Tech 3342 (2016, table 1), with their tolerances.

Loudness: a 1 kHz sine in phase on left and right, in sections of constant level. Cases 7 and 8 of 3341 and 5 and 6 of
3342 are recordings of broadcasts and are omitted. True peak: sines at a simple fraction of the sample rate. Four of the
20 files of cases 10 and 13 are tested. Most cases are measured both in one call and as a stream.
"""

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

from .oracles import BS1770_SOS, sosfilt_batch

RATE = 48_000
INTEGRATED = jax.jit(integrated_loudness, static_argnums=1)
RANGE = jax.jit(loudness_range, static_argnums=1)
MOMENTARY = jax.jit(momentary_loudness, static_argnums=1)
SHORT_TERM = jax.jit(short_term_loudness, static_argnums=1)
UPDATE = jax.jit(update_meter, static_argnums=1)
READING = jax.jit(read_meter, static_argnums=1)


def sine(*sections, channels=2):
    """A 1 kHz sine in sections of `(dBFS, seconds)`, `[1, time, channels]`."""
    level = np.concatenate([np.full(round(seconds * RATE), 10.0 ** (db / 20)) for db, seconds in sections])
    tone = level * np.sin(2 * np.pi * 1000.0 * np.arange(len(level)) / RATE)
    return jnp.asarray(np.repeat(tone[None, :, None], channels, axis=2), jnp.float32)


TECH_3341 = {
    1: ([(-23, 20)], -23),
    2: ([(-33, 20)], -33),
    3: ([(-36, 10), (-23, 60), (-36, 10)], -23),
    4: ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
    5: ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
}
TECH_3342 = {
    1: ([(-20, 20), (-30, 20)], 10),
    2: ([(-20, 20), (-15, 20)], 5),
    3: ([(-40, 20), (-20, 20)], 20),
    4: ([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15),
}


def measure_in_chunks(audio, size=RATE // 2):
    """The final reading of the meter, and the reading after each chunk."""
    state, readings = initial_meter_state(1, audio.shape[2]), []
    for start in range(0, audio.shape[1], size):
        chunk = np.asarray(audio[:, start : start + size])
        padded = np.pad(chunk, ((0, 0), (0, size - chunk.shape[1]), (0, 0)))
        state = UPDATE(padded, RATE, state, chunk.shape[1])
        readings.append(READING(state, RATE))
    return readings[-1], readings


@pytest.mark.parametrize("case", TECH_3341)
def test_integrated_loudness(case):
    parts, expected = TECH_3341[case]
    np.testing.assert_allclose(INTEGRATED(sine(*parts), RATE)[0], expected, atol=0.1)
    np.testing.assert_allclose(measure_in_chunks(sine(*parts))[0].integrated_lufs, expected, atol=0.1)


@pytest.mark.parametrize("case", [1, 2])
def test_momentary_and_short_term_of_a_steady_tone(case):
    parts, expected = TECH_3341[case]
    np.testing.assert_allclose(MOMENTARY(sine(*parts), RATE)[0, 1:], expected, atol=0.1)
    np.testing.assert_allclose(SHORT_TERM(sine(*parts), RATE)[0], expected, atol=0.1)


def test_surround():
    """Case 6: L and R −28, C −24, Ls and Rs −30 dBFS; the LFE is silent."""
    gains = 10.0 ** (np.array([-28.0, -28.0, -24.0, -np.inf, -30.0, -30.0]) / 20)
    audio = sine((0, 20), channels=6) * jnp.asarray(gains, jnp.float32)[None, None]
    np.testing.assert_allclose(INTEGRATED(audio, RATE)[0], -23, atol=0.1)


def test_short_term_of_a_3_s_pattern_is_constant():
    """Case 9: 1.34 s at −20 and 1.66 s at −30 dBFS, five times: −23 LUFS at any time after 3 s."""
    audio = sine(*[(-20, 1.34), (-30, 1.66)] * 5)
    np.testing.assert_allclose(SHORT_TERM(audio, RATE)[0], -23, atol=0.1)
    np.testing.assert_allclose(
        [shown_reading.short_term_lufs[0] for shown_reading in measure_in_chunks(audio)[1][5:]], -23, atol=0.1
    )


def test_momentary_of_a_400_ms_pattern_is_constant():
    """Case 12: 0.18 s at −20 and 0.22 s at −30 dBFS, 25 times: −23 LUFS after 1 s."""
    audio = sine(*[(-20, 0.18), (-30, 0.22)] * 25)
    np.testing.assert_allclose(MOMENTARY(audio, RATE)[0, 10:], -23, atol=0.1)
    np.testing.assert_allclose([shown.momentary_lufs[0] for shown in measure_in_chunks(audio)[1][2:]], -23, atol=0.1)


SHIFTS = [1, 7, 13, 20]  # of the documents' 20 files, which start 0.15 or 0.02 s apart


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_short_burst_reads_its_level_at_any_start(shift):
    """Cases 10 and 13: silence, 3 s (0.4 s) at −23 dBFS, a second of silence; the largest S (M) is −23."""
    long = sine((-np.inf, 0.15 * shift), (-23, 3.0), (-np.inf, 1.0))
    brief = sine((-np.inf, 0.02 * shift), (-23, 0.4), (-np.inf, 1.0))
    np.testing.assert_allclose(jnp.max(SHORT_TERM(long, RATE)), -23, atol=0.1)
    np.testing.assert_allclose(jnp.max(MOMENTARY(brief, RATE)), -23, atol=0.1)
    np.testing.assert_allclose(measure_in_chunks(long)[0].max_short_term_lufs, -23, atol=0.1)
    np.testing.assert_allclose(measure_in_chunks(brief)[0].max_momentary_lufs, -23, atol=0.1)


@pytest.mark.parametrize(("seconds", "shift", "blocks"), [(3.0, 0.15, SHORT_TERM), (0.4, 0.02, MOMENTARY)])
def test_consecutive_bursts_read_their_levels(seconds, shift, blocks):
    """Cases 11 and 14: 20 segments of twice the window; in each a burst of −38, −37 … −19 dBFS, every time later."""
    parts = [
        part for i in range(20) for part in ((-np.inf, i * shift), (-38 + i, seconds), (-np.inf, seconds - i * shift))
    ]
    result = blocks(sine(*parts), RATE)[0]
    hop = 0.1 if blocks is SHORT_TERM else 0.02
    ends = (np.arange(len(result)) * hop + seconds) / (2 * seconds)  # in segments: where each block ends
    largest = [result[(ends > i + 0.01) & (ends <= i + 1.01)].max() for i in range(20)]
    np.testing.assert_allclose(largest, np.arange(-38, -18), atol=0.1)


@pytest.mark.parametrize("case", TECH_3342)
def test_loudness_range(case):
    parts, expected = TECH_3342[case]
    np.testing.assert_allclose(RANGE(sine(*parts), RATE)[0], expected, atol=1.0)
    np.testing.assert_allclose(measure_in_chunks(sine(*parts))[0].loudness_range_lu, expected, atol=1.0)


# Cases 15 to 19: fraction of the sample rate, phase in degrees, amplitude, dBTP.
TRUE_PEAK_CASES = {
    15: (1 / 4, 0.0, 0.5, -6.0),
    16: (1 / 4, 45.0, 0.5, -6.0),
    17: (1 / 6, 60.0, 0.5, -6.0),
    18: (1 / 8, 67.5, 0.5, -6.0),
    19: (1 / 4, 45.0, 1.41, 3.0),
}


@pytest.mark.parametrize("case", TRUE_PEAK_CASES)
def test_true_peak_of_sines(case):
    share, degrees, amplitude, expected = TRUE_PEAK_CASES[case]
    tone = amplitude * np.sin(2 * np.pi * share * np.arange(RATE) + np.radians(degrees))
    edge = np.minimum(1.0, np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 500)  # a hard edge would ring
    result = true_peak_db(jnp.asarray((tone * edge)[None, :, None], jnp.float32), RATE)[0]
    assert expected - 0.4 <= result <= expected + 0.2


@pytest.mark.parametrize("offset", range(4))
def test_true_peak_between_samples_wherever_they_fall(offset):
    """Like cases 20 to 23: a crest of 0 dBTP generated at four times the rate, decimated by four with each offset."""
    at = np.arange(4 * 4000) - 8000
    tone = np.cos(2 * np.pi * at / (4 * 6)) * np.exp(
        -((at / 800.0) ** 2)
    )  # fs/6 with a Gaussian envelope: one crest at 1.0
    audio = jnp.asarray(tone[offset::4][None, :, None], jnp.float32)
    assert -0.4 <= true_peak_db(audio, RATE)[0] <= 0.2


def test_too_short_or_silent_has_no_range_and_no_blocks():
    assert RANGE(sine((-20, 2.9)), RATE)[0] == 0.0
    assert RANGE(jnp.zeros((1, 5 * RATE, 1)), RATE)[0] == 0.0
    assert SHORT_TERM(sine((-20, 2.9)), RATE).shape == (1, 0)
    assert MOMENTARY(sine((-20, 0.3)), RATE).shape == (1, 0)


def test_loudness_range_matches_the_algorithm_of_tech_3342():
    """Tech 3342 in NumPy: 3 s windows ten times a second, both gates, nearest-rank percentiles."""
    rng = np.random.default_rng(1)
    swell = np.interp(np.arange(40 * RATE), np.arange(41) * RATE, rng.uniform(-70, -10, 41))
    audio = (10 ** (swell / 20) * rng.standard_normal(40 * RATE))[None, :, None].astype(np.float32)
    weighted_power = sosfilt_batch(audio, BS1770_SOS[None])[0, :, 0] ** 2
    sums = np.concatenate([[0.0], np.cumsum(weighted_power)])
    starts = np.arange(0, len(weighted_power) - 3 * RATE + 1, RATE // 10)
    blocks = -0.691 + 10 * np.log10((sums[starts + 3 * RATE] - sums[starts]) / (3 * RATE))
    blocks = blocks[blocks > -70.0]
    ordered = np.sort(blocks[blocks > 10 * np.log10(np.mean(10 ** (blocks / 10))) - 20.0])
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.10, 0.95))
    assert high - low > 5.0
    assert len(ordered) < len(starts)  # the gates exclude blocks
    np.testing.assert_allclose(RANGE(jnp.asarray(audio), RATE)[0], high - low, atol=0.01)
    np.testing.assert_allclose(measure_in_chunks(jnp.asarray(audio))[0].loudness_range_lu, high - low, atol=0.02)

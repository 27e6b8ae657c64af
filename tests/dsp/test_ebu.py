"""The synthetic signals of EBU Tech 3341 (2016, table 1) and Tech 3342 (2016, table 1), with the documents' tolerances.

All are 1 kHz sines in phase on left and right, at so many dBFS for so many seconds, one part after the other.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import integrated_loudness, loudness_range, momentary_loudness, short_term_loudness

RATE = 48_000
INTEGRATED = jax.jit(integrated_loudness, static_argnums=1)
RANGE = jax.jit(loudness_range, static_argnums=1)
MOMENTARY = jax.jit(momentary_loudness, static_argnums=1)
SHORT = jax.jit(short_term_loudness, static_argnums=1)


def sine(*parts, channels=2):
    """`(dBFS, seconds)` in turn → `[1, time, channels]`."""
    level = np.concatenate([np.full(round(seconds * RATE), 10.0 ** (db / 20)) for db, seconds in parts])
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


@pytest.mark.parametrize("case", TECH_3341)
def test_integrated_loudness(case):
    parts, expected = TECH_3341[case]
    np.testing.assert_allclose(INTEGRATED(sine(*parts), RATE)[0], expected, atol=0.1)


@pytest.mark.parametrize("case", [1, 2])
def test_momentary_and_short_term_of_what_does_not_change(case):
    parts, expected = TECH_3341[case]
    np.testing.assert_allclose(MOMENTARY(sine(*parts), RATE)[0, 1:], expected, atol=0.1)
    np.testing.assert_allclose(SHORT(sine(*parts), RATE)[0], expected, atol=0.1)


def test_surround():
    """Case 6: L and R −28, C −24, Ls and Rs −30 dBFS; the LFE is silent."""
    gains = 10.0 ** (np.array([-28.0, -28.0, -24.0, -np.inf, -30.0, -30.0]) / 20)
    audio = sine((0, 20), channels=6) * jnp.asarray(gains, jnp.float32)[None, None]
    np.testing.assert_allclose(INTEGRATED(audio, RATE)[0], -23, atol=0.1)


def test_short_term_of_a_pattern_of_3_s_stands_still():
    """Case 9: 1.34 s at −20 and 1.66 s at −30 dBFS, five times: −23 LUFS after 3 s, wherever one listens."""
    np.testing.assert_allclose(SHORT(sine(*[(-20, 1.34), (-30, 1.66)] * 5), RATE)[0], -23, atol=0.1)


def test_momentary_of_a_pattern_of_400_ms_stands_still():
    """Case 12: 0.18 s at −20 and 0.22 s at −30 dBFS, 25 times: −23 LUFS after 1 s."""
    np.testing.assert_allclose(MOMENTARY(sine(*[(-20, 0.18), (-30, 0.22)] * 25), RATE)[0, 10:], -23, atol=0.1)


@pytest.mark.parametrize("case", TECH_3342)
def test_loudness_range(case):
    parts, expected = TECH_3342[case]
    np.testing.assert_allclose(RANGE(sine(*parts), RATE)[0], expected, atol=1.0)


def test_too_short_or_silent_has_no_range_and_no_blocks():
    assert RANGE(sine((-20, 2.9)), RATE)[0] == 0.0
    assert RANGE(jnp.zeros((1, 5 * RATE, 1)), RATE)[0] == 0.0
    assert SHORT(sine((-20, 2.9)), RATE).shape == (1, 0)
    assert MOMENTARY(sine((-20, 0.3)), RATE).shape == (1, 0)

"""The benchmark's degradations, measured by impulses, sines and noise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nmjax.evaluation import degradations

RATE = 44_100


def response_db(process, size=1 << 16):
    impulse = np.zeros((size, 1))
    impulse[0] = 1.0
    out = process(impulse)[:, 0]
    return np.fft.rfftfreq(size, 1 / RATE), 20.0 * np.log10(np.abs(np.fft.rfft(out)) + 1e-12), out


def test_the_filter_has_the_curve_and_is_minimum_phase():
    curve = degradations.random_eq_curve_db(np.random.default_rng(1))
    freq_hz, measured_db, impulse = response_db(lambda x: degradations.apply_eq_curve(x, curve, RATE))
    inside = (freq_hz > 40.0) & (freq_hz < 18_000.0)
    expected = np.interp(np.log(freq_hz[inside]), np.log(degradations.EQ_GRID_HZ), curve)
    assert np.abs(measured_db[inside] - expected).max() < 0.1
    assert np.argmax(np.abs(impulse)) == 0
    assert np.sum(impulse[:64] ** 2) > 0.9 * np.sum(impulse**2)


def test_tone_curves_have_the_stated_rms_and_zero_mean():
    curves = np.stack([degradations.random_eq_curve_db(np.random.default_rng(seed)) for seed in range(300)])
    rms = np.sqrt(np.mean(curves**2, axis=1))
    assert np.abs(curves.mean(axis=1)).max() < 1e-9
    assert 0.79 < rms.min() < 1.0
    assert 3.6 < rms.max() < 3.81
    assert rms.mean() == pytest.approx(2.3, abs=0.15)


def test_dynamics_change_levels_by_nine_decibels_at_most_and_go_both_ways():
    """Four levels 10 dB apart: expansion increases their differences, compression reduces them."""
    levels = np.repeat([-10.0, -20.0, -30.0, -40.0], RATE)
    audio = (10 ** (levels / 20) * np.sin(2 * np.pi * 500 * np.arange(len(levels)) / RATE))[:, None]
    spreads = []
    for seed in range(40):
        out = degradations.apply_dynamics(audio, RATE, np.random.default_rng(seed))
        steady = slice(RATE // 2, RATE)
        output_levels = [20 * np.log10(np.std(out[i * RATE :][steady])) for i in range(4)]
        input_levels = [20 * np.log10(np.std(audio[i * RATE :][steady])) for i in range(4)]
        change = np.array(output_levels) - input_levels
        assert change.max() < 0.1
        assert change.min() >= -9.01
        spreads.append(output_levels[0] - output_levels[3] - 30.0)
    assert 0.5 < np.mean(np.array(spreads) > 0.5) < 0.85
    assert np.mean(np.array(spreads) < -0.5) > 0.1


@pytest.mark.parametrize("side_db", [-4.0, 3.0])
def test_width_is_the_side_above_200_hz(side_db):
    def side_only(x):
        stereo = np.concatenate([x, -x], axis=1)
        return degradations.apply_side_shelf(stereo, side_db, RATE)[:, :1]

    freq_hz, measured_db, _ = response_db(side_only)
    assert measured_db[freq_hz > 2000] == pytest.approx(side_db, abs=0.1)
    assert np.abs(measured_db[(freq_hz > 5) & (freq_hz < 25)]).max() < 0.2
    at_corner = measured_db[np.argmin(np.abs(freq_hz - 200.0))]
    assert at_corner == pytest.approx(side_db / 2, abs=0.1)


def test_width_keeps_mono_and_degradations_are_seeded():
    noise = np.random.default_rng(0).standard_normal((RATE, 1)) * 0.1
    both = np.repeat(noise, 2, axis=1)
    assert np.array_equal(degradations.apply_side_shelf(both, 5.0, RATE), both)
    first, again, other = (degradations.apply_condition(both, "mix", RATE, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert degradations.apply_condition(noise, "mix", RATE, np.random.default_rng(1)).shape == noise.shape


def test_the_heavy_condition_doubles_the_curve():
    """Levels of noise by band, against those of the tone condition with the same seed."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((8 * RATE, 1)) * 0.05
    result = {
        condition: degradations.apply_condition(noise, condition, RATE, np.random.default_rng(5))
        for condition in ("tone", "heavy")
    }
    edges = np.geomspace(60.0, 12_000.0, 12)
    freq_hz = np.fft.rfftfreq(len(noise), 1 / RATE)
    levels = {}
    for name, audio in {"before": noise, **result}.items():
        power = np.abs(np.fft.rfft(audio[:, 0])) ** 2
        bands = ((freq_hz >= low) & (freq_hz < high) for low, high in itertools.pairwise(edges))
        levels[name] = np.array([10 * np.log10(power[band].mean()) for band in bands])
    tone, heavy = (x - x.mean() for x in (levels[t] - levels["before"] for t in ("tone", "heavy")))
    assert np.std(tone) > 0.5
    np.testing.assert_allclose(heavy, 2.0 * tone, atol=0.3)


def test_the_rough_condition_has_4_to_8_db_rms():
    curves = [degradations.random_rough_curve_db(np.random.default_rng(seed)) for seed in range(200)]
    rms_db = np.sqrt(np.mean(np.square(curves), axis=1))
    assert 4.0 <= rms_db.min() < 4.3 and 7.7 < rms_db.max() <= 8.0
    assert np.abs(np.mean(curves, axis=1)).max() < 1e-9
    treble = np.mean([curve[degradations.EQ_GRID_HZ > 9000.0].mean() for curve in curves])
    assert treble < -2.0


def test_the_damage_condition_leaves_small_signals_and_a_tenth_of_the_examples():
    noise = np.random.default_rng(0).standard_normal((RATE // 4, 1)) * 0.1
    results = [degradations.apply_condition(noise, "damage", RATE, np.random.default_rng(seed)) for seed in range(60)]
    assert 1 <= sum(np.array_equal(result, noise) for result in results) <= 15

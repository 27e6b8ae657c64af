"""The meter against pyloudnorm and sums over the whole signal, whatever the chunks."""

import itertools

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import sosfilt

from nmjax.audio.k_weighting import k_weighting_sos
from nmjax.audio.loudness_meter import (
    LoudnessMeter,
    StepAccumulator,
    loudness_range_of_powers,
    power_to_lufs,
)
from tests.synthetic_audio import music


def metered(audio, rate, chunk=1 << 16, steps_per_second=10, weights=None):
    weights = np.ones(audio.shape[1]) if weights is None else weights
    meter = LoudnessMeter(rate, weights, steps_per_second)
    for start in range(0, len(audio), chunk):
        meter.update(audio[start : start + chunk])
    return meter


@pytest.fixture(scope="module")
def uneven_music():
    audio = music(9.0, 44_100)
    audio[3 * 44_100 : 5 * 44_100] *= 0.02
    audio[7 * 44_100 :] *= 3.0
    return audio


def k_weighted_energy(audio, rate):
    return np.sum(sosfilt(k_weighting_sos(rate), audio, axis=0) ** 2, axis=1)


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (11_025, 1)])
def test_integrated_loudness_is_pyloudnorms(rate, channels):
    audio = music(5.0, rate, channels)
    audio[2 * rate : 3 * rate] *= 0.02
    expected = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(audio)
    assert metered(audio, rate).integrated_lufs() == pytest.approx(expected, abs=0.05)


def test_chunk_sizes_make_no_difference(uneven_music):
    whole = metered(uneven_music, 44_100, len(uneven_music))
    for chunk in (997, 4410, 50_001):
        result = metered(uneven_music, 44_100, chunk)
        assert result.num_frames == whole.num_frames
        np.testing.assert_allclose(result.hop_powers(), whole.hop_powers(), rtol=1e-10)
        assert result.integrated_lufs() == pytest.approx(whole.integrated_lufs(), abs=1e-10)
        assert result.loudness_range_lu() == pytest.approx(whole.loudness_range_lu(), abs=1e-10)


def test_powers_are_means_over_100_ms_3_s_and_any_interval(uneven_music):
    audio = uneven_music[: round(8.57 * 44_100)]
    meter, energy = metered(audio, 44_100), k_weighted_energy(audio, 44_100)
    expected = energy[: 85 * 4410].reshape(85, 4410).mean(axis=1)
    np.testing.assert_allclose(meter.hop_powers(), expected, rtol=1e-10)
    np.testing.assert_allclose(meter.short_term_powers()[7], energy[7 * 4410 : 37 * 4410].mean(), rtol=1e-10)
    assert len(meter.short_term_powers()) == 56
    halves = meter.interval_powers(5)
    assert len(halves) == 18
    np.testing.assert_allclose(halves[3], energy[3 * 22_050 : 4 * 22_050].mean(), rtol=1e-10)
    np.testing.assert_allclose(halves[-1], energy[17 * 22_050 :].mean(), rtol=1e-10)
    assert meter.mean_power() == pytest.approx(energy.mean(), rel=1e-10)


def test_gains_by_step_change_the_loudness_as_gains_on_the_signal(uneven_music):
    audio = uneven_music[: 4 * 44_100]
    gains = np.repeat([1.0, 0.5, 0.5, 2.0], 640)
    frame_gains = gains[np.arange(len(audio)) * 640 // 44_100]
    expected = metered(audio * frame_gains[:, None], 44_100).integrated_lufs()
    meter = metered(audio, 44_100, steps_per_second=640)
    assert meter.integrated_lufs([gains]) == pytest.approx(expected, abs=0.1)
    assert meter.integrated_lufs([np.full(2560, 0.5)]) == pytest.approx(meter.integrated_lufs() - 6.0206, abs=1e-4)


@pytest.mark.parametrize("memory_pages", [None, 0, 1])
def test_steps_in_pages_and_in_a_file_are_those_of_all_values_at_once(memory_pages):
    values = np.abs(np.random.RandomState(1).standard_normal(700_000)).astype(np.float32)
    steps = StepAccumulator(np.maximum, 1_000, 250, memory_pages=memory_pages)  # 4 values a step, 175,000 steps
    for chunk in np.split(values, [3, 11, 262_000, 262_144, 262_147, 600_001]):
        steps.add(chunk)
    assert [len(page) for page in steps.pages()] == [65_525, 65_525, 43_950]
    np.testing.assert_array_equal(steps.values(), values.reshape(-1, 4).max(axis=1))


def test_channel_weights_count_as_power():
    audio = music(1.0, 44_100, 2)
    audio[:, 0] = 0.0
    plain, weighted = (metered(audio, 44_100, weights=weights).integrated_lufs() for weights in ([1, 1], [1, 1.41]))
    assert weighted - plain == pytest.approx(10 * np.log10(1.41), abs=1e-6)


def test_short_and_silent_signals():
    short = metered(music(0.39, 44_100), 44_100)
    assert short.integrated_lufs() == -np.inf
    assert np.isnan(short.loudness_range_lu())
    silent = metered(np.zeros((4 * 44_100, 1)), 44_100)
    assert silent.integrated_lufs() == -np.inf
    assert silent.loudness_range_lu() == 0.0
    nothing = metered(np.zeros((0, 1)), 44_100)
    assert (nothing.mean_power(), len(nothing.hop_powers())) == (0.0, 0)


def test_the_loudness_range_spans_percentiles_of_what_passes_the_gates():
    """Powers of −20 to −10 LUFS, 100 silent ones, and some 25 LU below the mean."""
    levels_lufs = np.linspace(-20.0, -10.0, 101)
    powers = 10.0 ** ((np.concatenate([levels_lufs, np.full(100, -120.0), np.full(50, -40.0)]) + 0.691) / 10.0)
    np.testing.assert_allclose(power_to_lufs(powers[:101]), levels_lufs)
    assert loudness_range_of_powers(powers) == pytest.approx(8.5, abs=0.1)
    assert loudness_range_of_powers(np.zeros(10)) == 0.0


@pytest.mark.parametrize("rate", [44_100, 11_025])
def test_steps_reduce_every_value_once(rate):
    values = np.random.default_rng(0).random(rate + 77)
    for reduce, whole in ((np.add, values.sum()), (np.maximum, values.max())):
        steps = StepAccumulator(reduce, rate, 640, np.float64)
        for start in range(0, len(values), 1000):
            steps.add(values[start : start + 1000])
        edges = np.append(steps.start_frame(np.arange(steps.num_steps)), len(values))
        expected = [reduce.reduce(values[a:b]) for a, b in itertools.pairwise(edges)]
        np.testing.assert_allclose(steps.values(), expected, rtol=1e-12)
        assert reduce.reduce(steps.values()) == pytest.approx(whole)

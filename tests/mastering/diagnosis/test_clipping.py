"""Flat tops at any level, against clipping at a known ceiling."""

import numpy as np
import pytest

from nmjax.mastering.diagnosis.clipping import ClippingScan, find_clipping
from tests.mastering.diagnosis.songs import RATE, findings_of, song


def scan(audio, rate=RATE):
    clipping = ClippingScan(audio.shape[1], rate)
    clipping.update(np.ascontiguousarray(audio.T, np.float32))
    return clipping.result()


@pytest.mark.parametrize("gain", [1.0, 0.3])
@pytest.mark.parametrize("bits", [16, 24])
def test_clipped_samples_are_counted_at_any_level(gain, bits):
    audio = song(8.0)
    ceiling = np.quantile(np.abs(audio), 0.999)
    clipped = np.round(gain * np.clip(audio, -ceiling, ceiling) * 2 ** (bits - 1)) / 2 ** (bits - 1)
    truth = np.count_nonzero(np.abs(audio) >= ceiling)
    statistics = scan(clipped)
    assert 0.6 * truth <= statistics.samples <= truth * 1.05
    (finding,) = find_clipping(statistics)
    assert finding.severity == "problem"


def test_the_overshoot_is_that_of_the_original_peaks():
    time = np.arange(RATE) / RATE
    sine = np.sin(2.0 * np.pi * 441.0 * time)[:, None]
    for ceiling in (0.9, 0.7, 0.5):
        expected_db = -20.0 * np.log10(ceiling)
        assert scan(np.clip(sine, -ceiling, ceiling)).overshoot_db == pytest.approx(expected_db, rel=0.35)


@pytest.mark.parametrize("freq_hz", [30.0, 60.0, 1_000.0])
def test_the_smooth_tops_of_bass_notes_are_not_clipped(freq_hz):
    sine = np.sin(2.0 * np.pi * freq_hz * np.arange(RATE) / RATE)[:, None]
    assert not find_clipping(scan(np.round(0.9 * sine * 2**15) / 2**15))


@pytest.mark.parametrize("num_bits", [4, 8])
@pytest.mark.parametrize("peak", [0.9, 0.3])
def test_a_format_of_few_bits_does_not_show_whether_tops_are_flat(num_bits, peak):
    step = 2.0 ** (1 - num_bits)
    audio = song(8.0)
    audio *= peak / np.abs(audio).max()
    assert not find_clipping(scan(np.round(audio / step) * step))
    triangle = peak * (2.0 * np.abs(np.arange(4 * RATE) / 100.0 % 2.0 - 1.0) - 1.0)[:, None]
    assert not find_clipping(scan(np.round(triangle / step) * step))


@pytest.mark.parametrize("freq_hz", [40.0, 110.0])
@pytest.mark.parametrize("peak", [0.1, 0.03])
def test_smooth_tops_at_high_rates_are_not_clipped(freq_hz, peak):
    rate = 176_400
    time = np.arange(4 * rate) / rate
    tone = peak * sum(a * np.sin(2.0 * np.pi * k * freq_hz * time) for k, a in ((1.0, 1.0), (2.7, 0.2), (7.3, 0.1)))
    assert not find_clipping(scan(np.round(tone * 2**15)[:, None] / 2**15, rate))


def test_a_channel_that_repeats_another_is_not_counted_again():
    audio = song(8.0)[:, :1]
    ceiling = np.quantile(np.abs(audio), 0.999)
    mono = np.clip(audio, -ceiling, ceiling)
    one, two = scan(mono), scan(mono.repeat(2, axis=1))
    assert one.runs > 5
    assert (two.runs, two.samples, two.share) == (one.runs, one.samples, one.share)
    assert two.constant_share == one.constant_share
    np.testing.assert_array_equal(two.levels, one.levels.repeat(2, axis=0))


def test_a_square_wave_and_silence_are_not_music_that_clips_by_accident():
    assert not find_clipping(scan(np.zeros((RATE, 2))))
    assert not find_clipping(scan(song(4.0)))


def test_the_level_of_each_half_of_each_channel():
    audio = song(8.0)
    high = np.quantile(audio, 0.998, axis=0)
    clipped = np.clip(audio, [-np.inf, -0.7 * high[1]], [high[0], np.inf])
    statistics = scan(clipped)
    expected = [[high[0], np.inf], [np.inf, 0.7 * high[1]]]
    np.testing.assert_allclose(statistics.levels, expected, atol=4e-5)
    assert np.all(statistics.levels <= np.array(expected, np.float32))
    assert statistics.constant_share > 0.95


def test_flat_tops_of_changing_height_have_no_constant_level():
    audio = song(16.0)
    ceiling = np.quantile(np.abs(audio), 0.995)
    clipped = np.clip(audio, -ceiling, ceiling) * np.linspace(0.5, 1.0, len(audio))[:, None]
    statistics = scan(clipped)
    assert statistics.runs > 20
    assert statistics.constant_share < 0.5


def test_true_peaks_above_full_scale():
    audio = song(4.0)
    loud = audio / np.abs(audio).max() * 1.2
    assert findings_of(loud)["true_peak"].value == pytest.approx(1.6, abs=0.2)
    assert "true_peak" not in findings_of(0.5 * loud)

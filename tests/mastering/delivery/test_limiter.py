"""The limiter against SciPy's own oversampling, and against what a limiter must not do."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from nmjax.mastering.delivery.limiter import Limiter
from tests.synthetic_audio import music

CEILING_DB = -1.0
CEILING = 10.0 ** (CEILING_DB / 20.0)


def split_chunks(audio, size):
    return (audio[i : i + size] for i in range(0, len(audio), size))


def limit_audio(audio, rate, ceiling_db=CEILING_DB, size=7001):
    limiter = Limiter(rate, ceiling_db)
    return np.concatenate(list(limiter.limit(split_chunks(audio, size)))), limiter.gain_reduction


def true_peak(audio, times=8):
    padded = np.pad(audio.astype(np.float64), ((64, 64), (0, 0)))
    return np.abs(resample_poly(padded, times, 1, axis=0)).max()


def decibels(x):
    return 20.0 * np.log10(x)


def sine(frames, cycles_a_sample, level=1.0, phase=0.0):
    return level * np.sin(2.0 * np.pi * cycles_a_sample * np.arange(frames) + phase)


def stress_signals(rate):
    """Half a second of everything that limiters fail on."""
    n = rate // 2
    t, rng = np.arange(n), np.random.default_rng(3)
    signals = {
        "fs/4 at 45 degrees": sine(n, 0.25, 1.0, np.pi / 4),
        "fs/4 at 45 degrees, +6 dB": sine(n, 0.25, 2.0, np.pi / 4),
        "fs/6": sine(n, 1 / 6, 1.3, 0.5),
        "square, 441 Hz": np.sign(sine(n, 441 / rate, 1.0, 0.1)),
        "square, 50 Hz": np.sign(sine(n, 50 / rate, 1.0, 0.1)),
        "bursts": sine(n, 997 / rate, 2.0) * ((t // 2000) % 2),
        "bursts near half the rate": sine(n, 0.49, 1.4) * ((t // 500) % 2),
        "alternating bursts": np.where(t % 2, 1.0, -1.0) * ((t // 300) % 2),
        "alternating, turned": np.where((t + t // 37) % 2, 1.0, -1.0),
        "white noise": 0.5 * rng.normal(size=n),
        "clipped noise": np.clip(2.0 * rng.normal(size=n), -1.0, 1.0),
        "signs": np.sign(rng.normal(size=n)),
        "impulses": 1.5 * (t % 997 == 0),
        "pairs of impulses": 1.0 * (t % 997 == 0) - (t % 997 == 1),
        "step": 1.5 * (t > n // 2),
        "from the first sample on": np.full(n, 1.7),
        "sweep": 1.3 * np.sin(0.5 * np.pi * t**2 / n),
    }
    signals["mixed"] = 0.7 * (signals["white noise"] + signals["square, 50 Hz"] + signals["bursts"])
    return signals


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000, 192_000])
def test_nothing_passes_the_ceiling(rate):
    for name, signal in stress_signals(rate).items():
        audio = np.stack([signal, 0.5 * np.roll(signal, 5)], axis=1).astype(np.float32)
        out, _ = limit_audio(audio, rate)
        assert out.shape == audio.shape and out.dtype == np.float32
        assert decibels(true_peak(out)) <= CEILING_DB, name
        assert decibels(true_peak(out, 16)) <= CEILING_DB + 0.005, name


def test_the_ceiling_is_nearly_reached():
    """Steady signals end less than 0.1 dB under the ceiling."""
    for level, cycles in ((1.5, 0.01), (2.0, 0.113)):
        signal = sine(88_200, cycles, level) * np.minimum(1.0, 40.0 * np.hanning(88_200))  # a cut end would ring
        out, result = limit_audio(signal[:, None].astype(np.float32), 44_100)
        assert CEILING_DB - 0.1 < decibels(true_peak(out)) <= CEILING_DB
        assert result.max_db == pytest.approx(decibels(level) - CEILING_DB, abs=0.1)
        assert result.active_fraction > 0.9


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_audio_below_the_ceiling_is_bit_identical(kind):
    audio = music(1.0).astype(kind)
    audio *= 10.0 ** ((CEILING_DB - 0.1) / 20.0) / true_peak(audio)
    out, result = limit_audio(audio, 44_100)
    assert out.dtype == kind
    np.testing.assert_array_equal(out, audio)
    assert (result.max_db, result.active_fraction) == (0.0, 0.0)


def test_samples_far_from_a_peak_are_bit_identical():
    """1.5 ms before, and when the release has ended (three seconds: a reduction of −120 dB)."""
    audio = (0.1 * music(4.0)).astype(np.float32)
    audio[20_000] = 1.9
    out, result = limit_audio(audio, 44_100)
    changed = np.nonzero((out != audio).any(axis=1))[0]
    assert 20_000 - 100 < changed[0] < 20_000
    assert changed[-1] < 20_000 + 3 * 44_100
    assert np.abs(out[20_000]).max() < CEILING
    assert 0.0 < result.active_fraction < 0.2


def test_the_gain_recovers_steadily():
    audio = np.full((44_100, 1), 0.1)
    audio[10_000] = 2.0
    gain = limit_audio(audio, 44_100)[0][:, 0] / audio[:, 0]
    after = gain[10_050:]
    assert (np.diff(after) >= -1e-12).all()
    assert after[int(0.06 * 44_100)] == pytest.approx(1.0 - (1.0 - gain[10_000]) * np.exp(-1.0), abs=0.03)


def test_channels_are_linked():
    """The image stays: both channels get the gain that the louder one needs."""
    audio = music(1.0)
    audio[:, 0] *= 6.0
    out, result = limit_audio(audio, 44_100)
    assert result.max_db > 3.0
    np.testing.assert_allclose(out[:, 0] * audio[:, 1], out[:, 1] * audio[:, 0], atol=1e-12)


def test_chunk_size_does_not_matter():
    audio = (4.0 * music(3.0)).astype(np.float32)
    whole, result = limit_audio(audio, 44_100, size=len(audio))
    for size in (997, 32_768, 40_001):
        out, again = limit_audio(audio, 44_100, size=size)
        np.testing.assert_array_equal(out, whole)
        assert again == result


@pytest.mark.parametrize("frames", [0, 1, 2, 30, 200, 32_768, 32_769])
def test_any_length(frames):
    audio = 1.5 * np.ones((frames, 2), np.float32)
    pieces = list(Limiter(44_100, -1.0).limit(split_chunks(audio, 10_000)))
    out = np.concatenate(pieces) if pieces else audio
    assert out.shape == audio.shape
    assert np.abs(out).max(initial=0.0) < CEILING


def test_a_peak_between_two_blocks_is_limited():
    """The crest of a sine between the last sample of the limiter's own blocks and the first of the next."""
    audio = np.zeros((70_000, 1))
    position = np.arange(-12, 12) + 0.5
    audio[32_768 - 12 : 32_768 + 12, 0] = np.cos(0.5 * np.pi * position) * np.hanning(26)[1:-1] * 1.3
    assert decibels(true_peak(audio)) > CEILING_DB + 2.0 > decibels(np.abs(audio).max()) + 1.0
    assert decibels(true_peak(limit_audio(audio, 44_100)[0])) <= CEILING_DB


def test_the_gain_does_not_follow_a_bass_wave():
    """A 60 Hz sine that is limited by 7 dB keeps its shape: everything but 60 Hz is 35 dB lower."""
    rate = 44_100
    audio = sine(3 * rate, 60 / rate, 2.0)[:, None].astype(np.float32)
    out = limit_audio(audio, rate)[0][rate : 2 * rate, 0].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(rate)))
    distortion = np.sqrt(np.sum(spectrum[66:] ** 2) / np.sum(spectrum[55:66] ** 2))
    assert decibels(distortion) < -35.0

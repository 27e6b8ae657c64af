"""Defects added to music for `diagnosis.py`, by code that shares nothing with the detectors.

Each function takes audio `[frames, 2]` float64, a strength and a random generator, and returns the defective audio.
Levels are relative to the music's RMS where a strength is in dB.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.signal as dsp

RATE = 44_100


class Defect(NamedTuple):
    """A defect: the finding that should report it, and strengths from weak to strong with their unit."""

    name: str
    finding: str
    add: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    strengths: tuple[float, ...]
    unit: str


def rms(audio):
    return np.sqrt(np.mean(audio**2))


def clip(audio, percent, rng):
    ceiling = np.quantile(np.abs(audio), 1.0 - percent / 100.0)
    return np.clip(audio, -ceiling, ceiling) * rng.uniform(0.4, 1.0)


def saturate(audio, drive_db, rng):
    """A soft clipper without memory whose ceiling the peaks exceed by `drive_db`; the knee is drawn."""
    knee, driven = rng.uniform(1.5, 3.0), audio / np.abs(audio).max() * 10.0 ** (drive_db / 20.0)
    return driven / (1.0 + np.abs(driven) ** knee) ** (1.0 / knee) * rng.uniform(0.4, 0.9)


def saturate_unevenly(audio, drive_db, rng):
    """The same for one half of the waveform; the other is bent 6 dB later."""
    sign, driven = rng.choice([-1.0, 1.0]), audio / np.abs(audio).max() * 10.0 ** (drive_db / 20.0)
    ceiling = np.where(sign * driven > 0.0, 1.0, 2.0)
    return ceiling * np.sin(np.arctan(driven / ceiling)) * 0.5 * rng.uniform(0.4, 0.9)


def offset(audio, percent, rng):
    return audio + np.array([1.0, rng.uniform(0.5, 1.0)]) * percent / 100.0


def hiss(audio, level_db, rng):
    """Noise of a tape: white, and 6 dB less above 10 kHz; its level is relative to the music."""
    noise = dsp.sosfilt(dsp.butter(1, 10_000.0, fs=RATE, output="sos"), rng.standard_normal(audio.shape), axis=0)
    return audio + noise / noise.std() * audio.std() * 10.0 ** (level_db / 20.0)


def hum(mains_hz):
    def add(audio, level_db, rng):
        time = np.arange(len(audio)) / RATE
        exact_hz = mains_hz * rng.uniform(0.999, 1.001)
        wave = sum(
            amplitude * np.sin(2.0 * np.pi * number * exact_hz * time + rng.uniform(0.0, 6.3))
            for number, amplitude in ((1, 1.0), (2, 0.5), (3, 0.7), (4, 0.3), (5, 0.4), (7, 0.2))
        )
        return audio + (wave * rms(audio) / rms(wave) * 10.0 ** (level_db / 20.0))[:, None]

    return add


def tone(audio, level_db, rng):
    freq_hz = np.exp(rng.uniform(np.log(300.0), np.log(9_000.0)))
    wave = np.sin(2.0 * np.pi * freq_hz * np.arange(len(audio)) / RATE) * np.sqrt(2.0)
    return audio + (wave * rms(audio) * 10.0 ** (level_db / 20.0))[:, None]


def resonate(audio, gain_db, rng):
    """A narrow resonance at a random frequency: the music through a resonator, added to the music."""
    freq_hz, q = (np.exp(rng.uniform(*np.log(limits))) for limits in ((90.0, 7_000.0), (20.0, 60.0)))
    ringing = dsp.lfilter(*dsp.iirpeak(freq_hz, q * 10.0 ** (gain_db / 40.0), fs=RATE), audio, axis=0)
    return audio + (10.0 ** (gain_db / 20.0) - 1.0) * ringing


def invert_right(audio, _, rng):
    return audio * [1.0, -1.0]


def delay_channel(audio, milliseconds, rng):
    frames, channel = round(milliseconds * RATE / 1000.0), rng.integers(2)
    delayed = audio.copy()
    delayed[:, channel] = np.concatenate([np.zeros(frames), audio[:-frames, channel]])
    return delayed


def invert_bass(audio, cutoff_hz, rng):
    low = dsp.sosfiltfilt(dsp.butter(4, cutoff_hz, fs=RATE, output="sos"), audio, axis=0)
    return audio - 2.0 * low * [0.0, 1.0]


def widen(audio, gain_db, rng):
    """The side louder than the mid by this much."""
    mid, side = audio.mean(axis=1), 0.5 * (audio[:, 0] - audio[:, 1])
    side = side + 0.1 * dsp.lfilter([0.0] * 400 + [1.0], [1.0], mid)  # mono music has no side
    side = side * rms(mid) / rms(side) * 10.0 ** (gain_db / 20.0)
    return np.stack([mid + side, mid - side], axis=1)


def unbalance(audio, gain_db, rng):
    return audio * ([1.0, 10.0 ** (-gain_db / 20.0)] if rng.random() < 0.5 else [10.0 ** (-gain_db / 20.0), 1.0])


def low_pass(audio, cutoff_khz, rng):
    taps = dsp.firwin(1023, cutoff_khz * 1000.0, window=("kaiser", 8.0), fs=RATE)
    return dsp.fftconvolve(audio, taps[:, None], mode="same", axes=0)


def resample(audio, rate_khz, rng):
    """At a lower rate and back, by FFT."""
    low_rate = dsp.resample(audio, round(len(audio) * rate_khz * 1000.0 / RATE))
    return dsp.resample(low_rate, len(audio))


def quantize(audio, bits, rng):
    return np.round(audio * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1)


def delay_start(audio, seconds, rng):
    return np.concatenate([np.zeros((round(seconds * RATE), 2)), audio])


def drop_out(audio, milliseconds, rng):
    """Three gaps in the louder half of the track."""
    audio, frames = audio.copy(), round(milliseconds * RATE / 1000.0)
    for start in _loud_positions(audio, 3, rng):
        audio[start : start + frames] = 0.0
    return audio


def cut_end(audio, seconds, rng):
    """Cut in the last loud place that is this many seconds or more before the end."""
    end = len(audio) - round(seconds * RATE)
    level = np.sqrt(np.mean(audio[: end // 4410 * 4410].reshape(-1, 4410, 2) ** 2, axis=(1, 2)))
    return audio[: (np.flatnonzero(level >= 0.7 * rms(audio))[-1] + 1) * 4410]


def click(audio, level_db, rng):
    """Five single wrong samples."""
    audio = audio.copy()
    for position in _loud_positions(audio, 5, rng):
        audio[position] += rms(audio) * 10.0 ** (level_db / 20.0) * rng.choice([-1.0, 1.0])
    return audio


def darken(audio, gain_db, rng):
    """All above 2 kHz lower by this much."""
    low = dsp.sosfiltfilt(dsp.butter(1, 2_000.0, fs=RATE, output="sos"), audio, axis=0)
    return low + (audio - low) * 10.0 ** (-gain_db / 20.0)


def boom(audio, gain_db, rng):
    """All below 100 Hz louder by this much."""
    low = dsp.sosfiltfilt(dsp.butter(1, 100.0, fs=RATE, output="sos"), audio, axis=0)
    return audio + low * (10.0 ** (gain_db / 20.0) - 1.0)


def crush(audio, plr_db, rng):
    """A soft clipper driven until the peak is this much above the RMS."""
    low, high = 1.0, 1e4
    for _ in range(30):
        drive = np.sqrt(low * high)
        result = np.tanh(drive * audio)
        if 20.0 * np.log10(np.abs(result).max() / rms(result)) > plr_db:
            low = drive
        else:
            high = drive
    return 0.9 * result


def fade_sections(audio, range_db, rng):
    """Half of the track lower by this much."""
    gain = np.where(np.arange(len(audio)) < len(audio) // 2, 10.0 ** (-range_db / 20.0), 1.0)
    return audio * dsp.fftconvolve(gain, np.full(RATE, 1.0 / RATE), mode="same")[:, None]


def overdrive_peaks(audio, peak_db, rng):
    return audio / np.abs(audio).max() * 10.0 ** (peak_db / 20.0)


def _loud_positions(audio, count, rng):
    """Frames in sections whose level is above the median, away from both ends."""
    hop = RATE // 5
    level = np.mean(audio[: len(audio) // hop * hop].reshape(-1, hop, audio.shape[1]) ** 2, axis=(1, 2))
    loud = np.flatnonzero(level >= np.median(level))
    loud = loud[(loud > 10) & (loud < len(level) - 10)]
    return rng.choice(loud, count, replace=False) * hop + rng.integers(hop, size=count)


DEFECTS = (
    Defect("clipping", "clipping", clip, (0.003, 0.01, 0.1, 1.0), "% of samples"),
    Defect("saturation", "saturation", saturate, (3.0, 6.0, 9.0, 12.0), "dB"),
    Defect("saturation of a half", "saturation", saturate_unevenly, (3.0, 6.0, 9.0, 12.0), "dB"),
    Defect("true-peak overs", "true_peak", overdrive_peaks, (0.5, 1.5), "dB"),
    Defect("DC offset", "dc_offset", offset, (0.3, 1.0, 3.0), "%"),
    Defect("hum 50 Hz", "hum", hum(50.0), (-50.0, -40.0, -30.0), "dB"),
    Defect("hum 60 Hz", "hum", hum(60.0), (-50.0, -40.0, -30.0), "dB"),
    Defect("steady tone", "steady_tone", tone, (-60.0, -50.0, -40.0, -30.0), "dB"),
    Defect("resonance", "resonance", resonate, (9.0, 12.0, 15.0, 18.0, 24.0), "dB"),
    Defect("hiss", "hiss", hiss, (-60.0, -50.0, -40.0, -30.0), "dB"),
    Defect("polarity of a channel", "polarity", invert_right, (1.0,), ""),
    Defect("delay of a channel", "channel_delay", delay_channel, (0.1, 0.5, 2.0, 10.0), "ms"),
    Defect("polarity of the bass", "bass_polarity", invert_bass, (120.0, 200.0), "Hz"),
    Defect("loss in mono", "mono_loss", widen, (1.0, 3.0, 6.0), "dB side/mid"),
    Defect("imbalance", "imbalance", unbalance, (4.0, 6.0, 10.0), "dB"),
    Defect("lossy low-pass", "lossy_source", low_pass, (12.5, 15.0, 16.0, 17.0), "kHz"),
    Defect("upsampled", "upsampled", resample, (11.025, 22.05), "kHz"),
    Defect("zero-padded", "zero_padded", quantize, (12.0, 16.0), "bit"),
    Defect("leading silence", "leading_silence", delay_start, (4.0,), "s"),
    Defect("dropouts", "dropouts", drop_out, (8.0, 20.0, 60.0), "ms"),
    Defect("cut-off end", "cut_end", cut_end, (5.0,), "s"),
    Defect("clicks", "clicks", click, (0.0, 6.0, 12.0, 20.0), "dB"),
    Defect("dull", "tonal_balance", darken, (10.0, 20.0, 30.0), "dB"),
    Defect("boomy", "tonal_balance", boom, (10.0, 20.0), "dB"),
    Defect("low PLR", "plr", crush, (6.0, 4.0), "dB"),
    Defect("wide loudness range", "loudness_range", fade_sections, (10.0, 20.0), "dB"),
)

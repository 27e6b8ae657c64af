"""Clean synthetic songs with the long-term spectrum of music, and their diagnosis."""

import numpy as np

from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.inspection import scan_track
from tests.synthetic_audio import music

RATE = 44_100


def song(seconds: float = 16.0, seed: int = 0) -> np.ndarray:
    """`[frames, 2]` float64 at −20 dBFS RMS: notes over noise, falling by 6 dB an octave, mostly in the center."""
    rng = np.random.default_rng(seed)
    center, sides = music(seconds, channels=1, seed=seed), music(seconds, seed=seed + 1)
    time = np.arange(len(center)) / RATE
    notes = np.zeros(len(center))
    for start in np.arange(0.0, seconds, 0.25):
        freq_hz, phase = 110.0 * 2.0 ** (rng.integers(36) / 12.0), rng.uniform(0.0, 6.3)
        since = np.maximum(0.0, time - start)
        notes += np.sin(2.0 * np.pi * freq_hz * since + phase) * since * np.exp(-12.0 * since)
    audio = center + 0.4 * sides + 0.1 * (notes / notes.std())[:, None]
    spectrum = np.fft.rfft(audio, axis=0)
    freq_hz = np.fft.rfftfreq(len(audio), 1.0 / RATE)
    audio = np.fft.irfft(spectrum * (1.0 / (1.0 + freq_hz / 120.0) * (freq_hz > 25.0))[:, None], len(audio), axis=0)
    fade = np.minimum(1.0, (seconds - time) / 1.0)
    return audio * (0.1 / np.sqrt(np.mean(audio**2)) * fade)[:, None]


def findings_of(audio: np.ndarray, rate: int = RATE, bits: int | None = None) -> dict:
    """The findings on a signal by name, after rounding to 24 bits as in a file."""
    stored = (np.round(audio * 2.0**23) / 2.0**23).astype(np.float32)
    return {finding.name: finding for finding in diagnose(*scan_track([stored], rate, stored.shape[1]), bits)}

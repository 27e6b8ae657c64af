"""Synthetic music for tests: noise with a beat, of another spectrum for each seed."""

from pathlib import Path

import numpy as np
import soundfile

from nmjax.data.catalog import Song
from nmjax.data.segments import Segment


def music(seconds: float = 2.0, rate: int = 44_100, channels: int = 2, seed: int = 0) -> np.ndarray:
    """`[frames, channel]` float64 at −20 dBFS RMS: filtered noise, modulated twice a second."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * rate)
    noise = rng.standard_normal((frames + 16, channels))
    impulse_response = np.exp(-np.arange(16) / rng.uniform(0.5, 6.0))
    tone = np.stack([np.convolve(noise[:, c], impulse_response, "valid")[:frames] for c in range(channels)], axis=1)
    beat = 0.6 + 0.4 * np.sin(2.0 * np.pi * 2.0 * np.arange(frames) / rate)
    audio = tone * beat[:, None]
    return 0.1 * audio / np.sqrt(np.mean(audio**2))


def write_audio(path: Path, audio: np.ndarray, rate: int = 44_100, subtype: str | None = None) -> Path:
    """Write a file in the format of its suffix; folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), audio, rate, subtype=subtype)
    return path


def write_songs(folder: Path, count: int = 3, seconds: float = 2.0, channels: int = 2) -> Path:
    """A folder of WAV files."""
    for i in range(count):
        write_audio(folder / f"song_{i}.wav", music(seconds, channels=channels, seed=i))
    return folder


def segment(song: Song, start: float, jitter_seconds: float = 0.0) -> Segment:
    """A segment with one start."""
    return Segment(song, np.array([start]), jitter_seconds)

"""Spectra of songs and their covariance, from which training draws random equalizers."""

from __future__ import annotations

import numpy as np

from nmjax.data.catalog import Song
from nmjax.data.scan import FLOOR_DB, THIRD_OCTAVE_CENTERS_HZ

MIN_HZ = 40.0  # below, high-pass filters and rumble decide
# Centers of the third octaves from 40 Hz to 16 kHz.
SONG_SPECTRUM_HZ = THIRD_OCTAVE_CENTERS_HZ[THIRD_OCTAVE_CENTERS_HZ > MIN_HZ * 10.0**-0.05]
MAX_DEVIATION_DB = 30.0  # from the median song, so that a low-pass filter at 16 kHz does not dominate
# The smooth prior: the spectra of 29 songs (two packages of game music) differ by 7.4 dB RMS from their mean, and bands
# an octave apart correlate by 0.5, as they do with these two values once the mean over bands is removed.
PRIOR_STD_DB = 7.0
PRIOR_LENGTH_OCTAVES = 1.0
PRIOR_SONG_COUNT = 10.0  # weight of the prior: few songs cannot determine 27 × 27 numbers


def song_spectra(songs: list[Song]) -> tuple[np.ndarray, np.ndarray]:
    """`SONG_SPECTRUM_HZ` and the level of each song in each band, in dB relative to the song's mean.

    Levels are clipped to 30 dB around the median song's; silent songs are left out.

    Returns:
        Centers `[bands]` in Hz and levels `[songs, bands]`, float32.
    """
    spectra = np.array([song.target.spectrum_db for song in songs], np.float64).reshape(
        len(songs), len(THIRD_OCTAVE_CENTERS_HZ)
    )
    levels_db = spectra[:, -len(SONG_SPECTRUM_HZ) :]
    levels_db = levels_db[levels_db.max(axis=1) > FLOOR_DB]
    if not len(levels_db):
        return SONG_SPECTRUM_HZ, np.zeros((0, len(SONG_SPECTRUM_HZ)), np.float32)
    levels_db -= np.median(levels_db, axis=1, keepdims=True)  # unlike the mean, not moved by empty bands
    median_db = np.median(levels_db, axis=0)
    levels_db = np.clip(levels_db, median_db - MAX_DEVIATION_DB, median_db + MAX_DEVIATION_DB)
    return SONG_SPECTRUM_HZ, (levels_db - levels_db.mean(axis=1, keepdims=True)).astype(np.float32)


def spectrum_covariance(songs: list[Song]) -> np.ndarray:
    """Covariance of the songs' spectra over `SONG_SPECTRUM_HZ`, `[bands, bands]` float32 in dB².

    (n·S + n₀·P)/(n + n₀): the sample covariance S of n songs, shrunk towards the smooth prior
    P = σ²·exp(−(octaves/ℓ)²/2), centered over bands as the songs are. So even one song, or none, gives a usable result.
    """
    centers_hz, levels_db = song_spectra(songs)
    levels_db = levels_db.astype(np.float64)
    count, bands = levels_db.shape
    deviations_db = levels_db - levels_db.mean(axis=0) if count else levels_db
    octaves = np.log2(centers_hz)
    prior = PRIOR_STD_DB**2 * np.exp(-0.5 * ((octaves[:, None] - octaves) / PRIOR_LENGTH_OCTAVES) ** 2)
    centering = np.eye(bands) - 1.0 / bands
    covariance = (deviations_db.T @ deviations_db + PRIOR_SONG_COUNT * centering @ prior @ centering) / (
        count + PRIOR_SONG_COUNT
    )
    return (0.5 * (covariance + covariance.T)).astype(np.float32)

"""How the spectra of songs differ: what a random style of the music at hand should look like."""

from __future__ import annotations

import numpy as np

from nmjax.data.catalog import Song
from nmjax.data.scan import FLOOR_DB, THIRD_OCTAVE_CENTERS_HZ

MIN_HZ = 40.0  # below lies what high-pass filters and rumble make of it, not the song's tone
SONG_SPECTRUM_HZ = THIRD_OCTAVE_CENTERS_HZ[
    THIRD_OCTAVE_CENTERS_HZ > MIN_HZ * 10.0**-0.05
]  # `[bands]`, third octaves up to 16 kHz
MAX_DEVIATION_DB = 30.0  # from the median song: what a low-pass at 16 kHz took away is no tone either
# The smooth prior: 29 pieces of two packages of game music lie 7.4 dB (RMS over bands) around their mean, and bands an
# octave apart are correlated by 0.5, as they are with these two once the mean over bands is off.
PRIOR_STD_DB = 7.0
PRIOR_LENGTH_OCTAVES = 1.0
PRIOR_SONG_COUNT = (
    10.0  # as many songs as the prior counts for: fewer than there are bands say little of 27 × 27 numbers
)


def song_spectra(songs: list[Song]) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the third octaves from 40 Hz to 16 kHz in Hz, `[bands]`, and the songs' levels there in dB,
    `[songs, bands]` float32, each song's mean taken off.

    Levels are held within 30 dB around the median song's. Songs that are silent are left out.
    """
    spectra = np.array([song.target.spectrum_db for song in songs], np.float64).reshape(
        len(songs), len(THIRD_OCTAVE_CENTERS_HZ)
    )
    levels_db = spectra[:, -len(SONG_SPECTRUM_HZ) :]
    levels_db = levels_db[levels_db.max(axis=1) > FLOOR_DB]
    if not len(levels_db):
        return SONG_SPECTRUM_HZ, np.zeros((0, len(SONG_SPECTRUM_HZ)), np.float32)
    levels_db -= np.median(levels_db, axis=1, keepdims=True)  # which empty bands do not move
    median_db = np.median(levels_db, axis=0)
    levels_db = np.clip(levels_db, median_db - MAX_DEVIATION_DB, median_db + MAX_DEVIATION_DB)
    return SONG_SPECTRUM_HZ, (levels_db - levels_db.mean(axis=1, keepdims=True)).astype(np.float32)


def spectrum_covariance(songs: list[Song]) -> np.ndarray:
    """How songs' spectra differ from their mean: `[bands, bands]` of STYLE_HZ, float32 in dB², symmetric and positive
    semi-definite.

    (n·S + n₀·P)/(n + n₀): the sample covariance S of n songs, shrunk towards the smooth prior
    P = σ²·exp(−(octaves/ℓ)²/2) with its mean over bands taken off as the songs' is; so one song is enough.
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

"""How the spectra of songs differ: what a random style of the music at hand should look like."""

from __future__ import annotations

import numpy as np

from nmjax.data.measure import CENTRES_HZ, FLOOR_DB
from nmjax.data.songs import Song

LOWEST_HZ = 40.0  # below lies what high-pass filters and rumble make of it, not the song's tone
STYLE_HZ = CENTRES_HZ[CENTRES_HZ > LOWEST_HZ * 10.0**-0.05]  # `[bands]`, third octaves up to 16 kHz
FARTHEST_DB = 30.0  # from the median song: what a low-pass at 16 kHz took away is no tone either
# The smooth prior: 29 pieces of two packages of game music lie 7.4 dB (RMS over bands) around their mean, and bands an
# octave apart are correlated by 0.5, as they are with these two once the mean over bands is off.
PRIOR_STD_DB = 7.0
PRIOR_OCTAVES = 1.0
PRIOR_SONGS = 10.0  # as many songs as the prior counts for: fewer than there are bands say little of 27 × 27 numbers


def song_spectra(songs: list[Song]) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the third octaves from 40 Hz to 16 kHz in Hz, `[bands]`, and the songs' levels there in dB,
    `[songs, bands]` float32, each song's mean taken off.

    Levels are held within 30 dB around the median song's. Songs that are silent are left out.
    """
    spectra = np.array([song.target.spectrum for song in songs], np.float64).reshape(len(songs), len(CENTRES_HZ))
    level = spectra[:, -len(STYLE_HZ) :]
    level = level[level.max(axis=1) > FLOOR_DB]
    if not len(level):
        return STYLE_HZ, np.zeros((0, len(STYLE_HZ)), np.float32)
    level -= np.median(level, axis=1, keepdims=True)  # which empty bands do not move
    middle = np.median(level, axis=0)
    level = np.clip(level, middle - FARTHEST_DB, middle + FARTHEST_DB)
    return STYLE_HZ, (level - level.mean(axis=1, keepdims=True)).astype(np.float32)


def style_covariance(songs: list[Song]) -> np.ndarray:
    """How songs' spectra differ from their mean: `[bands, bands]` of STYLE_HZ, float32 in dB², symmetric and positive
    semi-definite.

    (n·S + n₀·P)/(n + n₀): the sample covariance S of n songs, shrunk towards the smooth prior
    P = σ²·exp(−(octaves/ℓ)²/2) with its mean over bands taken off as the songs' is; so one song is enough.
    """
    centres, level = song_spectra(songs)
    level = level.astype(np.float64)
    count, bands = level.shape
    off = level - level.mean(axis=0) if count else level
    octaves = np.log2(centres)
    prior = PRIOR_STD_DB**2 * np.exp(-0.5 * ((octaves[:, None] - octaves) / PRIOR_OCTAVES) ** 2)
    levelled = np.eye(bands) - 1.0 / bands
    found = (off.T @ off + PRIOR_SONGS * levelled @ prior @ levelled) / (count + PRIOR_SONGS)
    return (0.5 * (found + found.T)).astype(np.float32)

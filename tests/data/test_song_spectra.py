"""Covariances against sums written out, and what must not explode them."""

import dataclasses

import numpy as np
import pytest

from nmjax.data import Song, find_songs
from nmjax.data.song_spectra import (
    PRIOR_LENGTH_OCTAVES,
    PRIOR_SONG_COUNT,
    PRIOR_STD_DB,
    song_spectra,
    spectrum_covariance,
)
from tests.synthetic_audio import write_audio


@pytest.fixture(scope="module")
def noise_song(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    write_audio(folder / "a.wav", np.random.default_rng(0).standard_normal((44_100 * 4, 1)) * 0.1)
    return find_songs(folder)[0]


def with_spectrum(song: Song, level_db: np.ndarray) -> Song:
    target = dataclasses.replace(song.target, spectrum_db=level_db.astype(np.float32))
    return dataclasses.replace(song, target=target)


def test_white_noise_rises_by_three_decibels_an_octave(noise_song):
    centers, level = song_spectra([noise_song])
    assert (len(centers), level.shape) == (27, (1, 27))
    assert [centers[0], centers[-1]] == pytest.approx([39.8, 15_849.0], abs=0.5)
    assert np.polyfit(np.log2(centers), level[0], 1)[0] == pytest.approx(3.01, abs=0.15)
    assert level.mean() == pytest.approx(0.0, abs=1e-5)


def test_the_covariance_is_the_songs_own_and_the_priors(noise_song):
    rng = np.random.default_rng(1)
    slopes = rng.uniform(-1.0, 1.0, (40, 1)) * np.linspace(-12.0, 12.0, 29)
    songs = [
        with_spectrum(noise_song, -40.0 + level + rng.normal(0.0, 30.0)) for level in slopes
    ]  # levels do not count
    expected = np.zeros((27, 27))
    shapes = slopes[:, 2:] - slopes[:, 2:].mean(axis=1, keepdims=True)
    for shape in shapes:
        expected += np.outer(shape - shapes.mean(axis=0), shape - shapes.mean(axis=0))
    prior = np.array(
        [
            [
                PRIOR_STD_DB**2 * np.exp(-(((i - j) * np.log2(10) / 10 / PRIOR_LENGTH_OCTAVES) ** 2) / 2)
                for j in range(27)
            ]
            for i in range(27)
        ]
    )
    prior = prior - prior.mean(axis=0) - prior.mean(axis=1)[:, None] + prior.mean()
    result = spectrum_covariance(songs)
    np.testing.assert_allclose(result, (expected + PRIOR_SONG_COUNT * prior) / (40 + PRIOR_SONG_COUNT), atol=1e-3)
    np.testing.assert_allclose(
        spectrum_covariance(songs[:1]), PRIOR_SONG_COUNT * prior / (1 + PRIOR_SONG_COUNT), atol=1e-4
    )


def test_empty_bands_and_silent_songs_do_not_explode_it(noise_song):
    flat = [with_spectrum(noise_song, np.full(29, -40.0) + np.arange(29) * 0.1 * i) for i in range(6)]
    cut = with_spectrum(noise_song, np.where(np.arange(29) > 24, -150.0, -40.0))
    silent = with_spectrum(noise_song, np.full(29, -150.0))
    assert song_spectra([*flat, silent])[1].shape == (6, 27)
    result = spectrum_covariance([*flat, cut, silent])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, result.T)
    assert np.diag(result).max() < 31.0**2
    assert np.linalg.eigvalsh(result.astype(np.float64)).min() > -1e-4
    assert np.all(np.isfinite(spectrum_covariance([silent])))

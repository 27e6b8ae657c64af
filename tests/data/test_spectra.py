"""Covariances against sums written out, and what must not explode them."""

import dataclasses

import numpy as np
import pytest

from nmjax.data import Song, find_songs
from nmjax.data.spectra import PRIOR_OCTAVES, PRIOR_SONGS, PRIOR_STD_DB, song_spectra, style_covariance
from tests.music import write


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    write(folder / "a.wav", np.random.default_rng(0).standard_normal((44_100 * 4, 1)) * 0.1)
    return find_songs(folder)[0]


def with_spectrum(song: Song, level_db: np.ndarray) -> Song:
    target = dataclasses.replace(song.target, spectrum=level_db.astype(np.float32))
    return dataclasses.replace(song, target=target)


def test_white_noise_rises_by_three_decibels_an_octave(one):
    centres, level = song_spectra([one])
    assert (len(centres), level.shape) == (27, (1, 27))
    assert [centres[0], centres[-1]] == pytest.approx([39.8, 15_849.0], abs=0.5)
    assert np.polyfit(np.log2(centres), level[0], 1)[0] == pytest.approx(3.01, abs=0.15)
    assert level.mean() == pytest.approx(0.0, abs=1e-5)


def test_the_covariance_is_the_songs_own_and_the_priors(one):
    rng = np.random.default_rng(1)
    slopes = rng.uniform(-1.0, 1.0, (40, 1)) * np.linspace(-12.0, 12.0, 29)
    songs = [with_spectrum(one, -40.0 + level + rng.normal(0.0, 30.0)) for level in slopes]  # levels do not count
    wanted = np.zeros((27, 27))
    shapes = slopes[:, 2:] - slopes[:, 2:].mean(axis=1, keepdims=True)
    for shape in shapes:
        wanted += np.outer(shape - shapes.mean(axis=0), shape - shapes.mean(axis=0))
    prior = np.array(
        [
            [PRIOR_STD_DB**2 * np.exp(-(((i - j) * np.log2(10) / 10 / PRIOR_OCTAVES) ** 2) / 2) for j in range(27)]
            for i in range(27)
        ]
    )
    prior = prior - prior.mean(axis=0) - prior.mean(axis=1)[:, None] + prior.mean()
    found = style_covariance(songs)
    np.testing.assert_allclose(found, (wanted + PRIOR_SONGS * prior) / (40 + PRIOR_SONGS), atol=1e-3)
    np.testing.assert_allclose(style_covariance(songs[:1]), PRIOR_SONGS * prior / (1 + PRIOR_SONGS), atol=1e-4)


def test_empty_bands_and_silent_songs_do_not_explode_it(one):
    flat = [with_spectrum(one, np.full(29, -40.0) + np.arange(29) * 0.1 * i) for i in range(6)]
    cut = with_spectrum(one, np.where(np.arange(29) > 24, -150.0, -40.0))
    silent = with_spectrum(one, np.full(29, -150.0))
    assert song_spectra([*flat, silent])[1].shape == (6, 27)
    found = style_covariance([*flat, cut, silent])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, found.T)
    assert np.diag(found).max() < 31.0**2
    assert np.linalg.eigvalsh(found.astype(np.float64)).min() > -1e-4
    assert np.all(np.isfinite(style_covariance([silent])))

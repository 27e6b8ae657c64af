"""The fit to pairs: an engineer who takes half of each song's tilt away, done with NumPy's FFT."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.data import find_songs
from nmjax.dsp import response_db
from nmjax.models import build_model
from nmjax.models.spectral_features import BAND_CENTERS_HZ, NUM_BANDS
from nmjax.training.spectral_fit.estimator import DB_PER_Z
from nmjax.training.spectral_fit.excerpts import read_pair_excerpts
from nmjax.training.spectral_fit.fit import fit_spectral_variables
from nmjax.training.spectral_fit.pair_estimator import extract_pair_features, fit_pair_estimator
from nmjax.training.state import initial_variables
from tests.synthetic_audio import write_audio

RATE, SECONDS = 44_100, 31
TILTS_DB = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # per octave


def tilted(audio, db_per_octave):
    """The signal with a tilt around 1 kHz, flat below 25 Hz."""
    spectrum = np.fft.rfft(audio)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(audio), 1 / RATE), 25.0) / 1000.0)
    return np.fft.irfft(spectrum * 10.0 ** (db_per_octave * octaves / 20.0), len(audio))


def expected_correction_db(tilt):
    octaves = np.log2(BAND_CENTERS_HZ / 1000.0)
    return -0.5 * tilt * (octaves - octaves.mean())


def write_pairs(folder, tilts=TILTS_DB, delay=0, first_seed=0):
    for number, tilt in enumerate(tilts):
        noise = np.random.default_rng(first_seed + number).standard_normal(RATE * SECONDS)
        mix = tilted(noise, tilt - 3.0)
        master = np.roll(tilted(mix, -0.5 * tilt), delay)
        for side, audio in (("mix", mix), ("master", master)):
            write_audio(folder / side / f"{number}.wav", 0.2 * audio[:, None] / np.abs(audio).max(), RATE, "PCM_24")
    return find_songs(folder / "mix", folder / "master", folder / "cache", report=lambda _: None)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def pairs(songs):
    return extract_pair_features(songs, lambda _: None)


def test_the_corrections_are_those_of_the_engineer(pairs):
    for row, tilt in zip(pairs.corrections, TILTS_DB, strict=True):
        np.testing.assert_allclose(row - row.mean(), expected_correction_db(tilt), atol=0.3)


def test_new_songs_get_the_correction_of_their_own_spectrum(pairs, tmp_path):
    estimator = fit_pair_estimator(pairs)
    tilts = (-2.5, 0.5, 1.5)
    new = extract_pair_features(write_pairs(tmp_path, tilts, first_seed=100), lambda _: None)
    predicted_db = DB_PER_Z * (new.features @ estimator.kernel + estimator.bias)
    for row, tilt in zip(predicted_db, tilts, strict=True):
        distance = row - row.mean() - expected_correction_db(tilt)
        assert np.sqrt(np.mean(distance**2)) < 0.25
    assert estimator.residual_rms_db < 0.5 * estimator.spectrum_std_db  # the held-out extremes are extrapolated


def test_both_sides_are_read_at_the_same_time_where_one_is_late(tmp_path):
    delay = 4000
    (song,) = write_pairs(tmp_path, tilts=(0.0,), delay=delay)
    assert song.alignment.delay_frames == delay
    for mix, master in read_pair_excerpts(song):  # a tilt of 0 changes nothing, and noise has no other match
        assert mix.shape == master.shape
        assert np.corrcoef(mix[:, 0], master[:, 0])[0, 1] > 0.999


@pytest.mark.slow  # fits a decoder
@pytest.mark.parametrize("encoder", ["spectral", "two_branch"])
def test_a_fit_to_pairs_renders_the_correction(songs, pairs, encoder, monkeypatch):
    monkeypatch.setattr("nmjax.training.spectral_fit.decoder_fit.DECODER_STEPS", 800)
    config = load_config("1a", ["small", "spectral"], [f"model.encoder={encoder}"])
    model = build_model(config)
    variables = fit_spectral_variables(config, initial_variables(model, 0), songs, lambda _: None)
    (mix, _), *_ = read_pair_excerpts(songs[0])
    prediction = model.apply(variables, jnp.asarray(mix)[None], method="predict")
    predicted_db = DB_PER_Z * np.asarray(prediction.z)[0, :NUM_BANDS]
    rendered_db = np.asarray(response_db(prediction.settings.eq.bands(), jnp.asarray(BAND_CENTERS_HZ), RATE))[0]
    for curve in (predicted_db, rendered_db):
        assert np.std(curve - curve.mean() - expected_correction_db(TILTS_DB[0])) < 1.0

"""The spectral fit: excerpts, the estimator against a regression on many draws, and a whole fit."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from pyloudnorm import Meter

from nmjax.cli.main import main
from nmjax.config import load_config
from nmjax.data import find_songs, parse_sources
from nmjax.dsp import response_db
from nmjax.mastering.network import load
from nmjax.models import build_model
from nmjax.models.spectral_features import BAND_CENTERS_HZ, NUM_BANDS, NUM_FEATURES
from nmjax.runtime.errors import BadInputError
from nmjax.training.request import TrainingRequest
from nmjax.training.spectral_fit import checkpoint, decoder_fit, excerpts
from nmjax.training.spectral_fit.decoder_fit import fit_decoder
from nmjax.training.spectral_fit.estimator import DB_PER_Z, fit_estimator, random_degradation_curves
from nmjax.training.spectral_fit.fit import check_spectral_encoder
from nmjax.training.state import initial_variables
from nmjax.training.trainer import fit_spectral
from tests.synthetic_audio import music, write_audio, write_songs

CONFIG = load_config("1a", ["small", "spectral"], [])


def test_excerpts_have_the_model_level_also_for_lossy_files(tmp_path):
    for name, subtype in (("a.wav", "PCM_16"), ("b.ogg", "VORBIS")):
        write_audio(tmp_path / name, 0.3 * music(35.0, channels=1), 44_100, subtype)
    for song in find_songs(tmp_path, cache_dir=tmp_path / "cache"):
        (first,) = excerpts.read_excerpts(song, mono=True)  # one of 30 s
        result = Meter(44_100).integrated_loudness(first.astype(np.float64))
        assert result == pytest.approx(-20.0, abs=1.0)


def test_the_closed_form_matches_a_regression_on_many_draws():
    """Least squares by NumPy on 10,000 degraded songs from a Gaussian whose mean depends on the other features."""
    rng = np.random.default_rng(0)
    smooth = np.exp(-0.5 * ((np.arange(NUM_BANDS)[:, None] - np.arange(NUM_BANDS)[None]) / 4.0) ** 2)
    slope = 0.3 * rng.standard_normal((20, NUM_BANDS))

    def random_features(count):
        others = rng.standard_normal((count, 20))
        spectrum = 5.0 * others @ slope + 3.0 * rng.standard_normal((count, NUM_BANDS)) @ smooth
        result = np.zeros((count, NUM_FEATURES))
        result[:, :NUM_BANDS], result[:, NUM_BANDS : NUM_BANDS + 20] = spectrum / 10.0, others
        return result

    degradations = 2.5 * rng.standard_normal((4000, NUM_BANDS)) @ smooth
    estimate = fit_estimator(random_features(8000), np.arange(8000) % 16, degradations, ridge_penalty=1e-3)
    many = random_features(10_000)
    degradation = degradations[rng.integers(len(degradations), size=len(many))]
    # The estimator scales the covariance of the music by three, and adds 0.5 dB² to its variance.
    extra = (
        3.0 * 2**0.5 * rng.standard_normal((len(many), NUM_BANDS)) @ smooth
        + rng.standard_normal((len(many), NUM_BANDS)) * 0.5**0.5
    )
    degraded = many.copy()
    degraded[:, :NUM_BANDS] += (degradation + extra) / 10.0
    design = np.concatenate([degraded[:, : NUM_BANDS + 20], np.ones((len(many), 1))], axis=1)
    expected = design @ np.linalg.lstsq(design, -degradation, rcond=None)[0]
    result = DB_PER_Z * (degraded @ estimate.kernel + estimate.bias)
    assert np.sqrt(np.mean((result - expected) ** 2)) < 0.2 * np.sqrt(np.mean(expected**2))
    assert np.sqrt(np.mean(expected**2)) > 0.3
    assert estimate.residual_rms_db == pytest.approx(3.0 * np.sqrt(np.mean(np.sum(smooth**2, axis=0))), rel=0.05)


def test_random_degradations_are_smooth_zero_mean_curves():
    degradations = random_degradation_curves(3)
    np.testing.assert_allclose(degradations.mean(axis=1), 0.0, atol=1e-9)
    assert np.sqrt(np.mean(degradations**2)) == pytest.approx(2.4)
    assert np.sqrt(np.mean(np.diff(degradations, axis=1) ** 2)) < 0.25 * 2.4
    assert not np.array_equal(degradations, random_degradation_curves(4))


def test_a_fitted_run_masters_and_its_bands_follow_the_curve_in_z(tmp_path, monkeypatch):
    for module in (decoder_fit, checkpoint):
        monkeypatch.setattr(module, "DECODER_STEPS", 800)
    folder = write_songs(tmp_path / "music", 4, 32.0)
    sources = parse_sources([str(folder)])
    config = load_config("1a", ["small", "spectral"], ["data.validation_fraction=0.25"])
    fit_spectral(TrainingRequest(config, sources, tmp_path / "run"))
    network = load(tmp_path / "run")
    prediction = network.predict([np.float32(0.1) * music(10.0)[:, :1].astype(np.float32)])
    expected = DB_PER_Z * np.asarray(prediction.z)[0, :NUM_BANDS]
    rendered_db = np.asarray(
        response_db(prediction.settings.eq.bands(), jnp.asarray(BAND_CENTERS_HZ, jnp.float32), 44_100)
    )[0]
    difference_db = (rendered_db - rendered_db.mean()) - (expected - expected.mean())
    assert np.sqrt(np.mean(difference_db**2)) < max(0.5, 0.35 * np.std(expected))
    with pytest.raises(BadInputError, match="already holds a run"):
        fit_spectral(TrainingRequest(config, sources, tmp_path / "run"))


def test_only_the_spectral_encoder_can_be_fitted():
    with pytest.raises(BadInputError, match="--config spectral"):
        check_spectral_encoder(load_config("1a", [], []))


@pytest.mark.slow  # fits two decoders
def test_gate_l1_closes_gates_of_a_fitted_1c(monkeypatch):
    """A larger weight leaves fewer bands active, and the response is further from the correction."""
    monkeypatch.setattr(decoder_fit, "DECODER_STEPS", 600)
    rng = np.random.default_rng(1)
    result = rng.standard_normal((64, NUM_FEATURES)) * 0.5
    degradations = random_degradation_curves(0)[:256]
    active, distances_db = [], []
    for weight in (0.0, 0.3):
        config = load_config("1c", ["small", "spectral"], [f"loss.gate_l1={weight}", "loss.gate_entropy=0.02"])
        variables = initial_variables(build_model(config), 0)
        estimate = fit_estimator(result, np.arange(64) % 8, degradations)
        params, distance_db = fit_decoder(config, variables, estimate, result, degradations)
        z = jnp.pad(jnp.asarray(result @ estimate.kernel + estimate.bias, jnp.float32), ((0, 0), (0, 512 - NUM_BANDS)))
        variables = {**variables, "params": {**variables["params"], "decoder": params}}
        gate = build_model(config).apply(variables, z, method="decode").settings.eq.gate
        active.append(float(jnp.mean(jnp.sum(gate > 0.5, axis=1))))
        distances_db.append(distance_db)
    assert active[1] < active[0] - 2.0
    assert distances_db[0] < distances_db[1]


def test_too_little_music_is_reported_before_anything_is_written(tmp_path, capsys):
    for name in ("a", "b"):
        write_audio(tmp_path / "music" / f"{name}.wav", music(5.0), 44_100)
    out = tmp_path / "run"
    arguments = ["--phase", "1a", "--config", "small", "--config", "spectral", f"data.cache_dir={tmp_path / 'cache'}"]
    assert main(["train", "--fit-spectral", *arguments, "--data", str(tmp_path / "music"), "--out", str(out)]) == 2
    assert "two songs of 30 s" in capsys.readouterr().err
    assert not out.exists()

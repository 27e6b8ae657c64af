"""Fit of the processors: features of degraded excerpts, and settings that undo what can be predicted."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nmjax.config import load_config
from nmjax.data import find_songs, parse_sources
from nmjax.mastering.network import load
from nmjax.models import build_model
from nmjax.models.spectral_features import NUM_FEATURES
from nmjax.training.request import TrainingRequest
from nmjax.training.spectral_fit import checkpoint, decoder_fit
from nmjax.training.spectral_fit.processor_fit import (
    DEGRADATIONS_PER_EXCERPT,
    DegradedExcerpts,
    extract_degraded_features,
    fit_best_ridge,
    fit_processor_params,
)
from nmjax.training.state import initial_variables
from nmjax.training.trainer import fit_spectral
from tests.synthetic_audio import music, write_songs

CONFIG = load_config("2", ["small", "spectral"], [])


def predictable_degradations(count=2000):
    """Degradations that a feature of mid and the difference of features of mid and side determine exactly."""
    rng = np.random.default_rng(0)
    mid, side = rng.standard_normal((2, count, NUM_FEATURES)) * 0.3
    return DegradedExcerpts(
        mid_features=mid,
        side_features=side,
        exponent=0.4 * mid[:, 7],
        side_gain_db=5.0 * (side[:, -1] - mid[:, -1]),
        is_stereo=np.ones(count),
        groups=np.arange(count) % 10,
    )


def test_settings_undo_predictable_degradations():
    degraded, messages = predictable_degradations(), []
    model = build_model(CONFIG)
    variables = initial_variables(model, 0)
    params = variables["params"] | fit_processor_params(variables["params"], degraded, messages.append)
    out = params["encoder"]["out"]
    z, z_side = (
        jnp.asarray(x @ np.asarray(out["kernel"]) + np.asarray(out["bias"]))
        for x in (degraded.mid_features, degraded.side_features)
    )
    settings = model.apply({**variables, "params": params}, z, False, z_side, method="decode").settings
    small = np.abs(degraded.exponent) < 0.1
    np.testing.assert_allclose(settings.compressor.slope[small], 0.87 * degraded.exponent[small], atol=0.02)
    np.testing.assert_allclose(settings.compressor.threshold_db, -22.4, atol=1e-3)
    small = np.abs(degraded.side_gain_db) < 2.0
    for band in (settings.width.low, settings.width.high):
        np.testing.assert_allclose(band[small], 10.0 ** (-degraded.side_gain_db[small] / 20.0), atol=0.08)
    assert (np.asarray(settings.saturator.mix) == 0.0).all()
    percentages = [int(word) for word in messages[0].replace("%", " ").split() if word.isdigit()]
    assert min(percentages) > 80


def test_unpredictable_degradations_get_almost_no_correction():
    degraded, rng = predictable_degradations(400), np.random.default_rng(1)
    inputs, exponent = degraded.mid_features[:, :40], 0.25 * rng.uniform(-1, 1, 400)
    fit = fit_best_ridge(inputs, exponent, degraded.groups)
    assert np.std(inputs @ fit.kernel + fit.bias) < 0.5 * np.std(exponent)
    assert fit.r_squared < 0.1


def test_features_of_degraded_excerpts_follow_their_side_gain(tmp_path):
    """A louder side has a higher level relative to mid by the same number of dB, for every song."""
    songs = find_songs(write_songs(tmp_path / "music", 2, 32.0), None)
    result = extract_degraded_features(CONFIG, songs, lambda _: None)
    assert len(result.mid_features) == len(result.side_features) == len(result.groups) == 2 * DEGRADATIONS_PER_EXCERPT
    expansion = CONFIG.degrade.expansion
    assert ((result.exponent >= -0.4 * expansion) & (result.exponent <= expansion)).all()
    assert result.is_stereo.all()
    side_level_db = 10.0 * (result.side_features - result.mid_features)[:, -1]  # the last feature is the level in bels
    for album in (0, 1):
        in_album = result.groups == album
        np.testing.assert_allclose(
            np.ptp(side_level_db[in_album]), np.ptp(result.side_gain_db[in_album]), rtol=0.1, atol=0.3
        )


def test_a_fitted_phase_2_predicts_processors(tmp_path, monkeypatch):
    for module in (decoder_fit, checkpoint):
        monkeypatch.setattr(module, "DECODER_STEPS", 50)
    folder = write_songs(tmp_path / "music", 2, 32.0)
    config = load_config("2", ["small", "spectral"], ["data.validation_fraction=0"])
    fit_spectral(TrainingRequest(config, parse_sources([str(folder)]), tmp_path / "run"))
    settings = load(tmp_path / "run").predict([np.float32(0.1) * music(10.0).astype(np.float32)]).settings
    assert abs(float(settings.compressor.threshold_db[0]) + 22.4) < 1e-3
    assert 0.0 < float(settings.width.high[0]) < 2.0

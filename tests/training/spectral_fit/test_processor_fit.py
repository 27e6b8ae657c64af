"""Teaching the stages: what was heard with which fault, and that settings undo a fault that can be told."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nmjax.config import load_config
from nmjax.data import find_songs, parse_sources
from nmjax.mastering.network import load
from nmjax.models import build_model
from nmjax.models.processors import SETTING_TABLE
from nmjax.models.spectral_encoder import NUM_FEATURES
from nmjax.training import trainer
from nmjax.training.spectral_fit import fit, processors
from nmjax.training.spectral_fit.processors import DegradedExcerpts
from nmjax.training.state import initial_variables
from tests.synthetic_audio import music, write_songs

CONFIG = load_config("2", ["small", "spectral"], [])


def predictable_degradations(count=2000):
    """Faults that one feature of mid and the difference of two of mid and side tell exactly."""
    draw = np.random.default_rng(0)
    mid, side = draw.standard_normal((2, count, NUM_FEATURES)) * 0.3
    exponent, side_db = 0.4 * mid[:, 7], 5.0 * (side[:, -1] - mid[:, -1])
    return DegradedExcerpts(mid, side, exponent, side_db, np.ones(count), np.arange(count) % 10)


def test_settings_undo_predictable_degradations():
    features, messages = predictable_degradations(), []
    model = build_model(CONFIG)
    variables = initial_variables(model, 0)
    params = variables["params"]
    fitted_params = params | processors.fit_processor_params(params, features, messages.append)
    out = fitted_params["encoder"]["out"]
    z, z_side = (
        jnp.asarray(x @ np.asarray(out["kernel"]) + np.asarray(out["bias"]))
        for x in (features.mid_features, features.side_features)
    )
    settings = model.apply({**variables, "params": fitted_params}, z, False, z_side, method="decode").settings
    small = np.abs(features.exponent) < 0.1
    np.testing.assert_allclose(settings.compressor.slope[small], 0.87 * features.exponent[small], atol=0.02)
    np.testing.assert_allclose(settings.compressor.threshold_db, -22.4, atol=1e-3)
    small = np.abs(features.side_gain_db) < 2.0
    for band in (settings.width.low, settings.width.high):
        np.testing.assert_allclose(band[small], 10.0 ** (-features.side_gain_db[small] / 20.0), atol=0.08)
    assert (np.asarray(settings.saturator.mix) == 0.0).all()
    shares = [int(word) for word in messages[0].replace("%", " ").split() if word.isdigit()]
    assert min(shares) > 80


def test_unpredictable_degradations_get_no_correction():
    result = predictable_degradations(400)
    draw = np.random.default_rng(1)
    unpredictable = DegradedExcerpts(
        result.mid_features,
        result.side_features,
        0.25 * draw.uniform(-1, 1, 400),
        3.0 * draw.standard_normal(400),
        result.is_stereo,
        result.groups,
    )
    estimate = processors._fit_best_ridge(
        unpredictable.mid_features[:, :40], unpredictable.exponent, unpredictable.groups
    )
    guessed = unpredictable.mid_features[:, :40] @ estimate[0] + estimate[1]
    assert np.std(guessed) < 0.5 * np.std(unpredictable.exponent) and estimate[2] < 0.1


def test_encoded_degradations_match_their_labels(tmp_path):
    """A wider side is heard louder than the mid by just so many dB, whatever song it is."""
    result = processors.extract_degraded_features(
        CONFIG, find_songs(write_songs(tmp_path / "music", 2, 32.0), None), lambda _: None
    )
    assert (
        len(result.mid_features) == len(result.side_features) == len(result.groups) == 2 * processors._DRAWS_PER_EXCERPT
    )
    max_exponent = CONFIG.degrade.expansion
    assert (
        (result.exponent >= -0.4 * max_exponent) & (result.exponent <= max_exponent)
    ).all() and result.is_stereo.all()
    side_level_db = (
        10.0 * (result.side_features - result.mid_features)[:, -1]
    )  # the last feature is the spectrum's middle, in tens of dB
    for album in (0, 1):
        in_album = result.groups == album
        np.testing.assert_allclose(
            np.ptp(side_level_db[in_album]), np.ptp(result.side_gain_db[in_album]), rtol=0.1, atol=0.3
        )


def test_raw_of_inverts_the_settings_table():
    for row in SETTING_TABLE:
        for share in (0.1, 0.5, 0.8):
            low, high = row.to_scale(row.low), row.to_scale(row.high)
            on_axis = low + share * (high - low)
            value = on_axis
            if row.scale != "linear":
                value = np.exp(on_axis) if row.scale == "log" else 1.0 / (1.0 - on_axis)
            raw = jnp.full((1,), row.to_raw(float(value)), jnp.float32)
            np.testing.assert_allclose(row.from_raw(raw), value, rtol=2e-5, atol=1e-5)


def test_a_fitted_phase_2_masters(tmp_path, monkeypatch):
    """The whole command: bands and stages, and what they do to a side that is too loud."""
    monkeypatch.setattr(fit, "DECODER_STEPS", 50)
    folder = write_songs(tmp_path / "music", 2, 32.0)
    config = load_config("2", ["small", "spectral"], ["data.validation_fraction=0"])
    trainer.fit_spectral(trainer.TrainingRequest(config, parse_sources([str(folder)]), tmp_path / "run"))
    settings = load(tmp_path / "run").predict([np.float32(0.1) * music(10.0).astype(np.float32)]).settings
    assert abs(float(settings.compressor.threshold_db[0]) + 22.4) < 1e-3
    assert 0.0 < float(settings.width.high[0]) < 2.0

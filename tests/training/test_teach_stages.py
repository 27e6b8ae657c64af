"""Teaching the stages: what was heard with which fault, and that settings undo a fault that can be told."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nmjax.config import load_config
from nmjax.data import find_songs
from nmjax.models import build_model
from nmjax.models.spectral_encoder import FEATURES
from nmjax.models.stages import TABLE
from nmjax.training import teach_stages
from nmjax.training.state import initial_variables
from nmjax.training.teach_stages import Faulty
from tests.music import songs

CONFIG = load_config("2", ["small", "spectral"], [])


def told(count=2000):
    """Faults that one feature of mid and the difference of two of mid and side tell exactly."""
    draw = np.random.default_rng(0)
    mid, side = draw.standard_normal((2, count, FEATURES)) * 0.3
    exponent, side_db = 0.4 * mid[:, 7], 5.0 * (side[:, -1] - mid[:, -1])
    return Faulty(mid, side, exponent, side_db, np.ones(count), np.arange(count) % 10)


def test_settings_undo_what_can_be_told():
    found, said = told(), []
    model = build_model(CONFIG)
    variables = initial_variables(model, 0)
    params = variables["params"]
    taught = params | teach_stages.fitted(params, found, said.append)
    out = taught["encoder"]["out"]
    z, z_side = (jnp.asarray(x @ np.asarray(out["kernel"]) + np.asarray(out["bias"])) for x in (found.mid, found.side))
    settings = model.apply({**variables, "params": taught}, z, False, z_side, method="decode").settings
    small = np.abs(found.exponent) < 0.1
    np.testing.assert_allclose(settings.compressor.slope[small], 0.87 * found.exponent[small], atol=0.02)
    np.testing.assert_allclose(settings.compressor.threshold_db, -22.4, atol=1e-3)
    small = np.abs(found.side_db) < 2.0
    for band in (settings.width.low, settings.width.high):
        np.testing.assert_allclose(band[small], 10.0 ** (-found.side_db[small] / 20.0), atol=0.08)
    assert (np.asarray(settings.saturator.mix) == 0.0).all()
    shares = [int(word) for word in said[0].replace("%", " ").split() if word.isdigit()]
    assert min(shares) > 80


def test_what_cannot_be_told_is_left_alone():
    found = told(400)
    draw = np.random.default_rng(1)
    blind = Faulty(
        found.mid,
        found.side,
        0.25 * draw.uniform(-1, 1, 400),
        3.0 * draw.standard_normal(400),
        found.stereo,
        found.groups,
    )
    known = teach_stages._guess(blind.mid[:, :40], blind.exponent, blind.groups)
    guessed = blind.mid[:, :40] @ known[0] + known[1]
    assert np.std(guessed) < 0.5 * np.std(blind.exponent) and known[2] < 0.1


def test_faults_are_heard_with_their_own_labels(tmp_path):
    """A wider side is heard louder than the mid by just so many dB, whatever song it is."""
    found = teach_stages.heard_faulty(CONFIG, find_songs(songs(tmp_path / "music", 2, 32.0), None), lambda _: None)
    assert len(found.mid) == len(found.side) == len(found.groups) == 2 * teach_stages._DRAWS
    most = CONFIG.degrade.dynamics
    assert ((found.exponent >= -0.4 * most) & (found.exponent <= most)).all() and found.stereo.all()
    beside = 10.0 * (found.side - found.mid)[:, -1]  # the last feature is the spectrum's middle, in tens of dB
    for album in (0, 1):
        of_it = found.groups == album
        np.testing.assert_allclose(np.ptp(beside[of_it]), np.ptp(found.side_db[of_it]), rtol=0.1, atol=0.3)


def test_the_inverse_of_the_table_finds_the_raw_number():
    for row in TABLE:
        for share in (0.1, 0.5, 0.8):
            low, high = row._to_axis(row.low), row._to_axis(row.high)
            on_axis = low + share * (high - low)
            value = on_axis
            if row.axis != "linear":
                value = np.exp(on_axis) if row.axis == "log" else 1.0 / (1.0 - on_axis)
            raw = jnp.full((1,), row.raw_of(float(value)), jnp.float32)
            np.testing.assert_allclose(row.of_raw(raw), value, rtol=2e-5, atol=1e-5)

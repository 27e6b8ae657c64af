"""Labels of hard gates: the benefit of each band by brute force, and gates that follow the track in a fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import freqz

from nmjax.config import load_config
from nmjax.models import EqSettings, build_model
from nmjax.models.spectral_features import BAND_CENTERS_HZ, NUM_BANDS, NUM_FEATURES
from nmjax.training.spectral_fit.decoder_fit import fit_decoder
from nmjax.training.spectral_fit.estimator import DB_PER_Z, LinearEstimator
from nmjax.training.spectral_fit.gate_labels import gate_label_loss, opening_benefit

RATE = 44_100


def peaking_db(freq_hz, gain_db, q, points_hz):
    """RBJ's peaking filter by SciPy."""
    w, a = 2.0 * np.pi * freq_hz / RATE, 10.0 ** (gain_db / 40.0)
    alpha = np.sin(w) / (2.0 * q)
    b = [1.0 + alpha * a, -2.0 * np.cos(w), 1.0 - alpha * a]
    return 20.0 * np.log10(
        np.abs(freqz(b, [1.0 + alpha / a, -2.0 * np.cos(w), 1.0 - alpha / a], points_hz, fs=RATE)[1])
    )


def test_the_benefit_of_a_band_is_that_of_opening_it():
    rng = np.random.default_rng(0)
    freq_hz, gain_db = rng.uniform(60.0, 9000.0, (3, 4)), rng.uniform(-6.0, 6.0, (3, 4))
    q, gate = rng.uniform(0.6, 2.0, (3, 4)), rng.choice([0.0, 0.4, 0.6, 1.0], (3, 4))
    target = rng.normal(0.0, 3.0, (3, NUM_BANDS))
    eq = EqSettings(*(jnp.asarray(x, jnp.float32) for x in (freq_hz, gain_db, q, gate)))
    centers = jnp.asarray(BAND_CENTERS_HZ, jnp.float32)
    benefit = opening_benefit(eq, jnp.asarray(target, jnp.float32), centers)
    for song in range(3):
        own = [peaking_db(*band, BAND_CENTERS_HZ) for band in zip(freq_hz[song], gain_db[song], q[song], strict=True)]
        is_open = gate[song] >= 0.5

        def distance(opened, own=own, song=song):
            return np.var(target[song] - sum(x * o for x, o in zip(own, opened, strict=True)))

        for band in range(4):
            closed, opened = (np.where(np.arange(4) == band, state, is_open) for state in (False, True))
            assert abs(benefit[song, band] - (distance(closed) - distance(opened))) < 2e-2


def test_labels_move_the_gates_to_them():
    is_needed = jnp.asarray([[True, False]])
    gradient = jax.grad(lambda logit: gate_label_loss(logit, is_needed))(jnp.zeros((1, 2)))
    assert gradient[0, 0] < 0.0 < gradient[0, 1]


@pytest.mark.slow
def test_hard_gates_open_with_the_size_of_the_correction():
    """Half of the songs need nothing, the others a broad tilt: their gates must differ."""
    config = load_config("1c", ["small", "spectral"], ["model.gates=hard", "loss.gate_l1=0.1"])
    rng = np.random.default_rng(0)
    tilt = np.linspace(-6.0, 6.0, NUM_BANDS)
    is_tilted = rng.random(200) < 0.5
    features = np.zeros((200, NUM_FEATURES))
    features[:, :NUM_BANDS] = np.where(is_tilted[:, None], tilt, 0.0) * rng.choice([-1.0, 1.0], (200, 1)) / DB_PER_Z
    kernel = np.concatenate([np.eye(NUM_BANDS), np.zeros((NUM_FEATURES - NUM_BANDS, NUM_BANDS))])
    estimator = LinearEstimator(kernel, np.zeros(NUM_BANDS), 0.0, 1.0)
    model = build_model(config)
    variables = dict(model.init(jax.random.key(0), jnp.zeros((1, 4096, 1))))
    fit = fit_decoder(config, variables, estimator, features, np.zeros((2, NUM_BANDS)))
    collections = {name: x for name, x in variables.items() if name != "params"}
    z = jnp.pad(jnp.asarray(features[:, :NUM_BANDS], jnp.float32), ((0, 0), (0, 512 - NUM_BANDS)))
    eq, _ = model.apply({"params": {"decoder": fit.params}, **collections}, z, method=lambda m, z: m.decoder(z))
    num_open = np.sum(np.asarray(eq.gate) >= 0.5, axis=1)
    assert np.all(num_open[~is_tilted] == 0)
    assert np.all(num_open[is_tilted] >= 2)
    assert np.all(num_open[is_tilted] <= 6)

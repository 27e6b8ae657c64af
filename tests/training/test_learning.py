"""Training overfits eight excerpts with a known equalization, and recovers the equalization."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq
from scipy.signal import sosfilt, sosfreqz

from nmjax.config import load_config
from nmjax.dsp import integrated_loudness, response_db
from nmjax.models import build_model
from nmjax.training.state import create_train_state, initial_variables
from nmjax.training.step import RandomInputs, make_train_step
from nmjax.training.validation_step import make_validation_step
from tests.synthetic_audio import music
from tests.training.tiny_run import smooth_eq_distribution

RATE = 44_100
SECONDS = 0.6
OPTIMIZED_PROGRAMS = True  # see conftest.py


def known_eq(last_gain_db):
    """RBJ peaking filters near, but not at, the initial frequencies of the bands."""
    rows = [
        (90.0, 5.0, 1.0),
        (400.0, -4.0, 0.8),
        (1500.0, 4.0, 1.3),
        (6000.0, -6.0, 1.0),
        (11_000.0, last_gain_db, 1.0),
    ]
    sos = []
    for freq_hz, gain_db, q in rows:
        a, w = 10 ** (gain_db / 40), 2 * np.pi * freq_hz / RATE
        alpha = np.sin(w) / (2 * q)
        b = [1 + alpha * a, -2 * np.cos(w), 1 - alpha * a]
        d = [1 + alpha / a, -2 * np.cos(w), 1 - alpha / a]
        sos.append(np.concatenate([b, d]) / d[0])
    return np.stack(sos)


def excerpts_and_targets():
    """Eight excerpts, their equalized versions, and the filters; the last gain keeps the mean loudness."""
    source = np.stack([music(SECONDS, channels=1, seed=i) for i in range(8)])
    source /= np.sqrt(np.mean(source**2, axis=(1, 2), keepdims=True)) * 10

    measure = jax.jit(integrated_loudness, static_argnums=1)

    def loudness_change(gain_db):
        equalized = sosfilt(known_eq(gain_db), source, axis=1)
        before, after = (measure(jnp.asarray(x, jnp.float32), RATE) for x in (source, equalized))
        return float(jnp.mean(after - before))

    gain_db = brentq(loudness_change, -12.0, 12.0, xtol=0.1)
    return source, sosfilt(known_eq(gain_db), source, axis=1), known_eq(gain_db)


def test_overfits_eight_excerpts_and_recovers_the_equalization():
    source, target, sos = excerpts_and_targets()
    changes = ["model.width=0.06", f"data.excerpt_seconds={SECONDS}", "data.batch_size=8", "model.dropout=0"]
    changes += [
        "augment.random_eq=0",
        "train.ema_decay=0.9",
        "degrade.level_std_db=0",
        "loss.fft_sizes=[512,2048]",
        "train.steps=400",
        "train.learning_rate=0.004",
    ]
    config = load_config("1a", ["smoke"], [*changes, "loss.gain=0", "loss.q=0", "loss.lufs=0"])
    model = build_model(config)
    state = create_train_state(config, initial_variables(model, 0))
    batch = {"input": jnp.asarray(source, jnp.float32), "target": jnp.asarray(target, jnp.float32)}
    batch["length"], batch["number"] = jnp.full(8, source.shape[1], jnp.int32), jnp.arange(8, dtype=jnp.int32)
    step = jax.jit(make_train_step(config), donate_argnums=0)
    random_inputs = RandomInputs(jnp.int32(0), smooth_eq_distribution())
    for _ in range(config.train.steps):
        state, _ = step(state, batch, random_inputs)
    metrics, _ = jax.jit(make_validation_step(config))(state.ema_variables, batch)
    assert float(metrics["signal"]) <= 0.3 * float(metrics["identity/signal"])
    prediction = model.apply(state.ema_variables, batch["input"], method="predict")
    freq_hz = np.geomspace(40.0, 16_000.0, 200)
    predicted_db = np.asarray(response_db(prediction.settings.eq.bands(), jnp.asarray(freq_hz, jnp.float32), RATE))
    known_db = 20 * np.log10(np.abs(sosfreqz(sos, freq_hz, fs=RATE)[1]))
    assert np.sqrt(np.mean((predicted_db - known_db) ** 2, axis=1)).max() < 1.0

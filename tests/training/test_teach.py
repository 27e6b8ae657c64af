"""Teaching from levels: excerpts at the model's level, the estimate against a regression on many draws, and a run."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from pyloudnorm import Meter

from nmjax.cli import main
from nmjax.config import load_config
from nmjax.data import find_songs, parse_sources
from nmjax.dsp import response_db
from nmjax.errors import BadInputError
from nmjax.inference.network import load
from nmjax.models import build_model
from nmjax.models.spectral_encoder import BANDS, FEATURES
from nmjax.training import listen, session, teach
from nmjax.training.state import initial_variables
from tests.music import music, songs, write

CONFIG = load_config("1a", ["small", "spectral"], [])


def test_excerpts_are_at_the_models_level_of_lossy_files_too(tmp_path):
    for name, subtype in (("a.wav", "PCM_16"), ("b.ogg", "VORBIS")):
        write(tmp_path / name, 0.3 * music(35.0, channels=1), 44_100, subtype)
    for song in find_songs(tmp_path, cache_dir=tmp_path / "cache"):
        (first,) = listen.excerpts(song, mono=True)  # of 30 s: one
        found = Meter(44_100).integrated_loudness(first.astype(np.float64))
        assert found == pytest.approx(-20.0, abs=1.0)


def test_the_estimate_is_what_a_regression_on_many_draws_finds(monkeypatch):
    """Songs drawn from a Gaussian whose mean depends on the signs: least squares on 30,000 faulty ones, by NumPy."""
    monkeypatch.setattr(teach, "_RIDGE", 1e-3)  # which is there for hundreds of songs, not for thousands
    draw = np.random.default_rng(0)
    smooth = np.exp(-0.5 * ((np.arange(BANDS)[:, None] - np.arange(BANDS)[None]) / 4.0) ** 2)
    slope = 0.3 * draw.standard_normal((20, BANDS))

    def songs_of(count):
        signs = draw.standard_normal((count, 20))
        spectrum = 5.0 * signs @ slope + 3.0 * draw.standard_normal((count, BANDS)) @ smooth
        found = np.zeros((count, FEATURES))
        found[:, :BANDS], found[:, BANDS : BANDS + 20] = spectrum / 10.0, signs
        return found

    faults = 2.5 * draw.standard_normal((4000, BANDS)) @ smooth
    estimate = teach.fitted(songs_of(8000), np.arange(8000) % 16, faults)
    many = songs_of(30_000)
    fault = faults[draw.integers(len(faults), size=len(many))]
    # What the estimate assumes: the rest's covariance counts three times, and something is added to it.
    blur = (
        3.0 * 2**0.5 * draw.standard_normal((len(many), BANDS)) @ smooth
        + draw.standard_normal((len(many), BANDS)) * 0.5**0.5
    )
    faulty = many.copy()
    faulty[:, :BANDS] += (fault + blur) / 10.0
    used = np.concatenate([faulty[:, : BANDS + 20], np.ones((len(many), 1))], axis=1)
    wanted = used @ np.linalg.lstsq(used, -fault, rcond=None)[0]
    found = teach._Z_DB * (faulty @ estimate.kernel + estimate.bias)
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.15 * np.sqrt(np.mean(wanted**2))
    assert np.sqrt(np.mean(wanted**2)) > 0.3
    assert estimate.rest_db == pytest.approx(3.0 * np.sqrt(np.mean(np.sum(smooth**2, axis=0))), rel=0.05)


def test_faults_are_smooth_curves_about_zero():
    faults = teach.random_faults(3)
    np.testing.assert_allclose(faults.mean(axis=1), 0.0, atol=1e-9)
    assert np.sqrt(np.mean(faults**2)) == pytest.approx(2.4)
    assert np.sqrt(np.mean(np.diff(faults, axis=1) ** 2)) < 0.25 * 2.4
    assert not np.array_equal(faults, teach.random_faults(4))


def test_a_taught_run_masters_and_its_bands_draw_what_its_z_wants(tmp_path, monkeypatch):
    monkeypatch.setattr(teach, "LESSONS", 800)
    folder = songs(tmp_path / "music", 4, 32.0)
    sources = parse_sources([str(folder)])
    config = load_config("1a", ["small", "spectral"], ["data.validation_share=0.25"])
    session.teach(session.Request(config, sources, tmp_path / "run"))
    network = load(tmp_path / "run")
    prediction = network.predict([np.float32(0.1) * music(10.0)[:, :1].astype(np.float32)])
    wanted = teach._Z_DB * np.asarray(prediction.z)[0, :BANDS]
    drawn = np.asarray(response_db(prediction.settings.eq.bands(), jnp.asarray(teach.CENTRES_HZ, jnp.float32), 44_100))[
        0
    ]
    apart = (drawn - drawn.mean()) - (wanted - wanted.mean())
    assert np.sqrt(np.mean(apart**2)) < max(0.5, 0.35 * np.std(wanted))
    with pytest.raises(BadInputError, match="holds a run already"):
        session.teach(session.Request(config, sources, tmp_path / "run"))


def test_only_what_hears_levels_is_taught():
    with pytest.raises(BadInputError, match="--config spectral"):
        teach.check_can_teach(load_config("1a", [], []))


@pytest.mark.slow  # two decoders taught in earnest
def test_a_taught_1c_decides_its_gates(monkeypatch):
    """With a heavier sparsity fewer bands act, and the wanted curves are drawn none the better for it."""
    monkeypatch.setattr(teach, "LESSONS", 600)
    draw = np.random.default_rng(1)
    found = draw.standard_normal((64, FEATURES)) * 0.5
    faults = teach.random_faults(0)[:256]
    active, apart = [], []
    for sparsity in (0.0, 0.3):
        config = load_config("1c", ["small", "spectral"], [f"loss.sparsity={sparsity}", "loss.decisiveness=0.02"])
        variables = initial_variables(build_model(config), 0)
        estimate = teach.fitted(found, np.arange(64) % 8, faults)
        params, distance_db = teach._decoder_taught(config, variables, estimate, found, faults)
        z = jnp.pad(jnp.asarray(found @ estimate.kernel + estimate.bias, jnp.float32), ((0, 0), (0, 512 - BANDS)))
        variables = {**variables, "params": {**variables["params"], "decoder": params}}
        gate = build_model(config).apply(variables, z, method="decode").settings.eq.gate
        active.append(float(jnp.mean(jnp.sum(gate > 0.5, axis=1))))
        apart.append(distance_db)
    assert active[1] < active[0] - 2.0
    assert apart[0] < apart[1]


def test_too_little_music_is_named_before_anything_is_written(tmp_path, capsys):
    for name in ("a", "b"):
        write(tmp_path / "music" / f"{name}.wav", music(5.0), 44_100)
    out = tmp_path / "run"
    words = ["--phase", "1a", "--config", "small", "--config", "spectral", f"data.cache_dir={tmp_path / 'cache'}"]
    assert main(["train", "--teach", *words, "--data", str(tmp_path / "music"), "--out", str(out)]) == 2
    assert "two songs of 30 s" in capsys.readouterr().err
    assert not out.exists()

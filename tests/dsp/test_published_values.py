"""Measurements by other programs of the same signals (`scripts/references.py`) against those of nmjax."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from nmjax.dsp import integrated_loudness, loudness_range, true_peak_db
from nmjax.losses.spectral import mr_stft_loss

ROOT = Path(__file__).parents[2]
PUBLISHED = json.loads((ROOT / "tests" / "published_values.json").read_text())


def signal_pair(channels):
    """The signals of `scripts/references.py`, `[1, time, channels]`."""
    draw = np.random.RandomState(channels)
    first = 0.1 * draw.standard_normal((1, channels, 20_000))
    second = 0.8 * first + 0.03 * draw.standard_normal(first.shape)
    return (jnp.asarray(np.moveaxis(x, 1, 2), jnp.float32) for x in (first, second))


def test_mr_stft_matches_auraloss():
    np.testing.assert_allclose(
        mr_stft_loss(*signal_pair(1), 44_100.0, (512, 1024, 2048)), PUBLISHED["mr_stft"], rtol=1e-5
    )


MEASURES = {"integrated": integrated_loudness, "range": loudness_range, "true_peak_db": true_peak_db}


@pytest.mark.parametrize("name", MEASURES)
def test_loudness_of_music_matches_ffmpeg(name):
    known = PUBLISHED["ebur128"]
    audio, rate = soundfile.read(ROOT / known["file"], dtype="float32", always_2d=True)
    audio = jnp.asarray(audio[: known["seconds"] * rate])[None]
    result = jax.jit(MEASURES[name], static_argnums=1)(audio, rate)[0]
    assert result == pytest.approx(known[name], abs=0.1)

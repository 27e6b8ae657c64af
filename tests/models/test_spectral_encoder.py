"""The spectral encoder: against NumPy, what a frame hears, pieces and padding, and as part of a phase."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.inference.network import Network
from nmjax.models import ENCODERS, Mastering
from nmjax.models.spectral_encoder import HOP, MARGIN, STRIDE, WINDOW, SpectralEncoder, frames_of
from tests.training.tiny import tiny

from .helpers import apart_db, noise, randomised, shapes_of

MODEL = SpectralEncoder()
VARIABLES = randomised(shapes_of(MODEL, noise((1, 64, 1))), seed=1)
EDGES_HZ = np.geomspace(30.0, 16_000.0, 55)


def frames(audio, lengths=None):
    return MODEL.apply(VARIABLES, audio, lengths, method="frames")


def test_levels_equal_numpy_for_sines():
    """A sine's mean square, 10·log10 of half its amplitude squared, stands in the band that holds it."""
    time = np.arange(20 * HOP) / 44_100
    for freq_hz, level_db in ((440.0, -20.0), (5000.0, -35.0)):
        sine = 10 ** (level_db / 20) * np.sin(2 * np.pi * freq_hz * time)
        found = np.asarray(frames(jnp.asarray(sine[None, :, None], jnp.float32)))[0, 8]
        power, level, square = np.split(found, 3)
        band = np.searchsorted(EDGES_HZ, freq_hz) - 1
        near = slice(max(0, band - 1), band + 2)  # a window's main lobe reaches into the next
        assert 10 * np.log10(power[near].sum()) == pytest.approx(level_db - 3.01, abs=0.1)
        assert np.argmax(level) == band
        assert square == pytest.approx(level**2, rel=1e-5)


@pytest.mark.parametrize("time", [1, 1023, 1024, 1025, 9000])
def test_any_length_and_a_frame_for_each_1024_samples_begun(time):
    found = frames(noise((2, time, 1), seed=time))
    assert found.shape[1] == frames_of(time) == -(-time // 1024)
    z = MODEL.apply(VARIABLES, noise((2, time, 1), seed=time))
    assert z.shape == (2, 512)
    assert bool(jnp.all(jnp.isfinite(z)))


def test_a_frame_hears_its_window_inside_the_margin():
    base, place = 0.1 * noise((1, 12 * HOP, 1)), 5
    before = frames(base)[0, place]
    first, last = place * HOP - (WINDOW - HOP) // 2, place * HOP + (WINDOW + HOP) // 2
    for sample, heard in ((first - 1, False), (first + 40, True), (last - 40, True), (last, False)):
        after = frames(base.at[0, sample, 0].add(5.0))[0, place]
        assert bool(jnp.any(after != before)) == heard
    assert max((WINDOW - HOP) // 2, (WINDOW + HOP) // 2 - HOP) <= MARGIN
    assert MARGIN % STRIDE == 0


def test_padded_equals_unpadded():
    signal = noise((1, 7000, 1), seed=3)
    padded = jnp.concatenate([signal, 30.0 * noise((1, 3000, 1))], axis=1)
    found = MODEL.apply(VARIABLES, padded, jnp.array([7000]))
    assert apart_db(found, MODEL.apply(VARIABLES, signal)) <= -110.0


def test_value_and_gradient_are_finite_for_silence_and_full_scale():
    silence = jnp.zeros((1, 5000, 1))
    for audio in (silence, silence + 1.0, silence.at[0, 7, 0].set(1.0)):
        value, slope = jax.value_and_grad(lambda x: jnp.sum(MODEL.apply(VARIABLES, x) ** 2))(audio)
        assert bool(jnp.isfinite(value))
        assert bool(jnp.all(jnp.isfinite(slope)))


@pytest.mark.parametrize("samples", [5000, 16 * 16_384 + 3001, 40 * 16_384])
def test_a_track_in_pieces_has_the_settings_of_the_whole(samples):
    config = tiny("1a", "model.encoder=spectral")
    model = Mastering("1a", encoder_kind="spectral")
    variables = randomised(shapes_of(model, noise((1, 64, 1))), seed=2)
    audio = 0.1 * np.asarray(noise((samples, 1), seed=samples))
    pieces = [audio[i : i + 65_536] for i in range(0, samples, 65_536)]
    found = Network(config, variables, 1, "").predict(pieces)
    whole = jax.jit(lambda v, x: model.apply(v, x, method="predict"))(variables, jnp.asarray(audio)[None])
    assert apart_db(found.z, whole.z) <= -90.0
    np.testing.assert_allclose(found.settings.eq.gain_db, whole.settings.eq.gain_db, atol=1e-3)


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="tcn, spectral"):
        Mastering("1a", encoder_kind="conformer").init(jax.random.key(0), noise((1, 64, 1)))
    assert set(ENCODERS) == {"tcn", "spectral"}

"""The spectral encoder: against NumPy, the receptive field of a frame, chunks and padding, and in a phase."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Bands, equalize, response_db
from nmjax.mastering.network import Network
from nmjax.models import ENCODERS, MasteringModel
from nmjax.models.spectral_encoder import SpectralEncoder
from nmjax.models.spectral_features import (
    BAND_EDGES_HZ,
    HOP,
    MARGIN,
    NUM_BANDS,
    NUM_FEATURES,
    STRIDE,
    WINDOW,
    band_power_and_flatness,
    frame_count,
    pooled_features,
)
from tests.training.tiny_run import tiny_config

from .helpers import init_shapes, noise, peak_error_db, random_variables

MODEL = SpectralEncoder()
VARIABLES = random_variables(init_shapes(MODEL, noise((1, 64, 1))), seed=1)


@jax.jit
def encode_audio(audio, lengths=None):
    return MODEL.apply(VARIABLES, audio, lengths, method="frames")


jit_band_features = jax.jit(band_power_and_flatness)


def test_levels_equal_numpy_for_sines():
    """The power of a sine (half its squared amplitude) is in the band of its frequency."""
    time = np.arange(20 * HOP) / 44_100
    for freq_hz, level_db in ((440.0, -20.0), (5000.0, -35.0)):
        sine = 10 ** (level_db / 20) * np.sin(2 * np.pi * freq_hz * time)
        power = np.asarray(jit_band_features(jnp.asarray(sine[None, :, None], jnp.float32))[0])[0, 8]
        band = np.searchsorted(BAND_EDGES_HZ, freq_hz) - 1
        near = slice(max(0, band - 1), band + 2)  # the window's main lobe extends into the neighbors
        assert 10 * np.log10(power[near].sum()) == pytest.approx(level_db - 3.01, abs=0.1)
        assert np.argmax(power) == band


def test_the_flatness_of_noise_is_that_of_theory_and_a_chord_is_less_flat():
    """The mean level of the bins of noise is 2.51 dB (γ·10/ln 10) below the level of their mean power, at any gain."""
    num_bins = np.diff(np.searchsorted(np.fft.rfftfreq(WINDOW, 1 / 44_100), BAND_EDGES_HZ))[-10:]
    for gain in (0.01, 0.1):
        _, flatness = jit_band_features(gain * noise((1, 60 * HOP, 1)))
        result = 10.0 * np.asarray(flatness)[0, 5:55, -10:].mean(axis=0)
        np.testing.assert_allclose(result, -10 * np.log10(num_bins) - 2.51, atol=0.35)
    chord = 0.1 * sum(np.sin(2 * np.pi * f * np.arange(20 * HOP) / 44_100) for f in (9000.0, 13_000.0))
    _, flatness = jit_band_features(jnp.asarray(chord[None, :, None], jnp.float32))
    band = np.searchsorted(BAND_EDGES_HZ, 9000.0) - 1
    assert 10 * np.asarray(flatness)[0, 8, band] < -10 * np.log10(num_bins[band - NUM_BANDS]) - 20.0


def numpy_features(audio):
    """The features in bels, by NumPy in float64; standard deviations are at least 0.1 dB."""
    power, flatness = (np.asarray(x, np.float64)[0] for x in jit_band_features(audio))
    level = np.maximum(np.log10(np.maximum(power, 1e-30)), -9.0)
    is_active = power.sum(axis=1) > 1e-6
    changes = np.abs(np.diff(level, axis=0, prepend=level[:1]))[is_active]
    level, flatness = level[is_active], np.where(power > 1e-9, flatness, 0.0)[is_active]
    spectrum = np.maximum(np.log10(power.mean(axis=0)), -9.0)
    first = [
        spectrum - spectrum.mean(),
        level.mean(axis=0) - spectrum,
        np.maximum(level.std(axis=0), 0.01),
        changes.mean(axis=0),
    ]
    return np.concatenate([*first, flatness.mean(axis=0), np.maximum(flatness.std(axis=0), 0.01), [spectrum.mean()]])


def modulated_noise(seed=0, frames=40):
    """Noise with a varying level and a silent section."""
    audio = 0.2 * noise((1, frames * HOP, 1), seed=seed) * (1.1 + np.sin(np.arange(frames * HOP) / 5000))[None, :, None]
    return audio.at[:, 10 * HOP : 18 * HOP].set(0.0)


def test_features_are_means_and_stds_over_non_silent_frames():
    result = pooled_features(jnp.mean(encode_audio(modulated_noise()), axis=1))
    assert result.shape == (1, NUM_FEATURES)
    np.testing.assert_allclose(result[0], numpy_features(modulated_noise()), atol=2e-3)


def test_an_equalizer_changes_only_the_spectrum_features():
    bands = Bands(jnp.array([[300.0, 4000.0]]), jnp.array([[6.0, -5.0]]), jnp.array([[0.7, 0.9]]))
    before, after = (
        pooled_features(jnp.mean(encode_audio(x), axis=1))[0]
        for x in (modulated_noise(), equalize(modulated_noise(), bands, 44_100)[0])
    )
    response = (
        response_db(bands, jnp.sqrt(BAND_EDGES_HZ[1:] * BAND_EDGES_HZ[:-1]).astype(jnp.float32), 44_100)[0] / 10.0
    )
    change = after[:NUM_BANDS] - before[:NUM_BANDS]
    np.testing.assert_allclose(change[8:], (response - jnp.mean(response))[8:], atol=0.06)
    np.testing.assert_allclose(after[NUM_BANDS:-1], before[NUM_BANDS:-1], atol=0.12)


@pytest.mark.parametrize("time", [1, 1023, 1024, 1025, 9000])
def test_any_length_gives_one_frame_per_1024_samples_rounded_up(time):
    result = encode_audio(noise((2, time, 1), seed=time))
    assert result.shape[1] == frame_count(time) == -(-time // 1024)
    z = MODEL.apply(VARIABLES, noise((2, time, 1), seed=time))
    assert z.shape == (2, 512)
    assert bool(jnp.all(jnp.isfinite(z)))


def test_receptive_field_of_a_frame_is_its_window_inside_the_margin():
    base, position = 0.1 * noise((1, 12 * HOP, 1)), 5
    before = encode_audio(base)[0, position]
    first, last = (position - 1) * HOP - (WINDOW - HOP) // 2, position * HOP + (WINDOW + HOP) // 2
    for sample, is_inside in ((first - 1, False), (first + 40, True), (last - 40, True), (last, False)):
        after = encode_audio(base.at[0, sample, 0].add(5.0))[0, position]
        assert bool(jnp.any(after != before)) == is_inside
    assert HOP + max((WINDOW - HOP) // 2, (WINDOW + HOP) // 2 - HOP) <= MARGIN  # of the frame and the previous one
    assert MARGIN % STRIDE == 0


def test_padded_equals_unpadded():
    signal = noise((1, 7000, 1), seed=3)
    padded = jnp.concatenate([signal, 30.0 * noise((1, 3000, 1))], axis=1)
    result = MODEL.apply(VARIABLES, padded, jnp.array([7000]))
    assert peak_error_db(result, MODEL.apply(VARIABLES, signal)) <= -110.0


def test_value_and_gradient_are_finite_for_silence_and_full_scale():
    silence = jnp.zeros((1, 5000, 1))
    for audio in (silence, silence + 1.0, silence.at[0, 7, 0].set(1.0)):
        value, slope = jax.value_and_grad(lambda x: jnp.sum(MODEL.apply(VARIABLES, x) ** 2))(audio)
        assert bool(jnp.isfinite(value))
        assert bool(jnp.all(jnp.isfinite(slope)))


@pytest.mark.parametrize("samples", [5000, 16 * 16_384 + 3001])
@pytest.mark.parametrize("encoder", ["spectral", "two_branch"])
def test_a_track_in_chunks_has_the_settings_of_the_whole(samples, encoder):
    config = tiny_config("1a", f"model.encoder={encoder}", "model.width=0.25")
    model = MasteringModel("1a", width=0.25, encoder_kind=encoder)
    variables = random_variables(init_shapes(model, noise((1, 64, 1))), seed=2)
    audio = 0.1 * np.asarray(noise((samples, 1), seed=samples))
    chunks = [audio[i : i + 65_536] for i in range(0, samples, 65_536)]
    result = Network(config, variables, 1, "").predict(chunks)
    whole = jax.jit(lambda v, x: model.apply(v, x, method="predict"))(variables, jnp.asarray(audio)[None])
    assert peak_error_db(result.z, whole.z) <= -90.0
    np.testing.assert_allclose(result.settings.eq.gain_db, whole.settings.eq.gain_db, atol=1e-3)


def test_an_unknown_encoder_kind_is_rejected():
    with pytest.raises(ValueError, match="tcn, spectral, two_branch, amplitude"):
        MasteringModel("1a", encoder_kind="conformer").init(jax.random.key(0), noise((1, 64, 1)))
    assert set(ENCODERS) == {"tcn", "spectral", "two_branch", "amplitude"}

"""The amplitude encoder: sums against plain NumPy, levels, chunks, padding, and what a saturator does to them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from nmjax.config import load_config
from nmjax.models import MasteringModel, build_model
from nmjax.models.amplitude_encoder import (
    MARGIN,
    STRIDE,
    AmplitudeEncoder,
    half_reaches,
    level_features,
    level_sums,
    swap_halves,
)
from tests.synthetic_audio import music

from .helpers import assert_padding_has_no_effect, init_shapes, noise, peak_error_db, random_variables

LEVELS = 304
MODEL = AmplitudeEncoder()
VARIABLES = random_variables(init_shapes(MODEL, noise((1, 64, 1))), seed=1)


def song(seconds=1.5):
    return np.asarray(music(seconds), np.float32)[:, 0] * 0.3


def numpy_sums(x):
    """Samples, log slopes, peaks and log curvatures by half and level of a whole signal, sample by sample."""
    sums = np.zeros((2, LEVELS, 4))
    slope, bend = np.zeros(len(x)), np.zeros(len(x))
    slope[1:-1] = (x[2:] - x[:-2]) / 2.0
    bend[1:-1] = 2.0 * x[1:-1] - x[2:] - x[:-2]
    for i in range(1, len(x) - 1):
        cell = i // 128
        around = slice(max(0, cell - 3) * 128, (cell + 4) * 128)
        inside = np.arange(len(x))[around]
        inside = inside[(inside > 0) & (inside < len(x) - 1)]
        level_db = 20.0 * np.log10(max(abs(x[i]), 1e-9))
        if level_db < -60.0:
            continue
        sign = -1.0 if x[i] < 0.0 else 1.0
        entry = sums[int(x[i] < 0.0), int((level_db + 60.0) / 0.25)]
        entry[0] += 1.0
        entry[1] += np.log(abs(slope[i]) / (np.sqrt(np.mean(slope[inside] ** 2)) + 2e-6) + 1e-3)
        if sign * (x[i] - x[i - 1]) > 0.0 and sign * (x[i] - x[i + 1]) >= 0.0:
            entry[2] += 1.0
            entry[3] += np.log(abs(bend[i]) / (np.sqrt(np.mean(bend[inside] ** 2)) + 2e-6) + 1e-3)
    return sums


def test_the_sums_are_those_of_plain_numpy():
    x = song(0.1)
    sums = np.asarray(level_sums(jnp.asarray(x[None]))).sum(axis=1).reshape(2, LEVELS, 4)
    expected = numpy_sums(x.astype(float))
    # A sample whose level is within rounding of a step's edge may be counted beside it: compare running sums.
    np.testing.assert_allclose(sums.sum(axis=1), expected.sum(axis=1), rtol=1e-3, atol=0.05)
    assert np.abs(sums[..., 0] - expected[..., 0]).sum() <= 4.0


def test_z_follows_the_level_in_its_first_entry_alone():
    x = jnp.asarray(song()[None, :, None])
    gain_db = 12.0  # whole steps, so that every sample moves by as many of them
    quiet, loud = (MODEL.apply(VARIABLES, x * 10.0 ** (g / 20.0)) for g in (-gain_db, 0.0))
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], gain_db * np.log(10.0) / 20.0, atol=0.03)  # a step
    assert peak_error_db(quiet[:, 1:], loud[:, 1:]) <= -25.0  # samples at the edge of a step, and the lowest levels


def test_the_top_is_the_level_that_two_in_100_000_samples_exceed():
    x = np.asarray(noise((1, 100_000)))[0] * 0.1
    highest = np.abs(x).max()
    x[5_000] = 3.0  # a single click does not count
    log_top = level_features(jnp.sum(level_sums(jnp.asarray(x[None])), axis=1))[0]
    assert 0.0 <= 20.0 / np.log(10.0) * float(log_top[0, 0]) - 20.0 * np.log10(highest) <= 0.3


def test_swapped_halves_are_those_of_the_inverted_signal():
    x = song(0.2) + np.float32(0.01)  # none is exactly 0, which counts as positive
    upright, inverted = (np.asarray(level_sums(jnp.asarray(y[None]))).sum(axis=1) for y in (x, -x))
    np.testing.assert_allclose(swap_halves(upright), inverted, atol=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_half_that_is_bent_more_reaches_less_high(sign):
    bent = np.tanh(3.0 * np.asarray(noise((1, 50_000)))[0] + sign * 0.3) - np.tanh(sign * 0.3)
    positive, negative = half_reaches(jnp.mean(level_sums(jnp.asarray(bent[None])), axis=1))[0]
    assert (positive < negative) == (sign > 0.0)


@pytest.mark.parametrize("samples", [1, 2, 700, STRIDE + 1, 3 * STRIDE + 333])
def test_padding_has_no_effect(samples):
    assert_padding_has_no_effect(MODEL, VARIABLES, samples, STRIDE)


def test_a_frame_depends_on_the_margin_at_most():
    audio = 0.1 * noise((1, 8 * STRIDE, 1))
    frame = 4
    before, after = frame * STRIDE - MARGIN, (frame + 1) * STRIDE + MARGIN
    outside = audio.at[:, :before].set(0.5).at[:, after:].set(-0.5)
    inside, changed = (MODEL.apply(VARIABLES, x, method="frames") for x in (audio, outside))
    np.testing.assert_allclose(changed[:, frame], inside[:, frame], atol=1e-4)


def test_slopes_show_the_slope_of_a_saturator():
    """The slope of Gaussian noise does not depend on its level, so that of its tanh has the slope of tanh there."""
    noise = scipy.signal.sosfiltfilt(
        scipy.signal.butter(4, 0.1, output="sos"), np.random.default_rng(3).standard_normal(400_000)
    )
    y = np.tanh(1.2 * noise / noise.std()).astype(np.float32)
    log_top, features = level_features(jnp.sum(level_sums(jnp.asarray(y[None])), axis=1))
    slopes = np.asarray(features).reshape(4, 2, 24)[1].mean(axis=0)
    below_top_db = np.array([0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 24, 28, 33, 38, 44, 50, 57, 65, 74, 84]) * 0.25
    middle_db = (below_top_db[:-1] + below_top_db[1:]) / 2.0
    level = np.exp(float(log_top[0, 0])) * 10.0 ** (-middle_db / 20.0)
    expected = np.log(1.0 - level**2)
    measured = slopes[: len(level)]
    np.testing.assert_allclose((measured - measured[-1])[4:], (expected - expected[-1])[4:], atol=0.15)


def test_all_channels_are_encoded():
    """The difference of the channels is out of phase, so that their mean is silent."""
    x = song()
    config = load_config("1b", ["small", "damage"])
    model = build_model(config)
    audio = jnp.asarray(np.stack([x, -x], axis=1)[None])
    variables = model.init(jax.random.key(0), audio[:, :STRIDE])
    _, prediction = model.apply(variables, audio, segment=(audio[:, :STRIDE], jnp.array([STRIDE])))
    encoder = {"params": variables["params"]["encoder"]}
    each = [AmplitudeEncoder().apply(encoder, audio[:, :, i : i + 1], method="frames") for i in range(2)]
    mean = jnp.mean(jnp.concatenate(each), axis=(0, 1))[None]
    assert peak_error_db(prediction.z, AmplitudeEncoder().apply(encoder, mean, method="latent")) <= -90.0


def test_it_has_no_side():
    model = MasteringModel(phase="2", encoder_kind="amplitude")
    with pytest.raises(ValueError, match="no side"):
        model.init(jax.random.key(0), noise((1, 64, 2)))
    model = MasteringModel(phase="1b", encoder_kind="tcn", residual_parts="curve")
    with pytest.raises(ValueError, match="needs the level of the amplitude encoder"):
        model.init(jax.random.key(0), noise((1, 64, 2)))

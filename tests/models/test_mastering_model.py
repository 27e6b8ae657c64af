"""The mastering model: against plain NumPy, its use of channels, and the methods that inference calls."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import PHASES, MasteringModel
from nmjax.models.encoder import STRIDE
from nmjax.models.mastering_model import render_eq

from . import numpy_models
from .helpers import WIDTH, init_shapes, jit_apply, noise, peak_error_db, random_variables

TIME = {"1a": 1001, "1b": 100, "1c": 1001, "2": 1001}  # samples; test_initialization compiles the same shapes
MID_ONLY = [name for name, phase in PHASES.items() if not phase.has_processors]


@functools.cache
def random_phase(phase):
    model = MasteringModel(phase, WIDTH)
    return model, random_variables(init_shapes(model, noise((1, 64, 2))), seed=6)


def stereo_noise(phase):
    return noise((2, TIME[phase], 2), seed=9)


@pytest.mark.parametrize("phase", PHASES)
def test_equals_the_numpy_reference(phase):
    model, variables = random_phase(phase)
    audio = stereo_noise(phase)
    output, prediction = jit_apply(model)(variables, audio)
    expected, z = numpy_models.master(variables, audio)
    assert peak_error_db(prediction.z, z) <= -110.0
    assert peak_error_db(output, np.stack(expected)) <= -105.0
    assert peak_error_db(output, audio) > -20.0, "too close to the identity to test anything"


@pytest.mark.parametrize("phase", MID_ONLY)
def test_swapping_the_channels_swaps_the_output(phase):
    model, variables = random_phase(phase)
    audio = stereo_noise(phase)
    output, prediction = jit_apply(model)(variables, audio)
    swapped, same = jit_apply(model)(variables, audio[:, :, ::-1])
    assert peak_error_db(swapped[:, :, ::-1], output) <= -110.0
    assert peak_error_db(same.z, prediction.z) <= -110.0


@pytest.mark.parametrize("phase", PHASES)
def test_the_encoder_input_is_the_mean_of_the_channels(phase):
    """A difference of the channels does not change z; a common part does."""
    model, variables = random_phase(phase)
    audio, side = stereo_noise(phase), 0.5 * noise((2, TIME[phase], 1), seed=10)
    run = jit_apply(model)
    _, prediction = run(variables, audio)
    _, wider = run(variables, audio + jnp.concatenate([side, -side], axis=2))
    _, changed = run(variables, audio + side)
    assert peak_error_db(wider.z, prediction.z) <= -110.0
    assert peak_error_db(changed.z, prediction.z) > -60.0


def test_phase_2_encodes_mid_and_side_and_the_side_changes_only_the_width():
    model, variables = random_phase("2")
    audio, side = stereo_noise("2"), 0.5 * noise((2, TIME["2"], 1), seed=10)
    run = jit_apply(model)
    _, prediction = run(variables, audio)
    _, wider = run(variables, audio + jnp.concatenate([side, -side], axis=2))
    assert peak_error_db(wider.z, prediction.z) <= -110.0
    assert peak_error_db(wider.z_side, prediction.z_side) > -60.0
    before, after = prediction.settings, wider.settings
    for name in ("eq", "compressor", "saturator"):
        for a, b in zip(*map(jax.tree.leaves, (getattr(before, name), getattr(after, name))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert np.all(np.abs(after.width.high - before.width.high) > 1e-3)


def test_mono_in_phase_2_has_a_silent_side():
    """One channel gives the same output as two equal ones."""
    model, variables = random_phase("2")
    mono = stereo_noise("2")[:, :, :1]
    one, two = (jit_apply(model)(variables, audio) for audio in (mono, jnp.tile(mono, (1, 1, 2))))
    assert peak_error_db(jnp.tile(one[0], (1, 1, 2)), two[0]) <= -100.0
    assert peak_error_db(one[1].z_side, two[1].z_side) <= -110.0


def test_signals_of_a_batch_are_independent():
    model, variables = random_phase("1b")
    audio = stereo_noise("1b")
    output, _ = jit_apply(model)(variables, audio)
    other, _ = jit_apply(model)(variables, audio.at[1].set(0.0))
    np.testing.assert_array_equal(other[0], output[0])


def test_the_methods_that_inference_calls_equal_the_whole():
    """Pooled frames, decoded and rendered, plus the residual."""
    model, variables = random_phase("1b")
    audio = stereo_noise("1b")
    output, prediction = jit_apply(model)(variables, audio)
    mono = jnp.mean(audio, axis=2, keepdims=True)
    frames = jit_apply(model, method="encode_frames")(variables, mono, jnp.array([100, 100]))
    assert frames.shape[1] == -(-100 // STRIDE)
    mean = np.asarray(frames, np.float64).sum(axis=1) / frames.shape[1]
    pooled = jit_apply(model, method="decode_pooled")(variables, jnp.asarray(mean, jnp.float32))
    for name in ("freq_hz", "gain_db", "q"):
        assert peak_error_db(getattr(pooled.settings.eq, name), getattr(prediction.settings.eq, name)) <= -100.0, name
    residual = jit_apply(model, method="predict_residual")(variables, audio, pooled.z)
    assert peak_error_db(jax.jit(render_eq)(audio, pooled.settings.eq) + residual, output) <= -105.0


def test_a_phase_without_residual_predicts_zeros():
    model, variables = random_phase("1a")
    audio = stereo_noise("1a")
    assert "residual" not in variables["params"]
    assert not np.any(model.apply(variables, audio, jnp.ones((2, 512)), method="predict_residual"))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("frequency_map", ["log", "linear"])
def test_a_phase_uses_its_frequency_map(phase, frequency_map):
    _, variables = random_phase(phase)
    z = noise((2, 512), seed=11)
    side = {"z_side": -z} if PHASES[phase].has_processors else {}
    result = jit_apply(MasteringModel(phase, WIDTH, frequency_map), method="decode")(variables, z, **side)
    decoder = {name: tree["decoder"] for name, tree in variables.items() if "decoder" in tree}
    np.testing.assert_allclose(
        result.settings.eq.freq_hz, numpy_models.decoder(decoder, z, frequency_map)[0], rtol=3e-5
    )


def test_processors_need_z_of_the_side():
    model, variables = random_phase("2")
    with pytest.raises(ValueError, match="needs z_side"):
        model.apply(variables, noise((1, 512)), method="decode")


def test_a_phase_can_start_from_itself_and_from_earlier_ones():
    names = list(PHASES)
    starts = {(a, b) for a in names for b in names if PHASES[a].can_start_from(PHASES[b])}
    assert starts == {(a, b) for i, a in enumerate(names) for b in names[: i + 1]}

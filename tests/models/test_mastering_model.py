"""The phases put together: against plain NumPy, channels, and the parts that inference calls one by one."""

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

STEREO = {"1a": 1001, "1b": 100, "1c": 1001, "2": 1001}  # lengths that test_untrained compiles for these phases too


MID_ONLY = [phase for phase in PHASES if phase != "2"]


@functools.cache
def random_phase(phase):
    model = MasteringModel(phase, WIDTH)
    return model, random_variables(init_shapes(model, noise((1, 64, 2))), seed=6)


def stereo_noise(phase):
    return noise((2, STEREO[phase], 2), seed=9)


@pytest.mark.parametrize("phase", PHASES)
def test_equals_the_numpy_reference(phase):
    model, variables = random_phase(phase)
    audio = stereo_noise(phase)
    output, prediction = jit_apply(model)(variables, audio)
    expected, z = numpy_models.master(variables, audio)
    assert peak_error_db(prediction.z, z) <= -110.0
    assert peak_error_db(output, np.stack(expected)) <= -105.0
    assert peak_error_db(output, audio) > -20.0, "so near to the identity that little is tested"


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
    """What the channels differ in moves neither z nor the settings; what they share does."""
    model, variables = random_phase(phase)
    audio, opposed = stereo_noise(phase), 0.5 * noise((2, STEREO[phase], 1), seed=10)
    run = jit_apply(model)
    _, prediction = run(variables, audio)
    _, wider = run(variables, audio + jnp.concatenate([opposed, -opposed], axis=2))
    _, moved = run(variables, audio + opposed)
    assert peak_error_db(wider.z, prediction.z) <= -110.0
    assert peak_error_db(moved.z, prediction.z) > -60.0


def test_phase_2_encodes_mid_and_side_and_the_side_changes_only_the_width():
    model, variables = random_phase("2")
    audio, opposed = stereo_noise("2"), 0.5 * noise((2, STEREO["2"], 1), seed=10)
    run = jit_apply(model)
    _, prediction = run(variables, audio)
    _, wider = run(variables, audio + jnp.concatenate([opposed, -opposed], axis=2))
    assert peak_error_db(wider.z, prediction.z) <= -110.0
    assert peak_error_db(wider.z_side, prediction.z_side) > -60.0
    before, after = prediction.settings, wider.settings
    for part in ("eq", "compressor", "saturator"):
        for a, b in zip(*map(jax.tree.leaves, (getattr(before, part), getattr(after, part))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert np.all(np.abs(after.width.high - before.width.high) > 1e-3)


def test_mono_in_phase_2_has_a_silent_side():
    """One channel is heard as two equal ones are."""
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
    """Frames of two pieces pooled, settled and rendered, plus the residual, as against the one call."""
    model, variables = random_phase("1b")
    audio = stereo_noise("1b")
    output, prediction = jit_apply(model)(variables, audio)
    mono = jnp.mean(audio, axis=2, keepdims=True)
    frames = jit_apply(model, method="encode_frames")(variables, mono, jnp.array([100, 100]))
    assert frames.shape[1] == -(-100 // STRIDE)
    mean = np.asarray(frames, np.float64).sum(axis=1) / frames.shape[1]
    settled = jit_apply(model, method="decode_pooled")(variables, jnp.asarray(mean, jnp.float32))
    for name in ("freq_hz", "gain_db", "q"):
        assert peak_error_db(getattr(settled.settings.eq, name), getattr(prediction.settings.eq, name)) <= -100.0, name
    added = jit_apply(model, method="predict_residual")(variables, audio, settled.z)
    assert peak_error_db(jax.jit(render_eq)(audio, settled.settings.eq) + added, output) <= -105.0


def test_phase_1a_has_no_residual():
    model, variables = random_phase("1a")
    audio = stereo_noise("1a")
    assert "residual" not in variables["params"]
    assert not np.any(model.apply(variables, audio, jnp.ones((2, 512)), method="predict_residual"))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("frequency_map", ["log", "linear"])
def test_a_phase_decodes_with_its_frequency_map(phase, frequency_map):
    _, variables = random_phase(phase)
    z = noise((2, 512), seed=11)
    side = {"z_side": -z} if phase == "2" else {}
    result = jit_apply(MasteringModel(phase, WIDTH, frequency_map), method="decode")(variables, z, **side)
    part = {name: tree["decoder"] for name, tree in variables.items() if "decoder" in tree}
    np.testing.assert_allclose(result.settings.eq.freq_hz, numpy_models.decoder(part, z, frequency_map)[0], rtol=3e-5)

"""The phases put together: against plain NumPy, channels, and the parts that inference calls one by one."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import PHASES, Mastering
from nmjax.models.encoder import STRIDE
from nmjax.models.phases import render_eq

from . import reference
from .helpers import WIDTH, apart_db, compiled, noise, randomised, shapes_of

STEREO = {"1a": 1001, "1b": 100, "1c": 1001, "2": 1001}  # lengths that test_untrained compiles for these phases too


ONE_EAR = [phase for phase in PHASES if phase != "2"]


@functools.cache
def trained(phase):
    model = Mastering(phase, WIDTH)
    return model, randomised(shapes_of(model, noise((1, 64, 2))), seed=6)


def stereo(phase):
    return noise((2, STEREO[phase], 2), seed=9)


@pytest.mark.parametrize("phase", PHASES)
def test_equals_the_numpy_reference(phase):
    model, variables = trained(phase)
    audio = stereo(phase)
    output, prediction = compiled(model)(variables, audio)
    wanted, z = reference.mastered(variables, audio)
    assert apart_db(prediction.z, z) <= -110.0
    assert apart_db(output, np.stack(wanted)) <= -105.0
    assert apart_db(output, audio) > -20.0, "so near to the identity that little is tested"


@pytest.mark.parametrize("phase", ONE_EAR)
def test_swapping_the_channels_swaps_the_output(phase):
    model, variables = trained(phase)
    audio = stereo(phase)
    output, prediction = compiled(model)(variables, audio)
    swapped, same = compiled(model)(variables, audio[:, :, ::-1])
    assert apart_db(swapped[:, :, ::-1], output) <= -110.0
    assert apart_db(same.z, prediction.z) <= -110.0


@pytest.mark.parametrize("phase", PHASES)
def test_the_encoder_hears_the_mean_of_the_channels(phase):
    """What the channels differ in moves neither z nor the settings; what they share does."""
    model, variables = trained(phase)
    audio, opposed = stereo(phase), 0.5 * noise((2, STEREO[phase], 1), seed=10)
    run = compiled(model)
    _, prediction = run(variables, audio)
    _, wider = run(variables, audio + jnp.concatenate([opposed, -opposed], axis=2))
    _, moved = run(variables, audio + opposed)
    assert apart_db(wider.z, prediction.z) <= -110.0
    assert apart_db(moved.z, prediction.z) > -60.0


def test_phase_2_hears_mid_and_side_and_the_side_moves_the_width_alone():
    model, variables = trained("2")
    audio, opposed = stereo("2"), 0.5 * noise((2, STEREO["2"], 1), seed=10)
    run = compiled(model)
    _, prediction = run(variables, audio)
    _, wider = run(variables, audio + jnp.concatenate([opposed, -opposed], axis=2))
    assert apart_db(wider.z, prediction.z) <= -110.0
    assert apart_db(wider.z_side, prediction.z_side) > -60.0
    before, after = prediction.settings, wider.settings
    for part in ("eq", "compressor", "saturator"):
        for a, b in zip(*map(jax.tree.leaves, (getattr(before, part), getattr(after, part))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert np.all(np.abs(after.width.high - before.width.high) > 1e-3)


def test_in_mono_phase_2_has_a_silent_side():
    """One channel is heard as two equal ones are."""
    model, variables = trained("2")
    mono = stereo("2")[:, :, :1]
    one, two = (compiled(model)(variables, audio) for audio in (mono, jnp.tile(mono, (1, 1, 2))))
    assert apart_db(jnp.tile(one[0], (1, 1, 2)), two[0]) <= -100.0
    assert apart_db(one[1].z_side, two[1].z_side) <= -110.0


def test_signals_of_a_batch_do_not_hear_each_other():
    model, variables = trained("1b")
    audio = stereo("1b")
    output, _ = compiled(model)(variables, audio)
    other, _ = compiled(model)(variables, audio.at[1].set(0.0))
    np.testing.assert_array_equal(other[0], output[0])


def test_the_parts_that_inference_calls_make_the_whole():
    """Frames of two pieces pooled, settled and rendered, plus the residual, as against the one call."""
    model, variables = trained("1b")
    audio = stereo("1b")
    output, prediction = compiled(model)(variables, audio)
    mono = jnp.mean(audio, axis=2, keepdims=True)
    frames = compiled(model, method="hear")(variables, mono, jnp.array([100, 100]))
    assert frames.shape[1] == -(-100 // STRIDE)
    mean = np.asarray(frames, np.float64).sum(axis=1) / frames.shape[1]
    settled = compiled(model, method="settle")(variables, jnp.asarray(mean, jnp.float32))
    for name in ("freq_hz", "gain_db", "q"):
        assert apart_db(getattr(settled.settings.eq, name), getattr(prediction.settings.eq, name)) <= -100.0, name
    added = compiled(model, method="correct")(variables, audio, settled.z)
    assert apart_db(jax.jit(render_eq)(audio, settled.settings.eq) + added, output) <= -105.0


def test_phase_1a_has_no_residual():
    model, variables = trained("1a")
    audio = stereo("1a")
    assert "residual" not in variables["params"]
    assert not np.any(model.apply(variables, audio, jnp.ones((2, 512)), method="correct"))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("frequency_map", ["log", "linear"])
def test_a_phase_decodes_with_its_frequency_map(phase, frequency_map):
    _, variables = trained(phase)
    z = noise((2, 512), seed=11)
    side = {"z_side": -z} if phase == "2" else {}
    found = compiled(Mastering(phase, WIDTH, frequency_map), method="decode")(variables, z, **side)
    part = {name: tree["decoder"] for name, tree in variables.items() if "decoder" in tree}
    np.testing.assert_allclose(found.settings.eq.freq_hz, reference.decoder(part, z, frequency_map)[0], rtol=3e-5)

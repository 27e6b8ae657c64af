"""Settings and residual of a stream equal those of the whole signal at once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.mastering import compiled_network
from nmjax.mastering.analysis import SourceSignal, encode_signal
from nmjax.mastering.network import load
from nmjax.mastering.pretrained import load_shipped
from nmjax.models import build_model
from nmjax.models.amplitude_encoder import NUM_FRAME_FEATURES
from nmjax.models.inverse_curve import apply_curve
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError
from tests.models.helpers import peak_error_db
from tests.random_networks import random_network, save_network


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(compiled_network.CompiledNetwork, "core", 16 * 64)
    monkeypatch.setattr(compiled_network, "_RESIDUAL_CORE", 512)


def noise(frames, channels, seed=0):
    return np.random.default_rng(seed).standard_normal((frames, channels)).astype(np.float32)


def split_chunks(audio, size):
    return (audio[i : i + size] for i in range(0, len(audio), size))


def apply_model(method, *arguments, phase="1c"):
    n = random_network(phase)
    model = build_model(n.config)
    return jax.jit(lambda v, *a: model.apply(v, *a, method=method))(n.variables, *arguments)


@pytest.mark.parametrize("frames", [1, 1023, 1600, 5000])
def test_settings_of_a_stream_are_those_of_the_whole(frames):
    audio = noise(frames, 1)
    streamed, once = random_network("1c").predict(split_chunks(audio, 700)), apply_model("predict", audio[None])
    assert peak_error_db(streamed.z, once.z) <= -110.0
    for a, b in zip(jax.tree.leaves(streamed.settings.eq), jax.tree.leaves(once.settings.eq), strict=True):
        assert peak_error_db(a, b) <= -100.0


@pytest.mark.parametrize(("frames", "channels"), [(1600, 1), (5000, 2)])
def test_phase_2_encodes_mid_and_side_of_a_stream_as_of_the_whole(frames, channels):
    audio = noise(frames, channels)
    left, right = audio[:, 0], audio[:, -1]
    encoder_input = np.stack([(left + right) / 2, (left - right) / 2], axis=1)
    assert (random_network("2").encoder_inputs, random_network("1c").encoder_inputs) == (2, 1)
    streamed, once = (
        random_network("2").predict(split_chunks(encoder_input, 700)),
        apply_model("predict", audio[None], phase="2"),
    )
    assert peak_error_db(streamed.z, once.z) <= -110.0
    assert peak_error_db(streamed.z_side, once.z_side) <= -110.0
    for a, b in zip(jax.tree.leaves(streamed.settings), jax.tree.leaves(once.settings), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_encoder_inputs_are_mid_and_side(channels):
    """Only a signal of two channels has a side; the mid of others is their mean."""
    audio = noise(5000, channels)
    source = SourceSignal(lambda: split_chunks(audio, 700), 44_100, -20.0, len(audio))
    side = (audio[:, 0] - audio[:, 1]) / 2 if channels == 2 else np.zeros(len(audio), np.float32)
    expected = random_network("2").pool_frames([np.stack([audio.mean(axis=1), side], axis=1)])
    result = encode_signal(source, random_network("2"))
    assert result.num_frames == expected.num_frames and result.frame_sum.shape[0] == 2
    np.testing.assert_allclose(result.frame_sum, expected.frame_sum, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("frames", [1, 511, 700, 3001])
def test_the_residual_of_a_stream_is_that_of_the_whole(frames):
    audio = noise(frames, 2)
    z = random_network("1c").predict(split_chunks(audio[:, :1], 700)).z
    streamed = np.concatenate(list(random_network("1c").residual_stream(split_chunks(audio, 333), z)))
    once = np.asarray(apply_model("predict_residual", audio[None], jnp.asarray(z)))[0]
    assert peak_error_db(streamed, once) <= -110.0
    assert np.abs(once).max() > 1e-2


def test_digital_silence_gets_no_residual_and_music_all_of_it():
    audio = np.concatenate([np.zeros((2000, 2), np.float32), noise(2000, 2), np.zeros((2000, 2), np.float32)])
    audio[3000] = 0.0  # a sample at rest in the middle of music is no silence
    z = random_network("1c").predict(split_chunks(audio[:, :1], 700)).z
    result = np.concatenate(list(random_network("1c").residual_stream(split_chunks(audio, 333), z)))
    once = np.asarray(apply_model("predict_residual", audio[None], jnp.asarray(z)))[0]
    for silent in (slice(0, 2000 - 176), slice(4000 + 176, 6000)):
        assert not result[silent].any()
        assert once[silent].any()
    assert peak_error_db(result[2000:4000], once[2000:4000]) <= -110.0


def test_a_saved_network_is_restored(tmp_path):
    result = load(save_network("1c", tmp_path))
    assert result.config == random_network("1c").config
    assert result.step == 7
    for a, b in zip(jax.tree.leaves(result.variables), jax.tree.leaves(random_network("1c").variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_with_other_processors_says_so(tmp_path, monkeypatch):
    folder = save_network("2", tmp_path / "run")
    load(folder)
    monkeypatch.setitem(PROCESSORS, "second", PROCESSORS["width"])
    message = r"run' predicts compressor \(6 settings\), .*; this version of nmjax has .*, second \(2 settings\)"
    with pytest.raises(BadInputError, match=message):
        load(folder)


@pytest.mark.parametrize(("frames", "channels"), [(700, 2), (5000, 1), (5000, 3)])
def test_the_amplitude_encoder_encodes_the_channels_of_a_stream_as_of_the_whole(frames, channels):
    network = load_shipped("1b-restore", lambda _: None)
    audio = 0.2 * noise(frames, channels)
    pooled = network.pool_frames(split_chunks(audio, 700))
    assert pooled.mean.shape == (1, NUM_FRAME_FEATURES)
    model = build_model(network.config)
    once = model.apply(network.variables, jnp.asarray(audio[None]), method="predict")
    assert peak_error_db(network.decode_pooled(pooled.mean).z, once.z) <= -60.0


def test_its_residual_is_the_curve_that_its_z_predicts():
    network = load_shipped("1b-restore", lambda _: None)
    audio = np.tanh(0.7 * noise(5000, 2))
    z = network.predict(split_chunks(audio, 700)).z
    streamed = np.concatenate(list(network.residual_stream(split_chunks(audio, 700), z)))
    top = np.exp(z[0, 0])
    expected = top * apply_curve(jnp.asarray(audio[None]) / top, jnp.asarray(network.inverse_curve(z)))[0]
    assert network.has_residual and np.abs(expected).max() > 0.01
    np.testing.assert_allclose(streamed, expected, atol=1e-5)


def test_a_residual_whose_last_layer_is_zero_is_not_run():
    network = random_network("1c")
    assert network.has_residual and not random_network("1a").has_residual
    variables = jax.tree.map(np.array, dict(network.variables))
    for values in variables["params"]["residual"]["out"].values():
        values[...] = 0.0
    assert not dataclasses.replace(network, variables=variables).has_residual

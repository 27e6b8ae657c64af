"""Settings and residual of a stream equal those of the whole signal at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.inference import network as network_module
from nmjax.inference.network import load
from nmjax.inference.track import Heard, pooled
from nmjax.models import build_model
from tests.inference.networks import network, saved
from tests.models.helpers import apart_db


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(network_module, "_LISTEN_CORE", 16 * 64)
    monkeypatch.setattr(network_module, "_RESIDUAL_CORE", 512)


def noise(frames, channels, seed=0):
    return np.random.default_rng(seed).standard_normal((frames, channels)).astype(np.float32)


def cut(audio, size):
    return (audio[i : i + size] for i in range(0, len(audio), size))


def whole(method, *arguments, phase="1c"):
    n = network(phase)
    model = build_model(n.config)
    return jax.jit(lambda v, *a: model.apply(v, *a, method=method))(n.variables, *arguments)


@pytest.mark.parametrize("frames", [1, 1023, 1600, 5000])
def test_settings_of_a_stream_are_those_of_the_whole(frames):
    audio = noise(frames, 1)
    streamed, once = network("1c").predict(cut(audio, 700)), whole("predict", audio[None])
    assert apart_db(streamed.z, once.z) <= -110.0
    for a, b in zip(jax.tree.leaves(streamed.settings.eq), jax.tree.leaves(once.settings.eq), strict=True):
        assert apart_db(a, b) <= -100.0


@pytest.mark.parametrize(("frames", "channels"), [(1600, 1), (5000, 2)])
def test_phase_2_hears_mid_and_side_of_a_stream_as_of_the_whole(frames, channels):
    audio = noise(frames, channels)
    left, right = audio[:, 0], audio[:, -1]
    ears = np.stack([(left + right) / 2, (left - right) / 2], axis=1)
    assert (network("2").ears, network("1c").ears) == (2, 1)
    streamed, once = network("2").predict(cut(ears, 700)), whole("predict", audio[None], phase="2")
    assert apart_db(streamed.z, once.z) <= -110.0
    assert apart_db(streamed.z_side, once.z_side) <= -110.0
    for a, b in zip(jax.tree.leaves(streamed.settings), jax.tree.leaves(once.settings), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_tracks_ears_are_mid_and_half_the_difference(channels):
    """Only two channels have a side; of more, the mean alone is heard."""
    audio = noise(5000, channels)
    heard = Heard(lambda: cut(audio, 700), 44_100, -20.0, len(audio))
    side = (audio[:, 0] - audio[:, 1]) / 2 if channels == 2 else np.zeros(len(audio), np.float32)
    wanted = network("2").pooled([np.stack([audio.mean(axis=1), side], axis=1)])
    found = pooled(heard, network("2"))
    assert found.frames == wanted.frames and found.total.shape[0] == 2
    np.testing.assert_allclose(found.total, wanted.total, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("frames", [1, 511, 700, 3001])
def test_the_residual_of_a_stream_is_that_of_the_whole(frames):
    audio = noise(frames, 2)
    z = network("1c").predict(cut(audio[:, :1], 700)).z
    streamed = np.concatenate(list(network("1c").correction(cut(audio, 333), z)))
    once = np.asarray(whole("correct", audio[None], jnp.asarray(z)))[0]
    assert apart_db(streamed, once) <= -110.0
    assert np.abs(once).max() > 1e-2


def test_digital_silence_gets_no_residual_and_music_all_of_it():
    audio = np.concatenate([np.zeros((2000, 2), np.float32), noise(2000, 2), np.zeros((2000, 2), np.float32)])
    audio[3000] = 0.0  # a sample at rest in the middle of music is no silence
    z = network("1c").predict(cut(audio[:, :1], 700)).z
    found = np.concatenate(list(network("1c").correction(cut(audio, 333), z)))
    once = np.asarray(whole("correct", audio[None], jnp.asarray(z)))[0]
    for place in (slice(0, 2000 - 176), slice(4000 + 176, 6000)):
        assert not found[place].any()
        assert once[place].any()
    assert apart_db(found[2000:4000], once[2000:4000]) <= -110.0


def test_a_saved_network_comes_back(tmp_path):
    found = load(saved("1c", tmp_path))
    assert found.config == network("1c").config
    assert found.step == 7
    for a, b in zip(jax.tree.leaves(found.variables), jax.tree.leaves(network("1c").variables), strict=True):
        np.testing.assert_array_equal(a, b)

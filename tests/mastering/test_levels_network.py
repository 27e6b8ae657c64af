"""A network that works on levels, evaluated by NumPy, against the same network in JAX."""

import jax
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.mastering.compiled_network import CompiledNetwork
from nmjax.mastering.levels_network import LevelsNetwork, can_evaluate
from nmjax.mastering.pretrained import load_shipped
from nmjax.models import PHASES
from tests.models.helpers import peak_error_db

# phase, encoder, and whether NumPy evaluates them
CONFIGS = [("1a", "spectral", True), ("1a", "tcn", False), ("1b", "spectral", True), ("2", "two_branch", False)]


@pytest.fixture(scope="module", params=["1a", "1c", "2", "2 with hard gates"])
def networks(request):
    """A network in NumPy and in JAX."""
    name, _, has_hard_gates = request.param.partition(" ")
    network = load_shipped(name, print)
    config = network.config
    if has_hard_gates:
        config = config.model_copy(update={"model": config.model.model_copy(update={"gates": "hard"})})
    return LevelsNetwork(config, network.variables), CompiledNetwork(config, network.variables)


def music(frames, seed=0):
    """Noise that falls with frequency, with a quiet section, silence and a beat."""
    rng = np.random.default_rng(seed)
    audio = np.cumsum(rng.standard_normal(frames) * 0.01) % 1.0 - 0.5 + 0.1 * rng.standard_normal(frames)
    audio[frames // 2 : frames // 2 + 9000] *= 1e-4
    audio[frames // 3 : frames // 3 + 6000] = 0.0
    return (0.2 * audio).astype(np.float32)[None, :, None]


@pytest.mark.parametrize("frames", [1000, 70_000])
def test_frames_are_those_of_the_model(networks, frames):
    audio, last = music(frames), -(-frames // 1024)
    sums = [network.frame_sum(audio, frames, min(2, last - 1), last) for network in networks]
    assert sums[0].dtype == np.float64 and peak_error_db(*sums) <= -100.0


def test_settings_are_those_of_the_model(networks):
    phase = PHASES[networks[1].config.phase]
    inputs = [music(300_000, seed) for seed in range(2 if phase.has_processors else 1)]
    means = [(networks[0].frame_sum(x, 300_000, 0, 290) / 290).astype(np.float32) for x in inputs]
    in_numpy, in_jax = (network.decode_pooled(means) for network in networks)
    assert isinstance(in_numpy.z, np.ndarray)
    assert peak_error_db(in_numpy.z, in_jax.z) <= -90.0
    assert phase.has_processors == (in_numpy.settings.compressor is not None)
    assert phase.has_gates == (in_numpy.gate_logit is not None)
    assert jax.tree.structure(in_numpy) == jax.tree.structure(in_jax)
    for a, b in zip(jax.tree.leaves(in_numpy), jax.tree.leaves(in_jax), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    a, b = (network.decode_eq(in_numpy.z) for network in networks)
    np.testing.assert_allclose(a.gain_db, b.gain_db, atol=1e-5)


@pytest.mark.parametrize(
    ("phase", "encoder", "expected"),
    CONFIGS,
)
def test_other_networks_are_compiled(phase, encoder, expected):
    assert can_evaluate(load_config(phase, ["small"], [f"model.encoder={encoder}"])) is expected

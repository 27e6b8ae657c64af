"""bfloat16 and recomputed blocks: the same parameters, and outputs that are close or equal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.models import MasteringModel, build_model

from .helpers import WIDTH, init_shapes, noise, peak_error_db, random_variables

AUDIO, LENGTHS = noise((2, 803, 2)), jnp.array([803, 500])
PLAIN = MasteringModel("1b", WIDTH, dropout=0.0)
VARIABLES = random_variables(init_shapes(PLAIN, AUDIO), seed=6)


def train_outputs(model):
    """Output, prediction, new statistics and the gradient of a loss."""

    def loss(params):
        variables = {**VARIABLES, "params": params}
        (y, prediction), changed = model.apply(variables, AUDIO, LENGTHS, train=True, mutable="batch_stats")
        return jnp.mean(y * y), (y, prediction, changed)

    return jax.jit(jax.grad(loss, has_aux=True))(VARIABLES["params"])


@pytest.mark.parametrize("more", [{"remat": True}, {"dtype": "bfloat16"}, {"dtype": "bfloat16", "remat": True}])
def test_parameters_keep_names_shapes_and_float32(more):
    result, expected = (init_shapes(MasteringModel("1b", WIDTH, **kw), AUDIO) for kw in (more, {}))
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    assert jax.tree.leaves(result) == jax.tree.leaves(expected)


def test_recomputed_blocks_give_the_same():
    (expected, (y, _, stats)), (result, (y_too, _, stats_too)) = (
        train_outputs(PLAIN),
        train_outputs(PLAIN.clone(remat=True)),
    )
    assert peak_error_db(y_too, y) <= -110.0
    size = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(expected))
    for a, b in zip(jax.tree.leaves((result, stats_too)), jax.tree.leaves((expected, stats)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * size)


def test_bfloat16_is_close_and_returns_float32():
    (_, (y, prediction, _)), (result, (y_too, coarse, stats)) = (
        train_outputs(PLAIN),
        train_outputs(PLAIN.clone(dtype="bfloat16")),
    )
    assert -80.0 < peak_error_db(y_too, y) <= -25.0
    assert peak_error_db(coarse.z, prediction.z) <= -25.0
    for leaf in jax.tree.leaves((y_too, coarse, result, stats)):
        assert leaf.dtype == jnp.float32
        assert np.all(np.isfinite(leaf))


def test_the_config_reaches_the_model():
    model = build_model(load_config("1b", [], ["model.dtype=bfloat16", "model.remat=true"]))
    assert (model.dtype, model.remat) == ("bfloat16", True)

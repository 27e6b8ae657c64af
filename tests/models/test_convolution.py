"""The rewritten convolution: against NumPy, with its gradients against the plain one's, and where it is used."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import convolution
from nmjax.models.convolution import bilinear, convolve, pays, strided, transformed, unfolded
from nmjax.models.residual import Residual

from . import reference
from .helpers import apart_db, noise, randomised, shapes_of

PAD = [(7, 7)]


def plain(x, kernel, stride=1):
    return jax.lax.conv_general_dilated(x, kernel, (stride,), PAD, dimension_numbers=("NWC", "WIO", "NWC"))


def rewritten(x, kernel):
    return transformed(x, kernel, *PAD[0])


@pytest.mark.parametrize(("points", "taps"), [(8, 3), (32, 15), (64, 15), (64, 1)])
def test_the_bilinear_form_is_a_correlation(points, taps):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(points), rng.standard_normal(taps)
    hear, weigh, put = bilinear(points, taps)
    assert len(hear) == 3 * points // 2 - 1
    assert apart_db(put @ ((hear @ x) * (weigh @ w)), np.correlate(x, w, "valid")) <= -270.0


@pytest.mark.parametrize("time", [1, 14, 50, 51, 400])
def test_equals_numpy_and_the_plain_gradients(time):
    x, kernel = noise((3, time, 5), seed=time), noise((15, 5, 4), seed=1)
    wanted, back = jax.vjp(plain, x, kernel)
    found, back_too = jax.vjp(rewritten, x, kernel)
    numpy = [reference.conv(np.float64(row), {"kernel": np.float64(kernel), "bias": 0.0}) for row in x]
    assert apart_db(found, np.stack(numpy)) <= -110.0
    weight = noise(wanted.shape, seed=2)
    for a, b in zip(back_too(weight), back(weight), strict=True):
        assert apart_db(a, b) <= -100.0


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("time", [1, 5, 400])
def test_one_channel_equals_numpy_and_the_plain_gradients(stride, time):
    x, kernel = noise((3, time, 1), seed=time), noise((15, 1, 4), seed=1)
    wanted, back = jax.vjp(lambda x, w: plain(x, w, stride), x, kernel)
    found, back_too = jax.vjp(lambda x, w: unfolded(x, w, stride, 7, 7), x, kernel)
    weights = {"kernel": np.float64(kernel), "bias": 0.0}
    assert apart_db(found, np.stack([reference.conv(np.float64(row), weights, stride) for row in x])) <= -110.0
    weight = noise(wanted.shape, seed=2)
    for a, b in zip(back_too(weight), back(weight), strict=True):
        assert apart_db(a, b) <= -100.0


def test_vmap_and_jit():
    xs, kernel = noise((4, 2, 120, 3)), noise((15, 3, 2), seed=1)
    found = jax.jit(jax.vmap(rewritten, in_axes=(0, None)))(xs, kernel)
    assert apart_db(found, jax.vmap(plain, in_axes=(0, None))(xs, kernel)) <= -110.0


def test_pays_for_many_channels_and_frames_only():
    assert pays(55_125, 15, 384, 128)
    assert not pays(32 * 55_125, 15, 384, 128)
    assert not pays(55_125, 3, 512, 512)
    assert not pays(55_125, 15, 8, 16)
    assert not pays(512, 15, 384, 128)


@pytest.mark.parametrize(("backend", "used"), [("cpu", True), ("gpu", False), ("tpu", False)])
def test_the_cpu_alone_is_given_it(monkeypatch, backend, used):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert ("conv_general_dilated" not in traced(jnp.float32, 1)) == used


@pytest.mark.parametrize(("dtype", "stride"), [(jnp.bfloat16, 1), (jnp.float32, 4)])
def test_bfloat16_and_strides_stay_plain(dtype, stride):
    assert "conv_general_dilated" in traced(dtype, stride)


def traced(dtype, stride):
    """The operations of a convolution that pays by its size."""

    def run(x, w):
        return convolve(x, w, (stride,), PAD, dimension_numbers=("NWC", "WIO", "NWC"))

    return str(jax.make_jaxpr(run)(jnp.zeros((1, 3000, 96), dtype), jnp.zeros((15, 96, 96), dtype)))


def test_a_residual_is_the_same_both_ways(monkeypatch):
    """Output and every parameter's gradient, with ragged lengths and by the batch's statistics."""
    model, audio, z = Residual(width=0.1), noise((2, 803, 1)), noise((2, 512), seed=5)
    variables = randomised(shapes_of(model, audio, z), seed=2)
    lengths = jnp.array([803, 500])

    def both(used):
        monkeypatch.setattr(convolution, "pays", lambda *_: used)

        def loss(params):
            y, _ = model.apply({**variables, "params": params}, audio, z, lengths, train=True, mutable="batch_stats")
            return jnp.mean(jnp.sin(y)), y

        return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])

    (wanted, y), (found, y_too) = both(False), both(True)
    assert apart_db(y_too, y) <= -100.0
    size = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(wanted))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert float(jnp.max(jnp.abs(a - b))) <= 1e-5 * size


@pytest.mark.parametrize(
    ("taps", "stride", "before", "after"), [(15, 4, 7, 7), (15, 8, 7, 7), (5, 3, 0, 2), (4, 4, 1, 1)]
)
@pytest.mark.parametrize("time", [16, 17, 403])
def test_a_strided_one_equals_the_plain_one_with_its_gradients(taps, stride, before, after, time):
    def given(x, w):
        order = ("NWC", "WIO", "NWC")
        return jax.lax.conv_general_dilated(x, w, (stride,), [(before, after)], dimension_numbers=order)

    x, kernel = noise((3, time, 5), seed=time), noise((taps, 5, 4), seed=1)
    wanted, back = jax.vjp(given, x, kernel)
    found, back_too = jax.vjp(lambda x, w: strided(x, w, stride, before, after), x, kernel)
    assert apart_db(found, wanted) <= -110.0
    weight = noise(wanted.shape, seed=2)
    for a, b in zip(back_too(weight), back(weight), strict=True):
        assert apart_db(a, b) <= -100.0

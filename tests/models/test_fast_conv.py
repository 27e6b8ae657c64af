"""Fast convolutions: against NumPy, their gradients against the plain one's, and where they are used."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import fast_conv
from nmjax.models.fast_conv import (
    bilinear_matrices,
    convolve,
    convolve_bilinear,
    convolve_im2col,
    convolve_strided,
    is_bilinear_faster,
)
from nmjax.models.residual import Residual

from . import numpy_models
from .helpers import init_shapes, noise, peak_error_db, random_variables

PAD = [(7, 7)]


def lax_conv(x, kernel, stride=1):
    return jax.lax.conv_general_dilated(x, kernel, (stride,), PAD, dimension_numbers=("NWC", "WIO", "NWC"))


def bilinear_conv(x, kernel):
    return convolve_bilinear(x, kernel, *PAD[0])


@pytest.mark.parametrize(("points", "taps"), [(8, 3), (32, 15), (64, 15), (64, 1)])
def test_the_bilinear_form_is_a_correlation(points, taps):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(points), rng.standard_normal(taps)
    input_matrix, kernel_matrix, output_matrix = bilinear_matrices(points, taps)
    assert len(input_matrix) == 3 * points // 2 - 1
    assert (
        peak_error_db(output_matrix @ ((input_matrix @ x) * (kernel_matrix @ w)), np.correlate(x, w, "valid")) <= -270.0
    )


@pytest.mark.parametrize("time", [14, 51, 400])
def test_equals_numpy_and_the_plain_gradients(time):
    x, kernel = noise((3, time, 5), seed=time), noise((15, 5, 4), seed=1)
    expected, expected_vjp = jax.vjp(lax_conv, x, kernel)
    result, result_vjp = jax.vjp(bilinear_conv, x, kernel)
    numpy = [numpy_models.conv(np.float64(row), {"kernel": np.float64(kernel), "bias": 0.0}) for row in x]
    assert peak_error_db(result, np.stack(numpy)) <= -110.0
    weight = noise(expected.shape, seed=2)
    for a, b in zip(result_vjp(weight), expected_vjp(weight), strict=True):
        assert peak_error_db(a, b) <= -100.0


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("time", [1, 5, 400])
def test_one_channel_equals_numpy_and_the_plain_gradients(stride, time):
    x, kernel = noise((3, time, 1), seed=time), noise((15, 1, 4), seed=1)
    expected, expected_vjp = jax.vjp(lambda x, w: lax_conv(x, w, stride), x, kernel)
    result, result_vjp = jax.vjp(lambda x, w: convolve_im2col(x, w, stride, 7, 7), x, kernel)
    weights = {"kernel": np.float64(kernel), "bias": 0.0}
    assert peak_error_db(result, np.stack([numpy_models.conv(np.float64(row), weights, stride) for row in x])) <= -110.0
    weight = noise(expected.shape, seed=2)
    for a, b in zip(result_vjp(weight), expected_vjp(weight), strict=True):
        assert peak_error_db(a, b) <= -100.0


def test_vmap_and_jit():
    xs, kernel = noise((4, 2, 120, 3)), noise((15, 3, 2), seed=1)
    result = jax.jit(jax.vmap(bilinear_conv, in_axes=(0, None)))(xs, kernel)
    assert peak_error_db(result, jax.vmap(lax_conv, in_axes=(0, None))(xs, kernel)) <= -110.0


def test_the_bilinear_form_is_used_for_many_channels_and_frames_only():
    assert is_bilinear_faster(55_125, 15, 384, 128)
    assert not is_bilinear_faster(32 * 55_125, 15, 384, 128)
    assert not is_bilinear_faster(55_125, 3, 512, 512)
    assert not is_bilinear_faster(55_125, 15, 8, 16)
    assert not is_bilinear_faster(512, 15, 384, 128)


@pytest.mark.parametrize(("backend", "used"), [("cpu", True), ("gpu", False), ("tpu", False)])
def test_only_the_cpu_uses_fast_forms(monkeypatch, backend, used):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert ("conv_general_dilated" not in trace_primitives(jnp.float32, 1)) == used


@pytest.mark.parametrize(("dtype", "stride"), [(jnp.bfloat16, 1), (jnp.float32, 4)])
def test_bfloat16_and_strides_stay_plain(dtype, stride):
    assert "conv_general_dilated" in trace_primitives(dtype, stride)


def trace_primitives(dtype, stride):
    """The operations of a convolution that is large enough for the bilinear form."""

    def run(x, w):
        return convolve(x, w, (stride,), PAD, dimension_numbers=("NWC", "WIO", "NWC"))

    return str(jax.make_jaxpr(run)(jnp.zeros((1, 3000, 96), dtype), jnp.zeros((15, 96, 96), dtype)))


def test_the_residual_does_not_depend_on_the_convolution_algorithm(monkeypatch):
    """Output and every parameter's gradient, with ragged lengths and by the batch's statistics."""
    model, audio, z = Residual(width=0.1), noise((2, 803, 1)), noise((2, 512), seed=5)
    variables = random_variables(init_shapes(model, audio, z), seed=2)
    lengths = jnp.array([803, 500])

    def gradient_and_output(used):
        monkeypatch.setattr(fast_conv, "is_bilinear_faster", lambda *_: used)

        def loss(params):
            y, _ = model.apply({**variables, "params": params}, audio, z, lengths, train=True, mutable="batch_stats")
            return jnp.mean(jnp.sin(y)), y

        return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])

    (expected, y), (result, y_too) = gradient_and_output(False), gradient_and_output(True)
    assert peak_error_db(y_too, y) <= -100.0
    size = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(expected))
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert float(jnp.max(jnp.abs(a - b))) <= 1e-5 * size


@pytest.mark.parametrize(
    ("taps", "stride", "pad_before", "pad_after"), [(15, 4, 7, 7), (15, 8, 7, 7), (5, 3, 0, 2), (4, 4, 1, 1)]
)
@pytest.mark.parametrize("time", [17, 403])
def test_a_strided_convolution_equals_the_plain_one_with_its_gradients(taps, stride, pad_before, pad_after, time):
    def plain(x, w):
        padding, order = [(pad_before, pad_after)], ("NWC", "WIO", "NWC")
        return jax.lax.conv_general_dilated(x, w, (stride,), padding, dimension_numbers=order)

    x, kernel = noise((3, time, 5), seed=time), noise((taps, 5, 4), seed=1)
    expected, expected_vjp = jax.vjp(plain, x, kernel)
    result, result_vjp = jax.vjp(lambda x, w: convolve_strided(x, w, stride, pad_before, pad_after), x, kernel)
    assert peak_error_db(result, expected) <= -110.0
    weight = noise(expected.shape, seed=2)
    for a, b in zip(result_vjp(weight), expected_vjp(weight), strict=True):
        assert peak_error_db(a, b) <= -100.0

"""Trainable parameters: the exact documented numbers at width 1, and sums over the layers at every width."""

from __future__ import annotations

import functools
import math

import jax
import pytest

from nmjax.models import PHASES, MasteringModel

from .helpers import init_shapes, noise

EXACT = {"1a": 2_725_647, "1b": 5_063_376, "1c": 5_134_185, "2": 5_266_164}


@functools.cache
def phase_params(phase, width=1.0):
    return init_shapes(MasteringModel(phase, width), noise((1, 64, 2)))["params"]


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def conv(inputs, outputs, kernel):
    return kernel * inputs * outputs + outputs


def norm(channels):
    return 2 * channels


def encoder_count(width):
    """Stem, four blocks with a 1×1 convolution if the channel count changes, and the layer to z."""
    a, b, c, d = (max(1, round(n * width)) for n in (64, 128, 256, 512))
    total = conv(1, a, 15) + norm(a) + conv(a, b, 15) + norm(b)
    for inputs, outputs in ((b, b), (b, c), (c, c), (c, d)):
        total += conv(inputs, outputs, 3) + conv(outputs, outputs, 3) + 2 * norm(outputs)
        total += conv(inputs, outputs, 1) if inputs != outputs else 0
    return total + conv(d, 512, 1)


def residual_count(width):
    """Seven blocks, each with gamma and beta from z, and the output layer."""
    a, b, c, d = (max(1, round(n * width)) for n in (32, 64, 128, 256))
    blocks = ((1, a), (a, b), (b, c), (c, d), (d + c, c), (c + b, b), (b + a, a))
    return sum(conv(i, o, 15) + norm(o) + 2 * conv(512, o, 1) for i, o in blocks) + conv(a, 1, 1)


def processors_count():
    """A hidden layer of 64 from z (for the width from both z), and 6, 3 and 2 settings."""
    return sum(conv(z, 64, 1) + conv(64, values, 1) for z, values in ((512, 6), (512, 3), (1024, 2)))


@pytest.mark.parametrize("phase", PHASES)
def test_the_phases_have_the_documented_parameter_counts(phase):
    assert count(phase_params(phase)) == EXACT[phase]


def test_the_modules_have_the_documented_parameter_counts():
    assert count(phase_params("1b")["encoder"]) == 2_524_672
    assert count(phase_params("1b")["decoder"]) == 200_975
    assert count(phase_params("1c")["decoder"]) == 271_784
    assert count(phase_params("1b")["residual"]) == 2_337_729
    assert count(phase_params("2")["processors"]) == processors_count() == 131_979


@pytest.mark.parametrize("width", [0.02, 0.3, 2.0])
def test_width_scales_encoder_and_residual(width):
    params = phase_params("1b", width)
    assert count(params["encoder"]) == encoder_count(width)
    assert count(params["residual"]) == residual_count(width)
    assert count(params["decoder"]) == 200_975


def test_untrained_variables_are_separate_collections():
    """Running statistics: mean and variance per channel of each BatchNorm. Warm start: one divisor per band."""
    variables = init_shapes(MasteringModel("1c"), noise((1, 64, 1)))
    assert set(variables) == {"params", "batch_stats", "warm_start"}
    encoder, residual = 64 + 128 + 2 * (128 + 256 + 256 + 512), 2 * (32 + 64 + 128) + 256
    assert count(variables["batch_stats"]) == 2 * (encoder + residual)
    assert count(variables["warm_start"]) == 10

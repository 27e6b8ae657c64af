"""The residual: against plain NumPy, its receptive field, chunks against the whole, and channels."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models.residual import MARGIN, STRIDE, Residual, upsample2x

from . import numpy_models
from .helpers import (
    WIDTH,
    init_shapes,
    jit_apply,
    noise,
    peak_error_db,
    positive_variables,
    random_variables,
    receptive_fields,
)

MODEL = Residual(width=WIDTH)
Z = noise((2, 512), seed=5)
VARIABLES = random_variables(init_shapes(MODEL, noise((1, 64, 1)), Z[:1]), seed=2)
LONG = 1003  # samples; longer than the receptive field, and not a multiple of 8


@pytest.mark.parametrize("time", [1, 7, 8, 400, 405])
def test_equals_the_numpy_reference(time):
    audio = noise((2, time, 2), seed=time)
    result = jit_apply(MODEL)(VARIABLES, audio, Z)
    assert peak_error_db(result, np.stack(numpy_models.residual(VARIABLES, audio, Z))) <= -110.0


def test_training_normalizes_by_the_batch():
    audio = noise((2, 403, 2))
    result, _ = jit_apply(MODEL, train=True, mutable="batch_stats")(VARIABLES, audio, Z)
    assert peak_error_db(result, np.stack(numpy_models.residual(VARIABLES, audio, Z, train=True))) <= -100.0


def test_each_signal_follows_its_own_z():
    audio = jnp.repeat(noise((1, 400, 2)), 2, axis=0)
    result = jit_apply(MODEL)(VARIABLES, audio, Z)
    assert peak_error_db(result[1], result[0]) > -40.0


def test_without_skips_the_up_path_gets_only_the_bottleneck():
    audio = noise((1, 400, 1), seed=3)
    model = Residual(width=WIDTH, skips=False)
    variables = random_variables(init_shapes(model, noise((1, 64, 1)), Z[:1]), seed=2)
    result = jit_apply(model)(variables, audio, Z[:1])
    assert result.shape == audio.shape and np.std(result) > 0.0
    kernels = {name: np.shape(x["layer"]["conv"]["kernel"]) for name, x in variables["params"].items() if "up" in name}
    with_skips = {
        name: np.shape(x["layer"]["conv"]["kernel"]) for name, x in VARIABLES["params"].items() if "up" in name
    }
    for name, (taps, in_channels, out_channels) in kernels.items():
        level = int(name[-1])
        down = np.shape(VARIABLES["params"][f"down_{level}"]["layer"]["conv"]["kernel"])[2]
        assert (taps, out_channels) == (with_skips[name][0], with_skips[name][2])
        assert in_channels == with_skips[name][1] - down


def expected_receptive_field(sample):
    """First and last input sample of an output sample, layer by layer from the output backwards."""

    def conv(first, last):
        return first - 7, last + 7

    spans = []  # at the input of each level's upsampling block, deepest last
    span = (sample, sample)
    for _ in range(3):
        span = conv(*span)
        spans.append(span)
        span = (span[0] - 1) // 2, (span[1] + 1) // 2  # each output of the interpolation depends on two frames
    span = conv(*span)
    for skip in reversed(spans):
        below = 2 * span[0], 2 * span[1] + 1
        span = conv(min(below[0], skip[0]), max(below[1], skip[1]))
    return span


def test_receptive_field_is_about_165_samples_on_both_sides():
    variables, samples = positive_variables(VARIABLES), range(400, 400 + STRIDE)
    result = receptive_fields(lambda x: MODEL.apply(variables, x, jnp.ones((1, 512)))[0, 400 : 400 + STRIDE, 0], 808)
    assert result == [expected_receptive_field(sample) for sample in samples]
    sides = [abs(end - sample) for sample, span in zip(samples, result, strict=True) for end in span]
    assert 155 <= min(sides) <= max(sides) <= 170 <= MARGIN


@pytest.mark.parametrize("start", [0, 320, 408, 840])
def test_a_chunk_with_margins_equals_the_whole(start):
    audio, size, run = noise((1, LONG, 2)), 160, jit_apply(MODEL)
    begin, end = max(0, start - MARGIN), min(LONG, start + size + MARGIN)
    chunk = run(VARIABLES, audio[:, begin:end], Z[:1])
    expected = run(VARIABLES, audio, Z[:1])[:, start : start + size]
    assert start % STRIDE == MARGIN % STRIDE == 0
    assert peak_error_db(chunk[:, start - begin :][:, : expected.shape[1]], expected) <= -110.0


def test_a_chunk_off_the_stride_grid_does_not_equal_the_whole():
    """The reason why chunks start at multiples of STRIDE."""
    audio, run = noise((1, LONG, 2)), jit_apply(MODEL)
    chunk = run(VARIABLES, audio[:, 148:660], Z[:1])
    assert peak_error_db(chunk[:, 176:336], run(VARIABLES, audio, Z[:1])[:, 324:484]) > -60.0


def test_the_same_weights_run_on_each_channel():
    audio, run = noise((2, 400, 2)), jit_apply(MODEL)
    both = run(VARIABLES, audio, Z)
    assert peak_error_db(run(VARIABLES, audio[:, :, ::-1], Z), both[:, :, ::-1]) <= -110.0
    for channel in range(2):
        alone = numpy_models.residual(VARIABLES, audio[:, :, [channel]], Z)
        assert peak_error_db(both[:, :, [channel]], np.stack(alone)) <= -110.0


@pytest.mark.parametrize("time", [1, 2, 9])
def test_upsampling_is_linear_interpolation_between_frame_centers(time):
    """As np.interp; a straight line stays one up to the ends, where the last value is repeated."""
    x = noise((3, time, 2))
    result = upsample2x(x, None)
    assert (
        peak_error_db(result, np.stack([numpy_models.upsample2x(np.asarray(row, np.float64)) for row in x])) <= -130.0
    )
    line = jnp.arange(time, dtype=jnp.float32).reshape(1, time, 1) + 1.0
    expected = np.clip((np.arange(2 * time) + 0.5) / 2.0 - 0.5, 0.0, time - 1.0) + 1.0
    assert peak_error_db(upsample2x(line, None)[0, :, 0], expected) <= -130.0

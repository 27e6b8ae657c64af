"""The residual: against plain NumPy, what it hears, pieces in place of the whole, and channels."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models.residual import MARGIN, STRIDE, Residual, doubled

from . import reference
from .helpers import WIDTH, all_positive, apart_db, compiled, heard, noise, randomised, shapes_of

MODEL = Residual(width=WIDTH)
Z = noise((2, 512), seed=5)
VARIABLES = randomised(shapes_of(MODEL, noise((1, 64, 1)), Z[:1]), seed=2)
LONG = 1003  # samples; longer than what one hears on both sides together, and no multiple of 8


@pytest.mark.parametrize("time", [1, 7, 8, 400, 405])
def test_equals_the_numpy_reference(time):
    audio = noise((2, time, 2), seed=time)
    found = compiled(MODEL)(VARIABLES, audio, Z)
    assert apart_db(found, np.stack(reference.residual(VARIABLES, audio, Z))) <= -110.0


def test_training_normalises_by_the_batch():
    audio = noise((2, 403, 2))
    found, _ = compiled(MODEL, train=True, mutable="batch_stats")(VARIABLES, audio, Z)
    assert apart_db(found, np.stack(reference.residual(VARIABLES, audio, Z, train=True))) <= -100.0


def test_each_signal_follows_its_own_z():
    audio = jnp.repeat(noise((1, 400, 2)), 2, axis=0)
    found = compiled(MODEL)(VARIABLES, audio, Z)
    assert apart_db(found[1], found[0]) > -40.0


def test_without_skips_the_way_up_hears_the_bottleneck_alone():
    audio = noise((1, 400, 1), seed=3)
    model = Residual(width=WIDTH, skips=False)
    variables = randomised(shapes_of(model, noise((1, 64, 1)), Z[:1]), seed=2)
    found = compiled(model)(variables, audio, Z[:1])
    assert found.shape == audio.shape and np.std(found) > 0.0
    kernels = {name: np.shape(x["layer"]["conv"]["kernel"]) for name, x in variables["params"].items() if "up" in name}
    joined = {name: np.shape(x["layer"]["conv"]["kernel"]) for name, x in VARIABLES["params"].items() if "up" in name}
    for name, (taps, heard_channels, made) in kernels.items():
        level = int(name[-1])
        down = np.shape(VARIABLES["params"][f"down_{level}"]["layer"]["conv"]["kernel"])[2]
        assert (taps, made) == (joined[name][0], joined[name][2]) and heard_channels == joined[name][1] - down


def heard_by(sample):
    """First and last sample that the U-Net's drawing lets `sample` hear, layer by layer from the output backwards."""

    def conv(first, last):
        return first - 7, last + 7

    spans = []  # what is heard at each level's input to the up block, deepest last
    span = (sample, sample)
    for _ in range(3):
        span = conv(*span)
        spans.append(span)
        span = (span[0] - 1) // 2, (span[1] + 1) // 2  # each output of the interpolation lies between two frames
    span = conv(*span)
    for skip in reversed(spans):
        below = 2 * span[0], 2 * span[1] + 1
        span = conv(min(below[0], skip[0]), max(below[1], skip[1]))
    return span


def test_hears_about_165_samples_on_both_sides():
    variables, samples = all_positive(VARIABLES), range(400, 400 + STRIDE)
    found = heard(lambda x: MODEL.apply(variables, x, jnp.ones((1, 512)))[0, 400 : 400 + STRIDE, 0], 808)
    assert found == [heard_by(sample) for sample in samples]
    sides = [abs(end - sample) for sample, span in zip(samples, found, strict=True) for end in span]
    assert 155 <= min(sides) <= max(sides) <= 170 <= MARGIN


@pytest.mark.parametrize("start", [0, 320, 408, 840])
def test_a_piece_with_margins_equals_the_whole(start):
    audio, size, run = noise((1, LONG, 2)), 160, compiled(MODEL)
    begin, end = max(0, start - MARGIN), min(LONG, start + size + MARGIN)
    piece = run(VARIABLES, audio[:, begin:end], Z[:1])
    wanted = run(VARIABLES, audio, Z[:1])[:, start : start + size]
    assert start % STRIDE == MARGIN % STRIDE == 0
    assert apart_db(piece[:, start - begin :][:, : wanted.shape[1]], wanted) <= -110.0


def test_a_piece_that_starts_elsewhere_does_not_equal_the_whole():
    """What pieces at multiples of STRIDE are for."""
    audio, run = noise((1, LONG, 2)), compiled(MODEL)
    piece = run(VARIABLES, audio[:, 148:660], Z[:1])
    assert apart_db(piece[:, 176:336], run(VARIABLES, audio, Z[:1])[:, 324:484]) > -60.0


def test_the_same_weights_run_on_each_channel():
    audio, run = noise((2, 400, 2)), compiled(MODEL)
    both = run(VARIABLES, audio, Z)
    assert apart_db(run(VARIABLES, audio[:, :, ::-1], Z), both[:, :, ::-1]) <= -110.0
    for channel in range(2):
        alone = reference.residual(VARIABLES, audio[:, :, [channel]], Z)
        assert apart_db(both[:, :, [channel]], np.stack(alone)) <= -110.0


@pytest.mark.parametrize("time", [1, 2, 9])
def test_interpolation_lies_between_frame_centres(time):
    """Any signal comes out as np.interp has it; a straight line stays one up to the ends, where the last repeats."""
    x = noise((3, time, 2))
    found = doubled(x, None)
    assert apart_db(found, np.stack([reference.doubled(np.asarray(row, np.float64)) for row in x])) <= -130.0
    line = jnp.arange(time, dtype=jnp.float32).reshape(1, time, 1) + 1.0
    wanted = np.clip((np.arange(2 * time) + 0.5) / 2.0 - 0.5, 0.0, time - 1.0) + 1.0
    assert apart_db(doubled(line, None)[0, :, 0], wanted) <= -130.0

"""The encoder: against plain NumPy, the receptive field of a frame, and chunks against the whole."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models.encoder import MARGIN, STRIDE, Encoder, frame_count
from nmjax.models.signal_format import LATENT_SIZE

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

MODEL = Encoder(width=WIDTH)
VARIABLES = random_variables(init_shapes(MODEL, noise((1, 64, 1))), seed=1)
LONG = 3003  # samples; longer than the receptive field of a frame


@pytest.mark.parametrize("time", [1, 17, 1200])
def test_equals_the_numpy_reference(time):
    audio = noise((2, time, 1), seed=time)
    assert peak_error_db(jit_apply(MODEL)(VARIABLES, audio), numpy_models.encoder(VARIABLES, audio)) <= -110.0


def test_frames_equal_the_numpy_reference():
    audio = noise((1, LONG, 1))
    result = jit_apply(MODEL, method="frames")(VARIABLES, audio)
    assert peak_error_db(result[0], numpy_models.encoder_frames(VARIABLES, audio)[0]) <= -110.0


def test_training_normalizes_by_the_batch_and_updates_running_statistics():
    model, audio = Encoder(width=WIDTH, bn_momentum=0.9), noise((3, 400, 1))
    z, changed = jit_apply(model, train=True, mutable="batch_stats")(VARIABLES, audio)
    assert peak_error_db(z, numpy_models.encoder(VARIABLES, audio, train=True)) <= -100.0
    weights = numpy_models.to_float64(VARIABLES["params"]["stem_0"]["conv"])
    first = np.concatenate([numpy_models.conv(x, weights, stride=4) for x in np.asarray(audio, np.float64)])
    before, after = VARIABLES["batch_stats"]["stem_0"]["norm"], changed["batch_stats"]["stem_0"]["norm"]
    for name, value in (("mean", first.mean(0)), ("var", first.var(0))):
        assert peak_error_db(after[name], 0.9 * before[name] + 0.1 * value) <= -110.0


@pytest.mark.parametrize("time", [1, 4, 5, 16, 17, 65])
def test_one_frame_per_sixteen_samples_rounded_up(time):
    frames = jax.eval_shape(lambda x: MODEL.apply(VARIABLES, x, method="frames"), noise((1, time, 1))).shape[1]
    assert frames == frame_count(time) == len(range(0, time, 16))


def test_five_seconds_are_13782_frames():
    five_seconds = jax.ShapeDtypeStruct((1, 220_500, 1), jnp.float32)
    assert jax.eval_shape(lambda x: MODEL.apply(VARIABLES, x, method="frames"), five_seconds).shape[1] == 13_782
    assert frame_count(220_500) == 13_782


def test_receptive_field_of_a_frame_is_1031_samples_inside_the_margin():
    variables, frame = positive_variables(VARIABLES), 60
    result = receptive_fields(lambda x: jnp.sum(MODEL.apply(variables, x, method="frames")[:, frame]), 2000)
    assert result == [(frame * STRIDE - 515, frame * STRIDE + 515)]
    assert MARGIN >= 515
    assert MARGIN % STRIDE == 0


def test_receptive_field_of_the_blocks_is_61_frames():
    def through_blocks(encoder, x):
        for block in encoder.blocks:
            x = block(x, None, False)
        return x

    variables, channels = positive_variables(VARIABLES), VARIABLES["params"]["stem_1"]["conv"]["bias"].size

    def frame(x):
        return jnp.sum(MODEL.apply(variables, jnp.repeat(x, channels, axis=2), method=through_blocks)[:, 50])

    assert receptive_fields(frame, 101) == [(20, 80)]


@pytest.mark.parametrize("start", [0, 1024, 2720])
def test_a_chunk_with_margins_equals_the_whole(start):
    audio, size, frames = noise((1, LONG, 1)), 320, jit_apply(MODEL, method="frames")
    begin, end = max(0, start - MARGIN), min(LONG, start + size + MARGIN)
    chunk = frames(VARIABLES, audio[:, begin:end])
    expected = frames(VARIABLES, audio)[:, start // STRIDE : (start + size) // STRIDE]
    result = chunk[:, (start - begin) // STRIDE :][:, : expected.shape[1]]
    assert peak_error_db(result, expected) <= -110.0


def test_z_follows_from_the_mean_of_frames_summed_in_chunks():
    audio = noise((1, LONG, 1))
    frames = np.asarray(jit_apply(MODEL, method="frames")(VARIABLES, audio), np.float64)
    mean = (frames[:, :40].sum(1) + frames[:, 40:].sum(1)) / frames.shape[1]
    z = MODEL.apply(VARIABLES, jnp.asarray(mean, jnp.float32), method="latent")
    assert peak_error_db(z, numpy_models.encoder(VARIABLES, audio)) <= -110.0


@pytest.mark.parametrize("width", [0.01, 0.3, 1.5])
def test_width_scales_the_channels_and_keeps_z(width):
    params = init_shapes(Encoder(width=width), noise((1, 64, 1)))["params"]
    names = [
        ("stem_0", "conv"),
        ("stem_1", "conv"),
        *((f"blocks_{n}", conv) for n in range(4) for conv in ("first", "second")),
    ]
    result = [params[a]["conv" if b == "conv" else b] for a, b in names]
    channels = [(x if "kernel" in x else x["conv"])["kernel"].shape[-1] for x in result]
    expected = [64, 128, 128, 128, 256, 256, 256, 256, 512, 512]
    assert channels == [max(1, round(c * width)) for c in expected]
    assert params["out"]["kernel"].shape == (channels[-1], LATENT_SIZE)
    assert LATENT_SIZE == 512

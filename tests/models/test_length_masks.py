"""Length masks: signals of a batch give the same output as alone, whatever the padding contains."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import PHASES, MasteringModel
from nmjax.models.encoder import Encoder
from nmjax.models.residual import Residual

from . import numpy_models
from .helpers import WIDTH, init_shapes, jit_apply, noise, peak_error_db, random_variables

Z = noise((2, 512), seed=5)
TIME, SIZE = 700, 917  # samples of signal, and with padding; neither is a multiple of 8
RAGGED = (SIZE, 333)


ENCODER, RESIDUAL = Encoder(WIDTH, bn_momentum=0.5), Residual(WIDTH, bn_momentum=0.5)
MODULES = [  # module, variables, channels, and inputs besides the audio
    (ENCODER, random_variables(init_shapes(ENCODER, noise((1, 64, 1))), seed=1), 1, ()),
    (RESIDUAL, random_variables(init_shapes(RESIDUAL, noise((1, 64, 1)), Z[:1]), seed=2), 2, (Z,)),
]
each_module = pytest.mark.parametrize(
    ("model", "variables", "channels", "inputs"), MODULES, ids=["encoder", "residual"]
)
each_mode = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])


def with_padding(signals, padding):
    """Signals `[time, channel]` of any lengths in one batch of SIZE samples, continued by `padding`."""
    batch = np.array(padding, np.float32)
    for row, signal in zip(batch, signals, strict=True):
        row[: len(signal)] = signal
    return jnp.asarray(batch), jnp.array([len(signal) for signal in signals], jnp.int32)


def apply_model(model, train, variables, audio, *inputs):
    """The output and the updated running statistics (empty if not training)."""
    if train:
        return jit_apply(model, train=True, mutable="batch_stats")(variables, audio, *inputs)
    return jit_apply(model)(variables, audio, *inputs), {}


@each_mode
@each_module
def test_padded_equals_unpadded(model, variables, channels, inputs, train):
    signals = noise((2, TIME, channels), seed=1)
    audio, lengths = with_padding(signals, 30.0 * noise((2, SIZE, channels), seed=2))
    expected, expected_stats = apply_model(model, train, variables, signals, *inputs)
    result, result_stats = apply_model(model, train, variables, audio, *inputs, lengths)
    if isinstance(model, Residual):
        assert not np.any(result[:, TIME:])
        result = result[:, :TIME]
    assert peak_error_db(result, expected) <= -110.0
    assert jax.tree.structure(result_stats) == jax.tree.structure(expected_stats)
    for a, b in zip(jax.tree.leaves(result_stats), jax.tree.leaves(expected_stats), strict=True):
        assert peak_error_db(a, b) <= -110.0


@each_mode
@each_module
def test_ragged_lengths_equal_the_numpy_reference(model, variables, channels, inputs, train):
    signals = [noise((length, channels), seed=length) for length in RAGGED]
    audio, lengths = with_padding(signals, 30.0 * noise((2, SIZE, channels), seed=2))
    result, _ = apply_model(model, train, variables, audio, *inputs, lengths)
    if isinstance(model, Encoder):
        assert peak_error_db(result, numpy_models.encoder(variables, signals, train)) <= -110.0
        return
    for row, expected in zip(result, numpy_models.residual(variables, signals, *inputs, train), strict=True):
        assert peak_error_db(row[: len(expected)], expected) <= -105.0
        assert not np.any(row[len(expected) :])


@each_mode
@each_module
@pytest.mark.parametrize("garbage", [1e6, np.inf, np.nan])
def test_padding_content_does_not_change_a_bit(model, variables, channels, inputs, train, garbage):
    signals = [noise((length, channels), seed=length) for length in (TIME, 333)]
    clean, lengths = with_padding(signals, np.zeros((2, SIZE, channels)))
    dirty, _ = with_padding(signals, np.full((2, SIZE, channels), garbage))
    expected, result = (apply_model(model, train, variables, audio, *inputs, lengths) for audio in (clean, dirty))
    jax.tree.map(np.testing.assert_array_equal, result, expected)


def test_frames_beyond_the_length_are_zero_and_the_others_those_of_the_signal_alone():
    model, variables, *_ = MODULES[0]
    signals = [noise((length, 1), seed=length) for length in RAGGED]
    audio, lengths = with_padding(signals, noise((2, SIZE, 1), seed=2))
    result = jit_apply(model, method="frames")(variables, audio, lengths)
    for row, expected in zip(result, numpy_models.encoder_frames(variables, signals), strict=True):
        assert peak_error_db(row[: len(expected)], expected) <= -110.0
        assert not np.any(row[len(expected) :])


@each_module
@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 15, 16, 17])
def test_short_signals_in_a_long_batch(model, variables, channels, inputs, length):
    """Lengths at which the strides of the layers give one frame more or less."""
    signals = [noise((n, channels), seed=n) for n in (SIZE, length)]
    audio, lengths = with_padding(signals, np.ones((2, SIZE, channels)))
    result, _ = apply_model(model, False, variables, audio, *inputs, lengths)
    if isinstance(model, Encoder):
        assert peak_error_db(result, numpy_models.encoder(variables, signals)) <= -110.0
    else:
        assert peak_error_db(result[1, :length], numpy_models.residual(variables, signals, *inputs)[1]) <= -105.0


# Phase 2 contains every module of the others, except the decoder of 1a and 1b.
@pytest.mark.parametrize(
    ("phase", "train"),
    [
        pytest.param(phase, train, marks=[] if (phase, train) in (("1b", False), ("2", True)) else [pytest.mark.slow])
        for phase in PHASES
        for train in (False, True)
    ],
)
def test_ragged_batches_match_numpy_in_every_phase(phase, train):
    """The whole signal path in stereo; in training, the statistics exclude the padding."""
    model = MasteringModel(phase, WIDTH, dropout=0.0)
    variables = random_variables(init_shapes(model, noise((1, 64, 2))), seed=6)
    signals = [noise((length, 2), seed=length) for length in RAGGED]
    audio, lengths = with_padding(signals, 30.0 * noise((2, SIZE, 2), seed=2))
    (result, prediction), _ = apply_model(model, train, variables, audio, lengths)
    expected, z = numpy_models.master(variables, signals, train=train)
    assert peak_error_db(prediction.z, z) <= -110.0
    for row, y in zip(result, expected, strict=True):
        assert peak_error_db(row[: len(y)], y) <= -110.0

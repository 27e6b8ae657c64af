"""Lengths: signals that share a batch come out as they would alone, whatever stands in their padding."""

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
PARTS = [  # a module, its variables, its channels, and what it takes beside the audio
    (ENCODER, random_variables(init_shapes(ENCODER, noise((1, 64, 1))), seed=1), 1, ()),
    (RESIDUAL, random_variables(init_shapes(RESIDUAL, noise((1, 64, 1)), Z[:1]), seed=2), 2, (Z,)),
]
each_part = pytest.mark.parametrize(("model", "variables", "channels", "rest"), PARTS, ids=["encoder", "residual"])
each_mode = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])


def with_padding(signals, padding):
    """Signals `[time, channel]` of any lengths in one batch of SIZE samples, the rest filled from `padding`."""
    batch = np.array(padding, np.float32)
    for row, signal in zip(batch, signals, strict=True):
        row[: len(signal)] = signal
    return jnp.asarray(batch), jnp.array([len(signal) for signal in signals], jnp.int32)


def apply_model(model, train, variables, audio, *inputs):
    """The output and the updated running statistics (none where not training)."""
    if train:
        return jit_apply(model, train=True, mutable="batch_stats")(variables, audio, *inputs)
    return jit_apply(model)(variables, audio, *inputs), {}


@each_mode
@each_part
def test_padded_equals_unpadded(model, variables, channels, rest, train):
    signals = noise((2, TIME, channels), seed=1)
    audio, lengths = with_padding(signals, 30.0 * noise((2, SIZE, channels), seed=2))
    expected, wanted_stats = apply_model(model, train, variables, signals, *rest)
    result, found_stats = apply_model(model, train, variables, audio, *rest, lengths)
    if isinstance(model, Residual):
        assert not np.any(result[:, TIME:])
        result = result[:, :TIME]
    assert peak_error_db(result, expected) <= -110.0
    assert jax.tree.structure(found_stats) == jax.tree.structure(wanted_stats)
    for a, b in zip(jax.tree.leaves(found_stats), jax.tree.leaves(wanted_stats), strict=True):
        assert peak_error_db(a, b) <= -110.0


@each_mode
@each_part
def test_ragged_lengths_equal_the_numpy_reference(model, variables, channels, rest, train):
    signals = [noise((length, channels), seed=length) for length in RAGGED]
    audio, lengths = with_padding(signals, 30.0 * noise((2, SIZE, channels), seed=2))
    result, _ = apply_model(model, train, variables, audio, *rest, lengths)
    if isinstance(model, Encoder):
        assert peak_error_db(result, numpy_models.encoder(variables, signals, train)) <= -110.0
        return
    for row, expected in zip(result, numpy_models.residual(variables, signals, *rest, train), strict=True):
        assert peak_error_db(row[: len(expected)], expected) <= -105.0
        assert not np.any(row[len(expected) :])


@each_mode
@each_part
@pytest.mark.parametrize("garbage", [1e6, np.inf, np.nan])
def test_padding_content_does_not_change_a_bit(model, variables, channels, rest, train, garbage):
    signals = [noise((length, channels), seed=length) for length in (TIME, 333)]
    clean, lengths = with_padding(signals, np.zeros((2, SIZE, channels)))
    dirty, _ = with_padding(signals, np.full((2, SIZE, channels), garbage))
    expected, result = (apply_model(model, train, variables, audio, *rest, lengths) for audio in (clean, dirty))
    jax.tree.map(np.testing.assert_array_equal, result, expected)


def test_frames_beyond_the_length_are_zero_and_the_others_those_of_the_signal_alone():
    model, variables, *_ = PARTS[0]
    signals = [noise((length, 1), seed=length) for length in RAGGED]
    audio, lengths = with_padding(signals, noise((2, SIZE, 1), seed=2))
    result = jit_apply(model, method="frames")(variables, audio, lengths)
    for row, expected in zip(result, numpy_models.encoder_frames(variables, signals), strict=True):
        assert peak_error_db(row[: len(expected)], expected) <= -110.0
        assert not np.any(row[len(expected) :])


@each_part
@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 15, 16, 17])
def test_short_signals_in_a_long_batch(model, variables, channels, rest, length):
    """Lengths at which a layer's rate leaves one frame more or less."""
    signals = [noise((n, channels), seed=n) for n in (SIZE, length)]
    audio, lengths = with_padding(signals, np.ones((2, SIZE, channels)))
    result, _ = apply_model(model, False, variables, audio, *rest, lengths)
    if isinstance(model, Encoder):
        assert peak_error_db(result, numpy_models.encoder(variables, signals)) <= -110.0
    else:
        assert peak_error_db(result[1, :length], numpy_models.residual(variables, signals, *rest)[1]) <= -105.0


@each_mode
@pytest.mark.parametrize("phase", PHASES)
def test_ragged_batches_match_numpy_in_every_phase(phase, train):
    """Stereo, garbage in the padding, the whole signal path; in training, statistics of the real samples only."""
    model = MasteringModel(phase, WIDTH, dropout=0.0)
    variables = random_variables(init_shapes(model, noise((1, 64, 2))), seed=6)
    signals = [noise((length, 2), seed=length) for length in RAGGED]
    audio, lengths = with_padding(signals, 30.0 * noise((2, SIZE, 2), seed=2))
    (result, prediction), _ = apply_model(model, train, variables, audio, lengths)
    expected, z = numpy_models.master(variables, signals, train=train)
    assert peak_error_db(prediction.z, z) <= -110.0
    for row, y in zip(result, expected, strict=True):
        assert peak_error_db(row[: len(y)], y) <= -110.0

"""The curve that undoes a saturator, as the network for damaged music predicts it from a whole track."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np

from nmjax.mastering.analysis import SourceSignal, predict_settings
from nmjax.mastering.network import Network
from nmjax.mastering.pretrained import RESTORATION_MODEL, load_shipped
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.curve import Curve
from nmjax.models.inverse_curve import KNOTS

_MIN_SLOPE = 0.05  # so that no level becomes zero, whatever the network predicts


def predict_curve(track: DiagnosedTrack) -> Curve:
    """The curve for a track, at its own level."""
    network = _network()
    signal = SourceSignal(track.read_chunks, track.sample_rate, track.lufs)
    z = predict_settings(signal, network).z
    top = float(np.exp(z[0, 0])) * 10.0 ** (-signal.input_gain_db / 20.0)
    slopes = np.maximum(1.0 + np.cumsum(np.asarray(network.inverse_curve(jnp.asarray(z)))[0], axis=1), _MIN_SLOPE)
    steps = np.diff(np.array([*KNOTS, 1.0]))
    positive, negative = top * np.cumsum(slopes * steps, axis=1)
    return Curve(top * np.cumsum(steps), positive, negative)


@functools.cache
def _network() -> Network:
    return load_shipped(RESTORATION_MODEL, log=lambda message: None)

"""The curve that undoes a saturator, as the network for damaged music predicts it from a whole track."""

from __future__ import annotations

import functools

import numpy as np

from nmjax.mastering.analysis import SourceSignal, decode_settings, encode_signal
from nmjax.mastering.network import Network, PooledFrames
from nmjax.mastering.pretrained import RESTORATION_MODEL, load_shipped
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.curve import Curve
from nmjax.models.amplitude_encoder import half_reaches, swap_halves
from nmjax.models.inverse_curve import KNOTS
from nmjax.runtime.lazy_jax import jnp

_MIN_SLOPE = 0.05  # so that no level becomes zero, whatever the network predicts


def predict_curve(track: DiagnosedTrack) -> Curve:
    """The curve for a track, at its own level.

    The saturators of training bend the positive half more, or both alike (`nmjax.training.damage`). What bends the
    negative half more, so that it reaches less high, is shown to the network upside down.
    """
    network = _network()
    signal = SourceSignal(track.read_chunks, track.sample_rate, track.lufs)
    pooled = encode_signal(signal, network)
    positive_reach, negative_reach = np.asarray(half_reaches(jnp.asarray(pooled.mean)))[0]
    is_upside_down = bool(negative_reach < positive_reach)
    if is_upside_down:
        pooled = PooledFrames(swap_halves(pooled.frame_sum), pooled.num_frames)
    z = decode_settings(pooled, signal, network).z
    top = float(np.exp(z[0, 0])) * 10.0 ** (-signal.input_gain_db / 20.0)
    slopes = np.maximum(1.0 + np.cumsum(network.inverse_curve(z)[0], axis=1), _MIN_SLOPE)
    steps = np.diff(np.array([*KNOTS, 1.0]))
    more_bent, less_bent = top * np.cumsum(slopes * steps, axis=1)
    positive, negative = (less_bent, more_bent) if is_upside_down else (more_bent, less_bent)
    return Curve(top * np.cumsum(steps), positive, negative)


@functools.cache
def _network() -> Network:
    return load_shipped(RESTORATION_MODEL, log=lambda message: None)

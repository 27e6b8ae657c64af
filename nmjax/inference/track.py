"""A whole signal and a network: listen to it, then play it corrected; in two passes, with constant memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

from nmjax.dsp import Bands
from nmjax.inference.network import Network
from nmjax.inference.render import equalised, scaled
from nmjax.inference.stream import Pieces, added, recut, resampled
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction

_PIECE = 1 << 16  # frames


@dataclasses.dataclass(frozen=True)
class Heard:
    """A signal that can be read again and again: `pieces()` from its start, `[frames, channel]` float32 at
    `sample_rate` (Hz). lufs: its integrated loudness, −inf where there is none."""

    pieces: Callable[[], Pieces]
    sample_rate: int
    lufs: float

    @property
    def level_gain_db(self) -> float:
        """What brings it to the model's level."""
        return MODEL_LUFS - self.lufs if math.isfinite(self.lufs) else 0.0

    def levelled(self) -> Iterator[np.ndarray]:
        """The signal at the model's level."""
        return scaled(self.pieces(), self.level_gain_db)


def listen(heard: Heard, network: Network) -> Prediction:
    """The network's settings for the whole signal, `input_gain_db` among them."""
    mono = (piece.mean(axis=1, keepdims=True) for piece in heard.levelled())
    prediction = network.predict(recut(resampled(mono, heard.sample_rate, SAMPLE_RATE), _PIECE))
    gain_db = jnp.full(1, heard.level_gain_db, jnp.float32)
    return prediction.replace(settings=prediction.settings.replace(input_gain_db=gain_db))


def corrected(heard: Heard, prediction: Prediction, bands: Bands, network: Network) -> Iterator[np.ndarray]:
    """The signal through `bands` (for its rate), with the network's residual; at the model's level.

    Silence needs no correction, and stays silence.
    """
    clean = equalised(heard.levelled(), bands, heard.sample_rate)
    if not network.has_residual or not math.isfinite(heard.lufs):  # silent, or at no level that the network knows
        return clean
    at_model_rate = resampled(heard.levelled(), heard.sample_rate, SAMPLE_RATE)
    correction = network.correction(at_model_rate, prediction.z)
    return added(clean, resampled(correction, SAMPLE_RATE, heard.sample_rate))

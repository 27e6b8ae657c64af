"""A whole signal and a network: listen to it, then play it corrected; in two passes, with constant memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax import io
from nmjax.dsp import Bands
from nmjax.inference.decibels import amplitude_of
from nmjax.inference.network import Network, Pooled
from nmjax.inference.render import active_stages, equalised, staged
from nmjax.inference.stream import Pieces, added, ahead, multiplied, recut, resampled, scaled, stretches
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction, Settings

_PIECE = 1 << 16  # frames
_STRETCH_SECONDS = 6.0  # of what is listened to where not all is


@dataclasses.dataclass(frozen=True)
class Heard:
    """A signal that can be read again and again: `pieces()` from its start, `[frames, channel]` float32 at
    `sample_rate` (Hz). lufs: its integrated loudness, or that of the album which it belongs to; −inf where there is
    none. frames: its length, where not all of it is to be listened to."""

    pieces: Callable[[], Pieces]
    sample_rate: int
    lufs: float
    frames: int = 0

    @property
    def level_gain_db(self) -> float:
        """What brings it to the model's level."""
        return MODEL_LUFS - self.lufs if math.isfinite(self.lufs) else 0.0

    def levelled(self) -> Iterator[np.ndarray]:
        """The signal at the model's level."""
        return scaled(self.pieces(), self.level_gain_db)


def to_ears(heard: Heard, network: Network, seconds: float | None = None) -> Iterator[np.ndarray]:
    """What the network's encoder is given of a signal, `[frames, ears]` at the model's rate and level: all of it, or
    evenly spread stretches of `seconds` together."""
    ears = (_to_ears(piece, network.ears) for piece in heard.levelled())
    if seconds is not None and seconds * heard.sample_rate < heard.frames:
        ears = stretches(ears, heard.frames, heard.sample_rate, seconds, _STRETCH_SECONDS)
    return recut(resampled(ears, heard.sample_rate, SAMPLE_RATE), _PIECE)


def pooled(heard: Heard, network: Network, seconds: float | None = None) -> Pooled:
    """What the network hears of a signal, `seconds` as for `to_ears`."""
    return network.pooled(ahead(to_ears(heard, network, seconds)))


def _to_ears(piece: Float[np.ndarray, "frames channel"], ears: int) -> Float[np.ndarray, "frames ears"]:
    """Mid, the mean of the channels; and for a second ear the side, silent where there is none."""
    mid = io.mono(piece)
    if ears == 1:
        return mid[:, None]
    side = 0.5 * (piece[:, 0] - piece[:, 1]) if piece.shape[1] == 2 else np.zeros_like(mid)
    return np.stack([mid, side], axis=1)


def listen(heard: Heard, network: Network, seconds: float | None = None) -> Prediction:
    """The network's settings for a signal, `input_gain_db` among them; `seconds` as for `pooled`."""
    return at_level(network.settle(pooled(heard, network, seconds).mean), heard.level_gain_db)


def at_level(prediction: Prediction, gain_db: float) -> Prediction:
    """The same with its `input_gain_db`."""
    gain_db = jnp.full(1, gain_db, jnp.float32)
    return prediction.replace(settings=prediction.settings.replace(input_gain_db=gain_db))


def residual(heard: Heard, network: Network, z: Float[Array, "1 latent"], amount: float = 1.0) -> Iterator[np.ndarray]:
    """What the network adds to the signal, times `amount`, at the signal's own rate and level."""
    at_model_rate = ahead(resampled(heard.levelled(), heard.sample_rate, SAMPLE_RATE))
    at_own_rate = resampled(network.correction(at_model_rate, z), SAMPLE_RATE, heard.sample_rate)
    return multiplied(at_own_rate, amount * amplitude_of(-heard.level_gain_db))


def processed(
    heard: Heard, settings: Settings, bands: Bands, watch: Callable[[str, Pieces], Pieces] = lambda _, x: x
) -> Pieces:
    """The signal through `bands` (for its rate) and the stages behind them; at the signal's own level.

    watch: is shown what goes in, "input", and what comes out of each: "eq" and the stages that change something.
    """
    audio = watch("eq", ahead(equalised(watch("input", heard.pieces()), bands, heard.sample_rate)))
    for stage in active_stages(settings):
        audio = watch(stage, staged(audio, stage, settings, heard.sample_rate, heard.level_gain_db))
    return audio


def corrected(heard: Heard, prediction: Prediction, bands: Bands, network: Network) -> Iterator[np.ndarray]:
    """The signal through `bands` (for its rate) and the stages, with the network's residual; at the signal's own level.

    Silence needs no correction, and stays silence.
    """
    clean = processed(heard, prediction.settings, bands)
    if not network.has_residual or not math.isfinite(heard.lufs):  # silent, or at no level that the network knows
        return clean
    return added(clean, residual(heard, network, prediction.z))

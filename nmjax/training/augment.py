"""What input and target go through alike before the degradation, so that songs are not learnt by heart.

A network that hears few songs learns which song it hears, not what is wrong with it. So each excerpt gets a random
"style" as songs differ from each other, part of them another excerpt underneath, and stereo its sides exchanged. (Tape
speed is drawn where excerpts are read.) All is drawn from the excerpt's own key, on the device.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float
from scipy.fft import next_fast_len

from nmjax.config import AugmentConfig
from nmjax.dsp.level import gain_to_lufs_db, scaled_db
from nmjax.dsp.numerics import amplitude
from nmjax.models import MODEL_LUFS
from nmjax.training.chance import gaussian

_UNDER_DB = (-12.0, 0.0)  # level of what is laid under an excerpt
_RINGING_SECONDS = 0.1  # room for a smooth curve's impulse response, which would wrap around otherwise


@typing.no_type_check
@struct.dataclass
class Style:
    """How songs differ. centres_hz: `[points]`, rising. factor: `[points, points]` in dB; factor·normal numbers is a
    curve with the songs' covariance."""

    centres_hz: Array
    factor: Array


def style_of(centres_hz: np.ndarray, covariance: np.ndarray) -> Style:
    """From a covariance in dB², `[points, points]`, positive semi-definite but for rounding."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    return Style(jnp.asarray(centres_hz, jnp.float32), jnp.asarray(factor, jnp.float32))


def chances_needed(style: Style) -> int:
    """Uniform numbers an excerpt: its style, whether and how loud another one lies under it, whether it is swapped."""
    return style.factor.shape[1] + 3


def styled(
    audio: Float[Array, "batch time channel"], curve_db: Float[Array, "batch points"], centres_hz: Array, rate: float
) -> Float[Array, "batch time channel"]:
    """Through a curve given at some frequencies: zero phase, straight lines over log frequency, level beyond the ends.

    One FFT over the excerpt, long enough that the curve's ringing does not wrap around; no gradient is needed here.
    """
    time = audio.shape[1]
    size = next_fast_len(time + round(_RINGING_SECONDS * rate), real=True)
    bins_hz = jnp.maximum(jnp.arange(size // 2 + 1), 1) * (rate / size)
    at = jnp.log(bins_hz)
    gain = amplitude(jax.vmap(lambda db: jnp.interp(at, jnp.log(centres_hz), db))(curve_db))
    return jnp.fft.irfft(jnp.fft.rfft(audio, size, axis=1) * gain[:, :, None], size, axis=1)[:, :time]


def mixed(
    audio: Float[Array, "batch time channel"],
    lengths: Array,
    chosen: Float[Array, "batch"],
    under: Float[Array, "batch"],
    share: float,
    rate: float,
) -> tuple[Float[Array, "batch time channel"], Array]:
    """Where `chosen` < `share`, the next excerpt of the batch laid under at −12 to 0 dB of the excerpt's loudness
    (`under` in [0, 1)); and how long each is now."""
    level = scaled_db(audio, gain_to_lufs_db(audio, rate, MODEL_LUFS))
    gain_db = _UNDER_DB[0] + (_UNDER_DB[1] - _UNDER_DB[0]) * under
    both = level + scaled_db(jnp.roll(level, -1, axis=0), gain_db)
    chosen = chosen < share
    longer = jnp.maximum(lengths, jnp.roll(lengths, -1))
    return jnp.where(chosen[:, None, None], both, audio), jnp.where(chosen, longer, lengths)


def swapped(
    audio: Float[Array, "batch time channel"], chosen: Float[Array, "batch"], share: float
) -> Float[Array, "batch time channel"]:
    """Left and right exchanged where `chosen` < `share`."""
    return jnp.where((chosen < share)[:, None, None], audio[:, :, ::-1], audio)


def augmented(
    batch: dict[str, Array], chance: Float[Array, "batch numbers"], config: AugmentConfig, style: Style, rate: float
) -> dict[str, Array]:
    """A batch as it was read (`target`, `length`, and `input` for pairs) → the same, augmented. A given pair is not
    mixed: a master of a sum is no sum of masters."""
    points = chance.shape[1] - 3
    chosen, under, swap = (chance[:, points + i] for i in range(3))
    batch = dict(batch)
    if config.mix and "input" not in batch:
        batch["target"], batch["length"] = mixed(batch["target"], batch["length"], chosen, under, config.mix, rate)
    curve_db = config.style * jnp.matmul(gaussian(chance[:, :points]), style.factor.T, precision="highest")
    for side in ("target", "input"):
        if side not in batch:
            continue
        if config.style:
            batch[side] = styled(batch[side], curve_db, style.centres_hz, rate)
        if config.swap and batch[side].shape[2] == 2:
            batch[side] = swapped(batch[side], swap, config.swap)
    return batch

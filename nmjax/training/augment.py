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
from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.models import MODEL_LUFS
from nmjax.training.random_inputs import normal_from_uniform

_MIX_LEVEL_DB = (-12.0, 0.0)  # level of what is laid under an excerpt
_FFT_PADDING_SECONDS = 0.1  # room for a smooth curve's impulse response, which would wrap around otherwise


@typing.no_type_check
@struct.dataclass
class EqDistribution:
    """How songs differ. centres_hz: `[points]`, rising. factor: `[points, points]` in dB; factor·normal numbers is a
    curve with the songs' covariance."""

    centers_hz: Array
    covariance_factor: Array


def eq_distribution(centers_hz: np.ndarray, covariance: np.ndarray) -> EqDistribution:
    """From a covariance in dB², `[points, points]`, positive semi-definite but for rounding."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    return EqDistribution(jnp.asarray(centers_hz, jnp.float32), jnp.asarray(factor, jnp.float32))


def num_uniforms(distribution: EqDistribution) -> int:
    """Uniform numbers an excerpt: its style, whether and how loud another one lies under it, whether it is swapped."""
    return distribution.covariance_factor.shape[1] + 3


def apply_zero_phase_eq(
    audio: Float[Array, "batch time channel"],
    gain_db: Float[Array, "batch points"],
    centers_hz: Array,
    sample_rate: float,
) -> Float[Array, "batch time channel"]:
    """Through a curve given at some frequencies: zero phase, straight lines over log frequency, level beyond the ends.

    One FFT over the excerpt, long enough that the curve's ringing does not wrap around; no gradient is needed here.
    """
    time = audio.shape[1]
    size = next_fast_len(time + round(_FFT_PADDING_SECONDS * sample_rate), real=True)
    bins_hz = jnp.maximum(jnp.arange(size // 2 + 1), 1) * (sample_rate / size)
    log_bins = jnp.log(bins_hz)
    gain = db_to_amplitude(jax.vmap(lambda db: jnp.interp(log_bins, jnp.log(centers_hz), db))(gain_db))
    return jnp.fft.irfft(jnp.fft.rfft(audio, size, axis=1) * gain[:, :, None], size, axis=1)[:, :time]


def mixup(
    audio: Float[Array, "batch time channel"],
    lengths: Array,
    mix_uniform: Float[Array, " batch"],
    level_uniform: Float[Array, " batch"],
    probability: float,
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Array]:
    """Where `chosen` < `share`, the next excerpt of the batch laid under at −12 to 0 dB of the excerpt's loudness
    (`under` in [0, 1)); and how long each is now."""
    normalized = apply_gain_db(audio, loudness_gain_db(audio, sample_rate, MODEL_LUFS))
    gain_db = _MIX_LEVEL_DB[0] + (_MIX_LEVEL_DB[1] - _MIX_LEVEL_DB[0]) * level_uniform
    mixture = normalized + apply_gain_db(jnp.roll(normalized, -1, axis=0), gain_db)
    mix_uniform = mix_uniform < probability
    mixed_lengths = jnp.maximum(lengths, jnp.roll(lengths, -1))
    return jnp.where(mix_uniform[:, None, None], mixture, audio), jnp.where(mix_uniform, mixed_lengths, lengths)


def swap_channels(
    audio: Float[Array, "batch time channel"], uniform: Float[Array, " batch"], probability: float
) -> Float[Array, "batch time channel"]:
    """Left and right exchanged where `chosen` < `share`."""
    return jnp.where((uniform < probability)[:, None, None], audio[:, :, ::-1], audio)


def augment_batch(
    batch: dict[str, Array],
    uniforms: Float[Array, "batch numbers"],
    config: AugmentConfig,
    distribution: EqDistribution,
    sample_rate: float,
) -> dict[str, Array]:
    """A batch as it was read (`target`, `length`, and `input` for pairs) → the same, augmented. A given pair is not
    mixed: a master of a sum is no sum of masters."""
    num_points = uniforms.shape[1] - 3
    mix_uniform, level_uniform, swap_uniform = (uniforms[:, num_points + i] for i in range(3))
    batch = dict(batch)
    if config.mixup_prob and "input" not in batch:
        batch["target"], batch["length"] = mixup(
            batch["target"], batch["length"], mix_uniform, level_uniform, config.mixup_prob, sample_rate
        )
    gain_db = config.random_eq * jnp.matmul(
        normal_from_uniform(uniforms[:, :num_points]), distribution.covariance_factor.T, precision="highest"
    )
    for key in ("target", "input"):
        if key not in batch:
            continue
        if config.random_eq:
            batch[key] = apply_zero_phase_eq(batch[key], gain_db, distribution.centers_hz, sample_rate)
        if config.channel_swap_prob and batch[key].shape[2] == 2:
            batch[key] = swap_channels(batch[key], swap_uniform, config.channel_swap_prob)
    return batch

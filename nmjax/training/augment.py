"""Augmentation of input and target alike, before the degradation, so that the network does not overfit to the songs.

With few songs, a network recognizes the song instead of its degradation. So each excerpt gets a random EQ as songs
differ from each other, half of them are mixed with another excerpt, and stereo channels are swapped. (The playback
speed is drawn where excerpts are read.) All randomness follows from the excerpt's own number, on the device.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int
from scipy.fft import next_fast_len

from nmjax.config import AugmentConfig
from nmjax.dsp.fft import irfft, rfft
from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.models import MODEL_LUFS
from nmjax.training.random_inputs import normal_from_uniform, per_example

_MIX_LEVEL_DB = (-12.0, 0.0)  # level of the excerpt that is mixed in, relative to the excerpt
_FFT_PADDING_SECONDS = 0.1  # longer than the impulse response of a smooth EQ curve, which would wrap around otherwise


@typing.no_type_check
class EqDistribution(struct.PyTreeNode):
    """Distribution of the spectral differences between songs.

    Attributes:
        centers_hz: `[points]`, ascending frequencies.
        covariance_factor: `[points, points]` in dB; its product with standard normal numbers is a curve with the songs'
            covariance.
    """

    centers_hz: Array
    covariance_factor: Array


@typing.no_type_check
class AugmentationDraws(struct.PyTreeNode):
    """Uniform numbers in [0, 1) for the augmentation of each excerpt of a batch.

    Attributes:
        eq_curve: `[batch, points]`, the random EQ.
        mix: `[batch]`, whether another excerpt is mixed in.
        mix_level: `[batch]`, the level of that excerpt.
        swap: `[batch]`, whether left and right are swapped.
    """

    eq_curve: Array
    mix: Array
    mix_level: Array
    swap: Array


def augmentation_shapes(distribution: EqDistribution) -> AugmentationDraws:
    """Shapes of the draws for one excerpt, as `draw_uniforms` takes them."""
    num_points = distribution.covariance_factor.shape[1]
    return AugmentationDraws(
        eq_curve=per_example(num_points), mix=per_example(), mix_level=per_example(), swap=per_example()
    )


def eq_distribution(centers_hz: np.ndarray, covariance: np.ndarray) -> EqDistribution:
    """The distribution with a given covariance.

    Args:
        centers_hz: `[points]`, ascending frequencies.
        covariance: `[points, points]` in dB², positive semidefinite up to rounding.
    """
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    return EqDistribution(jnp.asarray(centers_hz, jnp.float32), jnp.asarray(factor, jnp.float32))


def apply_zero_phase_eq(
    audio: Float[Array, "batch time channel"],
    gain_db: Float[Array, "batch points"],
    centers_hz: Float[Array, " points"],
    sample_rate: float,
) -> Float[Array, "batch time channel"]:
    """The signal through a zero-phase EQ, by one FFT; not meant for gradients.

    Args:
        audio: Signals.
        gain_db: The curve at `centers_hz`; linear over log frequency in between, constant beyond the ends.
        centers_hz: Ascending frequencies.
        sample_rate: Hz.
    """
    time = audio.shape[1]
    size = next_fast_len(time + round(_FFT_PADDING_SECONDS * sample_rate), real=True)
    assert size is not None
    bins_hz = jnp.maximum(jnp.arange(size // 2 + 1), 1) * (sample_rate / size)
    log_bins = jnp.log(bins_hz)
    gain = db_to_amplitude(jax.vmap(lambda db: jnp.interp(log_bins, jnp.log(centers_hz), db))(gain_db))
    return irfft(rfft(audio, size, axis=1) * gain[:, :, None], size, axis=1)[:, :time]


def mixup(
    audio: Float[Array, "batch time channel"],
    lengths: Int[Array, " batch"],
    draws: AugmentationDraws,
    probability: float,
    sample_rate: float,
) -> tuple[Float[Array, "batch time channel"], Int[Array, " batch"]]:
    """Some excerpts mixed with the next one of the batch, at −12 to 0 dB of their loudness, and the new lengths.

    Args:
        audio: Excerpts.
        lengths: Valid samples of each excerpt.
        draws: An excerpt is mixed if `draws.mix` < `probability`.
        probability: 0 to 1.
        sample_rate: Hz.
    """
    normalized = apply_gain_db(audio, loudness_gain_db(audio, sample_rate, MODEL_LUFS))
    gain_db = _MIX_LEVEL_DB[0] + (_MIX_LEVEL_DB[1] - _MIX_LEVEL_DB[0]) * draws.mix_level
    mixture = normalized + apply_gain_db(jnp.roll(normalized, -1, axis=0), gain_db)
    is_mixed = draws.mix < probability
    mixed_lengths = jnp.maximum(lengths, jnp.roll(lengths, -1))
    return jnp.where(is_mixed[:, None, None], mixture, audio), jnp.where(is_mixed, mixed_lengths, lengths)


def swap_channels(
    audio: Float[Array, "batch time channel"], draws: AugmentationDraws, probability: float
) -> Float[Array, "batch time channel"]:
    """Excerpts with left and right swapped if `draws.swap` < `probability`."""
    return jnp.where((draws.swap < probability)[:, None, None], audio[:, :, ::-1], audio)


def augment_batch(
    batch: dict[str, Array],
    draws: AugmentationDraws,
    config: AugmentConfig,
    distribution: EqDistribution,
    sample_rate: float,
) -> dict[str, Array]:
    """A batch of mastered excerpts or of pairs, augmented.

    Pairs are not mixed: the master of a sum is not the sum of the masters.

    Args:
        batch: `target` and, for pairs, `input` `[batch, time, channel]`; `length` `[batch]`.
        draws: Random numbers of each excerpt.
        config: Probabilities and strengths.
        distribution: Distribution of the random EQ.
        sample_rate: Hz.
    """
    batch = dict(batch)
    if config.mixup_prob and "input" not in batch:
        batch["target"], batch["length"] = mixup(
            audio=batch["target"],
            lengths=batch["length"],
            draws=draws,
            probability=config.mixup_prob,
            sample_rate=sample_rate,
        )
    gain_db = config.random_eq * jnp.matmul(
        normal_from_uniform(draws.eq_curve), distribution.covariance_factor.T, precision="highest"
    )
    for key in ("target", "input"):
        if key not in batch:
            continue
        if config.random_eq:
            batch[key] = apply_zero_phase_eq(batch[key], gain_db, distribution.centers_hz, sample_rate)
        if config.channel_swap_prob and batch[key].shape[2] == 2:
            batch[key] = swap_channels(batch[key], draws, config.channel_swap_prob)
    return batch

"""Damage: clipping and saturation of the input, which no equalizer can undo, at random for every excerpt.

The benchmark's damage (`nmjax.evaluation`) is written apart from this module.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from nmjax.config import DegradeConfig
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.training.random_inputs import log_uniform, per_example

_KNEE = (0.8, 8.0)  # exponent of soft clipping; 2 is close to tanh, ∞ is hard
_HARD_SHARE = 1.0 / 3.0  # of the damaged excerpts
_MAX_OFFSET = 0.6  # of the asymmetry, relative to the ceiling
_SYMMETRIC_SHARE = 0.5
_BLENDED_SHARE, _MIN_BLEND = 0.25, 0.6  # of the soft ones: some clean signal is mixed in, at most 40 %
_HALF_SAMPLE_TAPS = (
    np.sinc(np.arange(-31, 33) - 0.5) * np.kaiser(66, 8.0)[1:-1]
)  # half a sample later, 0 to 0.45 · rate
_OVERSAMPLED_SHARE = 0.5  # of the damaged excerpts: clipped at twice the rate, as by processors that avoid aliasing


@typing.no_type_check
class DamageDraws(struct.PyTreeNode):
    """Uniform numbers in [0, 1) for the damage of each excerpt, `[batch]` each.

    Attributes:
        occurs: Whether the excerpt is damaged.
        drive: Level of its peak over the ceiling.
        kind: Hard or soft.
        knee: Exponent of a soft clipper.
        offset: Asymmetry.
        blend: Share of the clean signal.
        rate: Whether the clipper works at twice the rate.
    """

    occurs: Array
    drive: Array
    kind: Array
    knee: Array
    offset: Array
    blend: Array
    rate: Array


def damage_shapes() -> DamageDraws:
    """Shapes of the draws for one excerpt, as `draw_uniforms` takes them."""
    return DamageDraws(*(per_example(),) * 7)


def soft_clip(x: Float[Array, "..."], knee: Float[Array, "..."]) -> Float[Array, "..."]:
    """x / (1 + |x|^knee)^(1/knee): slope 1 at 0, ceiling 1. Computed from min(|x|, 1/|x|), so it does not overflow."""
    magnitude = jnp.abs(x)
    small = jnp.minimum(magnitude, 1.0 / jnp.maximum(magnitude, 1e-6))
    bounded = jnp.where(magnitude <= 1.0, magnitude, 1.0) / (1.0 + small**knee) ** (1.0 / knee)
    return jnp.sign(x) * bounded


def damage_batch(
    audio: Float[Array, "batch time channel"], draws: DamageDraws, config: DegradeConfig
) -> Float[Array, "batch time channel"]:
    """Clip or saturate a share `config.damage_prob` of the excerpts; the others are bit-identical.

    The ceiling is `config.min_drive_db` to `config.max_drive_db` below the excerpt's peak. A third is clipped hard,
    the rest softly with a random knee, a quarter of it blended with the clean signal. Half is asymmetric: an offset is
    added before the clipper and removed after it. Half is clipped at twice the rate. Small signals keep their level.
    """
    curve = _random_curve(audio, draws, config)
    doubled = double_rate(audio)
    damaged = jnp.where(
        (draws.rate < _OVERSAMPLED_SHARE)[:, None, None], halve_rate(curve(doubled), audio.shape[1]), curve(audio)
    )
    occurs = (draws.occurs < config.damage_prob)[:, None, None]
    return jax.lax.stop_gradient(jnp.where(occurs, damaged, audio))


def _random_curve(audio, draws: DamageDraws, config: DegradeConfig) -> Callable[[Array], Array]:
    """The curve of each excerpt, whose ceiling is relative to its peak."""
    drive_db = config.min_drive_db + (config.max_drive_db - config.min_drive_db) * draws.drive
    peak = jnp.max(jnp.abs(audio), axis=(1, 2))
    ceiling = (jnp.maximum(peak, 1e-6) * db_to_amplitude(-drive_db))[:, None, None]
    knee = log_uniform(draws.knee, _KNEE)[:, None, None]
    asymmetric = (draws.offset - _SYMMETRIC_SHARE) / (1.0 - _SYMMETRIC_SHARE)
    offset = (_MAX_OFFSET * jnp.maximum(asymmetric, 0.0))[:, None, None]
    is_hard = (draws.kind < _HARD_SHARE)[:, None, None]
    blended = jnp.maximum(1.0 - draws.blend / _BLENDED_SHARE, 0.0)[:, None, None]
    wet = jnp.where(is_hard, 1.0, 1.0 - (1.0 - _MIN_BLEND) * blended)
    slope = jnp.where(is_hard, 1.0, (1.0 + offset**knee) ** (-1.0 / knee - 1.0))

    def clip(x):
        return jnp.where(is_hard, jnp.clip(x, -1.0, 1.0), soft_clip(x, knee))

    return lambda x: (1.0 - wet) * x + wet * ceiling / slope * (clip(x / ceiling + offset) - clip(offset))


def double_rate(audio: Float[Array, "batch time channel"]) -> Float[Array, "batch doubled channel"]:
    """The signal at twice its rate, with silence beyond both ends."""
    return jnp.stack([audio, _fir(audio, _HALF_SAMPLE_TAPS)], axis=2).reshape(len(audio), -1, audio.shape[2])


def halve_rate(audio: Float[Array, "batch doubled channel"], size: int) -> Float[Array, "batch time channel"]:
    """The first `size` samples of the signal at half its rate, low-passed."""
    even, odd = audio[:, : 2 * size : 2], audio[:, 1 : 2 * size : 2]
    delayed = jnp.pad(odd, ((0, 0), (1, 0), (0, 0)))[:, :size]
    return 0.5 * (even + _fir(delayed, _HALF_SAMPLE_TAPS))


def _fir(audio: Float[Array, "batch time channel"], taps: np.ndarray) -> Float[Array, "batch time channel"]:
    """Each channel through the filter, whose output at n is the sum of taps[k] · x[n + k − (taps / 2 − 1)]."""
    batch, time, channels = audio.shape
    rows = jnp.moveaxis(audio, 2, 1).reshape(batch * channels, 1, time)
    reach = len(taps) // 2
    filtered = jax.lax.conv_general_dilated(
        rows, jnp.asarray(taps, audio.dtype)[None, None], (1,), [(reach - 1, reach)], precision="highest"
    )
    return jnp.moveaxis(filtered.reshape(batch, channels, time), 1, 2)

"""Damage: clipping and saturation of the input, which no equalizer can undo, at random for every excerpt.

The benchmark's damage (`nmjax.evaluation`) is written apart from this module.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from nmjax.config import DegradeConfig
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.training.random_inputs import log_uniform, per_example

_KNEE = (1.5, 8.0)  # exponent of soft clipping; 2 is close to tanh, ∞ is hard
_HARD_SHARE = 1.0 / 3.0  # of the damaged excerpts
_MAX_OFFSET = 0.6  # of the asymmetry, relative to the ceiling
_SYMMETRIC_SHARE = 0.5


@typing.no_type_check
class DamageDraws(struct.PyTreeNode):
    """Uniform numbers in [0, 1) for the damage of each excerpt, `[batch]` each.

    Attributes:
        occurs: Whether the excerpt is damaged.
        drive: Level of its peak over the ceiling.
        kind: Hard or soft.
        knee: Exponent of a soft clipper.
        offset: Asymmetry.
    """

    occurs: Array
    drive: Array
    kind: Array
    knee: Array
    offset: Array


def damage_shapes() -> DamageDraws:
    """Shapes of the draws for one excerpt, as `draw_uniforms` takes them."""
    return DamageDraws(*(per_example(),) * 5)


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
    the rest softly with a random knee. Half is asymmetric: an offset is added before the clipper and removed after it.
    Small signals keep their level.
    """
    drive_db = config.min_drive_db + (config.max_drive_db - config.min_drive_db) * draws.drive
    peak = jnp.max(jnp.abs(audio), axis=(1, 2))
    ceiling = (jnp.maximum(peak, 1e-6) * db_to_amplitude(-drive_db))[:, None, None]
    knee = log_uniform(draws.knee, _KNEE)[:, None, None]
    asymmetric = (draws.offset - _SYMMETRIC_SHARE) / (1.0 - _SYMMETRIC_SHARE)
    offset = (_MAX_OFFSET * jnp.maximum(asymmetric, 0.0))[:, None, None]
    is_hard = (draws.kind < _HARD_SHARE)[:, None, None]

    def clip(x):
        return jnp.where(is_hard, jnp.clip(x, -1.0, 1.0), soft_clip(x, knee))

    damaged = ceiling * (clip(audio / ceiling + offset) - clip(offset))
    occurs = (draws.occurs < config.damage_prob)[:, None, None]
    return jax.lax.stop_gradient(jnp.where(occurs, damaged, audio))

"""Which bands of an equalizer a correction needs: what hard gates learn in the fit of the decoder.

A hard gate that is closed has no gradient, and one that is surely open hardly any, so a price on open gates opens and
closes them for all songs alike. But responses in dB add up, so the effect of opening each band has a closed form, and a
gate is to open where its band lowers the squared distance by more than the price: the minimum of

    distance + price · number of open bands

in each gate, the others being as they are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nmjax.dsp import Bands, response_db
from nmjax.models import SAMPLE_RATE, EqSettings
from nmjax.models.raw_settings import HARD_GATE_LOGIT_SHIFT

OPEN_GATE = 0.5  # a gate is open from here on


def opening_benefit(
    eq: EqSettings, target_db: Float[Array, "batch points"], freq_hz: Float[Array, " points"]
) -> Float[Array, "batch bands"]:
    """By how much each band, fully open, lowers the mean square distance from a target that the open bands leave.

    Args:
        eq: Equalizers; gates of 0.5 or more count as open.
        target_db: Responses to reach; their means over the points have no effect.
        freq_hz: Frequencies of the points.

    Returns:
        dB², below 0 where the band leads away from the target.
    """
    single = Bands(eq.freq_hz.reshape(-1, 1), eq.gain_db.reshape(-1, 1), eq.q.reshape(-1, 1))
    own = _centered(response_db(single, freq_hz, SAMPLE_RATE)).reshape(*eq.gate.shape, -1)
    opened = own * (eq.gate >= OPEN_GATE)[:, :, None]
    others = jnp.sum(opened, axis=1, keepdims=True) - opened
    rest = _centered(target_db)[:, None] - others
    return jnp.mean(rest**2, axis=2) - jnp.mean((rest - own) ** 2, axis=2)


def gate_label_loss(nonzero_logit: Float[Array, "batch bands"], is_needed: Bool[Array, "batch bands"]) -> Array:
    """Cross-entropy between hard gates and the bands that are needed, summed over the bands, mean over the batch.

    Args:
        nonzero_logit: See `nmjax.models.raw_settings.nonzero_logit`.
        is_needed: Which gates should be open.
    """
    logit = nonzero_logit - HARD_GATE_LOGIT_SHIFT
    return jnp.mean(jnp.sum(jax.nn.softplus(logit) - is_needed * logit, axis=1))


def _centered(response: Float[Array, "batch points"]) -> Float[Array, "batch points"]:
    return response - jnp.mean(response, axis=1, keepdims=True)

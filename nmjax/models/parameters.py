"""What the network predicts: physical values in named structs, the same from training to the JSON file."""

from __future__ import annotations

import typing

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array

from nmjax.dsp import Bands, Compressor, Saturator, Width


@typing.no_type_check
@struct.dataclass
class EqSettings:
    """Settings of the equaliser, each array `[batch, bands]`.

    freq_hz: 20 to 20000. gain_db: −12 to 12, before the gate. q: 0.5 to 5. gate: 0 to 1; 1 where a decoder has no
    gates.
    """

    freq_hz: Array
    gain_db: Array
    q: Array
    gate: Array

    @property
    def rendered_gain_db(self) -> Array:
        """The gain that is heard: a closed gate makes its band transparent."""
        return self.gain_db * self.gate

    def bands(self) -> Bands:
        """The bands as they are rendered."""
        return Bands(self.freq_hz, self.rendered_gain_db, self.q)


@typing.no_type_check
@struct.dataclass
class Settings:
    """All that is needed to render, apart from the residual's z.

    input_gain_db: `[batch]`, brings the track to the model's level. eq: the equaliser. compressor, saturator, width:
    the stages behind it, which work at the model's level (see `nmjax.models.processors`); None where there is none.
    """

    input_gain_db: Array
    eq: EqSettings
    compressor: Compressor | None = None
    saturator: Saturator | None = None
    width: Width | None = None


@typing.no_type_check
@struct.dataclass
class Prediction:
    """A network's answer. z: `[batch, 512]`. gate_logit: `[batch, bands]`, or None where a decoder has no gates;
    it exists because a gate's entropy near 0 and 1 has no finite gradient except from the logit. z_side: what was heard
    of the side, `[batch, 512]`, where the phase listens to it."""

    settings: Settings
    z: Array
    gate_logit: Array | None = None
    z_side: Array | None = None


def at_model_level(eq: EqSettings) -> Settings:
    """Settings for a signal that is at the model's level already."""
    return Settings(input_gain_db=jnp.zeros(eq.freq_hz.shape[0], eq.freq_hz.dtype), eq=eq)

"""What a network predicts: settings in physical units, in the same structs from training to the settings file."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeVar

import numpy as np

from nmjax.dsp import Bands, Compressor, Saturator, Width
from nmjax.dsp.namespace import namespace
from nmjax.runtime.lazy_jax import Array, register_dataclass

_T = TypeVar("_T")


class _Replaceable:
    def replace(self: _T, **changes: Any) -> _T:
        """The same with other values of some fields."""
        return dataclasses.replace(self, **changes)  # pyright: ignore[reportArgumentType]


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class EqSettings(_Replaceable):
    """Settings of the equalizer, each array `[batch, bands]`.

    Attributes:
        freq_hz: 20 to 20000.
        gain_db: −12 to 12, before the gate.
        q: 0.5 to 5.
        gate: 0 to 1; 1 from a decoder without gates.
    """

    freq_hz: Array
    gain_db: Array
    q: Array
    gate: Array

    @property
    def rendered_gain_db(self) -> Array:
        """The gain after the gate, `[batch, bands]`."""
        return self.gain_db * self.gate

    def bands(self) -> Bands:
        """The bands with the rendered gain."""
        return Bands(self.freq_hz, self.rendered_gain_db, self.q)


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class Settings(_Replaceable):
    """Everything that rendering needs, except the residual's z.

    Attributes:
        input_gain_db: `[batch]`, gain that brings the track to the model's level.
        eq: The equalizer.
        eq_side: A second equalizer on the side signal, after the first one; None for none. Networks predict none.
        compressor, saturator, width: The processors after the equalizer, which work at the model's level (see
            `nmjax.models.processors`); None where the chain has no such processor.
    """

    input_gain_db: Array
    eq: EqSettings
    compressor: Compressor | None = None
    saturator: Saturator | None = None
    width: Width | None = None
    eq_side: EqSettings | None = None


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class Prediction(_Replaceable):
    """Output of a network for a batch of signals.

    Attributes:
        settings: The predicted settings.
        z: `[batch, 512]`, latent vector of mid.
        gate_logit: `[batch, bands]`, or None without gates. The entropy of a gate has a finite gradient near 0 and 1
            only as a function of the logit.
        z_side: `[batch, 512]`, latent vector of the side; None for a phase that encodes mid only.
    """

    settings: Settings
    z: Array
    gate_logit: Array | None = None
    z_side: Array | None = None


def to_numpy(settings: Any, dtype: Any = None) -> Any:
    """Settings of any kind here, or bands, with NumPy arrays.

    Args:
        settings: A dataclass of arrays and of such dataclasses.
        dtype: Type of the arrays; None for their own.
    """
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        fields = {x.name: to_numpy(getattr(settings, x.name), dtype) for x in dataclasses.fields(settings)}
        return dataclasses.replace(settings, **fields)
    return settings if settings is None or isinstance(settings, (str, tuple)) else np.asarray(settings, dtype)


def at_model_level(eq: EqSettings) -> Settings:
    """Settings with an equalizer only, for a signal that is at the model's level already."""
    return Settings(input_gain_db=namespace(eq.freq_hz).zeros(eq.freq_hz.shape[0], eq.freq_hz.dtype), eq=eq)

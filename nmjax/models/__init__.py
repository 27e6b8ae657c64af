"""Flax modules: encoders, decoders, processors and residual, and the mastering model that combines them.

Settings, phases and features need no Flax; the networks are imported when they are asked for.
"""

from typing import TYPE_CHECKING, Any

from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.models.phases import PHASES, Phase
from nmjax.models.signal_format import LATENT_SIZE, MODEL_LUFS, SAMPLE_RATE

if TYPE_CHECKING:
    from nmjax.models.mastering_model import ENCODERS, MasteringModel, build_model

__all__ = [
    "ENCODERS",
    "LATENT_SIZE",
    "MODEL_LUFS",
    "PHASES",
    "SAMPLE_RATE",
    "EqSettings",
    "MasteringModel",
    "Phase",
    "Prediction",
    "Settings",
    "build_model",
]


def __getattr__(name: str) -> Any:
    """Import the networks on first use: a plain master needs neither Flax nor JAX."""
    if name not in ("ENCODERS", "MasteringModel", "build_model"):
        raise AttributeError(f"module 'nmjax.models' has no attribute '{name}'")
    from nmjax.models import mastering_model

    return getattr(mastering_model, name)

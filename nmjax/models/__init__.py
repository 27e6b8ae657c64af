"""Flax modules: encoders, decoders, processors and residual, and the mastering model that combines them."""

from nmjax.models.mastering_model import ENCODERS, MODEL_LUFS, SAMPLE_RATE, MasteringModel, build_model
from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.models.phases import PHASES, Phase

__all__ = [
    "ENCODERS",
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

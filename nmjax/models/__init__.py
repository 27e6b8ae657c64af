"""Flax modules: encoder, decoders, residual, and the phases made of them."""

from nmjax.models.mastering_model import ENCODERS, MODEL_LUFS, PHASES, SAMPLE_RATE, MasteringModel, build_model
from nmjax.models.parameters import EqSettings, Prediction, Settings

__all__ = [
    "ENCODERS",
    "MODEL_LUFS",
    "PHASES",
    "SAMPLE_RATE",
    "EqSettings",
    "MasteringModel",
    "Prediction",
    "Settings",
    "build_model",
]

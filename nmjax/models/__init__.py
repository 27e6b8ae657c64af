"""Flax modules: encoder, decoders, residual, and the phases made of them."""

from nmjax.models.phases import ENCODERS, MODEL_LUFS, PHASES, SAMPLE_RATE, Mastering, build_model
from nmjax.models.settings import EqSettings, Prediction, Settings

__all__ = [
    "ENCODERS",
    "MODEL_LUFS",
    "PHASES",
    "SAMPLE_RATE",
    "EqSettings",
    "Mastering",
    "Prediction",
    "Settings",
    "build_model",
]

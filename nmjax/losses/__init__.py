"""Losses: spectral, loudness, regularisers, and their weighted sum."""

from nmjax.losses.curve import curve_distance
from nmjax.losses.total import regularisation, signal_loss

__all__ = ["curve_distance", "regularisation", "signal_loss"]

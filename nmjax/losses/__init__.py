"""Losses: spectral, loudness, regularisers, and their weighted sum."""

from nmjax.losses.total import regularisation, signal_loss

__all__ = ["regularisation", "signal_loss"]

"""Losses on signals and on predicted settings, and their weighted sums."""

from nmjax.losses.eq_response import eq_response_loss
from nmjax.losses.objective import regularization, signal_loss
from nmjax.losses.relative_error import relative_error_loss

__all__ = ["eq_response_loss", "regularization", "relative_error_loss", "signal_loss"]

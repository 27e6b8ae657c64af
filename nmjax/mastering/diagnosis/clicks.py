"""Clicks: cells of the waveform with a narrow spike far above those around, found as the signal streams by."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt16

from nmjax.audio.sliding import sliding_maximum

_REACH = 8  # cells on either side: 23 ms, longer than a period of the lowest square wave
_MIN_RATIO = 25.0  # over the largest second difference around
_MAX_SAMPLES = 4  # second differences that one or two wrong samples change; a drum is wider
_MIN_BEND = 0.01  # −40 dBFS: amplitude of the second difference


class ClickScan:
    """Finds cells that hold a click. The cells beside one are not compared with it: a click at the border reaches into
    them. The first and the last eight cells of a signal have nothing to be compared with.

    Args:
        channels: number of channels.
    """

    def __init__(self, channels: int):
        self._bends, self._widths = np.zeros((0, channels), np.float32), np.zeros((0, channels), np.uint16)
        self._num_seen = 0
        self._found: list[Int[np.ndarray, " clicks"]] = [np.zeros(0, int)]

    def update(self, bends: Float[np.ndarray, "cells channel"], widths: UInt16[np.ndarray, "cells channel"]) -> None:
        """Add cells.

        Args:
            bends: the largest second difference in each.
            widths: the number of samples in each whose second difference is at least a quarter of that.
        """
        bends, widths = np.concatenate([self._bends, bends]), np.concatenate([self._widths, widths])
        first = self._num_seen - len(self._bends)
        self._num_seen = first + len(bends)
        self._bends, self._widths = bends[-2 * _REACH :].copy(), widths[-2 * _REACH :].copy()
        inner = slice(_REACH, len(bends) - _REACH)
        if inner.start >= inner.stop:
            return
        around = np.zeros_like(bends[inner])
        for offset in (*range(-_REACH, -1), *range(2, _REACH + 1)):
            around = np.maximum(around, bends[inner.start + offset : inner.stop + offset])
        peaks = bends[inner]
        is_click = (peaks == sliding_maximum(bends, 3)[inner]) & (widths[inner] <= _MAX_SAMPLES)
        is_click &= (peaks >= _MIN_BEND) & (peaks >= _MIN_RATIO * around)
        if is_click.any():
            self._found.append(first + _REACH + np.flatnonzero(is_click.any(axis=1)))

    def cells(self) -> Int[np.ndarray, " clicks"]:
        """The cells with a click in any channel, so far."""
        return np.concatenate(self._found)

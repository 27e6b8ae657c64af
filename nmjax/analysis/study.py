"""What every question of an analysis shares: the answers, where results go, and names for axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.analysis.answers import Answers
from nmjax.dsp.auditory import THIRD_OCTAVES_HZ
from nmjax.inference.network import Network

FREQ_HZ = np.array(THIRD_OCTAVES_HZ)


@dataclasses.dataclass(frozen=True)
class Study:
    """What every question is asked about. threshold: above it a gate is open. windowed: whether `out` holds windows."""

    answers: Answers
    network: Network
    out: Path
    threshold: float
    windowed: bool
    seed: int = 0

    def picture(self, name: str, draw: Callable, *arguments, **more) -> Path:
        """`name.png` and `name.svg`; where the latter lies. draw: a function of `nmjax.plots.collection`."""
        for suffix in (".png", ".svg"):
            path = self.out / f"{name}{suffix}"
            with io.temporary_beside(path) as temporary:
                draw(temporary, *arguments, **more)
                io.publish(temporary, path)
        return path

    @property
    def band_names(self) -> list[str]:
        """Number and median frequency, a line each."""
        middle = np.median(self.answers.settings["freq_hz"], axis=0)
        return [f"{i}\n{hertz(f)}" for i, f in enumerate(middle, 1)]


def last_of(name: str) -> str:
    """A track's name without its folders."""
    return name.rpartition("/")[2]


def hertz(freq_hz: float) -> str:
    """Short: 63, 2.5k."""
    return f"{freq_hz:.0f}" if freq_hz < 995.0 else f"{freq_hz / 1000.0:.3g}k"


def nominal(freq_hz: float) -> str:
    """The name of a third octave: IEC 61260's rounded frequency."""
    names = np.outer([10.0, 100.0, 1000.0, 10_000.0], (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)).ravel()
    return hertz(names[np.argmin(np.abs(np.log(names / freq_hz)))])

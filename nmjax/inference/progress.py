"""Sentences, and bars for the passes over a track, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from nmjax.inference.stream import Pieces


def say(console: Console, sentence: str) -> None:
    """A line as it is: no colours, no markup in names, no wrapping."""
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


class Bars(AbstractContextManager):
    """`bars(name, pieces)` passes a signal on and shows how far it is; the bar goes with the signal's end.

    frames: the length of each signal, as far as it is known.
    """

    def __init__(self, console: Console, frames: int):
        off = console.quiet or not console.is_terminal  # a file would get an empty line
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=off)
        self._frames = frames

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        self._progress.stop()

    def __call__(self, name: str, pieces: Pieces) -> Iterator[np.ndarray]:
        """The same signal."""
        task = self._progress.add_task(name, total=self._frames)
        try:
            for piece in pieces:
                yield piece
                self._progress.advance(task, len(piece))
        finally:
            self._progress.remove_task(task)

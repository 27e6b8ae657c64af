"""Sentences, and bars for the passes over a track, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from nmjax.audio.streams import AudioChunks


def print_line(console: Console, sentence: str) -> None:
    """A line as it is: no colours, no markup in names, no wrapping."""
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


class ProgressBars(AbstractContextManager):
    """`bars(name, pieces)` passes a signal on and shows how far it is; the bar goes with the signal's end.

    frames: the length of each signal, as far as it is known.
    """

    def __init__(self, console: Console, total_frames: int):
        disabled = console.quiet or not console.is_terminal  # a file would get an empty line
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=disabled)
        self._total_frames = total_frames

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        self._progress.stop()

    def __call__(self, description: str, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The same signal."""
        task = self._progress.add_task(description, total=self._total_frames)
        try:
            for chunk in chunks:
                yield chunk
                self._progress.advance(task, len(chunk))
        finally:
            self._progress.remove_task(task)

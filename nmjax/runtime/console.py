"""Lines and progress bars on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


def print_line(console: Console, line: str) -> None:
    """Print a line as it is: no colors, no markup in file names, no wrapping."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


class ProgressBars(AbstractContextManager):
    """Progress bars for passes over a signal: `bars(description, chunks)` yields the same chunks and advances a bar.

    Nothing is shown on a quiet console or outside a terminal.

    Args:
        total_frames: length of each signal, as far as it is known.
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

    def __call__(self, description: str, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same chunks, `[frames, channel]` each; the bar disappears with the last one."""
        task = self._progress.add_task(description, total=self._total_frames)
        try:
            for chunk in chunks:
                yield chunk
                self._progress.advance(task, len(chunk))
        finally:
            self._progress.remove_task(task)

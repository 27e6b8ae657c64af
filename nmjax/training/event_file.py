"""An event file for TensorBoard that is written in order, so that it can be flushed.

tensorboardX's own SummaryWriter hands events to a thread through a queue, and its `flush` does not wait for the queue.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]  (made at import)
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError


class EventFile:
    """Scalars, images and audio of a run.

    Args:
        folder: Folder of the file, which is made.
        first_step: TensorBoard hides events of this step and later ones in the folder's earlier files.

    Raises:
        BadInputError: The file cannot be written; any method may raise it.
    """

    def __init__(self, folder: Path, first_step: int):
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._events = EventsWriter(str(folder / "events"))
        except OSError as error:
            raise BadInputError(atomic_files.write_error_message(folder, error)) from None
        self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add one point of a curve."""
        self._add(summary.scalar(name, value), step)

    def add_image(self, name: str, image: UInt8[np.ndarray, "height width color"], step: int) -> None:
        """Add an image."""
        self._add(summary.image(name, image, dataformats="HWC"), step)

    def add_audio(self, name: str, audio: Float[np.ndarray, "time channel"], step: int, sample_rate: int) -> None:
        """Add audio within ±1 at a sample rate in Hz."""
        self._add(summary.audio(name, audio, sample_rate), step)

    def flush(self) -> None:
        """Return when everything that was added is on the disk."""
        try:
            self._events.flush()
        except OSError as error:
            raise BadInputError(atomic_files.write_error_message(self._folder, error)) from None

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        self._events.close()

    def _add(self, summary_value: Summary, step: int) -> None:
        self._write(Event(step=step, summary=summary_value))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        try:
            self._events.write_event(event)
        except OSError as error:
            raise BadInputError(atomic_files.write_error_message(self._folder, error)) from None

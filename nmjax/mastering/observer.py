"""The protocol through which reports, plots and players follow the mastering of a track."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.types import MasteringResult


@runtime_checkable
class MasteringObserver(Protocol):
    """Observes the audio of one track while `nmjax.mastering.master.master` processes it, then writes files of its own.

    The stages, in signal order:

    - "source": the track, when its loudness is measured;
    - "repaired": the repaired track, when its loudness is measured; absent where nothing is repaired;
    - "input": the repaired track, when it is rendered; absent where nothing is changed;
    - "eq", then each active processor ("compressor", "saturator", "width"): the output of that stage;
    - "residual": what the residual network adds, where it adds anything.
    """

    def tap(self, stage: str, chunks: AudioChunks) -> AudioChunks:
        """Returns the chunks `[frames, channel]` of a stage unchanged; the observer may analyze them as they pass."""
        ...

    def write_files(
        self, result: MasteringResult, open_rendered: StreamOpener, temporary_paths: Mapping[Path, Path]
    ) -> None:
        """Writes the observer's files, after all masters have been written and verified.

        Args:
            result: what was rendered and delivered.
            open_rendered: opens the rendered signal before delivery (`[frames, channel]` chunks, from the start).
            temporary_paths: for each path in `result.outputs`, the temporary file to write to; `master` renames it.
        """
        ...

"""Paths of the files of a master, and checks that they may be written."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from nmjax.audio import formats
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.settings import exports
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

_SUFFIXES = {
    "plot": (".png",),
    "export": tuple(exports.WRITERS),
    "report": (".html",),
    "null_test": (".wav",),
}
OUTPUT_FLAGS = {"plot": "--plot", "export": "--export", "report": "--report", "null_test": "--null-test"}


@dataclasses.dataclass(frozen=True)
class OutputPaths:
    """Paths of one track's files.

    Attributes:
        masters: one for each delivery.
        settings: JSON, beside the first master.
        plot, export, report, null_test: None where not asked for.
    """

    masters: tuple[Path, ...]
    settings: Path
    plot: Path | None = None
    export: Path | None = None
    report: Path | None = None
    null_test: Path | None = None

    def files(self) -> list[Path]:
        """Every file, the first master first."""
        optional_paths = (self.plot, self.export, self.report, self.null_test)
        return [*self.masters, self.settings, *(path for path in optional_paths if path)]


def resolve_output_paths(
    track: Path, out: Path | None, delivery_specs: Sequence[DeliverySpec], **extra_paths: Path | None
) -> OutputPaths:
    """The paths of a track's files: `out`, or NAME-mastered in its format (else WAV) beside the track or in a folder.

    The names of several deliveries end in the delivery's name.

    Args:
        track: the input.
        out: the master, or a folder that exists; None for a path beside the track.
        delivery_specs: one master for each.
        extra_paths: plot, export, report, null_test.

    Raises:
        BadInputError: a suffix of no known format.
    """
    folder = track.parent if out is None else out
    has_suffix = out is not None and out.suffix.lower() in formats.WRITABLE_SUFFIXES
    if out is None or (os.path.isdir(out) and not has_suffix):
        suffix = track.suffix if track.suffix.lower() in formats.WRITABLE_SUFFIXES else ".wav"
        out = folder / f"{track.stem}-mastered{suffix}"
    if out.suffix.lower() not in formats.WRITABLE_SUFFIXES:
        raise BadInputError(
            f"'{out}' must end in one of: {', '.join(formats.WRITABLE_SUFFIXES)}; or name a folder that exists."
        )
    for kind, path in extra_paths.items():
        if path and path.suffix.lower() not in _SUFFIXES[kind]:
            *others, last = _SUFFIXES[kind]
            suffixes = f"{', '.join(others)} or {last}" if others else last
            raise BadInputError(f"'{path}' must end in {suffixes}; that is what {OUTPUT_FLAGS[kind]} writes.")
    masters = (out,)
    if len(delivery_specs) > 1:
        masters = tuple(out.with_name(f"{out.stem}-{spec.name}{out.suffix}") for spec in delivery_specs)
    return OutputPaths(masters, out.with_name(f"{out.name}.json"), **extra_paths)


def check_outputs(track: Path, outputs: OutputPaths, force: bool, *other_inputs: Path | None) -> None:
    """Checks before any work that no input is overwritten, no two outputs are one file, and nothing else is overwritten
    without `force`.

    Args:
        track: the input.
        outputs: the files to write.
        force: allows to overwrite earlier outputs.
        other_inputs: files that are read beside the track, such as edited settings.

    Raises:
        BadInputError: one of these.
    """
    input_paths = [track, *(path for path in other_inputs if path)]
    used_paths = {path.resolve() for path in input_paths}
    for path in outputs.files():
        try:
            exists = path.exists()
        except OSError as error:  # for example, a name that is too long
            raise BadInputError(atomic_files.write_error_message(path, error)) from None
        if path.is_dir():
            raise BadInputError(f"'{path}' is a folder; name a file in it.")
        is_input = exists and any(other.exists() and path.samefile(other) for other in input_paths)
        if path.resolve() in used_paths or is_input:
            raise BadInputError(f"'{path}' is the track or another file of this run; choose another name.")
        if exists and not force:
            raise BadInputError(
                f"'{path}' exists already; add --force to overwrite it, or name another output with -o."
            )
        used_paths.add(path.resolve())

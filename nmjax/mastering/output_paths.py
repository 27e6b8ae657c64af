"""Where the files of a master go, and which of them may be written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from nmjax.audio import formats
from nmjax.mastering.delivery.plan import DeliverySpec
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

_SUFFIXES = {
    "plot": (".png",),
    "export": (".txt", ".csv", ".rpl"),
    "report": (".html",),
    "null_test": (".wav",),
}
OUTPUT_FLAGS = {"plot": "--plot", "export": "--export", "report": "--report", "null_test": "--null-test"}


@dataclasses.dataclass(frozen=True)
class OutputPaths:
    """Of one track. audio: a file for each delivery. settings: JSON beside the first. The others are None where they
    are not wanted."""

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
    """Beside the track as NAME-mastered, in its own format where that can be written, else as WAV; or `out`. Several
    deliveries have their names behind it.

    more: picture, export, report, null_test.

    Raises:
        BadInputError: an ending that nothing can be written with.
    """
    if out is None:
        suffix = track.suffix if track.suffix.lower() in formats.WRITABLE_SUFFIXES else ".wav"
        out = track.with_name(f"{track.stem}-mastered{suffix}")
    if out.suffix.lower() not in formats.WRITABLE_SUFFIXES:
        raise BadInputError(f"'{out}' must end in one of: {', '.join(formats.WRITABLE_SUFFIXES)}.")
    for kind, path in extra_paths.items():
        if path and path.suffix.lower() not in _SUFFIXES[kind]:
            raise BadInputError(
                f"'{path}' must end in {' or '.join(_SUFFIXES[kind])}; that is what {OUTPUT_FLAGS[kind]} writes."
            )
    masters = (out,)
    if len(delivery_specs) > 1:
        masters = tuple(out.with_name(f"{out.stem}-{spec.name}{out.suffix}") for spec in delivery_specs)
    return OutputPaths(masters, out.with_name(f"{out.name}.json"), **extra_paths)


def check_outputs(track: Path, outputs: OutputPaths, force: bool, *other_inputs: Path | None) -> None:
    """Raise before any work if an input would be overwritten, two outputs are one file, or something else would be
    overwritten without `force`.

    inputs: files beside the track that are read, such as edited settings.
    """
    input_paths = [track, *(path for path in other_inputs if path)]
    used_paths = {path.resolve() for path in input_paths}
    for path in outputs.files():
        try:
            exists = path.exists()
        except OSError as error:  # a name that no file system takes
            raise BadInputError(atomic_files.write_error_message(path, error)) from None
        if path.is_dir():
            raise BadInputError(f"'{path}' is a folder; name a file in it.")
        is_input = exists and any(other.exists() and path.samefile(other) for other in input_paths)
        if path.resolve() in used_paths or is_input:
            raise BadInputError(f"'{path}' is the track itself or another file of this run; choose another name.")
        if exists and not force:
            raise BadInputError(
                f"'{path}' exists already; add --force to overwrite it, or name another output with -o."
            )
        used_paths.add(path.resolve())

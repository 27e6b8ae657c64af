"""Where the files of a master go, and which of them may be written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from nmjax import formats, io
from nmjax.errors import BadInputError
from nmjax.inference.deliver.delivery import Delivery

_ENDINGS = {
    "picture": (".png",),
    "export": (".txt", ".csv", ".rpl"),
    "report": (".html",),
    "null_test": (".wav",),
}
FLAGS = {"picture": "--plot", "export": "--export", "report": "--report", "null_test": "--null-test"}


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Of one track. audio: a file for each delivery. settings: JSON beside the first. The others are None where they
    are not wanted."""

    audio: tuple[Path, ...]
    settings: Path
    picture: Path | None = None
    export: Path | None = None
    report: Path | None = None
    null_test: Path | None = None

    def files(self) -> list[Path]:
        """Every file, the first master first."""
        more = (self.picture, self.export, self.report, self.null_test)
        return [*self.audio, self.settings, *(path for path in more if path)]


def outputs_of(track: Path, out: Path | None, deliveries: Sequence[Delivery], **more: Path | None) -> Outputs:
    """Beside the track as NAME-mastered, in its own format where that can be written, else as WAV; or `out`. Several
    deliveries have their names behind it.

    more: picture, export, report, null_test.

    Raises:
        BadInputError: an ending that nothing can be written with.
    """
    if out is None:
        suffix = track.suffix if track.suffix.lower() in formats.SUFFIXES else ".wav"
        out = track.with_name(f"{track.stem}-mastered{suffix}")
    if out.suffix.lower() not in formats.SUFFIXES:
        raise BadInputError(f"'{out}' must end in one of: {', '.join(formats.SUFFIXES)}.")
    for what, path in more.items():
        if path and path.suffix.lower() not in _ENDINGS[what]:
            raise BadInputError(
                f"'{path}' must end in {' or '.join(_ENDINGS[what])}; that is what {FLAGS[what]} writes."
            )
    audio = (out,)
    if len(deliveries) > 1:
        audio = tuple(out.with_name(f"{out.stem}-{wanted.name}{out.suffix}") for wanted in deliveries)
    return Outputs(audio, out.with_suffix(".json"), **more)


def check(track: Path, outputs: Outputs, force: bool, *inputs: Path | None) -> None:
    """Raise before any work if an input would be overwritten, two outputs are one file, or something else would be
    overwritten without `force`.

    inputs: files beside the track that are read, such as edited settings.
    """
    given = [track, *(path for path in inputs if path)]
    taken = {path.resolve() for path in given}
    for path in outputs.files():
        try:
            exists = path.exists()
        except OSError as error:  # a name that no file system takes
            raise BadInputError(io.unwritable(path, error)) from None
        if path.is_dir():
            raise BadInputError(f"'{path}' is a folder; name a file in it.")
        same = exists and any(other.exists() and path.samefile(other) for other in given)
        if path.resolve() in taken or same:
            raise BadInputError(f"'{path}' is the track itself or another file of this run; choose another name.")
        if exists and not force:
            raise BadInputError(
                f"'{path}' exists already; add --force to overwrite it, or name another output with -o."
            )
        taken.add(path.resolve())

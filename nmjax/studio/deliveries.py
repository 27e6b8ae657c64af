"""Deliveries: masters written exactly as the command line writes them from the saved settings."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from nmjax.audio.formats import BIT_DEPTHS, WRITABLE_SUFFIXES
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.delivery.write import DeliveryResult
from nmjax.mastering.master import master
from nmjax.mastering.observer import MasteringObserver
from nmjax.mastering.output_paths import OutputPaths, resolve_output_paths
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.resolve import resolve_options
from nmjax.mastering.settings.file import settings_from_json
from nmjax.mastering.settings.ranges import Range, StrictModel
from nmjax.mastering.types import MasteringOptions, MasteringResult
from nmjax.report.recorder import ReportRecorder
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError, CannotWriteError
from nmjax.studio.album import album_specs
from nmjax.studio.documents import one_of, read_model
from nmjax.studio.jobs import Job
from nmjax.studio.networks import network_of_checkpoint
from nmjax.studio.ordered import OrderedTrack
from nmjax.studio.page_words import page_words
from nmjax.studio.passes import Priority
from nmjax.studio.track import Track

_SAME_SUFFIXES = (".aif", ".oga")  # of formats that have another suffix, too
FORMATS = tuple(suffix.removeprefix(".") for suffix in WRITABLE_SUFFIXES if suffix not in _SAME_SUFFIXES)
ARCHIVE_NAME = "all-files.zip"
_archive_lock = threading.Lock()
_PASSES = 6  # over the audio of a delivery, about


class DeliveryOrder(StrictModel):
    """What to deliver.

    Attributes:
        tracks: their ids.
        deliver: names of presets; with one of them, `lufs` and `true_peak` may be other numbers.
        lufs, true_peak, max_limiting: as on the command line; None for the preset's.
        format: suffix of the files.
        bits: sample format; None for the input's.
        report: whether each track gets a report.
        album: whether the tracks keep their loudness relative to each other.
    """

    tracks: Annotated[list[str], Field(min_length=1, max_length=100)]
    deliver: Annotated[list[Literal["streaming", "cd", "club"]], Field(min_length=1)] = Field(
        default_factory=lambda: ["streaming"]
    )
    lufs: Annotated[float, Range(-60.0, 0.0, "LUFS")] | Literal["keep", "clean", "none"] | None = None
    true_peak: Annotated[float, Range(-30.0, 0.0, "dBTP")] | Literal["none"] | None = None
    max_limiting: Annotated[float, Range(0.0, 30.0, "dB")] | None = None
    format: Annotated[str, one_of(FORMATS)] = "wav"
    bits: Annotated[str, one_of(BIT_DEPTHS)] | None = None
    report: bool = False
    album: bool = False

    @property
    def request(self) -> MasteringRequest:
        """The same as options of the command line."""
        return MasteringRequest(
            deliver=tuple(self.deliver),
            lufs=self.lufs,
            true_peak=self.true_peak,
            max_limiting=self.max_limiting,
            bits=self.bits,
        )


def read_order(tree: Any) -> DeliveryOrder:
    """The order of a JSON document.

    Raises:
        BadInputError: a value that is not allowed.
    """
    order = read_model(DeliveryOrder, tree)
    resolve_options(order.request)
    return order


def deliver(
    job: Job, order: DeliveryOrder, ordered: Sequence[OrderedTrack], folder: Path, priority: Priority
) -> dict[str, Any]:
    """Write the masters of some tracks into a folder of the job, which is gone where they are not all written.

    Raises:
        BadInputError: a track or an option cannot be used, or the disk is full.
    """
    folder.mkdir(parents=True)
    try:
        return _deliver(job, order, ordered, folder, priority)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _deliver(
    job: Job, order: DeliveryOrder, ordered: Sequence[OrderedTrack], folder: Path, priority: Priority
) -> dict[str, Any]:
    delivered, notes = [], []
    album: list[tuple[DeliverySpec, ...]] | None = None
    if order.album and len(ordered) > 1:
        job.advance(0.0, "Measuring the album")
        album, notes = album_specs(
            ordered,
            resolve_options(order.request).delivery_specs,
            lambda track, chunks: job.watch(chunks, track.frames, 0.0, 0.0),
        )
    for i, one in enumerate(ordered):
        share = (i / len(ordered), (i + 1) / len(ordered))
        result = deliver_track(job, order, one, folder, priority, share, album[i] if album else ())
        notes += result.notes
        report = result.outputs.report
        delivered.append(
            {
                "track": one.track.name,
                "masters": [_master_dict(job, x) for x in result.delivery_results],
                "settings": _file_dict(job, result.outputs.settings),
                "report": report and _file_dict(job, report),
            }
        )
    notes = [page_words(note) for note in dict.fromkeys(notes)]
    all_url = _url(job, folder / ARCHIVE_NAME) if len(ordered) > 1 else None
    return {"tracks": delivered, "notes": notes, "all_url": all_url}


def deliver_track(
    job: Job,
    order: DeliveryOrder,
    ordered: OrderedTrack,
    folder: Path,
    priority: Priority,
    share: tuple[float, float],
    specs: tuple[DeliverySpec, ...] = (),
) -> MasteringResult:
    """Master a track with the settings of its order, through the settings file as the command line reads it.

    Args:
        job: is told of the progress, from one share to another.
        order: what to deliver.
        ordered: the track.
        folder: of the files.
        priority: of pieces that are played meanwhile.
        share: of the job's progress.
        specs: of an album's song; none for those of the order.
    """
    track = ordered.track
    job.advance(share[0], f"Delivering “{track.name}”")
    stored = settings_from_json(ordered.settings, "settings.json")
    options = resolve_options(order.request, settings=stored)
    if specs:
        options = dataclasses.replace(options, delivery_specs=specs)
    network = network_of_checkpoint(stored.model.checkpoint) if stored.model and stored.has_residual else None
    outputs = _output_paths(track, folder, order, options)
    passes = 0

    def progress(_: str, chunks: AudioChunks) -> Iterator:
        nonlocal passes
        start, passes = min(passes, _PASSES - 1), passes + 1
        width = (share[1] - share[0]) / _PASSES
        for chunk in job.watch(chunks, track.frames, share[0] + start * width, share[0] + (start + 1) * width):
            priority.yield_to_pieces()
            yield chunk

    observers: list[MasteringObserver] = []
    if outputs.report and track.info:
        origin = "Settings of the studio"
        reference = track.played_reference()
        observers.append(ReportRecorder(track.info, outputs, reference=reference, given_settings=origin))
    return master(track.upload, outputs, network, options, progress, observers, report_findings=order.report)


def _output_paths(track: Track, folder: Path, order: DeliveryOrder, options: MasteringOptions) -> OutputPaths:
    """Paths in a folder where no other track of the same name is."""
    stem, number = track.upload.stem, 1
    while True:
        suffix = "" if number == 1 else f" ({number})"
        out = folder / f"{stem}{suffix}-mastered.{order.format}"
        report = folder / f"{stem}{suffix}-report.html" if order.report else None
        outputs = resolve_output_paths(track.upload, out, options.delivery_specs, report=report)
        if not any(path.exists() for path in outputs.files()):
            return outputs
        number += 1


def _file_dict(job: Job, path: Path) -> dict[str, Any]:
    return {"name": path.name, "url": _url(job, path), "bytes": path.stat().st_size}


def _master_dict(job: Job, delivery: DeliveryResult) -> dict[str, Any]:
    """A master with what independent code measured."""
    check = delivery.compliance
    assert check.path is not None
    return {
        **_file_dict(job, check.path),
        "delivery": delivery.spec.name,
        "compliance": check.summary,
        "passed": check.passed,
    }


def _url(job: Job, path: Path) -> str:
    return f"/api/deliveries/{job.id}/{quote(path.name)}"


def delivered_file(folder: Path, name: str) -> Path:
    """A delivered file by its name, or all of them in one; names are compared, not opened.

    Raises:
        BadInputError: there is none, or the disk is full.
    """
    if name == ARCHIVE_NAME and folder.is_dir():
        _write_archive(folder)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name == name and path.is_file() and not path.name.startswith("."):
            return path
    raise BadInputError("There is no such file; deliver the track again.")


def _write_archive(folder: Path) -> None:
    """All files of a folder as one, once; without compression, since audio would hardly get smaller."""
    path = folder / ARCHIVE_NAME
    with _archive_lock:
        if not path.exists():
            _write_files_into(path, sorted(file for file in folder.iterdir() if not file.name.startswith(".")))


def _write_files_into(path: Path, files: Sequence[Path]) -> None:
    with atomic_files.atomic_write(path) as temporary:
        try:
            with zipfile.ZipFile(temporary, "w") as archive:
                for file in files:
                    archive.write(file, file.name)
        except OSError as error:
            raise CannotWriteError(atomic_files.write_error_message(path, error)) from None

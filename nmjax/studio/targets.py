"""What a track is matched to: a style, or references whose files a page has sent."""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, resample_stream, take_section
from nmjax.mastering.pretrained import DEFAULT_MODEL, REFERENCE_MODEL
from nmjax.mastering.reference_features import (
    MIN_SECONDS,
    check_reference,
    check_section,
    features_from_chunks,
    read_reference_features,
    section_name,
)
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.request_readers import Section, WeightedFile
from nmjax.mastering.resolve import combine_references
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError
from nmjax.studio.jobs import Job
from nmjax.studio.meters import MeterScan
from nmjax.studio.prepared import Reference
from nmjax.studio.spool import write_spool
from nmjax.studio.state import FROM_NETWORK, Edits, ReferenceChoice
from nmjax.studio.uploads import safe_name

TARGET_SUFFIX = ".json"  # of target files


@dataclasses.dataclass(frozen=True)
class ReferenceFile:
    """A file that a track can be matched to, which stays with the track so that a removal can be undone.

    Attributes:
        id: another one for each upload.
        name: for people.
        path: the file.
    """

    id: str
    name: str
    path: Path

    @property
    def is_music(self) -> bool:
        """Whether it can be played; a target file cannot."""
        return self.path.suffix.lower() != TARGET_SUFFIX

    def to_dict(self) -> dict[str, Any]:
        """The file for JSON."""
        return {"id": self.id, "name": self.name, "is_music": self.is_music}


def store_reference(folder: Path, name: str, path: Path) -> ReferenceFile:
    """A file that has arrived in a folder, with what finds it again."""
    atomic_files.write_text(folder / "reference.json", json.dumps({"name": name, "file": path.name}))
    return ReferenceFile(folder.name, name, path)


def new_reference_folder(track_folder: Path) -> Path:
    """A folder for the upload of a reference; its name is the reference's id."""
    folder = track_folder / "references" / secrets.token_hex(8)
    (folder / "file").mkdir(mode=0o700, parents=True)
    return folder


def stored_references(track_folder: Path, named: Collection[str]) -> dict[str, ReferenceFile]:
    """The references of an earlier run by their ids; deletes those that no step of the history names."""
    files = {}
    folders = track_folder / "references"
    for folder in sorted(folders.iterdir()) if folders.is_dir() else ():
        file = _stored_reference(folder) if folder.name in named else None
        if file is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            files[file.id] = file
    return files


def _stored_reference(folder: Path) -> ReferenceFile | None:
    """The reference of a folder; None where it is damaged."""
    try:
        header = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
        path, name = folder / "file" / safe_name(header["file"], (TARGET_SUFFIX,)), str(header["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ReferenceFile(folder.name, name, path) if path.is_file() else None


def check_references(edits: Edits, known: Mapping[str, ReferenceFile]) -> None:
    """Refuses references that the track does not have, or has twice, and sections that a file does not have.

    Raises:
        BadInputError: one of these.
    """
    ids = [chosen.id for chosen in edits.references]
    if len(set(ids)) < len(ids):
        raise BadInputError("A reference is named twice; change its weight instead.")
    if not set(ids) <= set(known):
        raise BadInputError("The track has no such reference; drop the file again.")
    for chosen in edits.references:
        if chosen.section is not None:
            _check_section(chosen, known[chosen.id])


def _check_section(chosen: ReferenceChoice, file: ReferenceFile) -> None:
    section, name = section_of(chosen), f"“{file.name}”"
    assert section is not None
    if not file.is_music:
        raise BadInputError(f"{name} is a target file, which has no sections; leave the times out.")
    if section.end - section.start < MIN_SECONDS:
        raise BadInputError(f"A section of a reference needs at least {MIN_SECONDS:g} s; choose more of {name}.")
    info = reader.probe(file.path)
    check_section(section, info.frames / info.sample_rate, name)


def section_of(chosen: ReferenceChoice) -> Section | None:
    """The section of a choice; None for the whole file."""
    return None if chosen.section is None else Section(chosen.section.start, chosen.section.end)


def follow_choices(before: Edits, edits: Edits) -> Edits:
    """The edits with what another network or target brings with it.

    Single values of the old suggestion are dropped. The default network sets the tone alone, so the first target
    chooses the one that can follow it, and the network comes back with the removal of the last one.

    Args:
        before: the edits until now.
        edits: after a change of anything.
    """
    has_new_model = edits.model != before.model
    if not has_new_model and _target_ids(edits) == _target_ids(before):
        return edits
    update: dict[str, Any] = {"base": FROM_NETWORK, "bands": {}, "side_bands": {}, "processors": {}}
    if has_new_model:
        update["model_before_target"] = None
    elif edits.has_target and not before.has_target and edits.model == DEFAULT_MODEL:
        update |= {"model": REFERENCE_MODEL, "model_before_target": edits.model}
    elif not edits.has_target and edits.model_before_target:
        update |= {"model": edits.model_before_target, "model_before_target": None}
    return edits.model_copy(update=update)


def _target_ids(edits: Edits) -> tuple:
    return (edits.style, *(reference.id for reference in edits.references))


def read_reference(
    job: Job, file: ReferenceFile, section: Section | None, spool_path: Path, sample_rate: int, channels: int
) -> Reference:
    """Measure a reference, and decode it for playing.

    Args:
        job: progress from 0 to 0.5.
        file: the reference.
        section: of it; None for the whole file.
        spool_path: where its decoded audio goes.
        sample_rate, channels: of the track that it is played beside.

    Raises:
        BadInputError: the file cannot be read, or is too short or silent.
    """
    job.advance(0.0, f"Analyzing “{file.name}”")
    try:
        if file.is_music:
            return _read_music(job, file, section, spool_path, sample_rate, channels)
        features, name = read_reference_features(WeightedFile(str(file.path)))
        return Reference(features, name)
    except BadInputError as error:
        raise BadInputError(str(error).replace(f"'{file.path}'", f"“{file.name}”")) from None


def _read_music(
    job: Job, file: ReferenceFile, section: Section | None, spool_path: Path, sample_rate: int, channels: int
) -> Reference:
    info = reader.probe(file.path)

    def chunks(start: float, end: float) -> AudioChunks:
        watched = job.watch(reader.read_chunks(file.path), info.frames, start, end)
        return take_section(watched, *(round(x * info.sample_rate) for x in section)) if section else watched

    features = check_reference(features_from_chunks(chunks(0.0, 0.3), info.sample_rate), f"“{file.name}”")
    meter = MeterScan(sample_rate, channels)
    played = resample_stream(_with_channels(chunks(0.3, 0.5), channels), info.sample_rate, sample_rate)
    spool = write_spool(spool_path, meter.watch(played), channels)
    return Reference(features, section_name(file.path.name, section), spool, meter.lufs)


def _with_channels(chunks: AudioChunks, channels: int) -> AudioChunks:
    """Chunks with another number of channels: mixed down, or the same in all."""
    for chunk in chunks:
        if chunk.shape[1] == channels:
            yield chunk
        else:
            yield np.repeat(reader.to_mono(chunk)[:, None], channels, axis=1)


def build_target(
    edits: Edits, files: Mapping[str, ReferenceFile], references: Mapping[str, Reference]
) -> ReferenceTarget:
    """The target of the edits, made by the code that makes the command line's.

    Args:
        edits: name a style or references.
        files: by id.
        references: by `ReferenceChoice.key`.
    """
    request = MasteringRequest(
        references=tuple(
            WeightedFile(str(files[chosen.id].path), chosen.weight, section_of(chosen)) for chosen in edits.references
        ),
        style=edits.style,
        reference_strength=edits.reference_strength,
        reference_weights=edits.reference_weights,
        same_song=edits.same_song and not edits.style,
    )
    measured = [references[chosen.key] for chosen in edits.references]
    tracks = [(reference.features, reference.name) for reference in measured]
    if edits.style:
        tracks = [read_reference_features(file) for file in request.reference_files()]
    target = combine_references(request, tracks)
    return dataclasses.replace(target, intensity=edits.intensity, max_boost_db=edits.max_boost)

"""Finds music: one entry for each song of a folder, a pair of folders or a CSV, without reading the audio."""

from __future__ import annotations

import csv
import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nmjax.audio import reader
from nmjax.runtime.errors import BadInputError


class AudioFile(NamedTuple):
    """A file on disk. key: its path relative to the folder or CSV; real_path: with links resolved."""

    key: str
    path: str
    real_path: str
    size: int
    mtime_ns: int


@dataclasses.dataclass(frozen=True)
class SongEntry:
    """A song before its files are scanned; the fields are those of `nmjax.data.catalog.Song`."""

    name: str
    group: str
    target: AudioFile
    input: AudioFile | None = None
    genre: str = ""


def folder_entries(folder: Path, report: Callable[[str], None]) -> list[SongEntry]:
    """Every audio file of a folder and its subfolders by name; `report` gets a sentence for each skipped folder."""
    return [SongEntry(_song_name(file.key), _group_name(file.key), file) for file in _audio_files(folder, report)]


def paired_entries(unmastered: Path, mastered: Path, report: Callable[[str], None]) -> list[SongEntry]:
    """Files of the same name in two folders.

    Raises:
        BadInputError: a file without a partner, or two files that differ in their suffix only.
    """
    sides = [_files_by_name(folder, report) for folder in (unmastered, mastered)]
    for own_files, other_files, folder in ((sides[0], sides[1], mastered), (sides[1], sides[0], unmastered)):
        if unpaired := sorted(set(own_files) - set(other_files)):
            path = own_files[unpaired[0]].path
            raise BadInputError(f"'{path}' has no partner of the same name in '{folder}'. Add it, or remove the file.")
    return [SongEntry(name, _group_name(file.key), file, sides[0][name]) for name, file in sides[1].items()]


def csv_entries(path: Path) -> list[SongEntry]:
    """The lines of a CSV with a column `target` and optional columns `input`, `genre`; paths are relative to the CSV.

    Raises:
        BadInputError: not such a CSV, an empty or repeated target, a file that is missing.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise BadInputError(f"'{path}' is neither a folder nor a CSV with a column 'target'.") from None
    if not rows:
        raise BadInputError(f"'{path}' lists no music. Its first line is 'target', each further line a path.")
    if "target" not in rows[0]:
        raise BadInputError(
            f"'{path}' has no column 'target'. Give a folder, or a CSV whose first line names that column."
        )
    entries = []
    for line_number, row in enumerate(rows, 2):
        if not Path(row["target"] or "").name:
            raise BadInputError(f"Line {line_number} of '{path}' names no target. Complete or remove the line.")
        if "\0" in f"{row['target']}{row.get('input')}":
            raise BadInputError(f"Line {line_number} of '{path}' holds a NUL byte. Write the file again.")
        target = _file_from_csv(path, row["target"])
        source = _file_from_csv(path, row["input"]) if row.get("input") else None
        name = Path(row["target"]).with_suffix("").as_posix()
        entries.append(SongEntry(name, _group_name(target.key), target, source, row.get("genre") or ""))
    counts = Counter(entry.target.real_path for entry in entries)
    if duplicates := [target for target, count in counts.items() if count > 1]:
        raise BadInputError(f"'{path}' lists '{duplicates[0]}' more than once. Remove the other lines.")
    if len({e.input is None for e in entries}) == 2:
        raise BadInputError(f"'{path}' gives an input in some lines only. Give one in every line or in none.")
    return entries


def _audio_files(folder: Path, report: Callable[[str], None]) -> list[AudioFile]:
    """Sorted by name. Links to files are followed, links to folders are not; unreadable folders are reported."""
    if not folder.is_dir():
        raise BadInputError(f"Folder '{folder}' is missing. Give a folder of music.")
    real_root, files, pending = os.path.realpath(folder), [], [""]
    while pending:
        subfolder = pending.pop()
        try:
            with os.scandir(f"{folder}/{subfolder}") as listing:
                for dir_entry in listing:
                    key = f"{subfolder}{dir_entry.name}"
                    if dir_entry.is_dir(follow_symlinks=False):
                        pending.append(f"{key}/")
                    elif (
                        dir_entry.name[dir_entry.name.rfind(".", 1) :].lower() in reader.READABLE_SUFFIXES
                        and dir_entry.is_file()
                    ):
                        real_path = os.path.realpath(dir_entry.path) if dir_entry.is_symlink() else f"{real_root}/{key}"
                        stat = dir_entry.stat()
                        files.append(AudioFile(key, dir_entry.path, real_path, stat.st_size, stat.st_mtime_ns))
        except PermissionError as error:
            report(f"Skipped: no permission to read folder '{folder / subfolder}' ({error.strerror}).")
    if not files:
        raise BadInputError(f"Folder '{folder}' holds no audio files ({', '.join(reader.READABLE_SUFFIXES)}).")
    return sorted(files)


def _files_by_name(folder: Path, report: Callable[[str], None]) -> dict[str, AudioFile]:
    files: dict[str, AudioFile] = {}
    for file in _audio_files(folder, report):
        if (name := _song_name(file.key)) in files:
            both = f"'{files[name].path}' and '{file.path}'"
            raise BadInputError(f"{both} have the same name but for the suffix. Remove one.")
        files[name] = file
    return files


def _song_name(key: str) -> str:
    return key[: key.rindex(".")]


def _group_name(key: str) -> str:
    return key.rpartition("/")[0]


def _file_from_csv(csv_file: Path, entry_path: str) -> AudioFile:
    path = os.path.normpath(csv_file.parent / entry_path)
    folder, name = os.path.split(path)
    real_path = os.path.realpath(path) if os.path.islink(path) else os.path.join(_real_folder(folder), name)
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        reader.probe(path)  # raises a BadInputError with the reason
        raise
    return AudioFile(os.path.normpath(entry_path), path, real_path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    """Cached: most files of a list are in the same folder as the one before."""
    return os.path.realpath(folder)

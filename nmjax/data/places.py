"""Where music lies: folders and CSV files become entries, one a song, without a look into the audio."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from nmjax import io
from nmjax.errors import BadInputError


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's collector, which doubles the time in which a hundred thousand objects are made that all stay."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class File(NamedTuple):
    """A file of a place. key: its path as the place names it. real: its path with all links resolved."""

    key: str
    path: str
    real: str
    size: int
    mtime_ns: int


@dataclasses.dataclass(frozen=True)
class Entry:
    """A song to be: see `nmjax.data.songs.Song`."""

    name: str
    group: str
    target: File
    input: File | None = None
    genre: str = ""


@uncollected()
def folder_entries(folder: Path, report: Callable[[str], None]) -> list[Entry]:
    """Every audio file of a folder and of those in it, by name."""
    return [Entry(_name(file.key), _group(file.key), file) for file in _audio_files(folder, report)]


def paired_entries(unmastered: Path, mastered: Path, report: Callable[[str], None]) -> list[Entry]:
    """Files of the same name in two folders."""
    sides = [_by_name(folder, report) for folder in (unmastered, mastered)]
    for here, there, folder in ((sides[0], sides[1], mastered), (sides[1], sides[0], unmastered)):
        if alone := sorted(set(here) - set(there)):
            raise BadInputError(f"'{here[alone[0]].path}' has no partner of the same name in '{folder}'.")
    return [Entry(name, _group(file.key), file, sides[0][name]) for name, file in sides[1].items()]


def csv_entries(path: Path) -> list[Entry]:
    """The lines of a CSV with a column `target` and, if wanted, `input` and `genre`; its paths are relative to it."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise BadInputError(f"'{path}' is neither a folder nor a CSV with a column 'target'.") from None
    if not rows:
        raise BadInputError(f"'{path}' lists no music; write a line 'target' and below it a path a line.")
    if "target" not in rows[0]:
        raise BadInputError(f"'{path}' must be a folder, or a CSV whose first line names a column 'target'.")
    entries = []
    for number, row in enumerate(rows, 2):
        if not Path(row["target"] or "").name:
            raise BadInputError(f"Line {number} of '{path}' names no target; fill it in or take the line out.")
        if "\0" in f"{row['target']}{row.get('input')}":
            raise BadInputError(f"Line {number} of '{path}' holds a NUL byte, which no path does; write it again.")
        target = _listed(path, row["target"])
        source = _listed(path, row["input"]) if row.get("input") else None
        name = Path(row["target"]).with_suffix("").as_posix()
        entries.append(Entry(name, _group(target.key), target, source, row.get("genre") or ""))
    counts = Counter(entry.target.real for entry in entries)
    if twice := [target for target, count in counts.items() if count > 1]:
        raise BadInputError(f"'{path}' lists '{twice[0]}' more than once; take the other lines out.")
    if len({e.input is None for e in entries}) == 2:
        raise BadInputError(f"'{path}' gives an input in some lines only; give one in every line or in none.")
    return entries


def _audio_files(folder: Path, report: Callable[[str], None]) -> list[File]:
    """By name. Links to files are followed, links to folders are not; what may not be looked into is reported."""
    if not folder.is_dir():
        raise BadInputError(f"Folder '{folder}' is missing; give a folder of music.")
    real, found, waiting = os.path.realpath(folder), [], [""]
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(f"{folder}/{inside}") as listing:
                for item in listing:
                    key = f"{inside}{item.name}"
                    if item.is_dir(follow_symlinks=False):
                        waiting.append(f"{key}/")
                    elif item.name[item.name.rfind(".", 1) :].lower() in io.SUFFIXES and item.is_file():
                        there = os.path.realpath(item.path) if item.is_symlink() else f"{real}/{key}"
                        stat = item.stat()
                        found.append(File(key, item.path, there, stat.st_size, stat.st_mtime_ns))
        except PermissionError as error:
            report(f"Left out: '{folder / inside}' may not be looked into ({error.strerror}).")
    if not found:
        raise BadInputError(f"Folder '{folder}' holds no audio files ({', '.join(io.SUFFIXES)}).")
    return sorted(found)


def _by_name(folder: Path, report: Callable[[str], None]) -> dict[str, File]:
    found: dict[str, File] = {}
    for file in _audio_files(folder, report):
        if (name := _name(file.key)) in found:
            both = f"'{found[name].path}' and '{file.path}'"
            raise BadInputError(f"{both} have the same name but for their ending; keep one.")
        found[name] = file
    return found


def _name(key: str) -> str:
    return key[: key.rindex(".")]


def _group(key: str) -> str:
    return key.rpartition("/")[0]


def _listed(csv_file: Path, named: str) -> File:
    path = os.path.normpath(csv_file.parent / named)
    folder, name = os.path.split(path)
    real = os.path.realpath(path) if os.path.islink(path) else os.path.join(_real(folder), name)
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        io.probe(path)  # says what is wrong
        raise
    return File(os.path.normpath(named), path, real, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    """Albums lie together: most files of a list are in the folder of the one before."""
    return os.path.realpath(folder)

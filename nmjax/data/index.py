"""What music there is: folders and CSV files become songs, each checked once."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nmjax import io
from nmjax.data import cache, pairs
from nmjax.data.songs import Song, Sound
from nmjax.errors import BadInputError, CannotWriteError


@dataclasses.dataclass(frozen=True)
class _Entry:
    name: str
    group: str
    target: Path
    input: Path | None
    genre: str


def find_songs(
    data: Path, target: Path | None = None, cache_dir: Path | None = None, report: Callable[[str], None] = print
) -> list[Song]:
    """Songs of a folder of mastered music, of two folders with the same file names, or of a CSV.

    Args:
        data: a folder, or a CSV with a column `target` and, if wanted, `input` and `genre`; its paths are relative to
        it.
        target: the mastered side's folder; `data` is then the unmastered side's.
        cache_dir: where lossy files are decoded to.
        report: called with a sentence for each file of a folder that is left out.

    Raises:
        BadInputError: nothing there, nothing usable, or a pair that is none.
    """
    entries = _pairs_of_folders(data, target) if target else _csv(data) if data.is_file() else _folder(data)
    strict = target is not None or data.is_file()
    cache_dir = cache_dir or cache.default_dir()

    def check(entry: _Entry) -> Song | BadInputError:
        try:
            song = _song(entry, cache_dir)
            pairs.check(song.input, song.target) if song.input else None
            return song
        except BadInputError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(check, entries))
    errors = [x for x in found if isinstance(x, BadInputError)]
    for error in errors:
        if strict or isinstance(error, CannotWriteError):
            raise error
    for error in errors:
        report(f"Left out: {error}")
    songs = [x for x in found if isinstance(x, Song)]
    if not songs:
        raise BadInputError(f"No file in '{data}' can be used; the first: {errors[0]}")
    return songs


def _song(entry: _Entry, cache_dir: Path) -> Song:
    def sound(path: Path) -> Sound:
        info = io.probe(path)
        if info.frames < 2:
            raise BadInputError(f"'{path}' holds a single sample; leave it out.")
        return Sound(*cache.seekable(info, cache_dir))

    target, source = sound(entry.target), sound(entry.input) if entry.input else None
    return Song(entry.name, entry.group, target, source, entry.genre)


def _audio_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadInputError(f"Folder '{folder}' is missing; give a folder of music.")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in io.SUFFIXES and p.is_file())
    if not files:
        raise BadInputError(f"Folder '{folder}' holds no audio files ({', '.join(io.SUFFIXES)}).")
    return files


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _audio_files(folder):
        if (name := _name(path, folder)) in found:
            raise BadInputError(f"'{found[name]}' and '{path}' have the same name but for their ending; keep one.")
        found[name] = path
    return found


def _folder(folder: Path) -> list[_Entry]:
    return [_Entry(_name(p, folder), str(p.parent.relative_to(folder)), p, None, "") for p in _audio_files(folder)]


def _pairs_of_folders(unmastered: Path, mastered: Path) -> list[_Entry]:
    sides = [_by_name(folder) for folder in (unmastered, mastered)]
    for here, there, folder in ((sides[0], sides[1], mastered), (sides[1], sides[0], unmastered)):
        if alone := sorted(set(here) - set(there)):
            raise BadInputError(f"'{here[alone[0]]}' has no partner of the same name in '{folder}'.")
    return [_Entry(n, str(p.parent.relative_to(mastered)), p, sides[0][n], "") for n, p in sides[1].items()]


def _beside(csv_file: Path, named: str) -> Path:
    return Path(os.path.normpath(csv_file.parent / named))


def _csv(path: Path) -> list[_Entry]:
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
        target = _beside(path, row["target"])
        source = _beside(path, row["input"]) if row.get("input") else None
        name = Path(row["target"]).with_suffix("").as_posix()
        entries.append(_Entry(name, str(Path(row["target"]).parent), target, source, row.get("genre") or ""))
    counts = Counter(entry.target.resolve() for entry in entries)
    if twice := [target for target, count in counts.items() if count > 1]:
        raise BadInputError(f"'{path}' lists '{twice[0]}' more than once; take the other lines out.")
    if len({e.input is None for e in entries}) == 2:
        raise BadInputError(f"'{path}' gives an input in some lines only; give one in every line or in none.")
    return entries

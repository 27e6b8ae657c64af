"""From what `--data` names to songs: each file checked once, each source with its share of the excerpts."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nmjax.data import decoded_cache, pair_check
from nmjax.data.catalog import Song
from nmjax.data.discovery import AudioFile, SongEntry, csv_entries, folder_entries, paired_entries, pause_gc
from nmjax.data.index import LookupResult, index_path, look_up_files
from nmjax.runtime.errors import BadInputError


@dataclasses.dataclass(frozen=True)
class DataSource:
    """A folder or CSV, and the weight that its excerpts have beside those of others (None: as many as it has)."""

    path: Path
    weight: float | None = None


def parse_sources(specs: Sequence[str]) -> tuple[DataSource, ...]:
    """Each `PATH` or `PATH=WEIGHT`; a path that exists as it is written is one.

    Raises:
        BadInputError: a weight that is no number above 0, or one for some of them only.
    """
    sources = tuple(_parse_source(text) for text in specs)
    if len({source.weight is None for source in sources}) == 2:
        unweighted_path = next(source.path for source in sources if source.weight is None)
        raise BadInputError(
            f"--data {unweighted_path} has no weight and others have; give one to every --data or to none."
        )
    return sources


def _parse_source(text: str) -> DataSource:
    path, separator, weight = text.rpartition("=")
    if not separator or os.path.exists(text):
        return DataSource(Path(text))
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not (path and 0.0 < number < math.inf):
        raise BadInputError(f"'{text}' is missing, and '{weight}' is no weight; write PATH or PATH=WEIGHT, as music=2.")
    return DataSource(Path(path), number)


def find_all_songs(
    sources: Sequence[DataSource],
    target: Path | None = None,
    cache_dir: Path | None = None,
    report: Callable[[str], None] = print,
) -> list[Song]:
    """The songs of all sources; where there are several, names and groups begin with the source's.

    Args and errors are those of `find_songs`, and a song that is in two sources, or an unmastered side in some only.
    """
    if len(sources) == 1:
        return find_songs(sources[0].path, target, cache_dir, report)
    if target:
        raise BadInputError("--target goes with one --data; list several folders of pairs in a CSV (input,target).")
    songs, labels = [], _source_labels([source.path for source in sources])
    for source_index, (source, label) in enumerate(zip(sources, labels, strict=True)):
        for song in find_songs(source.path, None, cache_dir, report):
            group = f"{label}/{song.group}" if song.group else ""
            songs.append(dataclasses.replace(song, name=f"{label}/{song.name}", group=group, source_index=source_index))
    first_by_path: dict[str, Song] = {}
    for song in songs:
        other = first_by_path.setdefault(song.target.original_path, song)
        if other.source_index != song.source_index:
            first_path, second_path = sources[other.source_index].path, sources[song.source_index].path
            raise BadInputError(
                f"'{song.target.original_path}' is in --data {first_path} and in --data {second_path}; take it out of one."
            )
    paired_song, unpaired_song = (
        next((s for s in songs if bool(s.input) is has_input), None) for has_input in (True, False)
    )
    if paired_song and unpaired_song:
        first_path, second_path = sources[paired_song.source_index].path, sources[unpaired_song.source_index].path
        raise BadInputError(
            f"--data {first_path} has an unmastered side and --data {second_path} has none; train on one kind."
        )
    return songs


def find_songs(
    data: Path, target: Path | None = None, cache_dir: Path | None = None, report: Callable[[str], None] = print
) -> list[Song]:
    """Songs of a folder of mastered music, of two folders with the same file names, or of a CSV.

    Args:
        data: a folder, or a CSV with a column `target` and, if wanted, `input` and `genre`; its paths are relative to
        it.
        target: the mastered side's folder; `data` is then the unmastered side's.
        cache_dir: where indices are, and where lossy files are decoded to.
        report: called with a sentence for each new file of a folder that is left out, and one for all others.

    Raises:
        BadInputError: nothing there, nothing usable, or a pair that is none.
    """
    cache_dir = cache_dir or decoded_cache.default_cache_dir()
    if target:
        return _songs_or_raise(paired_entries(data, target, report), target, data, cache_dir, report)
    if data.is_file():
        return _songs_or_raise(csv_entries(data), data, data, cache_dir, report)
    entries = folder_entries(data, report)
    lookups = look_up_files(data, [entry.target for entry in entries], cache_dir, report)
    _report_skipped(lookups, index_path(data, cache_dir), report)
    with pause_gc():
        songs = [
            Song(e.name, e.group, lookup.recording)
            for e, lookup in zip(entries, lookups, strict=True)
            if lookup.recording
        ]
    if not songs:
        raise BadInputError(f"No file in '{data}' can be used; the first: {lookups[0].error}")
    return songs


def _songs_or_raise(
    entries: list[SongEntry], target_path: Path, input_path: Path, cache_dir: Path, report: Callable[[str], None]
) -> list[Song]:
    """Songs of entries that must all be usable, whose two sides are of the places `target` and `source`."""
    files: dict[Path, dict[str, AudioFile]] = {target_path: {}, input_path: {}}
    for entry in entries:
        files[target_path][entry.target.key] = entry.target
        if entry.input:
            files[input_path][entry.input.key] = entry.input
    lookups: dict[tuple[Path, str], LookupResult] = {}
    for source_path, by_key in files.items():
        results = look_up_files(source_path, list(by_key.values()), cache_dir, report, retry_errors=True)
        lookups |= {(source_path, key): lookup for key, lookup in zip(by_key, results, strict=True)}
    for lookup in lookups.values():
        if lookup.error:
            raise BadInputError(lookup.error)

    def song(entry: SongEntry) -> Song:
        input_recording = lookups[input_path, entry.input.key].recording if entry.input else None
        return Song(
            entry.name, entry.group, lookups[target_path, entry.target.key].recording, input_recording, entry.genre
        )

    songs = [song(entry) for entry in entries]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda song: pair_check.check_pair(song.input, song.target), (s for s in songs if s.input)):
            pass
    return songs


def _report_skipped(lookups: list[LookupResult], index_file: Path, report: Callable[[str], None]) -> None:
    for lookup in lookups:
        if lookup.error and lookup.is_new:
            report(f"Left out: {lookup.error}")
    if skipped_before := sum(bool(lookup.error) and not lookup.is_new for lookup in lookups):
        report(f"Left out: {skipped_before} more as before; to see why, remove '{index_file}'.")


def _source_labels(paths: list[Path]) -> list[str]:
    """The name of each; where two are alike, the whole path."""
    real_paths = [os.path.realpath(path) for path in paths]
    counts = Counter(os.path.basename(path) for path in real_paths)
    return [path if counts[os.path.basename(path)] > 1 else os.path.basename(path) for path in real_paths]

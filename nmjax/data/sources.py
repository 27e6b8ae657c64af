"""The songs of `--data`: folders, pairs of folders and CSV files, scanned, aligned and weighted."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from nmjax.data import decoded_cache
from nmjax.data.alignment_store import look_up_alignments
from nmjax.data.catalog import Recording, Song
from nmjax.data.discovery import AudioFile, SongEntry, csv_entries, folder_entries, paired_entries
from nmjax.data.index import LookupResult, index_path, look_up_files
from nmjax.data.pair_alignment import describe_alignments
from nmjax.runtime.errors import BadInputError


@dataclasses.dataclass(frozen=True)
class DataSource:
    """A folder or CSV. weight: share of the excerpts relative to other sources; None: by the amount of its music."""

    path: Path
    weight: float | None = None


def parse_sources(specs: Sequence[str]) -> tuple[DataSource, ...]:
    """Parse `PATH` or `PATH=WEIGHT`; a text that is an existing path has no weight.

    Raises:
        BadInputError: a weight that is not a positive number, or weights for some sources only.
    """
    sources = tuple(_parse_source(text) for text in specs)
    if len({source.weight is None for source in sources}) == 2:
        unweighted_path = next(source.path for source in sources if source.weight is None)
        raise BadInputError(f"--data {unweighted_path} has no weight, but others have. Weight every --data or none.")
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
    """Songs of all sources; with several sources, names and groups begin with the name of the source.

    Args:
        sources: at least one.
        target, cache_dir, report: see `find_songs`.

    Raises:
        BadInputError: as `find_songs`; a song in two sources; inputs in some sources only.
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
    _check_sources(songs, sources)
    return songs


def _check_sources(songs: Sequence[Song], sources: Sequence[DataSource]) -> None:
    """Raise a BadInputError if a song is in two sources, or if some sources only are pairs."""
    first_by_path: dict[str, Song] = {}
    for song in songs:
        other = first_by_path.setdefault(song.target.original_path, song)
        if other.source_index != song.source_index:
            first, second = sources[other.source_index].path, sources[song.source_index].path
            path = song.target.original_path
            raise BadInputError(f"'{path}' is in --data {first} and in --data {second}. Remove it from one.")
    paired = next((song for song in songs if song.input), None)
    unpaired = next((song for song in songs if not song.input), None)
    if paired and unpaired:
        first, second = sources[paired.source_index].path, sources[unpaired.source_index].path
        raise BadInputError(
            f"--data {first} has an unmastered side and --data {second} has none. Train on one kind of data."
        )


def find_songs(
    data: Path, target: Path | None = None, cache_dir: Path | None = None, report: Callable[[str], None] = print
) -> list[Song]:
    """Songs of a folder of mastered music, of two folders with the same file names, or of a CSV.

    Args:
        data: a folder, or a CSV with a column `target` and optional columns `input` and `genre`.
        target: folder of the mastered sides; `data` is then the folder of the unmastered ones.
        cache_dir: folder of indexes and decoded files; None: ~/.cache/nmjax.
        report: receives a sentence for each skipped file or pair and for each pair that was aligned.

    Raises:
        BadInputError: nothing usable, or an unusable file in a CSV or a pair of folders.
    """
    cache_dir = cache_dir or decoded_cache.default_cache_dir()
    if target:
        return _listed_songs(paired_entries(data, target, report), target, data, cache_dir, report)
    if data.is_file():
        return _listed_songs(csv_entries(data), data, data, cache_dir, report)
    entries = folder_entries(data, report)
    lookups = look_up_files(data, [entry.target for entry in entries], cache_dir, report)
    _report_skipped(lookups, index_path(data, cache_dir), report)
    songs = [
        Song(entry.name, entry.group, lookup.recording)
        for entry, lookup in zip(entries, lookups, strict=True)
        if lookup.recording
    ]
    if not songs:
        raise BadInputError(f"No file in '{data}' can be used; the first: {lookups[0].error}")
    return songs


def _listed_songs(
    entries: Sequence[SongEntry], target_path: Path, input_path: Path, cache_dir: Path, report: Callable[[str], None]
) -> list[Song]:
    """Songs of entries whose files must all be usable; pairs are aligned, and skipped where they cannot be.

    target_path, input_path: the folders or the CSV that the two sides are indexed under.
    """
    target_files, input_files = [entry.target for entry in entries], [entry.input for entry in entries if entry.input]
    if target_path == input_path:  # a CSV: two look-ups under one index would each drop the rows of the other
        targets = inputs = _recordings(target_files + input_files, target_path, cache_dir, report)
    else:
        targets = _recordings(target_files, target_path, cache_dir, report)
        inputs = _recordings(input_files, input_path, cache_dir, report)
    songs = [
        Song(
            entry.name,
            entry.group,
            target=targets[entry.target.key],
            input=inputs[entry.input.key] if entry.input else None,
            genre=entry.genre,
        )
        for entry in entries
    ]
    return _align_songs(songs, target_path, cache_dir, report) if input_files else songs


def _recordings(
    files: Sequence[AudioFile], source_path: Path, cache_dir: Path, report: Callable[[str], None]
) -> dict[str, Recording]:
    """Recordings by key; a BadInputError for the first file that cannot be used."""
    by_key = {file.key: file for file in files}
    recordings = {}
    lookups = look_up_files(source_path, list(by_key.values()), cache_dir, report, retry_errors=True) if files else []
    for key, lookup in zip(by_key, lookups, strict=True):
        if lookup.recording is None:
            raise BadInputError(lookup.error)
        recordings[key] = lookup.recording
    return recordings


def _align_songs(
    songs: Sequence[Song], source_path: Path, cache_dir: Path, report: Callable[[str], None]
) -> list[Song]:
    """The songs with their alignment, without those that cannot be aligned; a BadInputError if none can be."""
    aligned, errors = [], []
    for song, alignment in zip(songs, look_up_alignments(songs, source_path, cache_dir), strict=True):
        if isinstance(alignment, BadInputError):
            errors.append(alignment)
            report(f"Skipped: {alignment}")
        else:
            aligned.append(dataclasses.replace(song, alignment=alignment))
    if not aligned:
        raise errors[0]
    for sentence in describe_alignments(aligned):
        report(sentence)
    return aligned


def _report_skipped(lookups: Sequence[LookupResult], index_file: Path, report: Callable[[str], None]) -> None:
    for lookup in lookups:
        if lookup.error and lookup.is_new:
            report(f"Skipped: {lookup.error}")
    if skipped_before := sum(bool(lookup.error) and not lookup.is_new for lookup in lookups):
        report(f"Skipped {skipped_before} more files as before. To see the reasons, remove '{index_file}'.")


def _source_labels(paths: list[Path]) -> list[str]:
    """The name of each path; the whole path where two names are equal."""
    real_paths = [os.path.realpath(path) for path in paths]
    counts = Counter(os.path.basename(path) for path in real_paths)
    return [path if counts[os.path.basename(path)] > 1 else os.path.basename(path) for path in real_paths]

"""From what `--data` names to songs: each file checked once, each source with its share of the excerpts."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nmjax.data import cache, pairs
from nmjax.data.index import Known, index_path, look_up
from nmjax.data.places import Entry, File, csv_entries, folder_entries, paired_entries, uncollected
from nmjax.data.songs import Song
from nmjax.errors import BadInputError


@dataclasses.dataclass(frozen=True)
class Source:
    """A folder or CSV, and the weight that its excerpts have beside those of others (None: as many as it has)."""

    path: Path
    weight: float | None = None


def parse_sources(given: Sequence[str]) -> tuple[Source, ...]:
    """Each `PATH` or `PATH=WEIGHT`; a path that exists as it is written is one.

    Raises:
        BadInputError: a weight that is no number above 0, or one for some of them only.
    """
    sources = tuple(_source(text) for text in given)
    if len({source.weight is None for source in sources}) == 2:
        bare = next(source.path for source in sources if source.weight is None)
        raise BadInputError(f"--data {bare} has no weight and others have; give one to every --data or to none.")
    return sources


def _source(text: str) -> Source:
    path, sign, weight = text.rpartition("=")
    if not sign or os.path.exists(text):
        return Source(Path(text))
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not (path and 0.0 < number < math.inf):
        raise BadInputError(f"'{text}' is missing, and '{weight}' is no weight; write PATH or PATH=WEIGHT, as music=2.")
    return Source(Path(path), number)


def find_all(
    sources: Sequence[Source],
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
    songs, labels = [], _labels([source.path for source in sources])
    for number, (source, label) in enumerate(zip(sources, labels, strict=True)):
        for song in find_songs(source.path, None, cache_dir, report):
            group = f"{label}/{song.group}" if song.group else ""
            songs.append(dataclasses.replace(song, name=f"{label}/{song.name}", group=group, source=number))
    first: dict[str, Song] = {}
    for song in songs:
        other = first.setdefault(song.target.original, song)
        if other.source != song.source:
            here, there = sources[other.source].path, sources[song.source].path
            raise BadInputError(
                f"'{song.target.original}' is in --data {here} and in --data {there}; take it out of one."
            )
    pair, lone = (next((s for s in songs if bool(s.input) is wanted), None) for wanted in (True, False))
    if pair and lone:
        here, there = sources[pair.source].path, sources[lone.source].path
        raise BadInputError(f"--data {here} has an unmastered side and --data {there} has none; train on one kind.")
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
    cache_dir = cache_dir or cache.default_dir()
    if target:
        return _strict(paired_entries(data, target, report), target, data, cache_dir, report)
    if data.is_file():
        return _strict(csv_entries(data), data, data, cache_dir, report)
    entries = folder_entries(data, report)
    known = look_up(data, [entry.target for entry in entries], cache_dir, report)
    _report_errors(known, index_path(data, cache_dir), report)
    with uncollected():
        songs = [Song(e.name, e.group, k.sound) for e, k in zip(entries, known, strict=True) if k.sound]
    if not songs:
        raise BadInputError(f"No file in '{data}' can be used; the first: {known[0].error}")
    return songs


def _strict(
    entries: list[Entry], target: Path, source: Path, cache_dir: Path, report: Callable[[str], None]
) -> list[Song]:
    """Songs of entries that must all be usable, whose two sides are of the places `target` and `source`."""
    files: dict[Path, dict[str, File]] = {target: {}, source: {}}
    for entry in entries:
        files[target][entry.target.key] = entry.target
        if entry.input:
            files[source][entry.input.key] = entry.input
    known: dict[tuple[Path, str], Known] = {}
    for place, by_key in files.items():
        found = look_up(place, list(by_key.values()), cache_dir, report, again=True)
        known |= {(place, key): this for key, this in zip(by_key, found, strict=True)}
    for this in known.values():
        if this.error:
            raise BadInputError(this.error)

    def song(entry: Entry) -> Song:
        side = known[source, entry.input.key].sound if entry.input else None
        return Song(entry.name, entry.group, known[target, entry.target.key].sound, side, entry.genre)

    songs = [song(entry) for entry in entries]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda song: pairs.check(song.input, song.target), (s for s in songs if s.input)):
            pass
    return songs


def _report_errors(known: list[Known], index: Path, report: Callable[[str], None]) -> None:
    for this in known:
        if this.error and this.new:
            report(f"Left out: {this.error}")
    if before := sum(bool(this.error) and not this.new for this in known):
        report(f"Left out: {before} more as before; to see why, remove '{index}'.")


def _labels(paths: list[Path]) -> list[str]:
    """The name of each; where two are alike, the whole path."""
    real = [os.path.realpath(path) for path in paths]
    counts = Counter(os.path.basename(path) for path in real)
    return [path if counts[os.path.basename(path)] > 1 else os.path.basename(path) for path in real]

"""Alignments of training pairs in a file beside the indexes, so that a run does not align them again at every start."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nmjax.data.catalog import PairAlignment, Recording, Song
from nmjax.data.decoded_cache import short_hash
from nmjax.data.pair_alignment import align_pair
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

_VERSION = 1  # of the method; alignments of another version are measured again


def look_up_alignments(
    songs: Sequence[Song], source_path: Path, cache_dir: Path
) -> list[PairAlignment | BadInputError]:
    """The alignment of each pair, or why it has none; new and changed pairs are aligned and stored.

    Args:
        songs: Pairs.
        source_path: The folder or CSV that the pairs are from.
        cache_dir: Folder of the indexes.

    Raises:
        CannotWriteError: `cache_dir` cannot be written.
    """
    path = cache_dir / f"alignments-{short_hash(os.path.realpath(source_path))}.json"
    stored, keys = _load(path), [_pair_key(song) for song in songs]
    new = [i for i, key in enumerate(keys) if key not in stored]
    results: list[PairAlignment | BadInputError] = [stored.get(key, PairAlignment()) for key in keys]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, result in zip(new, pool.map(_align, [songs[i] for i in new]), strict=True):
            results[i] = result
    aligned = {key: x for key, x in zip(keys, results, strict=True) if isinstance(x, PairAlignment)}
    if aligned.keys() != stored.keys():
        _save(path, aligned)
    return results


def _align(song: Song) -> PairAlignment | BadInputError:
    assert song.input is not None
    try:
        return align_pair(song.input, song.target)
    except BadInputError as error:
        return error


def _pair_key(song: Song) -> str:
    """Changes where one of the files changes."""
    assert song.input is not None
    return short_hash("|".join(_file_key(side) for side in (song.input, song.target)))


def _file_key(recording: Recording) -> str:
    status = os.stat(recording.original_path)
    return f"{recording.original_path}|{status.st_size}|{status.st_mtime_ns}"


def _load(path: Path) -> dict[str, PairAlignment]:
    """Stored alignments by key; empty if the file is missing, damaged or of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return {}
        return {key: PairAlignment(int(x[0]), int(x[1]), float(x[2])) for key, x in content["alignments"].items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {}


def _save(path: Path, alignments: dict[str, PairAlignment]) -> None:
    values = {key: [x.delay_frames, x.polarity, x.gain_db] for key, x in alignments.items()}
    atomic_files.write_text(path, json.dumps({"version": _VERSION, "alignments": values}))

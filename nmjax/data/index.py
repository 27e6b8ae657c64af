"""What is known of every file of a place, in one Parquet file: each is looked at once, and again when it changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nmjax import io
from nmjax.data import cache
from nmjax.data.measure import CENTRES_HZ
from nmjax.data.places import File, uncollected
from nmjax.data.songs import Sound
from nmjax.errors import BadInputError, CannotWriteError

_SAVE_SECONDS = 60.0  # at least as often while files are looked at: a start that is stopped goes on from there


class Row(NamedTuple):
    """A file as it was when it was looked at. error: why it cannot be used, or "". decoded: its twin's name or "".

    The other fields are those of `nmjax.io.AudioInfo` and `nmjax.data.measure.Measured`; empty where there is an error.
    """

    key: str
    size: int
    mtime_ns: int
    error: str
    frames: int = 0
    sample_rate: int = 0
    channels: int = 0
    container: str = ""
    subtype: str = ""
    decoded: str = ""
    loudness: float = -np.inf
    levels: np.ndarray = np.zeros(0, np.int8)
    spectrum: np.ndarray = np.zeros(len(CENTRES_HZ), np.float32)


_SCHEMA = pa.schema(
    {
        "key": pa.binary(),  # a file's name need not be UTF-8
        "size": pa.int64(),
        "mtime_ns": pa.int64(),
        "error": pa.string(),
        "frames": pa.int64(),
        "sample_rate": pa.int32(),
        "channels": pa.int32(),
        "container": pa.string(),
        "subtype": pa.string(),
        "decoded": pa.string(),
        "loudness": pa.float64(),
        "levels": pa.large_binary(),  # a byte each: lists take ten times as long to read
        "spectrum": pa.list_(pa.float32(), len(CENTRES_HZ)),
    },
    metadata={"nmjax": "1"},  # the format; another number is another index
)


class Known(NamedTuple):
    """What there is to a file: a sound, or the sentence why there is none. new: it was looked at just now."""

    sound: Sound | None
    error: str
    new: bool


def index_path(place: Path, cache_dir: Path) -> Path:
    """Where the index of a folder or CSV lies."""
    return cache_dir / f"index-{cache.hashed(os.path.realpath(place))}.parquet"


def look_up(
    place: Path, files: list[File], cache_dir: Path, report: Callable[[str], None] = print, again: bool = False
) -> list[Known]:
    """What is known of each of `files`; new and changed ones are looked at, and the index of `place` is written.

    Args:
        again: look again at those that could not be used.

    Raises:
        CannotWriteError: `cache_dir` cannot be written.
    """
    path = index_path(place, cache_dir)
    rows = load(path)
    decoded = set(os.listdir(cache_dir)) if cache_dir.is_dir() else set()

    def is_known(file: File) -> bool:
        row = rows.get(file.key)
        if row is None or row.size != file.size or row.mtime_ns != file.mtime_ns or (again and row.error):
            return False
        return not row.decoded or row.decoded in decoded

    new = {file.key: file for file in files if not is_known(file)}
    keys = {file.key for file in files}
    kept = {key: row for key, row in rows.items() if key in keys and key not in new}
    if new:
        _look(new, kept, path, cache_dir, report)
    elif len(kept) != len(rows):
        save(path, kept.values())
    with uncollected():
        return [_known(file, kept[file.key], cache_dir, file.key in new) for file in files]


@uncollected()
def load(path: Path) -> dict[str, Row]:
    """An index as it lies on the disk; empty if there is none, or if it is damaged or of another version."""
    try:
        table = pq.read_table(path, page_checksum_verification=True, memory_map=False)
        if not table.schema.equals(_SCHEMA) or table.schema.metadata != _SCHEMA.metadata:
            return {}
        columns = [_values(table.column(name).combine_chunks()) for name in Row._fields]
        return {row.key: row for row in map(Row._make, zip(*columns, strict=True))}
    except (OSError, pa.ArrowException):
        return {}


def save(path: Path, rows: Iterable[Row]) -> None:
    """Write an index, whole or not at all.

    Raises:
        CannotWriteError: the disk is full, or the place cannot be written.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(Row._fields)
    arrays = [_array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
    with io.temporary_beside(path) as temporary:
        table = pa.Table.from_arrays(arrays, schema=_SCHEMA)
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        io.publish(temporary, path)


def _look(
    new: dict[str, File], kept: dict[str, Row], path: Path, cache_dir: Path, report: Callable[[str], None]
) -> None:
    """Add a row for each new file to `kept`. Decoding, filters and FFT leave Python's lock to others, so threads do."""
    saved = time.monotonic()
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for count, row in enumerate(pool.map(lambda file: _row(file, cache_dir), new.values()), 1):
                kept[row.key] = row
                if time.monotonic() > saved + _SAVE_SECONDS:
                    save(path, kept.values())
                    report(f"Listened to {count:,} of {len(new):,} new files …")
                    saved = time.monotonic()
    finally:
        save(path, kept.values())


def _row(file: File, cache_dir: Path) -> Row:
    try:
        info, found, decoded = cache.heard(file, cache_dir)
    except CannotWriteError:
        raise
    except BadInputError as error:
        return Row(file.key, file.size, file.mtime_ns, str(error))
    format_ = (info.sample_rate, info.channels, info.container, info.subtype, decoded)
    measured = (found.loudness, found.levels, found.spectrum)
    return Row(file.key, file.size, file.mtime_ns, "", found.frames, *format_, *measured)


def _known(file: File, row: Row, cache_dir: Path, new: bool) -> Known:
    if row.error:
        return Known(None, row.error, new)
    if row.decoded:
        path, container, subtype, scale = f"{cache_dir}/{row.decoded}", "FLAC", "PCM_24", cache.SCALE
    else:
        path, container, subtype, scale = file.path, row.container, row.subtype, 1.0
    header = (row.frames, row.sample_rate, row.channels, container, subtype)
    return Known(Sound(path, *header, scale, file.real, row.loudness, row.levels, row.spectrum), "", new)


def _array(values: tuple, kind: pa.DataType) -> pa.Array:
    if pa.types.is_large_binary(kind):
        return pa.array([x.tobytes() for x in values], kind)
    if pa.types.is_fixed_size_list(kind):
        flat = np.concatenate([np.zeros(0, np.float32), *values])
        return pa.FixedSizeListArray.from_arrays(flat, kind.list_size)
    return pa.array([x.encode(errors="surrogateescape") for x in values] if pa.types.is_binary(kind) else values, kind)


def _values(column: pa.Array) -> Iterable[Any]:
    kind = column.type
    if pa.types.is_large_binary(kind):
        return [np.frombuffer(x, np.int8) for x in column.to_pylist()]
    if pa.types.is_fixed_size_list(kind):
        return column.flatten().to_numpy().reshape(-1, kind.list_size)
    if pa.types.is_binary(kind):
        return [x.decode(errors="surrogateescape") for x in column.to_pylist()]
    return column.to_pylist()

"""Parquet index of scan results, one row per file; changed files are scanned again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nmjax.data import decoded_cache
from nmjax.data.catalog import Recording
from nmjax.data.discovery import AudioFile
from nmjax.data.scan import THIRD_OCTAVE_CENTERS_HZ
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError, CannotWriteError

_SAVE_SECONDS = 60.0  # between two saves during a scan, so that an interrupted one continues from there


class IndexRow(NamedTuple):
    """A scanned file. The names are the columns of users' index files: a new name would scan their music again.

    error says why a file cannot be used; all following fields are empty then. decoded is the name of a lossy file's
    copy in the cache folder. The others are those of `nmjax.audio.reader.AudioInfo` and `nmjax.data.scan.FileScan`.
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
    spectrum: np.ndarray = np.zeros(len(THIRD_OCTAVE_CENTERS_HZ), np.float32)


_SCHEMA = pa.schema(
    {
        "key": pa.binary(),  # file names need not be UTF-8
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
        "spectrum": pa.list_(pa.float32(), len(THIRD_OCTAVE_CENTERS_HZ)),
    },
    metadata={"nmjax": "1"},  # version of the format; indexes of another version are ignored
)


class LookupResult(NamedTuple):
    """A usable file's recording, or the error of another one. is_new: it was scanned just now."""

    recording: Recording | None
    error: str
    is_new: bool


def index_path(source_path: Path, cache_dir: Path) -> Path:
    """The index file of a folder or CSV."""
    return cache_dir / f"index-{decoded_cache.short_hash(os.path.realpath(source_path))}.parquet"


def look_up_files(
    source_path: Path,
    files: Sequence[AudioFile],
    cache_dir: Path,
    report: Callable[[str], None] = print,
    retry_errors: bool = False,
) -> list[LookupResult]:
    """Look up each file in the index of `source_path`; scan new and changed ones and update the index.

    Args:
        retry_errors: scan files again that could not be used.

    Raises:
        CannotWriteError: `cache_dir` cannot be written.
    """
    path = index_path(source_path, cache_dir)
    rows = load_index(path)
    decoded_names = set(os.listdir(cache_dir)) if cache_dir.is_dir() else set()

    def is_current(file: AudioFile) -> bool:
        row = rows.get(file.key)
        if row is None or row.size != file.size or row.mtime_ns != file.mtime_ns or (retry_errors and row.error):
            return False
        return not row.decoded or row.decoded in decoded_names

    new_files = {file.key: file for file in files if not is_current(file)}
    keys = {file.key for file in files}
    current_rows = {key: row for key, row in rows.items() if key in keys and key not in new_files}
    if new_files:
        _scan_new_files(list(new_files.values()), current_rows, path, cache_dir, report)
    elif len(current_rows) != len(rows):
        save_index(path, current_rows.values())
    return [_lookup_result(file, current_rows[file.key], cache_dir, file.key in new_files) for file in files]


def load_index(path: Path) -> dict[str, IndexRow]:
    """Rows of an index file by key; empty if the file is missing, damaged or of another version."""
    try:
        table = pq.read_table(path, page_checksum_verification=True, memory_map=False)
        if not table.schema.equals(_SCHEMA) or table.schema.metadata != _SCHEMA.metadata:
            return {}
        columns = [_from_arrow(table.column(name).combine_chunks()) for name in IndexRow._fields]
        return {row.key: row for row in map(IndexRow._make, zip(*columns, strict=True))}
    except (OSError, pa.ArrowException):
        return {}


def save_index(path: Path, rows: Iterable[IndexRow]) -> None:
    """Write an index file atomically.

    Raises:
        CannotWriteError: the disk is full or the folder cannot be written.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(IndexRow._fields)
    arrays = [_to_arrow(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
    with atomic_files.atomic_write(path) as temporary:
        table = pa.Table.from_arrays(arrays, schema=_SCHEMA)
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def _scan_new_files(
    files: Sequence[AudioFile],
    rows: dict[str, IndexRow],
    path: Path,
    cache_dir: Path,
    report: Callable[[str], None],
) -> None:
    """Add a row for each file to `rows`, in threads: decoding, filters and FFTs release Python's lock."""
    last_save = time.monotonic()
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for count, row in enumerate(pool.map(lambda file: _scan_row(file, cache_dir), files), 1):
                rows[row.key] = row
                if time.monotonic() > last_save + _SAVE_SECONDS:
                    save_index(path, rows.values())
                    report(f"Scanned {count:,} of {len(files):,} new files …")
                    last_save = time.monotonic()
    finally:
        save_index(path, rows.values())


def _scan_row(file: AudioFile, cache_dir: Path) -> IndexRow:
    try:
        info, scan, decoded_name = decoded_cache.scan_file(file, cache_dir)
    except CannotWriteError:
        raise
    except BadInputError as error:
        return IndexRow(file.key, file.size, file.mtime_ns, str(error))
    return IndexRow(
        key=file.key,
        size=file.size,
        mtime_ns=file.mtime_ns,
        error="",
        frames=scan.frames,
        sample_rate=info.sample_rate,
        channels=info.channels,
        container=info.container,
        subtype=info.subtype,
        decoded=decoded_name,
        loudness=scan.loudness_lufs,
        levels=scan.levels_lufs,
        spectrum=scan.spectrum_db,
    )


def _lookup_result(file: AudioFile, row: IndexRow, cache_dir: Path, is_new: bool) -> LookupResult:
    if row.error:
        return LookupResult(None, row.error, is_new)
    recording = Recording(
        path=f"{cache_dir}/{row.decoded}" if row.decoded else file.path,
        frames=row.frames,
        sample_rate=row.sample_rate,
        channels=row.channels,
        container="FLAC" if row.decoded else row.container,
        subtype="PCM_24" if row.decoded else row.subtype,
        scale=decoded_cache.DECODED_SCALE if row.decoded else 1.0,
        original_path=file.real_path,
        loudness_lufs=row.loudness,
        levels_lufs=row.levels,
        spectrum_db=row.spectrum,
    )
    return LookupResult(recording, "", is_new)


def _to_arrow(values: tuple, arrow_type: pa.DataType) -> pa.Array:
    if pa.types.is_large_binary(arrow_type):
        return pa.array([x.tobytes() for x in values], arrow_type)
    if pa.types.is_fixed_size_list(arrow_type):
        flat = np.concatenate([np.zeros(0, np.float32), *values])
        return pa.FixedSizeListArray.from_arrays(flat, arrow_type.list_size)
    if pa.types.is_binary(arrow_type):
        return pa.array([x.encode(errors="surrogateescape") for x in values], arrow_type)
    return pa.array(values, arrow_type)


def _from_arrow(column: pa.Array) -> Iterable[Any]:
    arrow_type = column.type
    if pa.types.is_large_binary(arrow_type):
        return [np.frombuffer(x, np.int8) for x in column.to_pylist()]
    if pa.types.is_fixed_size_list(arrow_type):
        return column.flatten().to_numpy().reshape(-1, arrow_type.list_size)
    if pa.types.is_binary(arrow_type):
        return [x.decode(errors="surrogateescape") for x in column.to_pylist()]
    return column.to_pylist()

"""Writers of the result tables: settings and tracks as Parquet, everything else as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nmjax.analysis.batched_decode import EQ_FIELDS
from nmjax.analysis.collection import Track
from nmjax.analysis.predictions import CollectionPredictions, iter_window_settings, save_parquet
from nmjax.runtime import atomic_files

_ROW_GROUP_TRACKS = 512
_INDEX_COLUMNS = [("track", pa.string()), ("group", pa.string()), ("window", pa.int32()), ("band", pa.int32())]
_VALUE_COLUMNS = ("freq_hz", "gain_db", "gate", "rendered_gain_db", "q", "loudness_lufs")


def settings_schema(processor_fields: Sequence[str]) -> pa.Schema:
    """The columns of `settings.parquet`.

    `window` counts from 0 and is null for a whole track. `band` counts from 1 and is null in the row with the settings
    of the processors, which have a column each.
    """
    return pa.schema(_INDEX_COLUMNS + [(name, pa.float32()) for name in (*_VALUE_COLUMNS, *processor_fields)])


def save_settings(predicted: CollectionPredictions, out: Path, path: Path) -> None:
    """Write `settings.parquet`: a row for each track (and window) and band, streamed from the shards in `out`."""
    processor_fields = [name for name in predicted.settings if name not in EQ_FIELDS]
    schema = settings_schema(processor_fields)

    def tables() -> Iterator[pa.Table]:
        count = len(predicted.tracks)
        for start in range(0, count, _ROW_GROUP_TRACKS):
            group = []
            for i in range(start, min(start + _ROW_GROUP_TRACKS, count)):
                values = {name: array[i : i + 1] for name, array in predicted.settings.items()}
                values["loudness_lufs"] = predicted.descriptors["loudness_lufs"][i : i + 1]
                group.append(_track_table(predicted.tracks[i], values, processor_fields, is_whole_track=True))
            yield pa.concat_tables(group)
        pending: list[pa.Table] = []
        for track, values in iter_window_settings(predicted.tracks, out):
            pending.append(_track_table(track, values, processor_fields, is_whole_track=False))
            if len(pending) == _ROW_GROUP_TRACKS:
                yield pa.concat_tables(pending)
                pending = []
        if pending:
            yield pa.concat_tables(pending)

    with atomic_files.temporary_sibling(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in tables():
                writer.write_table(table)
        atomic_files.commit_file(temporary, path)


def _track_table(
    track: Track,
    values: dict[str, np.ndarray],
    processor_fields: Sequence[str],
    *,
    is_whole_track: bool,
) -> pa.Table:
    """All rows of a track: for each window a row for each band, and one for the processors if there are any."""
    schema = settings_schema(processor_fields)
    count, bands = values["freq_hz"].shape
    rows = bands + bool(processor_fields)
    arrays = {name: np.full((count, rows), np.nan) for name in schema.names[len(_INDEX_COLUMNS) :]}
    for name in EQ_FIELDS:
        arrays[name][:, :bands] = values[name]
    arrays["rendered_gain_db"][:, :bands] = values["gain_db"] * values["gate"]
    arrays["loudness_lufs"][:] = values["loudness_lufs"][:, None]
    for name in processor_fields:
        arrays[name][:, bands] = values[name]
    columns = {name: pa.array(x.ravel(), pa.float32(), from_pandas=True) for name, x in arrays.items()}
    window_index = np.repeat(np.arange(count), rows)
    band = np.tile(np.arange(1, rows + 1), count)
    columns["track"] = pa.array([track.name] * count * rows)
    columns["group"] = pa.array([track.group or None] * count * rows, pa.string())
    columns["window"] = pa.array(window_index, pa.int32(), mask=np.full(len(window_index), is_whole_track))
    columns["band"] = pa.array(band, pa.int32(), mask=band > bands)
    return pa.table({name: columns[name] for name in schema.names}, schema)


def save_tracks(predicted: CollectionPredictions, path: Path, **extra_columns: np.ndarray) -> None:
    """Write `tracks.parquet`: a row for each track with its descriptors, z, and further columns."""
    columns = {
        "track": pa.array(predicted.track_names),
        "group": pa.array([track.group or None for track in predicted.tracks], pa.string()),
        "seconds": pa.array([track.recording.seconds for track in predicted.tracks]),
        **{name: pa.array(x, from_pandas=True) for name, x in predicted.descriptors.items()},
        **{name: pa.array(x) for name, x in extra_columns.items()},
        "z": pa.array(list(predicted.z.astype(np.float32)), pa.list_(pa.float32())),
    }
    save_parquet(pa.table(columns), path)


def save_csv(rows: Sequence[dict], path: Path) -> None:
    """Write rows with the keys of the first one; floats with six digits, NaN as an empty cell."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _format_cell(value) for key, value in row.items()} for row in rows)
    atomic_files.write_text(path, lines.getvalue())


def _format_cell(value: object) -> object:
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.6g}"
    return value

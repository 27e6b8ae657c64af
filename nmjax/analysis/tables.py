"""Tables: all settings in one Parquet file, a row a track in another, and results as CSV."""

from __future__ import annotations

import csv
import io as text
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nmjax import io
from nmjax.analysis.answers import Answers, save_table, windows
from nmjax.analysis.collection import Track
from nmjax.analysis.settling import EQ

_AT_ONCE = 512  # tracks, in one row group


def settings_schema(stages: Sequence[str]) -> pa.Schema:
    """Columns of `settings.parquet`. window is null for a whole track and else counts from 0; band counts from 1, and
    is null in the row that holds the settings of the later stages (a column each)."""
    return pa.schema(
        [("track", pa.string()), ("group", pa.string()), ("window", pa.int32()), ("band", pa.int32())]
        + [(n, pa.float32()) for n in ("freq_hz", "gain_db", "gate", "rendered_gain_db", "q", "loudness", *stages)]
    )


def save_settings(answers: Answers, out: Path, path: Path) -> None:
    """`settings.parquet`: a row a track (and window) and band, streamed from the parts in `out`."""
    stages = [name for name in answers.settings if name not in EQ]
    schema = settings_schema(stages)

    def tables() -> Iterator[pa.Table]:
        count = len(answers.tracks)
        for start in range(0, count, _AT_ONCE):
            yield pa.concat_tables(
                _rows(answers.tracks[i], {k: v[i : i + 1] for k, v in answers.settings.items()}
                      | {"loudness": answers.measures["loudness"][i : i + 1]}, stages, schema, whole=True)
                for i in range(start, min(start + _AT_ONCE, count))
            )  # fmt: skip
        held: list[pa.Table] = []
        for track, values in windows(answers.tracks, out):
            held.append(_rows(track, values, stages, schema, whole=False))
            if len(held) == _AT_ONCE:
                yield pa.concat_tables(held)
                held = []
        if held:
            yield pa.concat_tables(held)

    with io.temporary_beside(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in tables():
                writer.write_table(table)
        io.publish(temporary, path)


def _rows(
    track: Track, values: dict[str, np.ndarray], stages: Sequence[str], schema: pa.Schema, whole: bool
) -> pa.Table:
    """All rows of a track: for each window its bands, then one with the later stages if there are any."""
    count, bands = values["freq_hz"].shape
    rows = bands + bool(stages)
    columns: dict[str, np.ndarray | pa.Array] = {name: np.full((count, rows), np.nan) for name in schema.names[4:]}
    for name in EQ:
        columns[name][:, :bands] = values[name]
    columns["rendered_gain_db"][:, :bands] = values["gain_db"] * values["gate"]
    columns["loudness"][:] = values["loudness"][:, None]
    for name in stages:
        columns[name][:, bands] = values[name]
    columns = {n: pa.array(x.ravel(), pa.float32(), from_pandas=True) for n, x in columns.items()}
    number = np.repeat(np.arange(count), rows)
    band = np.tile(np.arange(1, rows + 1), count)
    columns["track"] = pa.array([track.name] * count * rows)
    columns["group"] = pa.array([track.group or None] * count * rows, pa.string())
    columns["window"] = pa.array(number, pa.int32(), mask=np.full(len(number), whole))
    columns["band"] = pa.array(band, pa.int32(), mask=band > bands)
    return pa.table({name: columns[name] for name in schema.names}, schema)


def save_tracks(answers: Answers, path: Path, **more: np.ndarray) -> None:
    """`tracks.parquet`: a row a track with what was measured, z, and further columns."""
    columns = {
        "track": pa.array(answers.names),
        "group": pa.array([track.group or None for track in answers.tracks], pa.string()),
        "seconds": pa.array([track.sound.seconds for track in answers.tracks]),
        **{name: pa.array(x, from_pandas=True) for name, x in answers.measures.items()},
        **{name: pa.array(x) for name, x in more.items()},
        "z": pa.array(list(answers.z.astype(np.float32)), pa.list_(pa.float32())),
    }
    save_table(pa.table(columns), path)


def save_csv(rows: Sequence[dict], path: Path) -> None:
    """Rows with the keys of the first one; numbers in six digits, NaN as nothing."""
    lines = text.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    io.write_text(path, lines.getvalue())


def _cell(value: object) -> object:
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.6g}"
    return value

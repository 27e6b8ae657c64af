"""Predicted settings of a collection, written in resumable Parquet shards and read back as arrays."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from nmjax.analysis import batched_encode
from nmjax.analysis.batched_decode import EQ_FIELDS, decode_settings, flatten_prediction, prediction_shapes
from nmjax.analysis.collection import Track
from nmjax.analysis.descriptors import DESCRIPTORS, window_loudness_lufs
from nmjax.mastering.network import Network
from nmjax.models import ENCODERS, SAMPLE_RATE
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

SHARD_DIR = "shards"
_SAVE_INTERVAL_SECONDS = 20.0  # after an interruption at most this much work is repeated
_SHARD_VERSION = 2


@dataclasses.dataclass(frozen=True)
class CollectionPredictions:
    """Predicted settings of tracks, float64.

    Attributes:
        tracks: in the order of the rows of all arrays.
        settings: `freq_hz`, `gain_db`, `gate`, `q`, each `[tracks, bands]`, and settings of processors, as
            `compressor_ratio`, each `[tracks]`.
        z: latents.
        descriptors: each of `descriptors.DESCRIPTORS`, `[tracks]`.
        has_gates: whether the network has gates.
    """

    tracks: list[Track]
    settings: dict[str, np.ndarray]
    z: Float[np.ndarray, "tracks latent"]
    descriptors: dict[str, np.ndarray]
    has_gates: bool

    @property
    def rendered_gain_db(self) -> Float[np.ndarray, "tracks bands"]:
        """The gains as rendered: multiplied by the gates."""
        return self.settings["gain_db"] * self.settings["gate"]

    @property
    def groups(self) -> np.ndarray:
        """The group of each track, "" if it is in none."""
        return np.array([track.group for track in self.tracks])

    @property
    def track_names(self) -> list[str]:
        """The name of each track."""
        return [track.name for track in self.tracks]


def predict_tracks(
    tracks: Sequence[Track], network: Network, out: Path, window_seconds: float | None, report: Callable[[str], None]
) -> int:
    """Predict the settings of every track that has none in `out` yet; returns the number of these tracks.

    Args:
        tracks: to predict.
        network: that predicts.
        out: folder of the results; the shards are in a subfolder.
        window_seconds: length of the windows whose settings are stored too; None stores those of whole tracks only.
        report: receives messages to the user.

    Raises:
        BadInputError: `out` has predictions of another network or for other windows, or cannot be written.
    """
    core = batched_encode.core_samples(window_seconds) if window_seconds else batched_encode.DEFAULT_CORE
    schema = _shard_schema(network, core if window_seconds else 0)
    predicted_keys = {
        key for shard in _shard_paths(out) for key in _read_shard_keys(shard, schema, out).column("key").to_pylist()
    }
    remaining = [track for track in tracks if track.file_key not in predicted_keys]
    if predicted_keys and remaining:
        report(f"{len(tracks) - len(remaining)} tracks were predicted before.")
    pending: list[batched_encode.EncodedTrack] = []
    last_save = time.monotonic()
    try:
        for count, encoded in enumerate(batched_encode.encode_tracks(remaining, network, core, report=report), 1):
            pending.append(encoded)
            if time.monotonic() > last_save + _SAVE_INTERVAL_SECONDS:
                _write_shard(pending, network, schema, out)
                pending, last_save = [], time.monotonic()
                report(f"Predicted {count:,} of {len(remaining):,} tracks …")
    finally:  # also after Ctrl-C
        _write_shard(pending, network, schema, out)
    return len(remaining)


def load_predictions(tracks: Sequence[Track], network: Network, out: Path) -> CollectionPredictions:
    """The predictions in `out` of those tracks that have one, in their order.

    Raises:
        BadInputError: fewer than two tracks have one.
    """
    row_by_key: dict[str, dict] = {}
    for shard in _shard_paths(out):
        columns = [name for name in pq.read_schema(shard).names if name != "windows"]
        row_by_key |= {row["key"]: row for row in pq.read_table(shard, columns=columns).to_pylist()}
    predicted_tracks = [track for track in tracks if track.file_key in row_by_key]
    if len(predicted_tracks) < 2:
        raise BadInputError(f"Fewer than two tracks of '{out}' could be read; see the messages above.")
    rows = [row_by_key[track.file_key] for track in predicted_tracks]
    setting_names = flatten_prediction(prediction_shapes(network))
    arrays = {name: np.array([row[name] for row in rows], np.float64) for name in setting_names}
    z = arrays.pop("z")
    descriptors = {name: np.array([row[name] for row in rows], np.float64) for name in DESCRIPTORS}
    return CollectionPredictions(
        predicted_tracks, arrays, z, descriptors, prediction_shapes(network).gate_logit is not None
    )


def iter_window_settings(tracks: Sequence[Track], out: Path) -> Iterator[tuple[Track, dict[str, np.ndarray]]]:
    """The settings by window of each track that has them: EQ arrays `[windows, bands]`, others `[windows]`.

    `loudness_lufs` is among them.
    """
    by_key = {track.file_key: track for track in tracks}
    for shard in _shard_paths(out):
        for row in pq.read_table(shard, columns=["key", "windows"]).to_pylist():
            if row["windows"] and row["key"] in by_key:
                values = {name: np.array(x, np.float64) for name, x in row["windows"].items()}
                yield by_key[row["key"]], values


def _write_shard(encoded: list[batched_encode.EncodedTrack], network: Network, schema: pa.Schema, out: Path) -> None:
    """Write the settings of encoded tracks as one more shard."""
    if not encoded:
        return
    stride = ENCODERS[network.config.model.encoder].STRIDE
    with_windows = bool(json.loads(schema.metadata[b"nmjax"])["core"])
    track_settings = decode_settings(np.stack([track.track_mean for track in encoded]), network)
    rows = [
        {"key": track.track.file_key, **track.descriptors, **{name: x[i] for name, x in track_settings.items()}}
        for i, track in enumerate(encoded)
    ]
    if with_windows:
        window_settings = decode_settings(np.concatenate([track.window_means for track in encoded]), network)
        ends = np.cumsum([len(track.frame_counts) for track in encoded])
        for row, track, end in zip(rows, encoded, ends, strict=True):
            of_track = slice(end - len(track.frame_counts), end)
            edges_s = np.concatenate([[0], np.cumsum(track.frame_counts)]) * stride / SAMPLE_RATE
            windows: dict[str, Any] = {name: list(x[of_track]) for name, x in window_settings.items() if name != "z"}
            row["windows"] = windows | {"loudness_lufs": window_loudness_lufs(track.track.recording, edges_s)}
    shard_number = 1 + max((int(p.stem) for p in _shard_paths(out)), default=0)
    save_parquet(pa.Table.from_pylist(rows, schema), out / SHARD_DIR / f"{shard_number:06d}.parquet")


def _shard_schema(network: Network, core: int) -> pa.Schema:
    """The columns of a shard. core: samples of a window; 0 if windows are not stored."""
    names = [name for name in flatten_prediction(prediction_shapes(network)) if name != "z"]
    scalar, vector = pa.float32(), pa.list_(pa.float32())
    column_types = {name: vector if name in EQ_FIELDS else scalar for name in names}
    window_columns = {name: pa.list_(kind) for name, kind in column_types.items()} | {"loudness_lufs": vector}
    columns = {
        "key": pa.string(),
        **dict.fromkeys(DESCRIPTORS, pa.float64()),
        **column_types,
        "z": vector,
        "windows": pa.struct(window_columns),
    }
    metadata = json.dumps({"version": _SHARD_VERSION, "network": network.checkpoint_digest, "core": core})
    return pa.schema(columns, metadata={"nmjax": metadata})


def save_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file atomically.

    Raises:
        CannotWriteError: a full disk or a path that cannot be written.
    """
    with atomic_files.temporary_sibling(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        atomic_files.commit_file(temporary, path)


def _shard_paths(out: Path) -> list[Path]:
    return sorted(p for p in (out / SHARD_DIR).glob("*.parquet") if p.stem.isdigit())


def _read_shard_keys(shard: Path, schema: pa.Schema, out: Path) -> pa.Table:
    try:
        table = pq.read_table(shard, columns=["key"], page_checksum_verification=True)
        metadata = pq.read_schema(shard).metadata[b"nmjax"]
    except (OSError, pa.ArrowException, KeyError, TypeError):
        raise BadInputError(f"'{shard}' is damaged; remove it, and its tracks are predicted again.") from None
    if metadata != schema.metadata[b"nmjax"]:
        raise BadInputError(
            f"'{out}' has the analysis of another network or of other windows; choose another --out, or remove it."
        )
    return table

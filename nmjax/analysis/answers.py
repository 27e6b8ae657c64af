"""The settings of a whole collection: asked for in parts that outlive a kill, and read back as arrays."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from nmjax import io
from nmjax.analysis import listening
from nmjax.analysis.collection import Track
from nmjax.analysis.measures import NAMES, window_loudness
from nmjax.analysis.settling import EQ, flat, settled, shape_of
from nmjax.errors import BadInputError
from nmjax.inference.network import Network
from nmjax.models import ENCODERS, SAMPLE_RATE

_PARTS = "parts"
_SAVE_SECONDS = 20.0  # at least as often, so that a kill costs no more
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Answers:
    """Settings of tracks, each EQ array `[tracks, bands]` float64.

    settings: `freq_hz`, `gain_db`, `gate`, `q`, and of later stages `STAGE_FIELD`, each `[tracks]`. z: `[tracks, 512]`.
    measures: by the names of `measures.NAMES`, each `[tracks]`. gated: whether the network has gates.
    """

    tracks: list[Track]
    settings: dict[str, np.ndarray]
    z: Float[np.ndarray, "tracks latent"]
    measures: dict[str, np.ndarray]
    gated: bool

    @property
    def rendered_db(self) -> Float[np.ndarray, "tracks bands"]:
        """The gains that are heard."""
        return self.settings["gain_db"] * self.settings["gate"]

    @property
    def groups(self) -> np.ndarray:
        """Each track's, "" where it is in none."""
        return np.array([track.group for track in self.tracks])

    @property
    def names(self) -> list[str]:
        """Each track's."""
        return [track.name for track in self.tracks]


def ask(
    tracks: Sequence[Track], network: Network, out: Path, window_seconds: float | None, report: Callable[[str], None]
) -> int:
    """Have the network answer for every track that `out` has no answer for yet; how many there were.

    Args:
        window_seconds: length of the windows whose settings are kept as well; None keeps the tracks' alone.

    Raises:
        BadInputError: `out` holds the answers of another network or for other windows, or cannot be written.
    """
    core = listening.core_of(window_seconds) if window_seconds else listening.CORE
    schema = _schema(network, core if window_seconds else 0)
    done = {key for part in _parts(out) for key in _checked(part, schema, out).column("key").to_pylist()}
    todo = [track for track in tracks if track.key not in done]
    if done and todo:
        report(f"{len(tracks) - len(todo)} tracks were answered for before.")
    waiting: list[listening.Heard] = []
    saved = time.monotonic()
    try:
        for count, heard in enumerate(listening.heard(todo, network, core, report=report), 1):
            waiting.append(heard)
            if time.monotonic() > saved + _SAVE_SECONDS:
                _save(waiting, network, schema, out)
                waiting, saved = [], time.monotonic()
                report(f"Heard {count:,} of {len(todo):,} tracks …")
    finally:  # Ctrl-C too
        _save(waiting, network, schema, out)
    return len(todo)


def read(tracks: Sequence[Track], network: Network, out: Path) -> Answers:
    """The answers of those tracks for which there is one, in their order.

    Raises:
        BadInputError: there is none.
    """
    found: dict[str, dict] = {}
    for part in _parts(out):
        columns = [name for name in pq.read_schema(part).names if name != "windows"]
        found |= {row["key"]: row for row in pq.read_table(part, columns=columns).to_pylist()}
    answered = [track for track in tracks if track.key in found]
    if len(answered) < 2:
        raise BadInputError(f"Fewer than two tracks of '{out}' could be read; see above what is wrong with the others.")
    rows, names = [found[track.key] for track in answered], flat(shape_of(network))
    arrays = {name: np.array([row[name] for row in rows], np.float64) for name in names}
    z = arrays.pop("z")
    measures = {name: np.array([row[name] for row in rows], np.float64) for name in NAMES}
    return Answers(answered, arrays, z, measures, shape_of(network).gate_logit is not None)


def windows(tracks: Sequence[Track], out: Path) -> Iterator[tuple[Track, dict[str, np.ndarray]]]:
    """Of each track with windows their settings: EQ arrays `[windows, bands]`, others and `loudness` `[windows]`."""
    by_key = {track.key: track for track in tracks}
    for part in _parts(out):
        for row in pq.read_table(part, columns=["key", "windows"]).to_pylist():
            if row["windows"] and row["key"] in by_key:
                values = {name: np.array(x, np.float64) for name, x in row["windows"].items()}
                yield by_key[row["key"]], values


def _save(heard: list[listening.Heard], network: Network, schema: pa.Schema, out: Path) -> None:
    """One more part with the settings of what was heard."""
    if not heard:
        return
    stride = ENCODERS[network.config.model.encoder].STRIDE
    with_windows = bool(json.loads(schema.metadata[b"nmjax"])["core"])
    whole = settled(np.stack([h.mean for h in heard]), network)
    rows = [{"key": h.track.key, **h.measures, **{n: x[i] for n, x in whole.items()}} for i, h in enumerate(heard)]
    if with_windows:
        each = settled(np.concatenate([h.window_means for h in heard]), network)
        ends = np.cumsum([len(h.frames) for h in heard])
        for row, h, end in zip(rows, heard, ends, strict=True):
            edges = np.concatenate([[0], np.cumsum(h.frames)]) * stride / SAMPLE_RATE
            row["windows"] = {n: list(x[end - len(h.frames) : end]) for n, x in each.items() if n != "z"}
            row["windows"]["loudness"] = window_loudness(h.track.sound, edges)
    number = 1 + max((int(p.stem) for p in _parts(out)), default=0)
    save_table(pa.Table.from_pylist(rows, schema), out / _PARTS / f"{number:06d}.parquet")


def _schema(network: Network, core: int) -> pa.Schema:
    """Of a part. core: samples of a window, 0 where windows are not kept."""
    names = [name for name in flat(shape_of(network)) if name != "z"]
    number, numbers = pa.float32(), pa.list_(pa.float32())
    kinds = {name: numbers if name in EQ else number for name in names}
    kept = pa.struct({**{name: pa.list_(kind) for name, kind in kinds.items()}, "loudness": numbers})
    columns = {"key": pa.string(), **dict.fromkeys(NAMES, pa.float64()), **kinds, "z": numbers, "windows": kept}
    made_by = json.dumps({"version": _VERSION, "network": network.identity, "core": core})
    return pa.schema(columns, metadata={"nmjax": made_by})


def save_table(table: pa.Table, path: Path) -> None:
    """A Parquet file, whole or not at all.

    Raises:
        CannotWriteError: the disk is full or the place cannot be written.
    """
    with io.temporary_beside(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        io.publish(temporary, path)


def _parts(out: Path) -> list[Path]:
    return sorted(p for p in (out / _PARTS).glob("*.parquet") if p.stem.isdigit())


def _checked(part: Path, schema: pa.Schema, out: Path) -> pa.Table:
    try:
        table = pq.read_table(part, columns=["key"], page_checksum_verification=True)
        made_by = pq.read_schema(part).metadata[b"nmjax"]
    except (OSError, pa.ArrowException, KeyError, TypeError):
        raise BadInputError(f"'{part}' is damaged; remove it, and its tracks are listened to again.") from None
    if made_by != schema.metadata[b"nmjax"]:
        raise BadInputError(
            f"'{out}' holds the analysis of another network or of other windows; choose another --out, or remove it."
        )
    return table

"""Target files: the features of a reference as JSON, and the average of several references."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic
from jaxtyping import Bool, Float

from nmjax.reference.bands import CENTERS_HZ, FLOOR_DB, NUM_BANDS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.frame_matching import concat_frames
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

FORMAT = "nmjax target 2"
MAX_BYTES = 100_000
_BAND_FIELDS = ("mid_db", "side_db", "std_error_db")


class _StrictModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Band(_StrictModel):
    freq_hz: float = pydantic.Field(gt=0.0)
    mid_db: float = pydantic.Field(ge=-200.0, le=100.0)
    side_db: float = pydantic.Field(ge=-200.0, le=100.0)
    std_error_db: float = pydantic.Field(ge=0.0, le=100.0)


class _TargetFile(_StrictModel):
    format: str = pydantic.Field(pattern=f"^{FORMAT}$")
    name: str
    seconds: float = pydantic.Field(gt=0.0, le=1e8)
    stereo: bool
    max_hz: float = pydantic.Field(gt=0.0, le=1e6)
    crest_db: float = pydantic.Field(ge=0.0, le=200.0)
    loudness_range_lu: float | None = pydantic.Field(ge=0.0, le=200.0)
    lufs: float | None = pydantic.Field(default=None, ge=-200.0, le=100.0)
    bands: list[_Band]


def average_features(tracks: Sequence[TrackFeatures], weights: Sequence[float]) -> TrackFeatures:
    """Weighted average of the features of several recordings.

    Levels are averaged in dB, each relative to the recording's median, and in each band over the recordings that hold
    something there: not above the low-pass of a codec, not an empty sub-bass. The side counts only of stereo
    recordings. Bands that less than half of the recordings (by weight) can hold are unknown. The standard error is
    that of the mean: the errors of each recording and the variation between them. Frames are concatenated, or None
    where a recording has none.

    Args:
        tracks: features of each recording, at least one.
        weights: positive weight of each recording.
    """
    if len(tracks) == 1:
        return tracks[0]
    normalized = np.asarray(weights, np.float64) / np.sum(weights)
    medians_db = np.array([np.median(track.mid_db[track.known_bands]) for track in tracks])
    median_db = float(normalized @ medians_db)
    mid_db = np.array([track.mid_db for track in tracks]) - medians_db[:, None]
    side_db = np.array([track.side_db for track in tracks]) - medians_db[:, None]
    mid_weights = _normalize([track.active_bands for track in tracks], normalized)
    mean_db = np.sum(mid_weights * mid_db, axis=0)
    std_errors_db = np.array([track.std_error_db for track in tracks])
    between_variance = np.sum(mid_weights * (mid_db - mean_db) ** 2, axis=0) * np.sum(mid_weights**2, axis=0)
    stereo = np.array([track.stereo for track in tracks])
    mean_side_db = np.full(NUM_BANDS, FLOOR_DB)
    if stereo.any():
        side_weights = _normalize([track.active_bands & track.stereo for track in tracks], normalized * stereo)
        mean_side_db = np.sum(side_weights * side_db, axis=0) + median_db
    frames = [track.frames for track in tracks if track.frames]
    return TrackFeatures(
        mid_db=mean_db + median_db,
        side_db=np.maximum(mean_side_db, FLOOR_DB),
        std_error_db=np.sqrt(np.sum(mid_weights**2 * std_errors_db**2, axis=0) + between_variance),
        crest_db=float(normalized @ [track.crest_db for track in tracks]),
        loudness_range=_mean_of_finite([track.loudness_range for track in tracks], normalized, default=math.nan),
        seconds=float(sum(track.seconds for track in tracks)),
        stereo=bool(stereo.any()),
        max_hz=_weighted_median([track.max_hz for track in tracks], normalized),
        lufs=_mean_of_finite([track.lufs for track in tracks], normalized, default=-math.inf),
        frames=concat_frames(frames, weights) if len(frames) == len(tracks) else None,
    )


def _normalize(
    masks: Sequence[Bool[np.ndarray, " bands"]], weights: Float[np.ndarray, " tracks"]
) -> Float[np.ndarray, "tracks bands"]:
    """The weights of the tracks in each band, with sum 1: those of the masked tracks, of all where there is none."""
    in_band = weights[:, None] * np.array(masks)
    total = in_band.sum(axis=0)
    return np.where(total > 0.0, in_band / np.where(total > 0.0, total, 1.0), (weights / weights.sum())[:, None])


def _weighted_median(values: Sequence[float], weights: Float[np.ndarray, " tracks"]) -> float:
    """The largest value that at least half of the weight reaches."""
    order = np.argsort(values)[::-1]
    reached = np.cumsum(weights[order]) >= 0.5 - 1e-9
    return float(np.asarray(values)[order][np.argmax(reached)])


def _mean_of_finite(values: Sequence[float], weights: Float[np.ndarray, " tracks"], default: float) -> float:
    weights = weights * np.isfinite(values)
    if not weights.any():
        return default
    return float(weights @ np.where(weights > 0.0, values, 0.0) / weights.sum())


def to_json(features: TrackFeatures, name: str) -> str:
    """Text of a target file, one line per band; frames are not stored."""
    header = {
        "format": FORMAT,
        "name": _replace_unprintable(name),
        "seconds": round(features.seconds, 2),
        "stereo": features.stereo,
        "max_hz": features.max_hz,
        "crest_db": round(features.crest_db, 3),
        "loudness_range_lu": _round_or_none(features.loudness_range),
        "lufs": _round_or_none(features.lufs),
    }
    columns = {"freq_hz": CENTERS_HZ, **{field: getattr(features, field) for field in _BAND_FIELDS}}
    rows = [{field: round(float(values[i]), 3) for field, values in columns.items()} for i in range(NUM_BANDS)]
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    return f'{json.dumps(header, indent=2, ensure_ascii=False)[:-2]},\n  "bands": [\n{lines}\n  ]\n}}\n'


def _round_or_none(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def save(path: Path, features: TrackFeatures, name: str) -> None:
    """Write a target file atomically."""
    atomic_files.write_text(path, to_json(features, name))


def is_up_to_date(path: Path, features: TrackFeatures, name: str) -> bool:
    """Whether the file is exactly what `save` would write."""
    return path.is_file() and path.read_bytes() == to_json(features, name).encode()


def read(path: Path) -> tuple[TrackFeatures, str]:
    """Features and name from a target file.

    Raises:
        BadInputError: the file is missing, too large or invalid; the message names the first error.
    """
    if not path.is_file():
        raise BadInputError(f"'{path}' is {'a folder' if path.is_dir() else 'missing'}; give a target file.")
    if path.stat().st_size > MAX_BYTES:
        raise BadInputError(f"'{path}' is larger than {MAX_BYTES // 1000} kB, so it is no target file.")
    try:
        parsed = _TargetFile.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise BadInputError(f"'{path}' {_describe_error(error)}") from None
    freq_hz = [band.freq_hz for band in parsed.bands]
    if len(freq_hz) != NUM_BANDS or np.abs(np.log(freq_hz) - np.log(CENTERS_HZ)).max() > 1e-3:
        raise BadInputError(
            f"'{path}' does not have the {NUM_BANDS} bands of a target file (sixths of an octave); save it again."
        )
    features = TrackFeatures(
        mid_db=np.array([band.mid_db for band in parsed.bands]),
        side_db=np.array([band.side_db for band in parsed.bands]),
        std_error_db=np.array([band.std_error_db for band in parsed.bands]),
        crest_db=parsed.crest_db,
        loudness_range=math.nan if parsed.loudness_range_lu is None else parsed.loudness_range_lu,
        seconds=parsed.seconds,
        stereo=parsed.stereo,
        max_hz=parsed.max_hz,
        lufs=-math.inf if parsed.lufs is None else parsed.lufs,
    )
    return features, _replace_unprintable(parsed.name)


def _replace_unprintable(name: str) -> str:
    return "".join(c if c.isprintable() else " " for c in name)


def _describe_error(error: pydantic.ValidationError) -> str:
    """The first error as the end of a sentence; another format takes precedence over the errors that it causes."""
    errors = {".".join(map(str, entry["loc"])): entry for entry in error.errors()}
    location = "format" if "format" in errors else next(iter(errors))
    value = errors[location]["input"]
    if location == "format" and isinstance(value, str):
        return f"has the format {value!r}; this version reads '{FORMAT}'. Save it again with --save-target."
    prefix = f"{location}: " if location else ""
    return f"is no target file ({prefix}{errors[location]['msg']}); make one with --save-target."

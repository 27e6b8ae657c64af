"""A reference's profile as a file, and several together as a house curve."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from nmjax.reference import frame_matching
from nmjax.reference.features import BANDS, CENTERS_HZ, FLOOR_DB, TrackFeatures
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

FORMAT = "nmjax target 1"
MAX_BYTES = 100_000
_BAND_FIELDS = ("mid_db", "side_db", "doubt_db")


class _StrictModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Band(_StrictModel):
    freq_hz: float = pydantic.Field(gt=0.0)
    mid_db: float = pydantic.Field(ge=-200.0, le=100.0)
    side_db: float = pydantic.Field(ge=-200.0, le=100.0)
    std_error_db: float = pydantic.Field(ge=0.0, le=100.0)


class _TargetFile(_StrictModel):
    format: Literal["nmjax target 1"]
    name: str
    seconds: float = pydantic.Field(gt=0.0, le=1e8)
    stereo: bool
    max_hz: float = pydantic.Field(gt=0.0, le=1e6)
    crest_db: float = pydantic.Field(ge=0.0, le=200.0)
    loudness_range_lu: float | None = pydantic.Field(ge=0.0, le=200.0)
    lufs: float | None = pydantic.Field(default=None, ge=-200.0, le=100.0)
    bands: list[_Band]


def average_features(tracks: Sequence[TrackFeatures], weights: Sequence[float]) -> TrackFeatures:
    """One profile of several: weighted means of levels in dB (each about its own median), of crest, range and
    loudness; the moments of all with their weights, or none where one of them has none.

    A band's doubt is that of the mean: what each one doubts, and what they differ by among themselves.
    """
    if len(tracks) == 1:
        return tracks[0]
    normalized = np.asarray(weights, np.float64) / np.sum(weights)
    medians_db = np.array([np.median(track.mid_db) for track in tracks])
    mid_db, side_db = (np.array([x - m for x, m in zip(levels, medians_db, strict=True)]) for levels in (
        [track.mid_db for track in tracks], [track.side_db for track in tracks]))  # fmt: skip
    mean_db = normalized @ mid_db
    std_errors_db = np.array([track.std_error_db for track in tracks])
    between_variance = normalized @ (mid_db - mean_db) ** 2 * np.sum(normalized**2)
    stereo = np.array([track.stereo for track in tracks])
    stereo_weights = normalized * stereo
    median_db = float(normalized @ medians_db)
    frames = [track.frames for track in tracks if track.frames]
    all_have_frames = len(frames) == len(tracks)
    return TrackFeatures(
        mid_db=mean_db + median_db,
        side_db=(stereo_weights @ side_db / stereo_weights.sum() + median_db)
        if stereo.any()
        else np.full(BANDS, FLOOR_DB),
        std_error_db=np.sqrt(normalized**2 @ std_errors_db**2 + between_variance),
        crest_db=float(normalized @ [track.crest_db for track in tracks]),
        loudness_range=_mean_of_finite([track.loudness_range for track in tracks], normalized, math.nan),
        seconds=float(sum(track.seconds for track in tracks)),
        stereo=bool(stereo.any()),
        max_hz=min(track.max_hz for track in tracks),
        lufs=_mean_of_finite([track.lufs for track in tracks], normalized, -math.inf),
        frames=frame_matching.concat_frames(frames, weights) if all_have_frames else None,
    )


def _mean_of_finite(values: Sequence[float], weights: np.ndarray, default: float) -> float:
    finite_weights = weights * np.isfinite(values)
    return (
        float(finite_weights @ np.where(finite_weights > 0.0, values, 0.0) / finite_weights.sum())
        if finite_weights.any()
        else default
    )


def to_json(features: TrackFeatures, name: str) -> str:
    """A target file's text: every band on a line."""
    columns = zip(CENTERS_HZ, *(getattr(features, field) for field in _BAND_FIELDS), strict=True)
    rows = [dict(zip(("freq_hz", *_BAND_FIELDS), (round(float(x), 3) for x in row), strict=True)) for row in columns]
    header = {
        "format": FORMAT,
        "name": _replace_unprintable(name),
        "seconds": round(features.seconds, 2),
        "stereo": features.stereo,
        "highest_hz": features.max_hz,
        "crest_db": round(features.crest_db, 3),
        "loudness_range_lu": _round_or_none(features.loudness_range),
        "lufs": _round_or_none(features.lufs),
    }
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    return f'{json.dumps(header, indent=2, ensure_ascii=False)[:-2]},\n  "bands": [\n{lines}\n  ]\n}}\n'


def _round_or_none(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def save(path: Path, features: TrackFeatures, name: str) -> None:
    """Write a target, whole or not at all."""
    atomic_files.write_text(path, to_json(features, name))


def is_up_to_date(path: Path, features: TrackFeatures, name: str) -> bool:
    """Whether a file is what `save` would write."""
    return path.is_file() and path.read_bytes() == to_json(features, name).encode()


def read(path: Path) -> tuple[TrackFeatures, str]:
    """A target's profile and its name.

    Raises:
        BadInputError: missing, too large, or not what `as_json` writes; a sentence says where.
    """
    if not path.is_file():
        raise BadInputError(f"'{path}' is {'a folder' if path.is_dir() else 'missing'}; give a target file.")
    if path.stat().st_size > MAX_BYTES:
        raise BadInputError(f"'{path}' is larger than {MAX_BYTES // 1000} kB; that is no target file.")
    try:
        parsed = _TargetFile.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise BadInputError(f"'{path}' {_describe_error(error)}") from None
    freq_hz = [band.freq_hz for band in parsed.bands]
    if len(freq_hz) != BANDS or np.abs(np.log(freq_hz) - np.log(CENTERS_HZ)).max() > 1e-3:
        raise BadInputError(f"'{path}' has other bands than {BANDS} sixths of an octave; make it again.")
    columns = (np.array([getattr(band, field) for band in parsed.bands]) for field in _BAND_FIELDS)
    lra = math.nan if parsed.loudness_range_lu is None else parsed.loudness_range_lu
    lufs = -math.inf if parsed.lufs is None else parsed.lufs
    features = TrackFeatures(*columns, parsed.crest_db, lra, parsed.seconds, parsed.stereo, parsed.max_hz, lufs)
    return features, _replace_unprintable(parsed.name)


def _replace_unprintable(name: str) -> str:
    return "".join(c if c.isprintable() else " " for c in name)


def _describe_error(error: pydantic.ValidationError) -> str:
    """The first fault, as the end of a sentence; another version is named before what is new in it."""
    errors = {".".join(map(str, entry["loc"])): entry for entry in error.errors()}
    location = "format" if "format" in errors else next(iter(errors))
    value = errors[location]["input"]
    if location == "format" and isinstance(value, str):
        return f"has the format {value!r}; this version reads '{FORMAT}'."
    prefix = f"{location}: " if location else ""
    return f"is no target file ({prefix}{errors[location]['msg']}); make one with --save-target."

"""A reference's profile as a file, and several together as a house curve."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.reference import moments
from nmjax.reference.profile import BANDS, CENTRES_HZ, FLOOR_DB, Profile

FORMAT = "nmjax target 1"
MOST_BYTES = 100_000
_FIELDS = ("mid_db", "side_db", "doubt_db")


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Band(_Strict):
    freq_hz: float = pydantic.Field(gt=0.0)
    mid_db: float = pydantic.Field(ge=-200.0, le=100.0)
    side_db: float = pydantic.Field(ge=-200.0, le=100.0)
    doubt_db: float = pydantic.Field(ge=0.0, le=100.0)


class _File(_Strict):
    format: Literal["nmjax target 1"]
    name: str
    seconds: float = pydantic.Field(gt=0.0, le=1e8)
    stereo: bool
    highest_hz: float = pydantic.Field(gt=0.0, le=1e6)
    crest_db: float = pydantic.Field(ge=0.0, le=200.0)
    loudness_range_lu: float | None = pydantic.Field(ge=0.0, le=200.0)
    lufs: float | None = pydantic.Field(default=None, ge=-200.0, le=100.0)
    bands: list[_Band]


def together(profiles: Sequence[Profile], weights: Sequence[float]) -> Profile:
    """One profile of several: weighted means of levels in dB (each about its own median), of crest, range and
    loudness; the moments of all with their weights, or none where one of them has none.

    A band's doubt is that of the mean: what each one doubts, and what they differ by among themselves.
    """
    if len(profiles) == 1:
        return profiles[0]
    share = np.asarray(weights, np.float64) / np.sum(weights)
    middles = np.array([np.median(one.mid_db) for one in profiles])
    mid_db, side_db = (np.array([x - m for x, m in zip(levels, middles, strict=True)]) for levels in (
        [one.mid_db for one in profiles], [one.side_db for one in profiles]))  # fmt: skip
    mean_db = share @ mid_db
    doubts = np.array([one.doubt_db for one in profiles])
    differing = share @ (mid_db - mean_db) ** 2 * np.sum(share**2)
    stereo = np.array([one.stereo for one in profiles])
    of_stereo = share * stereo
    middle = float(share @ middles)
    kept = [one.moments for one in profiles if one.moments]
    whole = len(kept) == len(profiles)
    return Profile(
        mid_db=mean_db + middle,
        side_db=(of_stereo @ side_db / of_stereo.sum() + middle) if stereo.any() else np.full(BANDS, FLOOR_DB),
        doubt_db=np.sqrt(share**2 @ doubts**2 + differing),
        crest_db=float(share @ [one.crest_db for one in profiles]),
        loudness_range=_mean_of_finite([one.loudness_range for one in profiles], share, math.nan),
        seconds=float(sum(one.seconds for one in profiles)),
        stereo=bool(stereo.any()),
        highest_hz=min(one.highest_hz for one in profiles),
        lufs=_mean_of_finite([one.lufs for one in profiles], share, -math.inf),
        moments=moments.together(kept, weights) if whole else None,
    )


def _mean_of_finite(values: Sequence[float], share: np.ndarray, otherwise: float) -> float:
    finite = share * np.isfinite(values)
    return float(finite @ np.where(finite > 0.0, values, 0.0) / finite.sum()) if finite.any() else otherwise


def as_json(profile: Profile, name: str) -> str:
    """A target file's text: every band on a line."""
    columns = zip(CENTRES_HZ, *(getattr(profile, field) for field in _FIELDS), strict=True)
    rows = [dict(zip(("freq_hz", *_FIELDS), (round(float(x), 3) for x in row), strict=True)) for row in columns]
    tree = {
        "format": FORMAT,
        "name": _printable(name),
        "seconds": round(profile.seconds, 2),
        "stereo": profile.stereo,
        "highest_hz": profile.highest_hz,
        "crest_db": round(profile.crest_db, 3),
        "loudness_range_lu": _rounded(profile.loudness_range),
        "lufs": _rounded(profile.lufs),
    }
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    return f'{json.dumps(tree, indent=2, ensure_ascii=False)[:-2]},\n  "bands": [\n{lines}\n  ]\n}}\n'


def _rounded(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def save(path: Path, profile: Profile, name: str) -> None:
    """Write a target, whole or not at all."""
    io.write_text(path, as_json(profile, name))


def same(path: Path, profile: Profile, name: str) -> bool:
    """Whether a file is what `save` would write."""
    return path.is_file() and path.read_bytes() == as_json(profile, name).encode()


def read(path: Path) -> tuple[Profile, str]:
    """A target's profile and its name.

    Raises:
        BadInputError: missing, too large, or not what `as_json` writes; a sentence says where.
    """
    if not path.is_file():
        raise BadInputError(f"'{path}' is {'a folder' if path.is_dir() else 'missing'}; give a target file.")
    if path.stat().st_size > MOST_BYTES:
        raise BadInputError(f"'{path}' is larger than {MOST_BYTES // 1000} kB; that is no target file.")
    try:
        found = _File.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise BadInputError(f"'{path}' {_fault(error)}") from None
    freq_hz = [band.freq_hz for band in found.bands]
    if len(freq_hz) != BANDS or np.abs(np.log(freq_hz) - np.log(CENTRES_HZ)).max() > 1e-3:
        raise BadInputError(f"'{path}' has other bands than {BANDS} sixths of an octave; make it again.")
    columns = (np.array([getattr(band, field) for band in found.bands]) for field in _FIELDS)
    lra = math.nan if found.loudness_range_lu is None else found.loudness_range_lu
    lufs = -math.inf if found.lufs is None else found.lufs
    profile = Profile(*columns, found.crest_db, lra, found.seconds, found.stereo, found.highest_hz, lufs)
    return profile, _printable(found.name)


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else " " for c in name)


def _fault(error: pydantic.ValidationError) -> str:
    """The first fault, as the end of a sentence; another version is named before what is new in it."""
    faults = {".".join(map(str, fault["loc"])): fault for fault in error.errors()}
    place = "format" if "format" in faults else next(iter(faults))
    given = faults[place]["input"]
    if place == "format" and isinstance(given, str):
        return f"has the format {given!r}; this version reads '{FORMAT}'."
    where = f"{place}: " if place else ""
    return f"is no target file ({where}{faults[place]['msg']}); make one with --save-target."

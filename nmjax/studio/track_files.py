"""What a track keeps on disk besides its audio: what finds it again, its settings with their history, its analysis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError
from nmjax.studio.analysis import Analysis
from nmjax.studio.state import History
from nmjax.studio.uploads import safe_name

_HEADER, _HISTORY, _ANALYSIS = "track.json", "history.json", "analysis.json"
_Document = TypeVar("_Document")


class Header(NamedTuple):
    """The name of a track for people, and its file."""

    name: str
    upload: Path


def write_header(folder: Path, name: str, upload: Path) -> None:
    """Write what finds the track of a folder again."""
    atomic_files.write_text(folder / _HEADER, json.dumps({"name": name, "upload": upload.name}))


def arrival_time(folder: Path) -> int:
    """When the track of a folder was added, in nanoseconds; 0 where it is not complete."""
    try:
        return (folder / _HEADER).stat().st_mtime_ns  # it is written once
    except OSError:
        return 0


def write_history(folder: Path, history: History) -> None:
    """Write the settings and their history."""
    atomic_files.write_text(folder / _HISTORY, json.dumps(history.to_dict()))


def write_analysis(folder: Path, analysis: Analysis, sample_rate: int) -> None:
    """Write an analysis. sample_rate: of the track, in Hz."""
    atomic_files.write_text(folder / _ANALYSIS, json.dumps(analysis.to_dict(sample_rate)))


def read_header(folder: Path) -> Header | None:
    """What finds the track of a folder; None where its file is not complete."""
    try:
        tree: dict[str, Any] = json.loads((folder / _HEADER).read_text(encoding="utf-8"))
        header = Header(str(tree["name"]), folder / "upload" / safe_name(tree["upload"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return header if header.upload.is_file() else None


def read_history(folder: Path) -> History | None:
    """The history of an earlier run; None where there is none that can be used."""
    return _read(folder / _HISTORY, History.from_dict)


def read_analysis(folder: Path) -> Analysis | None:
    """The analysis of an earlier run; None where there is none that can be used."""
    return _read(folder / _ANALYSIS, Analysis.from_dict)


def _read(path: Path, parse: Callable[[dict[str, Any]], _Document]) -> _Document | None:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    except (BadInputError, ValueError, KeyError, TypeError, AttributeError):
        path.replace(path.with_suffix(".damaged"))  # it is made again
        return None

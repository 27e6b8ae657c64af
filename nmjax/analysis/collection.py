"""The tracks of a collection with their groups, and excerpts of them."""

from __future__ import annotations

import csv
import dataclasses
import difflib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks
from nmjax.data import DataSource, find_all_songs
from nmjax.data.catalog import LEVEL_BLOCK_SECONDS, Recording, Song
from nmjax.mastering.analysis import SourceSignal
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.text import to_printable


@dataclasses.dataclass(frozen=True)
class Track:
    """A track of a collection.

    Attributes:
        name: printable path relative to the folder, without the extension.
        group: "" if it is in none.
        recording: the audio to analyze: the unmastered side of a pair, else the track itself.
    """

    name: str
    group: str
    recording: Recording

    @property
    def file_key(self) -> str:
        """A key that differs between files, and changes with the file."""
        recording = self.recording
        path = to_printable(recording.original_path)
        return f"{path}|{recording.frames}|{recording.sample_rate}|{recording.loudness_lufs:.6g}"

    def source_signal(self) -> SourceSignal:
        """The signal as mastering reads it."""
        recording = self.recording

        def read_chunks() -> AudioChunks:
            return (chunk / np.float32(recording.scale) for chunk in reader.read_chunks(recording.path))

        return SourceSignal(read_chunks, recording.sample_rate, recording.loudness_lufs, recording.frames)


def collect_tracks(
    data: Sequence[Path],
    groups_csv: Path | None = None,
    only_groups: Sequence[str] = (),
    max_tracks: int | None = None,
    report: Callable[[str], None] = print,
) -> list[Track]:
    """The mono and stereo tracks of folders and CSV files (see `nmjax.data.find_songs`).

    Args:
        data: folders and CSV files.
        groups_csv: a CSV with the columns `track` and `group`. If not given, the group of a track is the `genre` in the
            CSV that lists it, or else its folder.
        only_groups: exclude all other groups.
        max_tracks: this many tracks at most, evenly spread over the groups and within each group.
        report: receives messages to the user.

    Raises:
        BadInputError: no mono or stereo music, an unknown group, a track that `groups_csv` does not list, or a single
            track.
    """
    songs = [
        song
        for song in find_all_songs([DataSource(path) for path in data], report=report)
        if _is_mono_or_stereo(song, report)
    ]
    group_by_track = _read_group_csv(groups_csv) if groups_csv else None
    tracks = [
        Track(to_printable(s.name), _track_group(s, group_by_track, groups_csv), s.input or s.target) for s in songs
    ]
    _check_groups_exist(only_groups, tracks)
    selected = [track for track in tracks if not only_groups or track.group in only_groups]
    if max_tracks is not None:
        selected = _subsample_evenly(selected, max_tracks)
    if not selected:
        raise BadInputError("All tracks have more than two channels; give mono or stereo music.")
    if len(selected) < 2:
        raise BadInputError(
            f"'{to_printable(selected[0].name)}' is the only track, and an analysis compares tracks; give two or more, "
            "or use infer.py --report for a single one."
        )
    return selected


def _check_groups_exist(names: Sequence[str], tracks: Sequence[Track]) -> None:
    known_groups = sorted({track.group for track in tracks if track.group})
    for name in names:
        if name not in known_groups:
            close_matches = difflib.get_close_matches(name, known_groups, 1)
            all_groups = f"there are: {', '.join(known_groups[:20]) or 'none'}."
            suggestion = f"did you mean '{close_matches[0]}'?" if close_matches else all_groups
            raise BadInputError(f"There is no group '{name}'; {suggestion}")


def _is_mono_or_stereo(song: Song, report: Callable[[str], None]) -> bool:
    """Whether the track has at most two channels; the loudness in the index covers two."""
    channels = (song.input or song.target).channels
    if channels > 2:
        report(
            f"'{to_printable(song.name)}' has {channels} channels and is left out; only mono and stereo are analyzed."
        )
    return channels <= 2


def _read_group_csv(groups_csv: Path) -> dict[str, str]:
    """Groups by the names of tracks, without the extensions of audio files."""
    try:
        with open(groups_csv, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise BadInputError(
            f"'{groups_csv}' cannot be read; give a CSV with the columns 'track' and 'group'."
        ) from None
    if not rows or not {"track", "group"} <= set(rows[0]):
        raise BadInputError(f"'{groups_csv}' must be a CSV whose first line names the columns 'track' and 'group'.")
    group_by_track: dict[str, str] = {}
    for row in rows:
        name, group = _strip_audio_suffix(row["track"] or ""), (row["group"] or "").strip()
        if group_by_track.setdefault(name, group) != group:
            raise BadInputError(
                f"'{groups_csv}' puts '{name}' into '{group_by_track[name]}' and '{group}'; keep one line."
            )
    return group_by_track


def _strip_audio_suffix(name: str) -> str:
    return str(Path(name).with_suffix("")) if name.lower().endswith(reader.READABLE_SUFFIXES) else name


def _track_group(song: Song, group_by_track: dict[str, str] | None, groups_csv: Path | None) -> str:
    if group_by_track is None:
        return to_printable(song.genre or song.group)
    if not (group := group_by_track.get(song.name)):
        name = to_printable(song.name)
        raise BadInputError(f"'{name}' is in no group of '{groups_csv}'; add a line '{name},GROUP'.")
    return to_printable(group)


def _subsample_evenly(tracks: list[Track], count: int) -> list[Track]:
    """`count` tracks in their order: round-robin over the groups, and evenly spread within each group."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for index, track in enumerate(tracks):
        by_group[track.group].append(index)
    quotas, remaining = dict.fromkeys(by_group, 0), min(count, len(tracks))
    while remaining:
        for group in (g for g in sorted(by_group) if quotas[g] < len(by_group[g])):
            if remaining:
                quotas[group], remaining = quotas[group] + 1, remaining - 1
    selected = {
        indices[int(position)]
        for group, indices in by_group.items()
        for position in np.linspace(0, len(indices) - 1, quotas[group]).round()
    }
    return [track for index, track in enumerate(tracks) if index in selected]


def read_representative_excerpt(track: Track, seconds: float) -> Float[np.ndarray, "time channel"]:
    """The (first) excerpt whose level is nearest to the track's loudness, float32 at the file's sample rate.

    A shorter track is returned whole.
    """
    recording = track.recording
    blocks = max(1, round(seconds / LEVEL_BLOCK_SECONDS))
    power = np.concatenate([[0.0], np.cumsum(10.0 ** (recording.levels_lufs.astype(np.float64) / 10.0))])
    num_starts = max(1, len(recording.levels_lufs) - blocks)
    mean = (power[np.minimum(np.arange(num_starts) + blocks, len(power) - 1)] - power[:num_starts]) / blocks
    target_power = 10.0 ** (recording.loudness_lufs / 10.0)
    start = int(np.argmin(np.abs(np.log(np.maximum(mean, 1e-12) / max(target_power, 1e-12)))))
    frames = round(seconds * recording.sample_rate)
    first = max(0, min(round(start * LEVEL_BLOCK_SECONDS * recording.sample_rate), recording.frames - frames))
    return reader.read_frames(recording.path, first, frames) / np.float32(recording.scale)


def evenly_spaced_indices(tracks: Sequence[Track], count: int) -> list[int]:
    """Indices of at most `count` audible tracks, evenly spaced."""
    audible = [i for i, track in enumerate(tracks) if np.isfinite(track.recording.loudness_lufs)]
    positions = np.linspace(0, len(audible) - 1, min(count, len(audible))).round().astype(int)
    return [audible[i] for i in positions]

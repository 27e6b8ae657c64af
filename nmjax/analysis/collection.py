"""What is analysed: tracks with their groups."""

from __future__ import annotations

import csv
import dataclasses
import difflib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks
from nmjax.data import DataSource, find_all_songs
from nmjax.data.catalog import Recording, Song
from nmjax.mastering.analysis import SourceSignal
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.text import to_printable


@dataclasses.dataclass(frozen=True)
class Track:
    """name: the path without its ending, relative to the folder, as text that can be printed. group: "" if it is in
    none. sound: what the network listens to, the unmastered side where there is one."""

    name: str
    group: str
    recording: Recording

    @property
    def file_key(self) -> str:
        """Tells this file from others and from itself after a change."""
        s = self.recording
        return f"{to_printable(s.original_path)}|{s.frames}|{s.sample_rate}|{s.loudness_lufs:.6g}"

    def source_signal(self) -> SourceSignal:
        """As inference reads it."""

        def pieces() -> AudioChunks:
            return (piece / np.float32(self.recording.scale) for piece in reader.read_chunks(self.recording.path))

        return SourceSignal(pieces, self.recording.sample_rate, self.recording.loudness_lufs, self.recording.frames)


def collect_tracks(
    data: Sequence[Path],
    groups_csv: Path | None = None,
    only_groups: Sequence[str] = (),
    max_tracks: int | None = None,
    report: Callable[[str], None] = print,
) -> list[Track]:
    """The tracks of folders and CSV files (see `nmjax.data.find_songs`).

    Args:
        groups: a CSV with the columns `track` and `group`; without it a track's group is the `genre` of the CSV that
            lists it, or else its folder.
        only: leave out all other groups.
        count: so many tracks at most, spread evenly over the groups, and evenly over each.

    Raises:
        BadInputError: no music of one or two channels, an unknown group, a track that `groups` does not name, or a
            single track.
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
    known_groups = sorted({track.group for track in tracks if track.group})
    for name in only_groups:
        if name not in known_groups:
            close_matches = difflib.get_close_matches(name, known_groups, 1)
            suggestion = (
                f"did you mean '{close_matches[0]}'?"
                if close_matches
                else f"there are: {', '.join(known_groups[:20]) or 'none'}."
            )
            raise BadInputError(f"There is no group '{name}'; {suggestion}")
    selected = [track for track in tracks if not only_groups or track.group in only_groups]
    if max_tracks is not None:
        selected = _subsample_evenly(selected, max_tracks)
    if not selected:
        raise BadInputError("All tracks have more than two channels; give mono or stereo music.")
    if len(selected) < 2:
        raise BadInputError(
            f"'{to_printable(selected[0].name)}' is the only track, and an analysis compares tracks; give two or more, "
            "or look at this one with infer.py --report."
        )
    return selected


def _is_mono_or_stereo(song: Song, report: Callable[[str], None]) -> bool:
    """Whether the loudness in the index is that of the whole track: it is of no more than two channels."""
    channels = (song.input or song.target).channels
    if channels > 2:
        report(f"'{to_printable(song.name)}' has {channels} channels and is left out; mono and stereo are analysed.")
    return channels <= 2


def _read_group_csv(groups_csv: Path) -> dict[str, str]:
    """Group by track, without the endings of audio files."""
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
        raise BadInputError(
            f"'{to_printable(song.name)}' is in no group of '{groups_csv}'; add a line '{to_printable(song.name)},GROUP'."
        )
    return to_printable(group)


def _subsample_evenly(tracks: list[Track], count: int) -> list[Track]:
    """By turns from every group until there are `count`; of each group evenly spread ones, in the old order."""
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

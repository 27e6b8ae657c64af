"""What is analysed: tracks with their groups."""

from __future__ import annotations

import csv
import dataclasses
import difflib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.data import Source, find_all
from nmjax.data.songs import Song, Sound
from nmjax.errors import BadInputError
from nmjax.inference.many.jobs import shown
from nmjax.inference.stream import Pieces
from nmjax.inference.track import Heard


@dataclasses.dataclass(frozen=True)
class Track:
    """name: the path without its ending, relative to the folder, as text that can be printed. group: "" if it is in
    none. sound: what the network listens to, the unmastered side where there is one."""

    name: str
    group: str
    sound: Sound

    @property
    def key(self) -> str:
        """Tells this file from others and from itself after a change."""
        s = self.sound
        return f"{shown(s.original)}|{s.frames}|{s.sample_rate}|{s.loudness:.6g}"

    def heard(self) -> Heard:
        """As inference reads it."""

        def pieces() -> Pieces:
            return (piece / np.float32(self.sound.scale) for piece in io.pieces(self.sound.path))

        return Heard(pieces, self.sound.sample_rate, self.sound.loudness, self.sound.frames)


def collected(
    data: Sequence[Path],
    groups: Path | None = None,
    only: Sequence[str] = (),
    count: int | None = None,
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
    songs = [song for song in find_all([Source(path) for path in data], report=report) if _measured(song, report)]
    named = _named(groups) if groups else None
    tracks = [Track(shown(s.name), _group(s, named, groups), s.input or s.target) for s in songs]
    there = sorted({track.group for track in tracks if track.group})
    for name in only:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            meant = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(there[:20]) or 'none'}."
            raise BadInputError(f"There is no group '{name}'; {meant}")
    chosen = [track for track in tracks if not only or track.group in only]
    if count is not None:
        chosen = _spread(chosen, count)
    if not chosen:
        raise BadInputError("All tracks have more than two channels; give mono or stereo music.")
    if len(chosen) < 2:
        raise BadInputError(
            f"'{shown(chosen[0].name)}' is the only track, and an analysis compares tracks; give two or more, "
            "or look at this one with infer.py --report."
        )
    return chosen


def _measured(song: Song, report: Callable[[str], None]) -> bool:
    """Whether the loudness in the index is that of the whole track: it is of no more than two channels."""
    channels = (song.input or song.target).channels
    if channels > 2:
        report(f"'{shown(song.name)}' has {channels} channels and is left out; mono and stereo are analysed.")
    return channels <= 2


def _named(path: Path) -> dict[str, str]:
    """Group by track, without the endings of audio files."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise BadInputError(f"'{path}' cannot be read; give a CSV with the columns 'track' and 'group'.") from None
    if not rows or not {"track", "group"} <= set(rows[0]):
        raise BadInputError(f"'{path}' must be a CSV whose first line names the columns 'track' and 'group'.")
    found: dict[str, str] = {}
    for row in rows:
        name, group = _stem(row["track"] or ""), (row["group"] or "").strip()
        if found.setdefault(name, group) != group:
            raise BadInputError(f"'{path}' puts '{name}' into '{found[name]}' and '{group}'; keep one line.")
    return found


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("")) if name.lower().endswith(io.SUFFIXES) else name


def _group(song: Song, named: dict[str, str] | None, path: Path | None) -> str:
    if named is None:
        return shown(song.genre or song.group)
    if not (group := named.get(song.name)):
        raise BadInputError(f"'{shown(song.name)}' is in no group of '{path}'; add a line '{shown(song.name)},GROUP'.")
    return shown(group)


def _spread(tracks: list[Track], count: int) -> list[Track]:
    """By turns from every group until there are `count`; of each group evenly spread ones, in the old order."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for number, track in enumerate(tracks):
        by_group[track.group].append(number)
    shares, left = dict.fromkeys(by_group, 0), min(count, len(tracks))
    while left:
        for group in (g for g in sorted(by_group) if shares[g] < len(by_group[g])):
            if left:
                shares[group], left = shares[group] + 1, left - 1
    kept = {
        found[int(place)]
        for group, found in by_group.items()
        for place in np.linspace(0, len(found) - 1, shares[group]).round()
    }
    return [track for number, track in enumerate(tracks) if number in kept]

"""Split of a collection into training and validation songs, by album where there are several."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

from nmjax.data.catalog import Song

_MIN_GROUPS = 3


def split_songs(songs: list[Song], validation_fraction: float, seed: int) -> tuple[list[Song], list[Song]]:
    """Training songs and validation songs; the split depends on names and seed alone.

    With three albums (folders) or more, the unit that is held out is an album; otherwise, and for songs outside of any
    album, it is a song. Files of the same name but for the suffix are one song. Every source keeps at least one unit
    for training, so a single unit leaves nothing to validate.

    Args:
        songs: at least one.
        validation_fraction: 0 to 1, of the songs; at least one unit is held out if it is above 0 and there are two.
        seed: of the choice.
    """
    by_group = len({song.group for song in songs if song.group}) >= _MIN_GROUPS

    def unit(song: Song) -> str:
        return song.group if by_group and song.group else song.name

    def sort_key(name: str) -> str:
        return hashlib.sha256(f"{seed}|{name}".encode()).hexdigest()

    sources: dict[str, Counter[int]] = defaultdict(Counter)  # of each unit: number of songs by source
    for song in songs:
        sources[unit(song)][song.source_index] += 1
    remaining, held_out = Counter(song.source_index for song in songs), set()
    for name in sorted(sources, key=sort_key):
        if validation_fraction == 0 or len(songs) - remaining.total() >= validation_fraction * len(songs):
            break
        if all(remaining[source] > count for source, count in sources[name].items()):
            remaining -= sources[name]
            held_out.add(name)
    return [s for s in songs if unit(s) not in held_out], [s for s in songs if unit(s) in held_out]

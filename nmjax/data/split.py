"""Which songs train and which validate: whole songs, and whole albums where there are several."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

from nmjax.data.songs import Song

_ENOUGH_GROUPS = 3


def split_songs(songs: list[Song], share: float, seed: int) -> tuple[list[Song], list[Song]]:
    """Songs for training and for validation, the same for the same names and seed.

    With three albums (folders) or more, whole albums are held out; otherwise songs, as songs that lie outside of any
    album always are. Two files of one name but for the ending are one song. At least one unit of every source stays
    for training; with a single unit nothing is validated.

    Args:
        share: 0 to 1, of the songs; at least one unit is held out if it is above 0 and there are two.
    """
    by_group = len({song.group for song in songs if song.group}) >= _ENOUGH_GROUPS

    def unit(song: Song) -> str:
        return song.group if by_group and song.group else song.name

    def draw(name: str) -> str:
        return hashlib.sha256(f"{seed}|{name}".encode()).hexdigest()

    sources: dict[str, Counter[int]] = defaultdict(Counter)  # of each unit: songs by source
    for song in songs:
        sources[unit(song)][song.source] += 1
    left, held = Counter(song.source for song in songs), set()
    for name in sorted(sources, key=draw):
        if share == 0 or len(songs) - left.total() >= share * len(songs):
            break
        if all(left[source] > count for source, count in sources[name].items()):
            left -= sources[name]
            held.add(name)
    return [s for s in songs if unit(s) not in held], [s for s in songs if unit(s) in held]

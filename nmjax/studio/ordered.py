"""Tracks as they are when a delivery is ordered."""

from __future__ import annotations

from typing import NamedTuple

from nmjax.runtime.errors import BadInputError
from nmjax.studio.prepared import Prepared
from nmjax.studio.track import Track
from nmjax.studio.work import missing_parts


class OrderedTrack(NamedTuple):
    """A track with the settings that it has now, whatever is changed later.

    Attributes:
        track: the track.
        prepared: its settings, ready to render.
        settings: the same as a file of the command line.
    """

    track: Track
    prepared: Prepared
    settings: str


def order_track(track: Track) -> OrderedTrack:
    """The track with its present settings.

    Raises:
        BadInputError: the track cannot be used, or what its settings ask for is not made yet.
    """
    with track.lock:
        if missing_parts(track):
            raise BadInputError(f"“{track.name}” is still being matched or repaired; wait until that is done.")
        prepared = track.prepare_delivery()
        return OrderedTrack(track, prepared, track.settings_json(prepared))

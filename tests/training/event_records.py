"""Reads TensorBoard's event files, also those that a run is still writing."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def scalar_steps(folder: Path, name: str) -> list[int]:
    """The steps of a scalar in the event files of a folder, in their order."""
    return [
        event.step
        for path in sorted(folder.glob("events*"))
        for event in _complete_events(path.read_bytes())
        if any(value.tag == name for value in event.summary.value)
    ]


def _complete_events(data: bytes) -> list[Event]:
    """A record is its length (8 bytes), a checksum (4), the event, and another checksum (4)."""
    events, position = [], 0
    while position + 12 <= len(data):
        (size,) = struct.unpack_from("<Q", data, position)
        if position + size + 16 > len(data):
            break
        events.append(Event.FromString(data[position + 12 : position + 12 + size]))
        position += size + 16
    return events

"""Tags independent of the format: texts under Vorbis comment names, and pictures."""

from __future__ import annotations

import dataclasses

_MAX_VALUES = 200  # of names, and of values per name
MAX_TAG_BYTES = 1 << 24  # larger tags are not read; the limit of FLAC's blocks


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture. kind: as in ID3 and FLAC, 3 is the front cover. mime: such as image/jpeg."""

    kind: int
    mime: str
    description: str
    data: bytes


@dataclasses.dataclass
class Tags:
    """Tags of a file. texts: values by upper-case name. skipped: descriptions of what is not supported."""

    texts: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)

    def add(self, name: str, value: str) -> None:
        """Add a text unless it is empty, repeated, or describes the source's audio."""
        name, value = name.upper(), value.strip("\0 \r\n")
        if not value or _describes_source_audio(name) or len(self.texts) >= _MAX_VALUES:
            return
        values = self.texts.setdefault(name, [])
        if value not in values and len(values) < _MAX_VALUES:
            values.append(value)

    def fill_missing(self, other: Tags) -> None:
        """Add the names of `other` that are missing here, its pictures if there are none, and its `skipped`."""
        for name, values in other.texts.items():
            if not self.texts.get(name):
                self.texts[name] = values
        self.pictures = self.pictures or other.pictures
        self.skipped += other.skipped

    def __bool__(self) -> bool:
        return bool(any(self.texts.values()) or self.pictures)


def _describes_source_audio(name: str) -> bool:
    return name.startswith(("REPLAYGAIN_", "R128_", "ENCOD", "WAVEFORMATEXTENSIBLE_", "ITUNNORM", "ITUNSMPB"))

"""Tags as every format has them: texts under the names of Vorbis comments, and pictures."""

from __future__ import annotations

import dataclasses

_MAX_VALUES = 200  # names, and values of a name
MAX_TAG_BYTES = 1 << 24  # of a tag that is read; FLAC's blocks end there too


@dataclasses.dataclass(frozen=True)
class Picture:
    """kind: 3 is the front cover (ID3's and FLAC's list are the same). mime: such as image/jpeg."""

    kind: int
    mime: str
    description: str
    data: bytes


@dataclasses.dataclass
class Tags:
    """texts: name in capitals → values. left_out: what the source has and this program does not read."""

    texts: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)

    def add(self, name: str, value: str) -> None:
        """One more text; empty ones, repeated ones and those that are not true of a master are left out."""
        name, value = name.upper(), value.strip("\0 \r\n")
        if not value or _describes_source_audio(name) or len(self.texts) >= _MAX_VALUES:
            return
        values = self.texts.setdefault(name, [])
        if value not in values and len(values) < _MAX_VALUES:
            values.append(value)

    def fill_missing(self, other: Tags) -> None:
        """What `other` has and this has not."""
        for name, values in other.texts.items():
            if not self.texts.get(name):
                self.texts[name] = values
        self.pictures = self.pictures or other.pictures
        self.skipped += other.skipped

    def __bool__(self) -> bool:
        return bool(any(self.texts.values()) or self.pictures)


def _describes_source_audio(name: str) -> bool:
    return name.startswith(("REPLAYGAIN_", "R128_", "ENCOD", "WAVEFORMATEXTENSIBLE_", "ITUNNORM", "ITUNSMPB"))

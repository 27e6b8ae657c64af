"""Which format a master is written in: container, bit depth and rate, from the file's name and the input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.errors import BadInputError
from nmjax.io import AudioInfo

BITS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT"}

# Container, and the subtypes that it can hold; a lossy one has no choice.
_BY_SUFFIX = {
    ".wav": ("WAV", ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ".aif": ("AIFF", ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ".aiff": ("AIFF", ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ".flac": ("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": ("OGG", ("VORBIS",)),
    ".oga": ("OGG", ("VORBIS",)),
    ".opus": ("OGG", ("OPUS",)),
    ".mp3": ("MP3", ("MPEG_LAYER_III",)),
}
SUFFIXES = tuple(_BY_SUFFIX)
_RATES = {  # Hz; the others take any
    "OPUS": (8_000, 12_000, 16_000, 24_000, 48_000),
    "MPEG_LAYER_III": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
_NAMES = {"VORBIS": "OGG Vorbis", "OPUS": "Opus", "MPEG_LAYER_III": "MP3"}
_LOSSY_CHANNELS = 2
_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # a sample
_MOST_WAV_BYTES = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class Format:
    """How a file is written. container, subtype: libsndfile's names. sample_rate: Hz. note: a sentence where it is not
    what the input has, otherwise empty."""

    container: str
    subtype: str
    sample_rate: int
    note: str = ""

    @property
    def lossy(self) -> bool:
        """Whether the decoded samples differ from those that were given."""
        return self.subtype in _NAMES

    @property
    def bits(self) -> int:
        """Of an integer sample; 0 for the others."""
        return int(self.subtype.removeprefix("PCM_")) if self.subtype.startswith("PCM_") else 0


def format_for(path: Path, info: AudioInfo, bits: str | None = None) -> Format:
    """The format of a master `path` of the input `info`.

    bits: one of `BITS`. Without it the input's, where the format has them: 24 for FLAC of more, 24 from lossy inputs,
    16 from 8 bits. Opus and MP3 know a few rates only: another one becomes the next one up, those above 48 kHz 44.1 or
    48 kHz.

    Raises:
        BadInputError: no such format, a bit depth that it has not, or too many channels for it.
    """
    suffix = path.suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise BadInputError(f"'{path}' must end in one of: {', '.join(_BY_SUFFIX)}.")
    container, subtypes = _BY_SUFFIX[suffix]
    subtype = _subtype(path, info, subtypes, bits)
    if subtype in _NAMES:
        if info.channels > _LOSSY_CHANNELS:
            raise BadInputError(
                f"'{path}' would have {info.channels} channels; {_NAMES[subtype]} is written with one or two, "
                "choose WAV, FLAC or AIFF."
            )
        rate = _rate(subtype, info.sample_rate)
        note = f"{_NAMES[subtype]} has no {info.sample_rate} Hz; the master is resampled to {rate} Hz."
        return Format(container, subtype, rate, note if rate != info.sample_rate else "")
    # WAV's own size field ends at 4 GB; RF64 is WAV with a longer one.
    large = info.frames * info.channels * _BYTES[subtype] > _MOST_WAV_BYTES
    return Format("RF64" if container == "WAV" and large else container, subtype, info.sample_rate)


def _subtype(path: Path, info: AudioInfo, subtypes: tuple[str, ...], bits: str | None) -> str:
    if bits is None:
        if len(subtypes) == 1:
            return subtypes[0]
        if info.lossy:
            return "PCM_24"
        same = info.subtype if info.subtype in _BYTES else "PCM_16"
        return same if same in subtypes else "PCM_24"
    if bits not in BITS:
        raise BadInputError(f"A bit depth of '{bits}' is not known; choose one of: {', '.join(BITS)}.")
    if BITS[bits] not in subtypes:
        possible = [name for name, subtype in BITS.items() if subtype in subtypes]
        remedy = f"choose {' or '.join(possible)}" if possible else "leave the bit depth out"
        raise BadInputError(f"'{path}' cannot have the bit depth '{bits}'; {remedy}.")
    return BITS[bits]


def _rate(subtype: str, wanted: int) -> int:
    rates = _RATES.get(subtype, (wanted,))
    if wanted > max(rates):
        return 44_100 if wanted % 44_100 == 0 and 44_100 in rates else max(rates)
    return min(rate for rate in rates if rate >= wanted)

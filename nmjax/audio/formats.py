"""Which format a master is written in: container, bit depth and rate, from the file's name and the input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.audio.reader import AudioInfo
from nmjax.runtime.errors import BadInputError

BIT_DEPTHS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT"}

# Container, and the subtypes that it can hold; a lossy one has no choice.
_CONTAINERS_BY_SUFFIX = {
    ".wav": ("WAV", ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ".aif": ("AIFF", ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ".aiff": ("AIFF", ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ".flac": ("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": ("OGG", ("VORBIS",)),
    ".oga": ("OGG", ("VORBIS",)),
    ".opus": ("OGG", ("OPUS",)),
    ".mp3": ("MP3", ("MPEG_LAYER_III",)),
}
WRITABLE_SUFFIXES = tuple(_CONTAINERS_BY_SUFFIX)
_SAMPLE_RATES = {  # Hz; the others take any
    "OPUS": (8_000, 12_000, 16_000, 24_000, 48_000),
    "MPEG_LAYER_III": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
_LOSSY_NAMES = {"VORBIS": "OGG Vorbis", "OPUS": "Opus", "MPEG_LAYER_III": "MP3"}
_MAX_LOSSY_CHANNELS = 2
_BYTES_PER_SAMPLE = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # a sample
_MAX_WAV_BYTES = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class OutputFormat:
    """How a file is written. container, subtype: libsndfile's names. sample_rate: Hz. note: a sentence where it is not
    what the input has, otherwise empty."""

    container: str
    subtype: str
    sample_rate: int
    note: str = ""

    @property
    def is_lossy(self) -> bool:
        """Whether the decoded samples differ from those that were given."""
        return self.subtype in _LOSSY_NAMES

    @property
    def bits(self) -> int:
        """Of an integer sample; 0 for the others."""
        return int(self.subtype.removeprefix("PCM_")) if self.subtype.startswith("PCM_") else 0


def choose_format(path: Path, info: AudioInfo, bits: str | None = None) -> OutputFormat:
    """The format of a master `path` of the input `info`.

    bits: one of `BITS`. Without it the input's, where the format has them: 24 for FLAC of more, 24 from lossy inputs,
    16 from 8 bits. Opus and MP3 know a few rates only: another one becomes the next one up, those above 48 kHz 44.1 or
    48 kHz.

    Raises:
        BadInputError: no such format, a bit depth that it has not, or too many channels for it.
    """
    suffix = path.suffix.lower()
    if suffix not in _CONTAINERS_BY_SUFFIX:
        raise BadInputError(f"'{path}' must end in one of: {', '.join(_CONTAINERS_BY_SUFFIX)}.")
    container, subtypes = _CONTAINERS_BY_SUFFIX[suffix]
    subtype = _choose_subtype(path, info, subtypes, bits)
    if subtype in _LOSSY_NAMES:
        if info.channels > _MAX_LOSSY_CHANNELS:
            raise BadInputError(
                f"'{path}' would have {info.channels} channels; {_LOSSY_NAMES[subtype]} is written with one or two, "
                "choose WAV, FLAC or AIFF."
            )
        rate = _choose_sample_rate(subtype, info.sample_rate)
        note = f"{_LOSSY_NAMES[subtype]} has no {info.sample_rate} Hz; the master is resampled to {rate} Hz."
        return OutputFormat(container, subtype, rate, note if rate != info.sample_rate else "")
    # WAV's own size field ends at 4 GB; RF64 is WAV with a longer one.
    needs_rf64 = info.frames * info.channels * _BYTES_PER_SAMPLE[subtype] > _MAX_WAV_BYTES
    return OutputFormat("RF64" if container == "WAV" and needs_rf64 else container, subtype, info.sample_rate)


def _choose_subtype(path: Path, info: AudioInfo, subtypes: tuple[str, ...], bits: str | None) -> str:
    if bits is None:
        if len(subtypes) == 1:
            return subtypes[0]
        if info.is_lossy:
            return "PCM_24"
        input_subtype = info.subtype if info.subtype in _BYTES_PER_SAMPLE else "PCM_16"
        return input_subtype if input_subtype in subtypes else "PCM_24"
    if bits not in BIT_DEPTHS:
        raise BadInputError(f"A bit depth of '{bits}' is not known; choose one of: {', '.join(BIT_DEPTHS)}.")
    if BIT_DEPTHS[bits] not in subtypes:
        possible = [name for name, subtype in BIT_DEPTHS.items() if subtype in subtypes]
        remedy = f"choose {' or '.join(possible)}" if possible else "leave the bit depth out"
        raise BadInputError(f"'{path}' cannot have the bit depth '{bits}'; {remedy}.")
    return BIT_DEPTHS[bits]


def _choose_sample_rate(subtype: str, input_rate: int) -> int:
    rates = _SAMPLE_RATES.get(subtype, (input_rate,))
    if input_rate > max(rates):
        return 44_100 if input_rate % 44_100 == 0 and 44_100 in rates else max(rates)
    return min(rate for rate in rates if rate >= input_rate)

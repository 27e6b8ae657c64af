"""Choice of the output format (container, bit depth, sample rate) from the file name and the input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.audio.reader import AudioInfo
from nmjax.runtime.errors import BadInputError

BIT_DEPTHS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT"}

# Container and its possible subtypes.
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
_SAMPLE_RATES = {  # Hz; the other subtypes accept any
    "OPUS": (8_000, 12_000, 16_000, 24_000, 48_000),
    "MPEG_LAYER_III": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
_LOSSY_NAMES = {"VORBIS": "OGG Vorbis", "OPUS": "Opus", "MPEG_LAYER_III": "MP3"}
_MAX_LOSSY_CHANNELS = 2
_BYTES_PER_SAMPLE = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_MAX_WAV_BYTES = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class OutputFormat:
    """How a file is written.

    Attributes:
        container, subtype: libsndfile's names.
        sample_rate: Hz.
        note: a sentence if the sample rate differs from the input's, otherwise empty.
    """

    container: str
    subtype: str
    sample_rate: int
    note: str = ""

    @property
    def is_lossy(self) -> bool:
        """Whether the decoded samples differ from the encoded ones."""
        return self.subtype in _LOSSY_NAMES

    @property
    def bits(self) -> int:
        """Bits of an integer sample; 0 for floats and lossy subtypes."""
        return int(self.subtype.removeprefix("PCM_")) if self.subtype.startswith("PCM_") else 0


def lossy_name(path: Path) -> str:
    """What the format of a suffix is called where it loses quality, such as "MP3"; otherwise empty."""
    subtypes = _CONTAINERS_BY_SUFFIX.get(path.suffix.lower(), ("", ("",)))[1]
    return _LOSSY_NAMES.get(subtypes[0], "")


def choose_format(path: Path, info: AudioInfo, bits: str | None = None) -> OutputFormat:
    """The format of an output file.

    Opus and MP3 support a few sample rates only: others become the next higher one, those above 48 kHz become 44.1 or
    48 kHz.

    Args:
        path: its suffix selects the container.
        info: the input file.
        bits: a key of `BIT_DEPTHS`; None keeps the input's bit depth where the container supports it (24 bits for lossy
            inputs and where it does not, 16 for inputs of 8 bits).

    Raises:
        BadInputError: unknown suffix, a bit depth that the format does not support, or too many channels for it.
    """
    suffix = path.suffix.lower()
    if suffix not in _CONTAINERS_BY_SUFFIX:
        raise BadInputError(f"'{path}' must end in one of: {', '.join(_CONTAINERS_BY_SUFFIX)}.")
    container, subtypes = _CONTAINERS_BY_SUFFIX[suffix]
    subtype = _choose_subtype(path, info, subtypes, bits)
    if subtype in _LOSSY_NAMES:
        if info.channels > _MAX_LOSSY_CHANNELS:
            raise BadInputError(
                f"'{path}' would have {info.channels} channels, but {_LOSSY_NAMES[subtype]} supports one or two. "
                "Choose WAV, FLAC or AIFF."
            )
        rate = _choose_sample_rate(subtype, info.sample_rate)
        note = f"{_LOSSY_NAMES[subtype]} does not support {info.sample_rate} Hz; the master is resampled to {rate} Hz."
        return OutputFormat(container, subtype, rate, note if rate != info.sample_rate else "")
    # The size field of WAV has 32 bits, that of RF64 64.
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
        raise BadInputError(f"Unknown bit depth '{bits}'. Choose one of: {', '.join(BIT_DEPTHS)}.")
    if BIT_DEPTHS[bits] not in subtypes:
        possible = [name for name, subtype in BIT_DEPTHS.items() if subtype in subtypes]
        if not possible:
            name = _LOSSY_NAMES[subtypes[0]]
            raise BadInputError(f"'{path}': {name} has no bit depth; leave out --bits, or choose WAV, FLAC or AIFF.")
        raise BadInputError(f"'{path}' cannot have the bit depth '{bits}'. Choose {' or '.join(possible)}.")
    return BIT_DEPTHS[bits]


def _choose_sample_rate(subtype: str, input_rate: int) -> int:
    rates = _SAMPLE_RATES.get(subtype, (input_rate,))
    if input_rate > max(rates):
        return 44_100 if input_rate % 44_100 == 0 and 44_100 in rates else max(rates)
    return min(rate for rate in rates if rate >= input_rate)

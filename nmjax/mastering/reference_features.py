"""Features of files, and excerpts to match dynamics with. Without JAX, so that a process forked early can take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, prefetch, resample_stream, take_excerpts, take_section
from nmjax.mastering.diagnosis.file_quality import steep_cutoff_hz
from nmjax.mastering.request_readers import Section, WeightedFile
from nmjax.reference.features import SAMPLE_RATE, FeatureExtractor, TrackFeatures
from nmjax.runtime.errors import BadInputError

Excerpts = Float[np.ndarray, "blocks time channel"]
NUM_EXCERPTS, EXCERPT_FRAMES = 8, 3 * SAMPLE_RATE  # of a track whose dynamics are matched
MIN_SECONDS = 3.0  # of a reference
_SECTION_TOLERANCE_S = 1.0  # people round up


def read_reference_features(file: WeightedFile) -> tuple[TrackFeatures, str]:
    """Features and name of a target file (.json), a music file, or a section of one.

    Args:
        file: the file.

    Raises:
        BadInputError: as `features_from_file`; a section of a target file.
    """
    path = Path(file.path)
    if path.suffix.lower() != ".json":
        return features_from_file(path, file.section), section_name(path.name, file.section)
    if file.section:
        raise BadInputError(f"'{path}' is a target file, which has no sections; leave the times out.")
    from nmjax.reference import target_file  # pydantic, which music files do not need

    return target_file.read(path)


def features_from_file(path: Path, section: Section | None = None) -> TrackFeatures:
    """Features of a music file of any sample rate and number of channels.

    Args:
        path: the file.
        section: the section to analyze; None for the whole file.

    Raises:
        BadInputError: the file cannot be read, the section begins or ends after its end, or what is analyzed is shorter
            than 3 s or silent.
    """
    info = reader.probe(path)
    if section:
        check_section(section, info.frames / info.sample_rate, f"'{path}'")
    features = features_from_chunks(read_section(path, section), info.sample_rate)
    if section and features.seconds == 0.0:  # the header of an MP3 may promise more than the file holds
        raise BadInputError(f"'{path}' ends before its section begins; choose an earlier one.")
    if section:
        check_section(section, section.start + features.seconds, f"'{path}'")
    return check_reference(features, f"'{section_name(str(path), section)}'")


def read_section(path: Path, section: Section | None) -> AudioChunks:
    """The chunks of a file or of a section of it."""
    chunks = reader.read_chunks(path)
    if section is None:
        return chunks
    sample_rate = reader.probe(path).sample_rate
    return take_section(chunks, *(round(x * sample_rate) for x in section))


def check_section(section: Section, length_s: float, name: str) -> None:
    """Refuses a section beyond the end of its file.

    Args:
        section: the section.
        length_s: of the file.
        name: of the file, for messages.

    Raises:
        BadInputError: it begins or ends after the file.
    """
    if section.start >= length_s:
        raise BadInputError(f"{name} is {length_s:.1f} s long; its section must begin before that.")
    if section.end > length_s + _SECTION_TOLERANCE_S:
        raise BadInputError(f"{name} is {length_s:.1f} s long; its section must end by then.")


def section_name(name: str, section: Section | None) -> str:
    """The name of a file or of a section of it, such as song.flac@1:20-1:50."""
    if section is None:
        return name
    times = (f"{int(x // 60)}:{x % 60:04.1f}".removesuffix(".0") for x in section)
    return f"{name}@{'-'.join(times)}"


def features_from_chunks(chunks: AudioChunks, sample_rate: int) -> TrackFeatures:
    """Features of audio in chunks `[time, channel]` of any sample rate.

    Bands above the cut-off of a lossy codec count as unknown, like those above half the sample rate.
    """
    extractor = FeatureExtractor()
    for chunk in prefetch(resample_stream(chunks, sample_rate, SAMPLE_RATE)):
        extractor.update(chunk)
    return finish_features(extractor, sample_rate)


def features_and_excerpts(
    chunks: AudioChunks, sample_rate: int, frames: int, with_loudness: bool = True
) -> tuple[TrackFeatures, Excerpts]:
    """What `features_from_chunks` and `match_excerpts` return, in one pass.

    Args:
        chunks: audio of any sample rate.
        sample_rate: Hz.
        frames: length of the audio.
        with_loudness: see `FeatureExtractor`.
    """
    extractor = FeatureExtractor(with_loudness)

    def watch() -> Iterator[np.ndarray]:
        for chunk in prefetch(resample_stream(chunks, sample_rate, SAMPLE_RATE)):
            extractor.update(chunk)
            yield chunk

    excerpts = match_excerpts(watch(), frames, sample_rate)
    return finish_features(extractor, sample_rate), excerpts


def match_excerpts(chunks: AudioChunks, frames: int, sample_rate: int) -> Excerpts:
    """Eight evenly spaced excerpts of 3 s; it reads all chunks.

    A track of less than 24 s has fewer, and one of less than 3 s is one block: few shapes need few compiled programs.

    Args:
        chunks: audio at 44.1 kHz.
        frames: length of the audio at its own sample rate.
        sample_rate: that rate, in Hz.
    """
    excerpt_seconds = EXCERPT_FRAMES / SAMPLE_RATE
    total_frames = round(frames * SAMPLE_RATE / sample_rate)
    if total_frames > NUM_EXCERPTS * EXCERPT_FRAMES:
        chunks = take_excerpts(chunks, total_frames, SAMPLE_RATE, NUM_EXCERPTS * excerpt_seconds, excerpt_seconds)
    audio = np.concatenate(list(chunks))
    size = min(EXCERPT_FRAMES, len(audio))
    return audio[: len(audio) // size * size].reshape(-1, size, audio.shape[1])


def finish_features(extractor: FeatureExtractor, sample_rate: int) -> TrackFeatures:
    """The features of what an extractor was given, from a file of this sample rate in Hz."""
    cutoff = steep_cutoff_hz(extractor.level_db(), extractor.bin_hz)
    return extractor.features(max_hz=np.nanmin([sample_rate / 2, SAMPLE_RATE / 2, cutoff]))


def check_reference(features: TrackFeatures, name: str) -> TrackFeatures:
    """The features, if a track can be matched to them.

    Raises:
        BadInputError: the reference is shorter than 3 s or silent.
    """
    if features.seconds < MIN_SECONDS - 0.01:
        raise BadInputError(
            f"{name} is {features.seconds:.1f} s long; a reference needs at least {MIN_SECONDS:g} s. "
            "Best give a whole song."
        )
    if features.silent:
        raise BadInputError(f"{name} is silent; give another reference.")
    return features

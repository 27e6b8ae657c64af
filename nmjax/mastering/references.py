"""References for a track: read music or target files, and match the predicted settings to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, prefetch, resample_stream, take_excerpts, take_section
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.diagnosis.file_quality import steep_cutoff_hz
from nmjax.mastering.request_readers import Section, WeightedFile
from nmjax.models import SAMPLE_RATE
from nmjax.reference import target_file
from nmjax.reference.dynamics_match import load_programs
from nmjax.reference.features import FeatureExtractor, TrackFeatures
from nmjax.reference.reference_target import ReferenceAudio, ReferenceTarget
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest

Excerpts = Float[np.ndarray, "blocks time channel"]
MIN_SECONDS = 3.0  # of a reference
_SECTION_TOLERANCE_S = 1.0  # people round up
_NUM_EXCERPTS, _EXCERPT_SECONDS = 8, 3.0  # of a track whose dynamics are matched
MATCH_ASPECTS = ("tone", "dynamics", "width")


def build_reference_target(
    features: Sequence[TrackFeatures],
    weights: Sequence[float],
    name: str,
    strength: float,
    aspect_weights: Mapping[str, float],
    same_song: bool,
    audios: Sequence[ReferenceAudio | None] = (),
) -> ReferenceTarget:
    """Average several references into one target.

    Args:
        features: features of each reference.
        weights: weight of each reference.
        name: name of all together, for messages.
        strength: 0 to 1.
        aspect_weights: factors, 0 to 1, by name of MATCH_ASPECTS; 1 where missing.
        same_song: whether the references are other sections or mixes of the track's song.
        audios: the audio of each reference, where it has one; only that of a single reference is used.

    Raises:
        BadInputError: a number is out of range, or an aspect is unknown.
    """
    for aspect in aspect_weights:
        if aspect not in MATCH_ASPECTS:
            raise BadInputError(f"A reference has no feature {aspect!r}; {suggest(aspect, MATCH_ASPECTS)}")
    tone, dynamics, width = (
        _check_fraction(aspect_weights.get(aspect, 1.0), f"The reference's weight of {aspect}")
        for aspect in MATCH_ASPECTS
    )
    return ReferenceTarget(
        features=target_file.average_features(features, weights),
        name=name,
        strength=_check_fraction(strength, "The reference's strength"),
        tone=tone,
        dynamics=dynamics,
        width=width,
        same_song=same_song,
        audio=audios[0] if len(audios) == 1 else None,  # an average has no audio
    )


def read_reference_features(file: WeightedFile) -> tuple[TrackFeatures, str]:
    """Features and name of a target file (.json), a music file, or a section of one.

    Raises:
        BadInputError: as `features_from_file`; a section of a target file.
    """
    path = Path(file.path)
    if path.suffix.lower() != ".json":
        return features_from_file(path, file.section), section_name(path.name, file.section)
    if file.section:
        raise BadInputError(f"'{path}' is a target file, which has no sections; leave the times out.")
    return target_file.read(path)


def reference_audio(file: WeightedFile) -> ReferenceAudio | None:
    """The audio of a music file or of a section of one; None for a target file."""
    path = Path(file.path)
    if path.suffix.lower() == ".json":
        return None
    return ReferenceAudio(partial(_read_section, path, file.section), reader.probe(path).sample_rate)


def _read_section(path: Path, section: Section | None) -> AudioChunks:
    chunks = reader.read_chunks(path)
    if section is None:
        return chunks
    sample_rate = reader.probe(path).sample_rate
    return take_section(chunks, *(round(x * sample_rate) for x in section))


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
    chunks = _read_section(path, section)
    return check_reference(features_from_chunks(chunks, info.sample_rate), f"'{section_name(str(path), section)}'")


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
    return _finish(extractor, sample_rate)


def features_and_excerpts(signal: SourceSignal) -> tuple[TrackFeatures, Excerpts]:
    """The features of a signal and what `read_excerpts` returns, in one pass."""
    extractor = FeatureExtractor()

    def watch() -> Iterator[np.ndarray]:
        for chunk in prefetch(resample_stream(signal.read_chunks(), signal.sample_rate, SAMPLE_RATE)):
            extractor.update(chunk)
            yield chunk

    excerpts = _take_excerpts(watch(), signal)
    return _finish(extractor, signal.sample_rate), excerpts


def _finish(extractor: FeatureExtractor, sample_rate: int) -> TrackFeatures:
    cutoff = steep_cutoff_hz(extractor.level_db(), extractor.bin_hz)
    return extractor.features(max_hz=np.nanmin([sample_rate / 2, SAMPLE_RATE / 2, cutoff]))


def load_match_programs(channels: int) -> None:
    """Loads the compiled programs that match the dynamics of a track with excerpts of full length."""
    load_programs(np.zeros((_NUM_EXCERPTS, int(_EXCERPT_SECONDS * SAMPLE_RATE), channels), np.float32))


def read_excerpts(signal: SourceSignal) -> Excerpts:
    """Eight evenly spaced excerpts of 3 s at the model's sample rate and level.

    A track of less than 24 s has fewer, and one of less than 3 s is one block: few shapes need few compiled programs.
    """
    return _take_excerpts(resample_stream(signal.read_chunks(), signal.sample_rate, SAMPLE_RATE), signal)


def _take_excerpts(chunks: AudioChunks, signal: SourceSignal) -> Excerpts:
    """The excerpts from the chunks of a signal at the model's sample rate; it reads all chunks."""
    total_seconds = _NUM_EXCERPTS * _EXCERPT_SECONDS
    gain = np.float32(db_to_amplitude(signal.input_gain_db))
    frames = round(signal.frames * SAMPLE_RATE / signal.sample_rate)
    if frames > total_seconds * SAMPLE_RATE:
        chunks = take_excerpts(chunks, frames, SAMPLE_RATE, total_seconds, _EXCERPT_SECONDS)
    audio = np.concatenate(list(chunks))
    excerpt_frames = min(int(_EXCERPT_SECONDS * SAMPLE_RATE), len(audio))
    return gain * audio[: len(audio) // excerpt_frames * excerpt_frames].reshape(-1, excerpt_frames, audio.shape[1])


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


def _check_fraction(value: float, label: str) -> float:
    """The number, if it is from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise BadInputError(f"{label} is {value:g}; choose 0 to 1.")
    return float(value)

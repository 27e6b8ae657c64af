"""References for a track: read music or target files, and match the predicted settings to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, prefetch, resample_stream, take_excerpts
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.reference_features import finish_features, read_section
from nmjax.mastering.request_readers import WeightedFile
from nmjax.models import SAMPLE_RATE
from nmjax.reference import target_file
from nmjax.reference.dynamics_match import load_programs
from nmjax.reference.features import FeatureExtractor, TrackFeatures
from nmjax.reference.reference_target import ReferenceAudio, ReferenceTarget
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest

Excerpts = Float[np.ndarray, "blocks time channel"]
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


def reference_audio(file: WeightedFile) -> ReferenceAudio | None:
    """The audio of a music file or of a section of one; None for a target file."""
    path = Path(file.path)
    if path.suffix.lower() == ".json":
        return None
    return ReferenceAudio(partial(read_section, path, file.section), reader.probe(path).sample_rate)


def features_and_excerpts(signal: SourceSignal) -> tuple[TrackFeatures, Excerpts]:
    """The features of a signal and what `read_excerpts` returns, in one pass."""
    extractor = FeatureExtractor()

    def watch() -> Iterator[np.ndarray]:
        for chunk in prefetch(resample_stream(signal.read_chunks(), signal.sample_rate, SAMPLE_RATE)):
            extractor.update(chunk)
            yield chunk

    excerpts = _take_excerpts(watch(), signal)
    return finish_features(extractor, signal.sample_rate), excerpts


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


def _check_fraction(value: float, label: str) -> float:
    """The number, if it is from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise BadInputError(f"{label} is {value:g}; choose 0 to 1.")
    return float(value)

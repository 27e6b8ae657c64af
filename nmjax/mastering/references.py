"""References for a track: read music or target files, and match the predicted settings to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, prefetch, resample_stream, take_excerpts
from nmjax.mastering.analysis import SourceSignal
from nmjax.models import SAMPLE_RATE, Prediction
from nmjax.reference import target_file
from nmjax.reference.features import TrackFeatures, track_features
from nmjax.reference.match import ReferenceMatch, ReferenceTarget, match_settings
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest

MIN_SECONDS = 3.0  # of a reference
_NUM_EXCERPTS, _EXCERPT_SECONDS = 8, 3.0  # of a track whose dynamics are matched
MATCH_ASPECTS = ("tone", "dynamics", "width")


def build_reference_target(
    features: Sequence[TrackFeatures],
    weights: Sequence[float],
    name: str,
    strength: float,
    aspect_weights: Mapping[str, float],
    same_song: bool,
) -> ReferenceTarget:
    """Average several references into one target.

    Args:
        features: features of each reference.
        weights: weight of each reference.
        name: name of all together, for messages.
        strength: 0 to 1.
        aspect_weights: factors, 0 to 1, by name of MATCH_ASPECTS; 1 where missing.
        same_song: whether the references are other sections or mixes of the track's song.

    Raises:
        BadInputError: a number is out of range, or an aspect is unknown.
    """
    for aspect in aspect_weights:
        if aspect not in MATCH_ASPECTS:
            raise BadInputError(f"A reference has no feature {aspect!r}; {suggest(aspect, MATCH_ASPECTS)}")
    checked_weights = {
        aspect: _check_fraction(value, f"The reference's weight of {aspect}")
        for aspect, value in aspect_weights.items()
    }
    return ReferenceTarget(
        features=target_file.average_features(features, weights),
        name=name,
        strength=_check_fraction(strength, "The reference's strength"),
        same_song=same_song,
        **checked_weights,
    )


def read_reference_features(path: Path) -> tuple[TrackFeatures, str]:
    """Features and name of a target file (.json) or a music file."""
    if path.suffix.lower() == ".json":
        return target_file.read(path)
    return features_from_file(path), path.name


def features_from_file(path: Path) -> TrackFeatures:
    """Features of a music file of any sample rate and number of channels.

    Raises:
        BadInputError: the file cannot be read, is shorter than 3 s, or is silent.
    """
    info = reader.probe(path)
    return check_reference(features_from_chunks(reader.read_chunks(path), info.sample_rate), f"'{path}'")


def features_from_chunks(chunks: AudioChunks, sample_rate: int) -> TrackFeatures:
    """Features of audio in chunks `[time, channel]` of any sample rate."""
    resampled = prefetch(resample_stream(chunks, sample_rate, SAMPLE_RATE))
    return track_features(resampled, max_hz=min(sample_rate, SAMPLE_RATE) / 2)


def match_reference(prediction: Prediction, signal: SourceSignal, reference_target: ReferenceTarget) -> ReferenceMatch:
    """Move a signal's predicted settings towards the reference."""
    features = features_from_chunks(signal.read_chunks(), signal.sample_rate)
    return match_settings(prediction, features, reference_target, load_excerpts=partial(read_excerpts, signal))


def read_excerpts(signal: SourceSignal) -> Float[np.ndarray, "blocks time channel"]:
    """Eight evenly spaced excerpts of 3 s at the model's sample rate and level; a shorter track as one block."""
    total_seconds = _NUM_EXCERPTS * _EXCERPT_SECONDS
    chunks = resample_stream(signal.chunks_at_model_level(), signal.sample_rate, SAMPLE_RATE)
    frames = round(signal.frames * SAMPLE_RATE / signal.sample_rate)
    if frames <= total_seconds * SAMPLE_RATE:
        return np.concatenate(list(chunks))[None]
    audio = np.concatenate(list(take_excerpts(chunks, frames, SAMPLE_RATE, total_seconds, _EXCERPT_SECONDS)))
    excerpt_frames = int(_EXCERPT_SECONDS * SAMPLE_RATE)
    return audio[: len(audio) // excerpt_frames * excerpt_frames].reshape(-1, excerpt_frames, audio.shape[1])


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

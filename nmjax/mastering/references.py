"""References as a user gives them: parse options, read music or target files, and match predicted settings to them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, prefetch, resample_stream, take_excerpts
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.settings.schema import suggest_key
from nmjax.models import SAMPLE_RATE, Prediction
from nmjax.reference import target_file
from nmjax.reference.features import TrackFeatures, track_features
from nmjax.reference.match import ReferenceMatch, ReferenceTarget, match_settings
from nmjax.runtime.errors import BadInputError

MIN_SECONDS = 3.0
_NUM_EXCERPTS, _EXCERPT_SECONDS = 8, 3.0
MATCH_ASPECTS = ("tone", "dynamics", "width")


@dataclasses.dataclass(frozen=True)
class ReferenceOptions:
    """Options of `infer.py` that describe the reference.

    Attributes:
        files: "PATH" or "PATH=WEIGHT" of each reference.
        target_file: a target file, instead of `files`.
        strength: number from 0 to 1, as text.
        aspect_weights: for example "tone=1,width=0.5".
        same_song: whether the references are other sections or mixes of the track's song.
    """

    files: tuple[str, ...] = ()
    target_file: str | None = None
    strength: str = "1"
    aspect_weights: str = ""
    same_song: bool = False

    @property
    def is_given(self) -> bool:
        """Whether there is a reference."""
        return bool(self.files or self.target_file)

    def with_absolute_paths(self) -> ReferenceOptions:
        """The same options for any working folder."""
        files = tuple(f"{os.path.abspath(path)}={weight!r}" for path, weight in map(_parse_weighted_path, self.files))
        return dataclasses.replace(
            self, files=files, target_file=self.target_file and os.path.abspath(self.target_file)
        )

    def weighted_paths(self) -> list[tuple[Path, float]]:
        """Path and weight of each file to read."""
        return [*map(_parse_weighted_path, self.files), *([(Path(self.target_file), 1.0)] if self.target_file else [])]

    def reference_target(self) -> ReferenceTarget | None:
        """Read and average the references; None where there are none.

        Raises:
            BadInputError: a file cannot be used, a number is out of range, or there are options but no reference.
        """
        strength = _parse_fraction(self.strength, "--reference-strength")
        aspect_weights = _parse_aspect_weights(self.aspect_weights)
        if not self.is_given:
            if self != ReferenceOptions():
                raise BadInputError("There is no reference; add --reference FILE or --target FILE.")
            return None
        if self.files and self.target_file:
            raise BadInputError("--reference and --target exclude each other; give one of them.")
        paths, weights = zip(*self.weighted_paths(), strict=True)
        features, names = zip(*map(read_reference_features, paths), strict=True)
        return build_reference_target(
            features=features,
            weights=weights,
            name=", ".join(names),
            strength=strength,
            aspect_weights=aspect_weights,
            same_song=self.same_song,
        )


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
            raise BadInputError(f"A reference has no feature {aspect!r}; {suggest_key(aspect, MATCH_ASPECTS)}")
    checked_weights = {
        aspect: check_fraction(value, f"The reference's weight of {aspect}") for aspect, value in aspect_weights.items()
    }
    return ReferenceTarget(
        features=target_file.average_features(features, weights),
        name=name,
        strength=check_fraction(strength, "The reference's strength"),
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


def _parse_weighted_path(text: str) -> tuple[Path, float]:
    """Path and weight of "PATH=WEIGHT"; the name of an existing file is never split."""
    path, separator, weight = text.rpartition("=")
    if not separator or Path(text).exists():
        return Path(text), 1.0
    try:
        weight_value = float(weight)
    except ValueError:
        return Path(text), 1.0
    if not 0.0 < weight_value < 1e6:
        raise BadInputError(f"--reference {text}: the weight must be above 0 and below a million.")
    return Path(path), weight_value


def _parse_aspect_weights(text: str) -> dict[str, float]:
    aspect_weights: dict[str, float] = {}
    for entry in text.split(",") if text else ():
        aspect, _, value = entry.partition("=")
        if aspect in aspect_weights:
            raise BadInputError(f"--reference-weights gives two weights of {aspect}; remove one of them.")
        aspect_weights[aspect] = _parse_fraction(value, f"--reference-weights {aspect}".rstrip())
    return aspect_weights


def _parse_fraction(text: str, label: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadInputError(f"{label} is {text!r}; give a number from 0 to 1.") from None
    return check_fraction(value, label)


def check_fraction(value: float, label: str) -> float:
    """The number, if it is from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise BadInputError(f"{label} is {value:g}; choose 0 to 1.")
    return float(value)

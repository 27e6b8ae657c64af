"""What a person gives to be mastered towards: music or target files as words, and the aim that they make together."""

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
    """See `infer.py --help`. files: "PATH" or "PATH=WEIGHT". target: a target file, in their place. strength: a number.
    weights: as "tone=1,width=0.5". same_song: whether the references are parts or mixes of the track's own song."""

    files: tuple[str, ...] = ()
    target_file: str | None = None
    strength: str = "1"
    aspect_weights: str = ""
    same_song: bool = False

    @property
    def is_given(self) -> bool:
        """Whether there is anything to master towards."""
        return bool(self.files or self.target_file)

    def with_absolute_paths(self) -> ReferenceOptions:
        """The same from any current folder."""
        files = tuple(f"{os.path.abspath(path)}={weight!r}" for path, weight in map(_parse_weighted_path, self.files))
        return dataclasses.replace(
            self, files=files, target_file=self.target_file and os.path.abspath(self.target_file)
        )

    def weighted_paths(self) -> list[tuple[Path, float]]:
        """Every file that is read, with its weight."""
        return [*map(_parse_weighted_path, self.files), *([(Path(self.target_file), 1.0)] if self.target_file else [])]

    def reference_target(self) -> ReferenceTarget | None:
        """All of them heard; None where none is given.

        Raises:
            BadInputError: a file that cannot be used, a number out of its range, or words without a reference.
        """
        strength, aspect_weights = (
            _parse_fraction(self.strength, "--reference-strength"),
            _parse_aspect_weights(self.aspect_weights),
        )
        if not self.is_given:
            if self != ReferenceOptions():
                raise BadInputError("Nothing is given to master towards; add --reference FILE or --target FILE.")
            return None
        if self.files and self.target_file:
            raise BadInputError("--reference and --target are two aims; give one of them.")
        paths, weights = zip(*self.weighted_paths(), strict=True)
        features, names = zip(*map(read_reference_features, paths), strict=True)
        return build_reference_target(features, weights, ", ".join(names), strength, aspect_weights, self.same_song)


def build_reference_target(
    features: Sequence[TrackFeatures],
    weights: Sequence[float],
    name: str,
    strength: float,
    aspect_weights: Mapping[str, float],
    same_song: bool,
) -> ReferenceTarget:
    """The aim that references make together. shares: how much each of FEATURES counts, 1 where it is not named.

    Raises:
        BadInputError: a number out of its range, or an unknown feature.
    """
    for aspect in aspect_weights:
        if aspect not in MATCH_ASPECTS:
            raise BadInputError(f"A reference has no feature {aspect!r}; {suggest_key(aspect, MATCH_ASPECTS)}")
    checked_weights = {
        aspect: check_fraction(value, f"The reference's weight of {aspect}") for aspect, value in aspect_weights.items()
    }
    strength = check_fraction(strength, "The reference's strength")
    return ReferenceTarget(
        target_file.average_features(features, weights), name, strength, **checked_weights, same_song=same_song
    )


def read_reference_features(path: Path) -> tuple[TrackFeatures, str]:
    """The profile of a target file (.json) or of music, and its name."""
    if path.suffix.lower() == ".json":
        return target_file.read(path)
    return features_from_file(path), path.name


def features_from_file(path: Path) -> TrackFeatures:
    """The profile of a music file, at any rate and with any number of channels.

    Raises:
        BadInputError: it cannot be read, is shorter than 3 s, or silent.
    """
    info = reader.probe(path)
    return check_reference(features_from_chunks(reader.read_chunks(path), info.sample_rate), f"'{path}'")


def features_from_chunks(chunks: AudioChunks, sample_rate: int) -> TrackFeatures:
    """The profile of a signal in pieces `[frames, channel]` at any rate."""
    return track_features(
        prefetch(resample_stream(chunks, sample_rate, SAMPLE_RATE)), min(sample_rate, SAMPLE_RATE) / 2
    )


def match_reference(prediction: Prediction, signal: SourceSignal, reference_target: ReferenceTarget) -> ReferenceMatch:
    """The network's settings for a signal, moved towards what it is to come near to."""
    track_features = features_from_chunks(signal.read_chunks(), signal.sample_rate)
    return match_settings(prediction, track_features, reference_target, partial(read_excerpts, signal))


def read_excerpts(signal: SourceSignal) -> Float[np.ndarray, "blocks time channel"]:
    """Eight evenly spread excerpts of 3 s at the model's rate and level; of a shorter track all of it as one."""
    total_seconds = _NUM_EXCERPTS * _EXCERPT_SECONDS
    chunks = resample_stream(signal.chunks_at_model_level(), signal.sample_rate, SAMPLE_RATE)
    frames = round(signal.frames * SAMPLE_RATE / signal.sample_rate)
    if frames <= total_seconds * SAMPLE_RATE:
        return np.concatenate(list(chunks))[None]
    audio = np.concatenate(list(take_excerpts(chunks, frames, SAMPLE_RATE, total_seconds, _EXCERPT_SECONDS)))
    excerpt_frames = int(_EXCERPT_SECONDS * SAMPLE_RATE)
    return audio[: len(audio) // excerpt_frames * excerpt_frames].reshape(-1, excerpt_frames, audio.shape[1])


def check_reference(features: TrackFeatures, name: str) -> TrackFeatures:
    """The profile, if a track can be brought near to it."""
    if features.seconds < MIN_SECONDS - 0.01:
        raise BadInputError(
            f"{name} is {features.seconds:.1f} s long; a reference needs {MIN_SECONDS:g} s, better a whole song."
        )
    if features.silent:
        raise BadInputError(f"{name} is silent; give a reference that sounds.")
    return features


def _parse_weighted_path(text: str) -> tuple[Path, float]:
    """A path and its weight; a file whose own name ends like a weight is taken as it is."""
    path, separator, weight = text.rpartition("=")
    if not separator or Path(text).exists():
        return Path(text), 1.0
    try:
        weight_value = float(weight)
    except ValueError:
        return Path(text), 1.0
    if not 0.0 < weight_value < 1e6:
        raise BadInputError(f"--reference {text}: the weight must be above 0 and below a million; or leave it out.")
    return Path(path), weight_value


def _parse_aspect_weights(text: str) -> dict[str, float]:
    aspect_weights: dict[str, float] = {}
    for item in text.split(",") if text else ():
        aspect, _, value = item.partition("=")
        if aspect in aspect_weights:
            raise BadInputError(f"--reference-weights gives two weights of {aspect}; leave one of them.")
        aspect_weights[aspect] = _parse_fraction(value, f"--reference-weights {aspect}".rstrip())
    return aspect_weights


def _parse_fraction(text: str, label: str) -> float:
    try:
        return check_fraction(float(text), label)
    except ValueError:
        raise BadInputError(f"{label} is {text!r}; give a number from 0 to 1.") from None


def check_fraction(value: float, label: str) -> float:
    """A number from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise BadInputError(f"{label} is {value:g}; choose 0 to 1.")
    return float(value)

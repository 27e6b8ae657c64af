"""References for a track: read music or target files, and match the predicted settings to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.audio.streams import resample_stream
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.reference_features import Excerpts, match_excerpts, read_section
from nmjax.mastering.request_readers import WeightedFile
from nmjax.models import SAMPLE_RATE
from nmjax.reference import target_file
from nmjax.reference.features import TrackFeatures
from nmjax.reference.reference_target import ReferenceAudio, ReferenceTarget
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest

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


def read_excerpts(signal: SourceSignal) -> Excerpts:
    """The excerpts of a signal that its dynamics are matched with, at the model's level."""
    chunks = resample_stream(signal.read_chunks(), signal.sample_rate, SAMPLE_RATE)
    return at_model_level(match_excerpts(chunks, signal.frames, signal.sample_rate), signal)


def at_model_level(excerpts: Excerpts, signal: SourceSignal) -> Excerpts:
    """Excerpts at the level of a signal, with its gain to the model's level."""
    return np.float32(db_to_amplitude(signal.input_gain_db)) * excerpts


def _check_fraction(value: float, label: str) -> float:
    """The number, if it is from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise BadInputError(f"{label} is {value:g}; choose 0 to 1.")
    return float(value)

"""Match the predicted settings of a track to a reference; recognizes another mix of the track's own passage."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple

from nmjax.audio.streams import AudioChunks, StreamBranch, take_section
from nmjax.mastering.analysis import SourceSignal, encode_signal
from nmjax.mastering.network import Network, PooledFrames
from nmjax.mastering.reference_features import Excerpts, features_and_excerpts, features_from_chunks
from nmjax.mastering.references import at_model_level, read_excerpts
from nmjax.mastering.types import MasteringOptions
from nmjax.models import Prediction
from nmjax.reference.alignment import align, plays_the_same
from nmjax.reference.features import TrackFeatures
from nmjax.reference.match import ReferenceMatch, match_settings
from nmjax.reference.reference_target import ReferenceTarget


class SignalAnalysis(NamedTuple):
    """What a network and a match need of a signal.

    Attributes:
        pooled: by the network's encoder.
        features: for a match; None where there is no reference.
        excerpts: the same, at the level of the signal; None where they are read when they are needed.
    """

    pooled: PooledFrames
    features: TrackFeatures | None = None
    excerpts: Excerpts | None = None


def analyze_signal(signal: SourceSignal, network: Network, options: MasteringOptions) -> SignalAnalysis:
    """Analyzes a signal in one pass.

    Args:
        signal: the signal.
        network: encodes it.
        options: whether there is a reference, and how much is analyzed.
    """
    if not options.reference_target:
        return SignalAnalysis(encode_signal(signal, network, options.analysis_seconds))

    def measure(chunks: AudioChunks) -> tuple[TrackFeatures, Excerpts]:
        return features_and_excerpts(chunks, signal.sample_rate, signal.frames)

    with StreamBranch(measure) as branch:
        watched = dataclasses.replace(signal, read_chunks=lambda: branch.watch(signal.read_chunks()))
        pooled = encode_signal(watched, network, options.analysis_seconds)
        return SignalAnalysis(pooled, *branch.result())


def match_reference(
    prediction: Prediction,
    signal: SourceSignal,
    reference_target: ReferenceTarget,
    features: TrackFeatures | None = None,
    excerpts: Excerpts | None = None,
) -> ReferenceMatch:
    """Move a signal's predicted settings towards the reference.

    Args:
        prediction: of the signal.
        signal: the track.
        reference_target: the reference.
        features, excerpts: of the signal, at its own level, where they are known; otherwise they are read.
    """
    if features is None:
        features, excerpts = features_and_excerpts(signal.read_chunks(), signal.sample_rate, signal.frames)
    load_excerpts = partial(read_excerpts, signal) if excerpts is None else partial(at_model_level, excerpts, signal)
    passage = recognize_passage(features, signal, reference_target)
    if passage is None:
        return match_settings(prediction, features, reference_target, load_excerpts)
    return match_settings(
        prediction,
        passage.features,
        passage.reference_target,
        load_excerpts=load_excerpts if passage.track is None else partial(read_excerpts, passage.track),
        load_reference_excerpts=partial(read_excerpts, passage.reference) if passage.reference else None,
    )


class Passage(NamedTuple):
    """A passage of the track that the reference plays too.

    Attributes:
        features: features of the passage in the track.
        reference_target: the target with the features of the passage in the reference.
        track: the passage in the track; None where it is the whole track.
        reference: the passage in the reference; None where its audio cannot be read.
    """

    features: TrackFeatures
    reference_target: ReferenceTarget
    track: SourceSignal | None
    reference: SourceSignal | None


def recognize_passage(
    features: TrackFeatures, signal: SourceSignal, reference_target: ReferenceTarget
) -> Passage | None:
    """The passage that track and reference both play, if there is one.

    Where the two begin or end at different times, both are read again; a reference whose audio cannot be read has no
    passage then.

    Args:
        features: features of the whole track.
        signal: the track.
        reference_target: the reference.
    """
    reference, audio = reference_target.features, reference_target.audio
    if features.outline is None or reference.outline is None:
        return None
    alignment = align(features.outline, reference.outline)
    if alignment is None or not (alignment.is_whole or audio):
        return None
    track_section, reference_section = None, None
    if audio:
        whole = SourceSignal(audio.read_chunks, audio.sample_rate, reference.lufs)
        reference_section = _section(whole, alignment.reference_start, alignment.seconds)
    if not alignment.is_whole:
        track_section = _section(signal, alignment.track_start, alignment.seconds)
        features, reference = (
            features_from_chunks(x.read_chunks(), x.sample_rate) for x in (track_section, reference_section) if x
        )
    if not plays_the_same(features, reference, alignment.is_whole):
        return None
    target = dataclasses.replace(reference_target, features=reference, same_passage=True)
    return Passage(features, target, track_section, reference_section)


def _section(signal: SourceSignal, start: float, seconds: float) -> SourceSignal:
    """The section of a signal that begins at `start`; both in seconds."""
    first, end = (round(x * signal.sample_rate) for x in (start, start + seconds))
    return dataclasses.replace(
        signal, read_chunks=lambda: take_section(signal.read_chunks(), first, end), frames=end - first
    )

"""The jobs of a track: decode, analyze, repair, and match a reference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.diagnosis.inspection import container_bits
from nmjax.mastering.reference_features import features_and_excerpts
from nmjax.mastering.reference_match import match_reference
from nmjax.mastering.repair.plan import RepairPlan, repaired_opener
from nmjax.mastering.types import InputSignal
from nmjax.studio.analysis import Analysis, analyze_source, repair_key, suggest_settings
from nmjax.studio.engine import warm_up, warm_up_residual
from nmjax.studio.jobs import Job
from nmjax.studio.meters import MeterScan
from nmjax.studio.networks import load_network
from nmjax.studio.page_words import page_words
from nmjax.studio.peaks import PeakScan
from nmjax.studio.spool import write_spool
from nmjax.studio.state import FROM_NETWORK, Edits, ReferenceChoice
from nmjax.studio.suggestion import Suggestion
from nmjax.studio.targets import build_target, check_references, read_reference, section_of
from nmjax.studio.track import Track


def decode_track(job: Job, track: Track) -> None:
    """Decode a track, after which its original can be played.

    Raises:
        BadInputError: the file cannot be read.
    """
    job.advance(0.0, "Decoding")
    info = reader.probe(track.upload)
    track.audio_folder.mkdir(exist_ok=True)
    peaks, meter = PeakScan(), MeterScan(info.sample_rate, info.channels)
    chunks = job.watch(reader.read_chunks(track.upload), info.frames, 0.0, 0.3)
    spool = write_spool(track.audio_folder / "original.f32", peaks.watch(meter.watch(chunks)), info.channels)
    with track.lock:
        track.info, track.frames = info, spool.frames
        track.original_peaks, track.original_meters = peaks.result(), meter.to_dict(None)
        track.original_lufs = meter.lufs
        track.sources["none"] = spool
        track.status = "analyzing"


def analyze_track(job: Job, track: Track) -> None:
    """Measure a decoded track, unless an earlier run did, and make what its settings ask for.

    Raises:
        BadInputError: the track cannot be used.
    """
    source, info = track.sources["none"], track.info
    assert info is not None
    if track.analysis is None:
        job.advance(0.3, "Listening for problems")

        def tap(stage: str, chunks: AudioChunks) -> AudioChunks:
            return job.watch(chunks, source.frames, 0.3, 0.6 if stage == "source" else 0.7)

        signal = InputSignal(source.chunks, info.sample_rate, info.channels, f"“{track.name}”", container_bits(info))
        analysis = analyze_source(signal, track.original_lufs, tap)
        with track.lock:
            track.analysis = analysis
    assert track.analysis is not None and track.original_meters is not None
    track.original_meters["true_peak_db"] = track.analysis.input["true_peak_db"]
    complete_track(job, track)


def missing_parts(track: Track) -> bool:
    """Whether the settings ask for a suggestion, repairs or references that are not made yet."""
    analysis, edits = track.analysis, track.history.current
    if analysis is None:
        return False
    key = repair_key(analysis.repairs(edits.repair))
    has_repairs = key in track.sources and key in analysis.lufs
    has_suggestion = track.target_key(edits) in analysis.suggestions
    return not (has_suggestion and has_repairs) or bool(unread_references(track, edits))


def complete_track(job: Job, track: Track) -> None:
    """Make the repairs and the suggestion that the settings ask for, after which the track is ready.

    Raises:
        BadInputError: a reference cannot be read.
    """
    make_parts(job, track, track.history.current)
    job.check()  # newer settings need something else
    with track.lock:
        track.status, track.error = "ready", None
        track.save_analysis()
        track.changed()


def make_parts(job: Job, track: Track, edits: Edits) -> None:
    """Make the repairs and the suggestion that edits ask for.

    Raises:
        BadInputError: a reference cannot be read.
    """
    analysis = track.analysis
    assert analysis is not None
    for repairs in (analysis.certain, analysis.repairs(edits.repair)):
        _make_repairs(job, track, analysis, repairs)
    measure_references(job, track, edits)
    signal, key = _certain_signal(track, analysis), track.target_key(edits)
    if key not in analysis.suggestions:
        plain_key = edits.model if edits.base == FROM_NETWORK else next(iter(analysis.suggestions), edits.model)
        if plain_key not in analysis.suggestions:
            job.advance(0.8, "Choosing the settings")
            analysis.suggestions[plain_key] = suggest_settings(_watched(job, signal), load_network(edits.model))
        if key != plain_key and edits.has_target:
            analysis.suggestions[key] = _match(job, track, signal, analysis.suggestions[plain_key], edits)
    suggestion = analysis.suggestions.get(key)
    if suggestion is not None:  # the first change must not wait for the compiler
        warm_up(signal.sample_rate, track.channels)
        if suggestion.has_residual and math.isfinite(signal.lufs):
            source = track.sources[repair_key(analysis.certain)]
            warm_up_residual(source, signal, load_network(edits.model), suggestion.prediction.z)


def _make_repairs(job: Job, track: Track, analysis: Analysis, repairs: RepairPlan) -> None:
    key, source = repair_key(repairs), track.sources["none"]
    if key not in track.sources:
        job.advance(0.6, "Repairing")
        open_repaired = repaired_opener(source.chunks, repairs, track.sample_rate, track.channels)
        chunks = job.watch(open_repaired(), source.frames, 0.6, 0.75)
        track.sources[key] = write_spool(track.audio_folder / f"repaired-{key}.f32", chunks, track.channels)
    if key not in analysis.lufs:
        # The same meter as in `measure_source`, so that the levels are those of the command line.
        chunks = job.watch(track.sources[key].chunks(), source.frames, 0.75, 0.8)
        lufs = LoudnessScan(chunks, track.sample_rate, track.channels, max_limiting_db=0.0).lufs
        analysis.lufs[key] = lufs if math.isfinite(lufs) else None


def _certain_signal(track: Track, analysis: Analysis) -> SourceSignal:
    """The track with the repairs of "auto", from which suggestions are made."""
    source = track.sources[repair_key(analysis.certain)]
    return SourceSignal(source.chunks, track.sample_rate, analysis.input_lufs(analysis.certain), source.frames)


def _watched(job: Job, signal: SourceSignal) -> SourceSignal:
    return dataclasses.replace(
        signal, read_chunks=lambda: job.watch(signal.read_chunks(), signal.frames, job.progress, 0.95)
    )


def _match(job: Job, track: Track, signal: SourceSignal, suggestion: Suggestion, edits: Edits) -> Suggestion:
    """A suggestion matched to a target, as `mastering.track_analysis.plan_render` does it."""
    check_references(edits, track.reference_files)
    job.advance(0.7, "Matching the target")
    if track.measured is None:
        track.measured = features_and_excerpts(_watched(job, signal).read_chunks(), signal.sample_rate, signal.frames)
    target = build_target(edits, track.reference_files, track.references)
    match = match_reference(suggestion.prediction, signal, target, *track.measured)
    return dataclasses.replace(
        suggestion,
        prediction=match.prediction,
        matched=match.reference_target.matched_stages,
        reference=match.reference_target.description,
        residual_amount=0.0,  # as on the command line: settings alone describe the match
        notes=_page_notes(match.notes, is_style=bool(edits.style)),
        difference_db=match.difference_db,
    )


def _page_notes(notes: Sequence[str], is_style: bool) -> tuple[str, ...]:
    """The notes about a match in the page's words; "the style warm" begins a sentence there."""
    texts = [page_words(note) for note in notes]
    return tuple(text[0].upper() + text[1:] if is_style else text for text in texts)


def measure_references(job: Job, track: Track, edits: Edits) -> None:
    """Read the references of edits that were not read in this run.

    Raises:
        BadInputError: a file cannot be read, or is too short or silent.
    """
    for chosen in unread_references(track, edits):
        measure_reference(job, track, chosen)


def measure_reference(job: Job, track: Track, chosen: ReferenceChoice) -> None:
    """Read a reference or a section of it.

    Raises:
        BadInputError: the file cannot be read, or is too short or silent.
    """
    path = track.audio_folder / f"reference-{chosen.key}.f32"
    file, section = track.reference_files[chosen.id], section_of(chosen)
    track.references[chosen.key] = read_reference(job, file, section, path, track.sample_rate, track.channels)


def unread_references(track: Track, edits: Edits) -> list[ReferenceChoice]:
    """The references of edits that were not read in this run; files that are lost are left out."""
    unread = [chosen for chosen in edits.references if chosen.key not in track.references]
    return [chosen for chosen in unread if chosen.id in track.reference_files]

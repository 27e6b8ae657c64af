"""The jobs of a track: decode, analyze, repair, and match a reference."""

from __future__ import annotations

import dataclasses
import json
import math
import secrets
from functools import partial
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks, resample_stream
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.diagnosis.inspection import container_bits
from nmjax.mastering.pretrained import DEFAULT_MODEL
from nmjax.mastering.references import build_reference_target, check_reference, features_from_chunks, read_excerpts
from nmjax.mastering.repair.plan import RepairPlan, repaired_opener
from nmjax.mastering.types import InputSignal
from nmjax.reference.match import match_settings
from nmjax.runtime import atomic_files
from nmjax.studio.analysis import Analysis, analyze_source, repair_key, suggest_settings
from nmjax.studio.engine import warm_up, warm_up_residual
from nmjax.studio.jobs import Job
from nmjax.studio.meters import MeterScan
from nmjax.studio.networks import load_network
from nmjax.studio.peaks import PeakScan
from nmjax.studio.prepared import Reference
from nmjax.studio.spool import write_spool
from nmjax.studio.suggestion import Suggestion
from nmjax.studio.track import FROM_NETWORK, Track

_REFERENCE_MODEL = "2"  # its compressor and width can follow a reference; the command line takes it, too


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
    """Whether the settings ask for a suggestion or repairs that are not made yet."""
    analysis, edits = track.analysis, track.history.current
    if analysis is None:
        return False
    key = repair_key(analysis.repairs(edits.repair))
    has_repairs = key in track.sources and key in analysis.lufs
    return track.target_key(edits) not in analysis.suggestions or not has_repairs


def complete_track(job: Job, track: Track) -> None:
    """Make the repairs and the suggestion that the settings ask for.

    Raises:
        BadInputError: the reference cannot be matched.
    """
    analysis = track.analysis
    assert analysis is not None
    for repairs in (analysis.certain, analysis.repairs(track.history.current.repair)):
        _make_repairs(job, track, analysis, repairs)
    signal = _certain_signal(track, analysis)
    with track.lock:
        edits, key, reference = track.history.current, track.target_key(track.history.current), track.reference
    if key not in analysis.suggestions:
        plain_key = edits.model if edits.base == FROM_NETWORK else next(iter(analysis.suggestions), edits.model)
        if plain_key not in analysis.suggestions:
            job.advance(0.8, "Choosing the settings")
            analysis.suggestions[plain_key] = suggest_settings(_watched(job, signal), load_network(edits.model))
        if key != plain_key and reference is not None:
            job.advance(0.9, "Matching the reference")
            analysis.suggestions[key] = _match(job, track, signal, analysis.suggestions[plain_key], reference)
    with track.lock:
        track.status, track.error = "ready", None
        track.save_analysis()
        track.bump()
    suggestion = track.suggestion()
    if suggestion is not None:  # the first change must not wait for the compiler
        warm_up(signal.sample_rate, track.channels, suggestion.num_bands)
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


def _match(job: Job, track: Track, signal: SourceSignal, suggestion: Suggestion, reference: Reference) -> Suggestion:
    edits = track.history.current
    if track.features is None:
        watched = _watched(job, signal)
        track.features = features_from_chunks(watched.read_chunks(), signal.sample_rate)
    target = build_reference_target(
        features=[reference.features],
        weights=[1.0],
        name=reference.name,
        strength=edits.reference_strength,
        aspect_weights=edits.reference_weights,
        same_song=edits.same_song,
    )
    target = dataclasses.replace(target, intensity=edits.intensity)
    match = match_settings(suggestion.prediction, track.features, target, partial(read_excerpts, signal))
    return dataclasses.replace(
        suggestion,
        prediction=match.prediction,
        matched=target.matched_stages,
        reference=target.description,
        residual_amount=0.0,  # as on the command line: settings alone describe the match
    )


def read_reference(job: Job, track: Track, folder: Path) -> None:
    """Decode and measure the reference whose file is in a folder, and choose the network that can follow it.

    Raises:
        BadInputError: the file cannot be read, or is too short or silent.
    """
    job.advance(0.0, "Analyzing the reference")
    header = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    path = folder / header["file"]
    info = reader.probe(path)
    features = features_from_chunks(job.watch(reader.read_chunks(path), info.frames, 0.0, 0.3), info.sample_rate)
    features = check_reference(features, f"“{header['name']}”")
    meter = MeterScan(track.sample_rate, track.channels)
    chunks = resample_stream(
        _with_channels(job.watch(reader.read_chunks(path), info.frames, 0.3, 0.5), track.channels),
        info.sample_rate,
        track.sample_rate,
    )
    spool = write_spool(track.audio_folder / "reference.f32", meter.watch(chunks), track.channels)
    with track.lock:
        track.reference = Reference(
            id=header["id"],
            name=header["name"],
            duration_s=info.frames / info.sample_rate,
            features=features,
            spool=spool,
            lufs=meter.lufs,
        )


def store_reference_header(folder: Path, name: str, file: str) -> None:
    """Write what finds a reference again."""
    text = json.dumps({"id": secrets.token_hex(8), "name": name, "file": file})
    atomic_files.write_text(folder / "reference.json", text)


def prefer_matching_network(track: Track) -> None:
    """A network whose compressor and width can follow a reference, unless another one was chosen."""
    with track.lock:
        edits = track.history.current
        if edits.model == DEFAULT_MODEL and edits.base == FROM_NETWORK:
            update = {"model": _REFERENCE_MODEL, "bands": {}, "processors": {}}
            track.history.change(edits.model_copy(update=update))
            track.bump()


def _with_channels(chunks: AudioChunks, channels: int) -> AudioChunks:
    """Chunks with another number of channels: mixed down, or the same in all."""
    for chunk in chunks:
        if chunk.shape[1] == channels:
            yield chunk
        else:
            yield np.repeat(reader.to_mono(chunk)[:, None], channels, axis=1)

"""One track from file to files: measure, listen, change, render, deliver, and say what was done."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.audio.formats import OutputFormat, choose_format
from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks, add_streams, scale_stream_db
from nmjax.audio.units import json_number
from nmjax.dsp.rate_conversion import convert_bands_to_rate
from nmjax.mastering.analysis import SourceSignal, predict_settings, process_chain, residual_stream, with_input_gain
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import MIN_LUFS, DeliveryPlan, StreamOpener
from nmjax.mastering.delivery.verify import ComplianceResult
from nmjax.mastering.delivery.write import DeliveryResult, write_delivery
from nmjax.mastering.network import Network
from nmjax.mastering.observer import MasteringObserver
from nmjax.mastering.output_paths import OutputPaths
from nmjax.mastering.references import match_reference
from nmjax.mastering.render import active_processors, is_flat
from nmjax.mastering.settings import exports
from nmjax.mastering.settings.file import settings_to_json
from nmjax.mastering.settings.overrides import apply_overrides
from nmjax.mastering.settings.schema import MAX_AMOUNT
from nmjax.mastering.types import AnalyzedTrack, InputSignal, MasteringOptions, MasteringResult, RenderPlan
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

CHUNK_FRAMES = 1 << 16  # frames
MIN_FRAMES = 2
_CODEC_PADDING_FRAMES = 4 * 1152  # that a lossy file may lack at its ends

StreamTap = Callable[[str, AudioChunks], AudioChunks]  # passes on a signal, which it is told the name of


def no_tap(name: str, chunks: AudioChunks) -> AudioChunks:
    """Returns the chunks: a `StreamTap` that observes nothing."""
    return chunks


def master(
    track: Path,
    outputs: OutputPaths,
    network: Network | None,
    options: MasteringOptions,
    progress: StreamTap = no_tap,
    observers: Sequence[MasteringObserver] = (),
) -> MasteringResult:
    """Master a track; all its files appear together, or none does.

    Args:
        track: the file to master.
        outputs: where the files go; `observers` write the plot, the report and the null test.
        network: None where settings are given and their residual is not wanted.
        options: the same for every track.
        progress: called with a name and the chunks of each pass over the audio, which it returns unchanged.
        observers: follow the audio of every stage and write further files.

    Raises:
        BadInputError: the track or the settings cannot be used, or an output cannot be written.
    """
    info = reader.probe(track)
    formats = [choose_format(path, info, options.bits) for path in outputs.masters]

    def tap(stage: str, chunks: AudioChunks) -> AudioChunks:
        for observer in observers:
            chunks = observer.tap(stage, chunks)
        return chunks

    input_signal = InputSignal(
        lambda: progress("Reading", reader.read_chunks(track, CHUNK_FRAMES)),
        info.sample_rate,
        info.channels,
        f"'{track}'",
    )
    analyzed_track = analyze_track(input_signal, network, options, tap)
    notes = analyzed_track.notes
    if info.truncated or analyzed_track.input_scan.frames < info.frames - (
        _CODEC_PADDING_FRAMES if info.is_lossy else 0
    ):
        seconds = analyzed_track.input_scan.frames / info.sample_rate
        notes.append(f"The file is cut short or damaged: {seconds:.1f} s could be read, its header says more.")
    with contextlib.ExitStack() as stack:
        temporary_paths = {path: stack.enter_context(atomic_files.temporary_sibling(path)) for path in outputs.files()}
        folder = outputs.masters[0].parent
        open_stream = stack.enter_context(render_track(analyzed_track, network, options.album_gain_db, folder, tap))
        delivery_results = _write_deliveries(
            lambda: progress("Delivering", open_stream()), info, formats, temporary_paths, track, outputs, options
        )
        notes += _delivery_notes(delivery_results, analyzed_track.input_scan)
        result = MasteringResult(
            outputs=outputs,
            info=info,
            network=network,
            input_scan=analyzed_track.input_scan,
            render_plan=analyzed_track.render_plan,
            delivery_results=delivery_results,
            notes=notes,
        )
        _write_sidecar_files(result, temporary_paths, track, network, options)
        for observer in observers:
            observer.write_files(result, open_stream, temporary_paths)
        atomic_files.commit_files(
            [(temporary_paths[path], path) for path in reversed(outputs.files())]
        )  # the first master last
    return result


def analyze_track(
    input_signal: InputSignal, network: Network | None, options: MasteringOptions, tap: StreamTap = no_tap
) -> AnalyzedTrack:
    """Measure and listen, and choose what is rendered.

    Raises:
        BadInputError: a sound or settings that cannot be used.
    """
    notes = list(options.settings.notes) if options.settings else []
    input_scan = LoudnessScan(
        tap("source", input_signal.read_chunks()), input_signal.sample_rate, input_signal.channels, max_limiting_db=0.0
    )
    if input_scan.frames < MIN_FRAMES:
        raise BadInputError(f"{input_signal.name} holds a single sample; there is nothing to master.")
    lufs = options.album.lufs if options.album else input_scan.lufs
    signal = SourceSignal(input_signal.read_chunks, input_signal.sample_rate, lufs, input_scan.frames)
    render_plan = plan_render(signal, network, options, notes)
    return AnalyzedTrack(input_signal, input_scan, signal, render_plan, notes)


def _write_deliveries(
    open_stream: StreamOpener,
    info: AudioInfo,
    formats: list[OutputFormat],
    temporary_paths: dict[Path, Path],
    track: Path,
    outputs: OutputPaths,
    options: MasteringOptions,
) -> list[DeliveryResult]:
    """Each delivery in its temporary file; the signal is surveyed once where they share a rate."""
    keeps_rate = [output_format.sample_rate == info.sample_rate for output_format in formats]
    max_limiting_db = max(spec.allowed_limiting_db for spec in options.delivery_specs)
    needs_scan = any(keeps_rate) or options.album
    scan = LoudnessScan(open_stream(), info.sample_rate, info.channels, max_limiting_db) if needs_scan else None
    delivery_specs = options.delivery_specs
    if options.album:  # a song keeps its place in the album, whatever the limiter does
        song_lufs = scan.lufs if MIN_LUFS <= scan.lufs <= 0.0 else None
        delivery_specs = [
            dataclasses.replace(x, lufs=song_lufs) if x.true_peak_db is not None else x for x in delivery_specs
        ]
    delivery_results = []
    for spec, path, output_format, song_lufs in zip(delivery_specs, outputs.masters, formats, keeps_rate, strict=True):
        stream_and_target = (open_stream, info.sample_rate, info.channels, spec, temporary_paths[path], output_format)
        delivery_result = write_delivery(*stream_and_target, tags_source=track, scan=scan if song_lufs else None)
        delivery_results.append(
            dataclasses.replace(delivery_result, compliance=dataclasses.replace(delivery_result.compliance, path=path))
        )
    return delivery_results


def plan_render(
    signal: SourceSignal, network: Network | None, options: MasteringOptions, notes: list[str]
) -> RenderPlan:
    """The settings to render: from a file, an album or the network, then changed as the options say."""
    stored_settings, overrides = options.settings, options.overrides
    eq_sample_rate, residual_amount, match = SAMPLE_RATE, 1.0, None
    if stored_settings:
        prediction, eq_sample_rate = (
            with_input_gain(stored_settings.prediction, signal.input_gain_db),
            stored_settings.sample_rate,
        )
        can_render, residual_note = stored_settings.check_residual(network.checkpoint_digest if network else None)
        residual_amount = stored_settings.residual_amount if can_render else 0.0
        notes += [residual_note] if residual_note else []
    elif options.album:
        prediction, match = options.album.prediction, options.album.match
    else:
        prediction = predict_settings(signal, network, options.analysis_seconds)
    if options.reference_target and not options.album:
        match = match_reference(prediction, signal, options.reference_target)
        prediction = match.prediction
    notes += match.notes if match else ()
    prediction = apply_overrides(overrides, prediction, eq_sample_rate)
    residual_amount = min(residual_amount * overrides.residual_scale, MAX_AMOUNT)
    if not network or not network.has_residual or not math.isfinite(signal.lufs):
        residual_amount = 0.0  # silent, or at no level that the network knows
    rendered_bands = convert_bands_to_rate(prediction.settings.eq.bands(), eq_sample_rate, signal.sample_rate)
    return RenderPlan(prediction, eq_sample_rate, rendered_bands, residual_amount, match)


@contextlib.contextmanager
def render_track(
    analyzed_track: AnalyzedTrack,
    network: Network | None,
    gain_db: float = 0.0,
    folder: Path | None = None,
    tap: StreamTap = no_tap,
) -> Iterator[StreamOpener]:
    """The rendered signal, from its start at each call: the input itself where nothing is changed, else a spool in
    `folder`."""
    signal, render_plan = analyzed_track.signal, analyzed_track.render_plan
    settings = render_plan.prediction.settings
    if (
        not render_plan.residual_amount
        and is_flat(render_plan.rendered_bands)
        and not active_processors(settings)
        and gain_db == 0.0
    ):
        yield signal.read_chunks
        return
    audio = process_chain(signal, settings, render_plan.rendered_bands, tap)
    if render_plan.residual_amount:
        residual_chunks = residual_stream(signal, network, render_plan.prediction.z, render_plan.residual_amount)
        audio = add_streams(audio, tap("residual", residual_chunks))
    with tempfile.TemporaryFile(dir=folder) as spool:
        for chunk in scale_stream_db(audio, gain_db):
            spool.write(np.ascontiguousarray(chunk, np.float32).data)
        spool.flush()
        yield lambda: _read_spool(spool.fileno(), analyzed_track.input_signal.channels)


def _read_spool(file_descriptor: int, channels: int) -> Iterator[np.ndarray]:
    byte_offset = 0
    while raw_bytes := os.pread(file_descriptor, CHUNK_FRAMES * channels * 4, byte_offset):
        yield np.frombuffer(raw_bytes, np.float32).reshape(-1, channels)
        byte_offset += len(raw_bytes)


def _delivery_notes(delivery_results: list[DeliveryResult], input_scan: LoudnessScan) -> list[str]:
    if input_scan.true_peak == 0.0:
        return ["The track is silent, and so is the master."]
    return list(dict.fromkeys(note for delivery_result in delivery_results for note in delivery_result.notes))


def _write_sidecar_files(
    result: MasteringResult,
    temporary_paths: dict[Path, Path],
    track: Path,
    network: Network | None,
    options: MasteringOptions,
) -> None:
    """Writes the settings and the EQ export to their temporary files."""
    outputs, render_plan, sample_rate = result.outputs, result.render_plan, result.info.sample_rate
    delivery_by_name = {
        delivery_result.spec.name: delivery_to_dict(delivery_result.compliance, delivery_result.plan)
        for delivery_result in result.delivery_results
    }
    text = settings_json(track.name, render_plan, sample_rate, network, options, delivery_by_name)
    temporary_paths[outputs.settings].write_text(text, encoding="utf-8")
    if outputs.export:
        exports.export_eq(render_plan.rendered_bands, sample_rate, temporary_paths[outputs.export], track.name)


def settings_json(
    track_name: str,
    render_plan: RenderPlan,
    sample_rate: int,
    network: Network | None,
    options: MasteringOptions,
    delivery_by_name: dict,
) -> str:
    """The settings file of what was rendered at `sample_rate` (Hz)."""
    model = options.settings.model if options.settings else network
    settings_args = (
        track_name,
        model,
        render_plan.prediction,
        render_plan.rendered_bands,
        sample_rate,
        delivery_by_name,
        render_plan.residual_amount,
        render_plan.eq_sample_rate,
    )
    return settings_to_json(*settings_args, render_plan.match and render_plan.match.reference_target.description)


def delivery_to_dict(compliance: ComplianceResult, delivery_plan: DeliveryPlan) -> dict:
    """A delivery in numbers, for JSON; None for what is not finite."""
    numbers = {
        "gain_db": delivery_plan.gain_db,
        "lufs": compliance.lufs,
        "true_peak_db": compliance.true_peak_db,
        "loudness_range_lu": compliance.loudness_range_lu,
        "limiting_db": delivery_plan.gain_reduction.max_db,
    }
    return {"passed": compliance.passed, **{name: json_number(value) for name, value in numbers.items()}}

"""Analyzes a track: measures it, repairs it, and decides what to render."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nmjax.audio.streams import AudioChunks
from nmjax.dsp.rate_conversion import convert_bands_to_rate
from nmjax.mastering.analysis import SourceSignal, decode_settings, encode_signal, with_input_gain
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.early_work import EarlyResult, EarlyWork
from nmjax.mastering.intensity import apply_intensity, correction_shares
from nmjax.mastering.network import Network
from nmjax.mastering.reference_match import SignalAnalysis, analyze_signal, match_reference
from nmjax.mastering.rendered_track import RENDERED_MEMORY_BYTES, render_signal
from nmjax.mastering.repair.plan import unfit_repair_notes, unneeded_repair_notes
from nmjax.mastering.settings.overrides import apply_overrides, neutral_processor_notes
from nmjax.mastering.settings.schema import MAX_AMOUNT
from nmjax.mastering.source import StreamTap, measure_source, no_tap
from nmjax.mastering.types import AnalyzedTrack, InputSignal, MasteringOptions, RenderPlan
from nmjax.models import SAMPLE_RATE, Prediction
from nmjax.reference.match import ReferenceMatch
from nmjax.runtime.errors import BadInputError


def analyze_track(
    signal: InputSignal,
    network: Network | None,
    options: MasteringOptions,
    tap: StreamTap = no_tap,
    report_findings: bool = False,
    folder: Path | None = None,
    early: EarlyDelivery | None = None,
) -> AnalyzedTrack:
    """Measures a signal, repairs it, and decides what to render; arguments as in `measure_source`.

    Args:
        early: lets the track be rendered, too, while its diagnosis is still measured elsewhere.

    Raises:
        BadInputError: the signal or the settings cannot be used.
    """
    notes = list(options.settings.notes) if options.settings else []
    with contextlib.ExitStack() as stack:
        work = _start_early(signal, network, options, folder, early) if early else None
        if work:
            stack.enter_context(work)

        def tap_source(stage: str, chunks: AudioChunks) -> AudioChunks:
            if work and stage == "repaired":
                work.stop()
            return tap(stage, chunks)

        source = measure_source(signal, options, tap_source, report_findings, folder)
        if not options.settings:
            notes += unneeded_repair_notes(options.repair, source.repairs, source.findings)
        else:
            notes += unfit_repair_notes(options.settings.repairs.select(options.repair), source.repairs)
        # Another scan is that of a repaired track, or of a file that has changed.
        done = work.result() if work and work.scan is source.scan else None
        if done and early:
            early.resources.push(stack.pop_all())
    repaired = SourceSignal(
        read_chunks=source.read_chunks,
        sample_rate=signal.sample_rate,
        lufs=options.album.lufs if options.album else source.scan.lufs,
        frames=source.scan.frames,
    )
    if done:
        render_plan, notes = done.render_plan, [*notes, *done.notes]
    else:
        render_plan = plan_render(repaired, network, options, notes)
    return AnalyzedTrack(
        input_signal=signal,
        original=source.original,
        input_scan=source.scan,
        signal=repaired,
        render_plan=dataclasses.replace(render_plan, repairs=source.repairs),
        notes=notes,
        findings=source.findings,
        early_result=done,
    )


class EarlyDelivery(NamedTuple):
    """What rendering needs before the analysis ends.

    Attributes:
        resources: what is rendered is closed with them.
        limiting_db: the deepest limiting of the deliveries at the track's own rate; None where there are none.
    """

    resources: contextlib.ExitStack
    limiting_db: float | None


def _start_early(
    signal: InputSignal,
    network: Network | None,
    options: MasteringOptions,
    folder: Path | None,
    early: EarlyDelivery,
) -> EarlyWork | None:
    """Analyzes a signal whose diagnosis is still measured elsewhere, and starts what follows; None where it is not."""
    if not network or options.settings or options.album or not signal.wait_for_loudness:
        return None
    measured = signal.wait_for_loudness()
    if not measured:
        return None
    source = SourceSignal(signal.read_chunks, signal.sample_rate, measured.scan.lufs, measured.scan.frames)
    pooled = encode_signal(source, network, options.analysis_seconds)
    for_match = signal.wait_for_features() if options.reference_target and signal.wait_for_features else None
    analysis = SignalAnalysis(pooled)
    if for_match:
        analysis = SignalAnalysis(pooled, for_match.features, for_match.excerpts)

    def run(opened: contextlib.ExitStack, until_stopped: Callable[[AudioChunks], AudioChunks]) -> EarlyResult:
        notes: list[str] = []
        render_plan = plan_render(source, network, options, notes, analysis)
        stoppable = dataclasses.replace(source, read_chunks=lambda: until_stopped(signal.read_chunks()))
        rendered = opened.enter_context(
            render_signal(
                stoppable, signal.channels, render_plan, network, folder=folder, memory_bytes=RENDERED_MEMORY_BYTES
            )
        )
        scan = None
        if early.limiting_db is not None:
            scan = LoudnessScan(rendered.open_stream(), signal.sample_rate, signal.channels, early.limiting_db)
        return EarlyResult(render_plan, notes, rendered, scan)

    return EarlyWork(measured.scan, run)


def plan_render(
    signal: SourceSignal,
    network: Network | None,
    options: MasteringOptions,
    notes: list[str],
    analysis: SignalAnalysis | None = None,
) -> RenderPlan:
    """The settings to render: from a file, an album or the network, matched to a reference, with overrides.

    Args:
        signal: the signal to master.
        network: predicts the settings where neither a file nor an album has them.
        options: the options.
        notes: messages for the user are appended.
        analysis: of the signal by the network, where it was made before.
    """
    overrides, stored_settings = options.overrides, options.settings
    eq_sample_rate, residual_amount, match = SAMPLE_RATE, 1.0, None
    if stored_settings:
        prediction = with_input_gain(stored_settings.prediction, signal.input_gain_db)
        eq_sample_rate = stored_settings.sample_rate
        obstacle = stored_settings.residual_obstacle(network.checkpoint_digest if network else None)
        residual_amount = 0.0 if obstacle else stored_settings.residual_amount
        if obstacle and stored_settings.has_residual and overrides.residual_scale:
            notes.append(f"The residual is left out: {obstacle}.")
    elif options.album:
        prediction, match = options.album.prediction, options.album.match
    elif network:
        analysis = analysis or analyze_signal(signal, network, options)
        prediction = decode_settings(analysis.pooled, signal, network)
    else:
        raise BadInputError("There is neither a network nor settings to render; give one of them.")
    if options.reference_target and not options.album:
        known = (analysis.features, analysis.excerpts) if analysis else (None, None)
        match = match_reference(prediction, signal, options.reference_target, *known)
        prediction = match.prediction
    notes += match.notes if match else ()
    if not stored_settings:
        prediction = at_intensity(prediction, options.intensity, network, match)
        residual_amount *= options.intensity
    prediction = apply_overrides(overrides, prediction, eq_sample_rate)
    notes += neutral_processor_notes(overrides, prediction.settings)
    residual_amount = min(residual_amount * overrides.residual_scale, MAX_AMOUNT)
    if not network or not network.has_residual or not math.isfinite(signal.lufs):
        residual_amount = 0.0  # the network needs a finite loudness to scale the signal to its level
    eq_side = prediction.settings.eq_side
    return RenderPlan(
        prediction=prediction,
        eq_sample_rate=eq_sample_rate,
        rendered_bands=convert_bands_to_rate(prediction.settings.eq.bands(), eq_sample_rate, signal.sample_rate),
        residual_amount=residual_amount,
        match=match,
        eq_scale=options.intensity * overrides.eq_scale,
        rendered_side_bands=eq_side and convert_bands_to_rate(eq_side.bands(), eq_sample_rate, signal.sample_rate),
    )


def at_intensity(
    prediction: Prediction, intensity: float, network: Network | None, match: ReferenceMatch | None
) -> Prediction:
    """The prediction at an intensity, which above 1 depends on how much of a deviation the network corrects.

    Args:
        prediction: of one track, after the match.
        intensity: 0 to 2.
        network: that predicted it; None where the settings were given.
        match: with a reference; None without one.
    """
    matched = match.reference_target.matched_stages if match else frozenset()
    needs_shares = intensity > 1.0 and network is not None and "eq" not in matched
    shares = correction_shares(network, prediction) if network and needs_shares else None
    return apply_intensity(prediction, intensity, shares, matched)

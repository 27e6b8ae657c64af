"""The mastering observer that writes the report and the null test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.plan import DeliveryPlan, StreamOpener, apply_delivery_plan
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.delivery.verify import ComplianceResult, check_file_compliance
from nmjax.mastering.output_paths import OutputPaths
from nmjax.mastering.summary import summary_sentences
from nmjax.mastering.types import MasteringResult
from nmjax.models import Settings
from nmjax.models.processors import PROCESSORS
from nmjax.reference.reference_target import ReferenceAudio
from nmjax.report.audio_players import DEFAULT_EXCERPT_S, Excerpt, add_reference, select_excerpts
from nmjax.report.gain_trace import GainTracer
from nmjax.report.limiting import LimitingTradeoff, measure_limiting
from nmjax.report.null_test import NullTest, write_null_test
from nmjax.report.page import FileMeasurements, ReportData, render_page
from nmjax.report.processors import ChainData
from nmjax.report.spectral_change import ResidualSpectrum, measure_residual
from nmjax.report.track_analysis import SignalAnalysis, SignalAnalyzer

_CHAIN = ("eq", *PROCESSORS)
_NO_REQUIREMENTS = DeliverySpec(lufs=None, true_peak_db=None, name="input")


class ReportRecorder:
    """A `MasteringObserver` that writes the report and the null test, where they are requested.

    Every stage is analyzed while its audio is streamed. The input and the master are read once more in `write_files`.

    Args:
        info: header of the input file.
        outputs: the paths to write.
        excerpt_s: length of what can be listened to in the report, in seconds; infinite for the whole track.
        reference: what can be listened to besides input and master; None for the reference of the match, if any.
        given_settings: what settings are called that no network predicts.
    """

    def __init__(
        self,
        info: AudioInfo,
        outputs: OutputPaths,
        excerpt_s: float = DEFAULT_EXCERPT_S,
        reference: ReferenceAudio | None = None,
        given_settings: str = "Settings from a file",
    ):
        self._info, self._outputs, self._excerpt_s, self._reference = info, outputs, excerpt_s, reference
        self._given_settings = given_settings
        self._analyzers: dict[str, SignalAnalyzer] = {}
        self._gain_tracers: dict[str, GainTracer] = {}  # in the order of the chain
        self._next_tracer: GainTracer | None = None  # of the processor that follows, if one does

    def tap(self, stage: str, chunks: AudioChunks) -> AudioChunks:
        """Return the chunks of a stage, which are analyzed when they are read."""
        if not self._outputs.report:
            return chunks
        if stage != "input":  # the same audio as "source" or "repaired"
            self._analyzers[stage] = SignalAnalyzer(self._info.sample_rate, self._info.channels)
            chunks = self._analyzers[stage].watch(chunks)
        return self._trace_gain(stage, chunks) if stage == "input" or stage in _CHAIN else chunks

    def _trace_gain(self, stage: str, chunks: AudioChunks) -> AudioChunks:
        """Use the chunks as the output of this stage and as the input of the next one."""
        if self._next_tracer:
            self._gain_tracers[stage] = self._next_tracer
            chunks = self._next_tracer.watch_output(chunks)
        self._next_tracer = GainTracer(self._info.sample_rate)
        return self._next_tracer.watch_input(chunks)

    def write_files(
        self, result: MasteringResult, open_rendered: StreamOpener, temporary_paths: Mapping[Path, Path]
    ) -> None:
        """Write the null test and the report into their temporary files."""
        info, plan, null_test = self._info, result.delivery_results[0].plan, None

        def open_input() -> AudioChunks:
            return reader.read_chunks(info.path)

        def open_master() -> AudioChunks:
            return apply_delivery_plan(open_rendered, info.sample_rate, plan)

        if self._outputs.null_test:
            null_test = write_null_test(
                path=temporary_paths[self._outputs.null_test],
                before=open_input,
                after=open_master,
                sample_rate=info.sample_rate,
                channels=info.channels,
            )
        if self._outputs.report:
            limiting = measure_limiting(open_rendered, info.sample_rate, info.channels, result.delivery_results)
            page = render_page(
                self._report_data(
                    result, open_input, open_master, open_rendered, null_test=null_test, limiting=limiting
                )
            )
            temporary_paths[self._outputs.report].write_text(page, encoding="utf-8")

    def _report_data(
        self,
        result: MasteringResult,
        open_input: StreamOpener,
        open_master: StreamOpener,
        open_rendered: StreamOpener,
        *,
        null_test: NullTest | None,
        limiting: LimitingTradeoff | None,
    ) -> ReportData:
        info, delivery, render_plan = self._info, result.delivery_results[0], result.render_plan
        analyses = {stage: analyzer.result() for stage, analyzer in self._analyzers.items()}
        limiter = GainTracer(info.sample_rate) if delivery.spec.true_peak_db is not None else None
        master_analysis = self._analyze(
            self._limited(limiter, open_rendered, delivery.plan) if limiter else open_master()
        )
        input_analysis = analyses["source"]
        settings = render_plan.prediction.settings
        return ReportData(
            track_name=info.path.name,
            model_name=_model_name(result, self._given_settings),
            input_measurements=_file_measurements(
                check_file_compliance(info.path, _NO_REQUIREMENTS), input_analysis, format_name=info.subtype
            ),
            master_measurements=_file_measurements(
                delivery.compliance,
                master_analysis,
                format_name=result.outputs.masters[0].suffix.lstrip(".").upper(),
            ),
            eq=settings.eq,
            eq_side=settings.eq_side,
            input_analysis=input_analysis,
            master_analysis=master_analysis,
            chain=self._chain_data(settings, analyses),
            residual=_measure_residual(analyses),
            target_lufs=delivery.spec.lufs,
            findings=result.findings,
            summary=summary_sentences(result),
            compliance_lines=[f"{x.spec.name}: {x.compliance.summary}" for x in result.delivery_results],
            notes=[*(f"Repaired: {x}" for x in result.unreported_repairs), *result.notes],
            excerpts=self._excerpts(result, open_input(), open_master(), master_analysis),
            limiter=limiter.result() if limiter else None,
            limiter_input_gain_db=delivery.plan.gain_db,
            null_test=null_test,
            limiting=limiting,
            match=render_plan.match,
            saturation=render_plan.repairs.saturation,
        )

    def _limited(self, tracer: GainTracer, open_rendered: StreamOpener, plan: DeliveryPlan) -> AudioChunks:
        """The master, while what the limiter does to the level is traced."""
        return tracer.watch_output(
            apply_delivery_plan(lambda: tracer.watch_input(open_rendered()), self._info.sample_rate, plan)
        )

    def _excerpts(
        self, result: MasteringResult, before: AudioChunks, after: AudioChunks, master_analysis: SignalAnalysis
    ) -> list[Excerpt]:
        """What can be listened to, with the reference where its audio can be read."""
        excerpts = select_excerpts(before, after, master_analysis, self._excerpt_s)
        match = result.render_plan.match
        reference = self._reference or (match.reference_target.audio if match else None)
        if reference is None:
            return excerpts
        first = next(iter(reference.read_chunks()))
        analyzer = SignalAnalyzer(reference.sample_rate, first.shape[1])
        for _ in analyzer.watch(reference.read_chunks()):
            pass
        return add_reference(excerpts, reference.read_chunks(), analyzer.result(), self._excerpt_s)

    def _analyze(self, chunks: AudioChunks) -> SignalAnalysis:
        analyzer = SignalAnalyzer(self._info.sample_rate, self._info.channels)
        for _ in analyzer.watch(chunks):
            pass
        return analyzer.result()

    def _chain_data(self, settings: Settings, analyses: Mapping[str, SignalAnalysis]) -> ChainData | None:
        """What was recorded of the processors; None if none was rendered."""
        if not set(self._gain_tracers) - {"eq"}:
            return None
        return ChainData(
            settings=settings,
            analyses={
                "input": analyses.get("repaired", analyses["source"]),
                **{stage: analyses[stage] for stage in self._gain_tracers},
            },
            gain_traces={stage: tracer.result() for stage, tracer in self._gain_tracers.items()},
        )


def _measure_residual(analyses: Mapping[str, SignalAnalysis]) -> ResidualSpectrum | None:
    """The residual beside the output of the last processor; None where no residual was rendered."""
    if "residual" not in analyses:
        return None
    last_stage = [stage for stage in _CHAIN if stage in analyses][-1]
    return measure_residual(analyses[last_stage], analyses["residual"])


def _model_name(result: MasteringResult, given: str) -> str:
    network = result.network
    if not network:
        return given
    return f"{network.label}, checkpoint {network.checkpoint_digest}, step {network.step}"


def _file_measurements(compliance: ComplianceResult, analysis: SignalAnalysis, format_name: str) -> FileMeasurements:
    return FileMeasurements(
        lufs=compliance.lufs,
        true_peak_db=compliance.true_peak_db,
        loudness_range_lu=compliance.loudness_range_lu,
        crest_db=analysis.crest_db,
        sample_rate=compliance.sample_rate,
        channels=analysis.channels,
        duration_s=float(np.round(compliance.frames / compliance.sample_rate, 3)),
        format_name=format_name,
    )

"""What a report needs to know of a track, noted while its sound passes; nothing where no report is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.plan import DeliverySpec, StreamOpener, apply_delivery_plan
from nmjax.mastering.delivery.verify import ComplianceResult, check_file_compliance
from nmjax.mastering.output_paths import OutputPaths
from nmjax.mastering.types import MasteringResult
from nmjax.models import Settings
from nmjax.models.processors import PROCESSORS
from nmjax.report.gain_trace import GainTracer
from nmjax.report.track_analysis import SignalAnalysis, SignalAnalyzer

CHAIN = ("input", "eq", *PROCESSORS)
_PASSTHROUGH = DeliverySpec(lufs=None, true_peak_db=None, name="input")


class ReportRecorder:
    """Listens to the input, to the equaliser's output, to each stage's behind it and to the residual."""

    def __init__(self, info: AudioInfo, outputs: OutputPaths):
        self._info, self._outputs = info, outputs
        self._analyzers: dict[str, SignalAnalyzer] = {}
        self._gain_tracers: dict[str, GainTracer] = {}  # of each part of the chain that is behind the input
        self._next_tracer: GainTracer | None = None  # of the part behind the last one, if another one comes

    def tap(self, name: str, pieces: AudioChunks) -> AudioChunks:
        """The signal "source", "residual" or one of `CHAIN`, passed on."""
        if not self._outputs.report:
            return pieces
        if name != "input":  # that is "source"
            self._analyzers[name] = SignalAnalyzer(self._info.sample_rate, self._info.channels)
            pieces = self._analyzers[name].watch(pieces)
        return self._trace_gain(name, pieces) if name in CHAIN else pieces

    def _trace_gain(self, name: str, pieces: AudioChunks) -> AudioChunks:
        """What comes out of a part of the chain, with what went in; it goes into the next one."""
        if self._next_tracer:
            self._gain_tracers[name] = self._next_tracer
            pieces = self._next_tracer.watch_output(pieces)
        self._next_tracer = GainTracer(self._info.sample_rate)
        return self._next_tracer.watch_input(pieces)

    def write_files(
        self, result: MasteringResult, open_rendered: StreamOpener, temporary_paths: Mapping[Path, Path]
    ) -> None:
        """The report and the null test, as far as they are wanted, into their temporary files."""
        from nmjax.audio import reader

        if not self._outputs.report and not self._outputs.null_test:
            return
        info, plan = self._info, result.delivery_results[0].plan

        def read_input():
            return reader.read_chunks(info.path)

        def read_master():
            return apply_delivery_plan(open_rendered, info.sample_rate, plan)

        null_test = None
        if self._outputs.null_test:
            from nmjax.report.null_test import write_null_test

            path = temporary_paths[self._outputs.null_test]
            null_test = write_null_test(path, read_input, read_master, info.sample_rate, info.channels)
        if self._outputs.report:
            text = self._render_page(result, read_input, read_master, null_test)
            temporary_paths[self._outputs.report].write_text(text, encoding="utf-8")

    def _render_page(self, result: MasteringResult, read_input: Callable, read_master: Callable, null_test) -> str:
        from nmjax.report.audio_players import select_excerpts
        from nmjax.report.page import ReportData, render_page
        from nmjax.report.spectral_change import measure_residual

        info, network, first_delivery = self._info, result.network, result.delivery_results[0]
        master_analyzer = SignalAnalyzer(info.sample_rate, info.channels)
        for _ in master_analyzer.watch(read_master()):
            pass
        analyses = {name: listener.result() for name, listener in self._analyzers.items()} | {
            "after": master_analyzer.result()
        }
        rendered_analysis = analyses[[name for name in CHAIN if name in analyses][-1]] if self._gain_tracers else None
        residual = measure_residual(rendered_analysis, analyses["residual"]) if "residual" in analyses else None
        input_compliance = check_file_compliance(info.path, _PASSTHROUGH)
        report_data = ReportData(
            track_name=info.path.name,
            model_name=f"phase {network.config.phase}, checkpoint {network.checkpoint_digest}"
            if network
            else "settings from a file",
            input_measurements=_file_measurements(input_compliance, info, analyses["source"], info.subtype),
            master_measurements=_file_measurements(
                first_delivery.compliance, info, analyses["after"], result.outputs.masters[0].suffix.lstrip(".").upper()
            ),
            eq=result.render_plan.prediction.settings.eq,
            input_analysis=analyses["source"],
            master_analysis=analyses["after"],
            chain=self._chain_data(result.render_plan.prediction.settings, analyses),
            residual=residual,
            target_lufs=first_delivery.spec.lufs,
            compliance_lines=[
                f"{delivery.spec.name}: {delivery.compliance.summary}" for delivery in result.delivery_results
            ],
            notes=result.notes,
            excerpts=select_excerpts(read_input(), read_master(), analyses["after"]),
            null_test=null_test,
            match=result.render_plan.match,
        )
        return render_page(report_data)

    def _chain_data(self, settings: Settings, analyses: dict[str, SignalAnalysis]):
        """What the stages did; None where there are none."""
        from nmjax.report.processors import ChainData

        if not set(self._gain_tracers) - {"eq"}:
            return None
        gain_traces = {name: tracer.result() for name, tracer in self._gain_tracers.items()}
        return ChainData(
            settings, {"input": analyses["source"], **{name: analyses[name] for name in gain_traces}}, gain_traces
        )


def _file_measurements(compliance: ComplianceResult, info: AudioInfo, analysis: SignalAnalysis, format_name: str):
    from nmjax.report.page import FileMeasurements

    duration_s = float(np.round(compliance.frames / compliance.sample_rate, 3))
    return FileMeasurements(
        compliance.lufs,
        compliance.true_peak_db,
        compliance.loudness_range_lu,
        analysis.crest_db,
        compliance.sample_rate,
        info.channels,
        duration_s,
        format_name,
    )

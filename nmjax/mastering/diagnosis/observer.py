"""Diagnosis of a track while it is mastered, in the pass that measures its loudness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.inspection import container_bits, loudness_measures
from nmjax.mastering.diagnosis.scan import TrackScan
from nmjax.mastering.observer import MasteringObserver
from nmjax.mastering.types import MasteringResult


class DiagnosisObserver(MasteringObserver):
    """Observes the source of a track.

    Attributes:
        findings: complete when the track is mastered.

    Args:
        info: header of the track.
    """

    def __init__(self, info: AudioInfo):
        self.findings: list[Finding] = []
        self._info, self._scan = info, TrackScan(info.sample_rate, info.channels)

    def tap(self, stage: str, chunks: AudioChunks) -> AudioChunks:
        """Collects statistics of the source."""
        return self._scan.watch(chunks) if stage == "source" else chunks

    def write_files(
        self, result: MasteringResult, open_rendered: StreamOpener, temporary_paths: Mapping[Path, Path]
    ) -> None:
        """Writes no files; runs the detectors."""
        loudness = loudness_measures(result.input_scan)
        self.findings = diagnose(self._scan.result(), loudness, container_bits(self._info))

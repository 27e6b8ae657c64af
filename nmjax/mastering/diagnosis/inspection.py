"""Diagnosis of a track in one pass: the pass that measures its loudness."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from nmjax.audio import reader
from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks, watch_in_thread
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.diagnosis.diagnosis import LoudnessMeasures, diagnose, track_measures
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.scan import TrackScan, TrackStatistics


class Inspection(NamedTuple):
    """A file's header, statistics, loudness, findings, and the measures that are ranked among the training songs."""

    info: AudioInfo
    statistics: TrackStatistics
    loudness: LoudnessMeasures
    findings: list[Finding]
    measures: dict[str, float]


def scan_track(chunks: AudioChunks, sample_rate: int, channels: int) -> tuple[TrackStatistics, LoudnessMeasures]:
    """The statistics of a signal and its loudness.

    Args:
        chunks: the signal, `[frames, channel]`.
        sample_rate: Hz.
        channels: number of channels.
    """
    track_scan = TrackScan(sample_rate, channels)
    loudness_scan = LoudnessScan(
        watch_in_thread(chunks, track_scan.update), sample_rate, channels, max_limiting_db=None
    )
    return track_scan.result(), loudness_measures(loudness_scan)


def loudness_measures(scan: LoudnessScan) -> LoudnessMeasures:
    """What the diagnosis needs of a loudness scan."""
    return LoudnessMeasures(scan.lufs, scan.loudness_range_lu(), scan.true_peak)


def inspect_file(path: Path | str) -> Inspection:
    """Inspect a file in one pass.

    Raises:
        BadInputError: the file cannot be read.
    """
    info = reader.probe(path)
    statistics, loudness = scan_track(reader.read_chunks(path), info.sample_rate, info.channels)
    findings = diagnose(statistics, loudness, container_bits(info))
    return Inspection(info, statistics, loudness, findings, track_measures(statistics, loudness))


def container_bits(info: AudioInfo) -> int | None:
    """Bits of a file's samples; None for floats and lossy formats."""
    match = re.fullmatch(r"PCM_(?:S|U)?(\d+)", info.subtype)
    return int(match[1]) if match else None

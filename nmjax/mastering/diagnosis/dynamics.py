"""Loudness range and peak-to-loudness ratio against those of the training songs."""

from __future__ import annotations

import math

from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.percentiles import percentile_of, quantile

_MIN_SECONDS = 30.0
_MIN_RANGE_SECONDS = 90.0  # the loudness range is one of a whole song
_EXTREME_PERCENT = 1.0
_CRUSHED_MARGIN_DB = 1.0  # below the extreme songs
_PEAKY_MARGIN_DB = 2.0  # above the highest of the training songs: those are masters, and mixes have higher peaks


def find_dynamics(lufs: float, loudness_range_lu: float, true_peak_db: float, seconds: float) -> list[Finding]:
    """Measures outside the range of the training songs.

    Args:
        lufs: integrated loudness.
        loudness_range_lu: of EBU Tech 3342; NaN where unknown.
        true_peak_db: dBTP.
        seconds: length of the signal.
    """
    if seconds < _MIN_SECONDS or not math.isfinite(lufs):
        return []
    plr_db = true_peak_db - lufs
    findings = []
    if plr_db < quantile("plr_db", _EXTREME_PERCENT) - _CRUSHED_MARGIN_DB:
        findings.append(
            _finding(
                "plr",
                plr_db,
                "dB",
                Severity.WARNING,
                f"The peaks are only {plr_db:.1f} dB above the loudness: the mix is limited or compressed very hard.",
                "Master from a mix without limiter on its output.",
            )
        )
    if plr_db > quantile("plr_db", 100.0) + _PEAKY_MARGIN_DB:
        findings.append(
            _finding(
                "plr",
                plr_db,
                "dB",
                Severity.INFO,
                f"Single peaks are {plr_db:.1f} dB above the loudness, so a loud master needs much limiting.",
                "Tame the highest peaks in the mix, or choose a lower loudness.",
            )
        )
    return [*findings, *(_find_loudness_range(loudness_range_lu) if seconds >= _MIN_RANGE_SECONDS else ())]


def _find_loudness_range(loudness_range_lu: float) -> list[Finding]:
    if loudness_range_lu > quantile("loudness_range_lu", 100.0 - _EXTREME_PERCENT):
        sentence = f"Quiet and loud sections differ by {loudness_range_lu:.1f} LU; few songs differ by more."
        remedy = "Raise the quiet sections by automation, if they get lost on small speakers."
    elif loudness_range_lu < quantile("loudness_range_lu", _EXTREME_PERCENT):
        sentence = f"All sections are equally loud (loudness range {loudness_range_lu:.1f} LU)."
        remedy = "If that is not meant, use less compression on the mix's output."
    else:
        return []
    return [_finding("loudness_range", loudness_range_lu, "LU", Severity.INFO, sentence, remedy)]


def _finding(name: str, value: float, unit: str, severity: Severity, sentence: str, remedy: str) -> Finding:
    measure = {"plr": "plr_db", "loudness_range": "loudness_range_lu"}[name]
    return Finding(
        name=name,
        value=value,
        unit=unit,
        severity=severity,
        sentence=sentence,
        remedy=remedy,
        percentile=percentile_of(measure, value),
    )

"""Repairs of arrays, and their spectra."""

import numpy as np
import scipy.signal

from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.inspection import scan_track
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.plan import mark_findings, plan_repairs, repair_stream
from tests.mastering.diagnosis.songs import RATE


def plan_of(audio, *names):
    """The plan and the findings, with what was done."""
    statistics, loudness = scan_track([audio], RATE, audio.shape[1])
    findings = diagnose(statistics, loudness, 24)
    names = names or ("auto",)
    plan = plan_repairs(statistics, findings, DiagnosedTrack(lambda: [audio], RATE, loudness.lufs), names)
    return plan, {finding.name: finding for finding in mark_findings(findings, plan, tried=names)}


def repair(audio, plan, rate=RATE, size=50_000):
    chunks = [audio[start : start + size] for start in range(0, len(audio), size)]
    return np.concatenate(list(repair_stream(chunks, plan, rate, audio.shape[1])))


def spectrum_db(audio):
    freq_hz, power = scipy.signal.welch(audio, RATE, nperseg=1 << 16, axis=0)
    return freq_hz, 10.0 * np.log10(power.mean(axis=1) + 1e-15)

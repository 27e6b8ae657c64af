"""What is measured of a track once: its findings, its level with each repair, its spectrum, and suggestions."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import amplitude_to_db, json_number
from nmjax.mastering.analysis import SourceSignal, predict_settings
from nmjax.mastering.diagnosis.scan import TrackStatistics
from nmjax.mastering.intensity import correction_shares
from nmjax.mastering.network import Network
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.plan import REPAIRS, RepairPlan, mark_findings, plan_repairs
from nmjax.mastering.request import AUTO, NONE
from nmjax.mastering.source import measure_source
from nmjax.mastering.types import InputSignal, MasteringOptions
from nmjax.studio.curves import GRID_HZ, grid_levels_db
from nmjax.studio.suggestion import Suggestion

_TITLES = {"dc_offset": "DC offset", "true_peak": "True peaks"}


@dataclasses.dataclass
class Analysis:
    """Measurements of a track.

    Attributes:
        findings: of the diagnosis, for JSON, without what was repaired.
        input: lufs, loudness_range and true_peak_db for JSON.
        certain, possible: the repairs of "auto", and those that can be named.
        lufs: loudness by key of a repair plan; None where there is none.
        spectrum_db: levels at `curves.GRID_HZ`.
        side_spectrum_db: those of half of left − right; None unless the track is stereo.
        original_lufs: loudness of the track before repair; −inf where it has none.
        suggestions: by key.
    """

    findings: list[dict[str, Any]]
    input: dict[str, float | None]
    certain: RepairPlan
    possible: RepairPlan
    lufs: dict[str, float | None]
    spectrum_db: list[float]
    original_lufs: float
    side_spectrum_db: list[float] | None = None
    suggestions: dict[str, Suggestion] = dataclasses.field(default_factory=dict)

    def repairs(self, names: Sequence[str]) -> RepairPlan:
        """The repairs that names ask for."""
        if NONE in names:
            return RepairPlan()
        plan = self.certain if AUTO in names else RepairPlan()
        named = {name: getattr(self.possible, name) for name in REPAIRS if name in names}
        return plan.model_copy(update={name: repair for name, repair in named.items() if repair is not None})

    def input_lufs(self, repairs: RepairPlan) -> float:
        """Loudness of the repaired track; −inf where it has none."""
        lufs = self.lufs.get(repair_key(repairs))
        return -math.inf if lufs is None else lufs

    def findings_with(self, repairs: RepairPlan) -> list[dict[str, Any]]:
        """The findings with what these repairs do about each."""
        active = repairs.active()
        marked = []
        for finding in self.findings:
            made = [active[name].sentence for name in active if finding["name"] in REPAIRS[name].repaired_findings]
            marked.append({**finding, "repaired": " ".join(made)})
        return marked

    def to_dict(self, sample_rate: int) -> dict[str, Any]:
        """The analysis for JSON."""
        return {
            "findings": self.findings,
            "input": self.input,
            "certain": self.certain.to_dict(),
            "possible": self.possible.to_dict(),
            "lufs": self.lufs,
            "spectrum_db": self.spectrum_db,
            "side_spectrum_db": self.side_spectrum_db,
            "original_lufs": self.original_lufs if math.isfinite(self.original_lufs) else None,
            "suggestions": {key: suggestion.to_dict(sample_rate) for key, suggestion in self.suggestions.items()},
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Analysis:
        """The analysis of a JSON document."""
        suggestions = {key: Suggestion.from_dict(value) for key, value in tree["suggestions"].items()}
        lufs = -math.inf if tree["original_lufs"] is None else float(tree["original_lufs"])
        return cls(
            findings=tree["findings"],
            input=tree["input"],
            certain=RepairPlan.model_validate(tree["certain"]),
            possible=RepairPlan.model_validate(tree["possible"]),
            lufs=tree["lufs"],
            spectrum_db=tree["spectrum_db"],
            side_spectrum_db=tree.get("side_spectrum_db"),
            original_lufs=lufs,
            suggestions=suggestions,
        )


def repair_key(repairs: RepairPlan) -> str:
    """Identifies repairs; "none" where there are none."""
    if not repairs.active():
        return "none"
    return hashlib.sha256(json.dumps(repairs.to_dict(), sort_keys=True).encode()).hexdigest()[:12]


def analyze_source(
    signal: InputSignal, original_lufs: float, tap: Callable[[str, AudioChunks], AudioChunks]
) -> Analysis:
    """Measure and diagnose a track, in one pass where nothing is repaired.

    Args:
        signal: the track.
        original_lufs: its loudness before repair.
        tap: as in `measure_source`.

    Raises:
        BadInputError: the track is too short.
    """
    source = measure_source(signal, MasteringOptions(), tap, report_findings=True, suggest_options=False)
    statistics = source.statistics
    assert statistics is not None
    track = DiagnosedTrack(signal.read_chunks, signal.sample_rate, source.original.lufs)
    possible = plan_repairs(statistics, source.findings, track, list(REPAIRS))
    lufs, original = source.scan.lufs, source.original
    plain = mark_findings(source.findings, RepairPlan(), tried=None)
    return Analysis(
        findings=[_finding_dict(finding) for finding in plain],
        input={
            "lufs": json_number(original.lufs),
            "loudness_range": json_number(original.loudness_range_lu),
            "true_peak_db": json_number(amplitude_to_db(original.true_peak)),
        },
        certain=source.repairs,
        possible=possible,
        lufs={repair_key(source.repairs): lufs if math.isfinite(lufs) else None},
        spectrum_db=_levels_db(statistics.spectrum.power, statistics.spectrum.bin_hz),
        side_spectrum_db=_side_levels_db(statistics),
        original_lufs=original_lufs,
    )


def suggest_settings(signal: SourceSignal, network: Network) -> Suggestion:
    """A network's prediction for a repaired track."""
    prediction = predict_settings(signal, network)
    return Suggestion(
        prediction=prediction,
        eq_sample_rate=44_100,
        residual_amount=1.0 if network.has_residual else 0.0,
        model=network.model_id,
        shares=correction_shares(network, prediction),
    )


def _side_levels_db(statistics: TrackStatistics) -> list[float] | None:
    """Levels of half of left − right."""
    if statistics.channels != 2:
        return None
    spectrum = statistics.spectrum
    power = (spectrum.left + spectrum.right - 2.0 * np.real(spectrum.cross)) / 4.0
    return _levels_db(np.maximum(power, 0.0), spectrum.bin_hz)


def _levels_db(power: np.ndarray, bin_hz: float) -> list[float]:
    levels = grid_levels_db(power, bin_hz, GRID_HZ)
    return [round(float(x), 2) for x in np.maximum(levels, -150.0)]


def _finding_dict(finding) -> dict[str, Any]:
    title = _TITLES.get(finding.name) or finding.name.replace("_", " ").capitalize()
    return {**finding.to_dict(), "title": title, "repaired": "", "sentence": finding.ranked_sentence}

"""Silence, cut-off ends, dropouts and clicks, from the cells of the waveform."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from nmjax.mastering.diagnosis.cells import CELL_SECONDS, CellStatistics
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.runs import find_runs
from nmjax.runtime.number_format import format_time

_SILENT_POWER = 10.0**-7.0  # −70 dBFS
_MIN_LEADING_S, _MIN_TRAILING_S = 3.0, 8.0
_CUT_OFF_DB = -26.0  # a track that is this loud, relative to its loud sections, at an end was cut there
_DROPOUT_S = (0.004, 0.12)
_BEFORE_DROPOUT_S = 0.03
_DROPOUT_DB = -30.0  # relative to loud sections: how loud the music is on both sides of it
_LOUD_PERCENT = 95.0
_GAP_EDGE_CELLS = 2  # on either side of where a gap of digital silence begins and ends: the waveform jumps there
_MAX_CLICKS_PER_S = 4.0  # more is a rhythm


@dataclasses.dataclass(frozen=True)
class _Level:
    """Power of all channels by cell, that of the last cells without their offset, and that of loud sections."""

    power: Float[np.ndarray, " cells"]
    last_sound: Float[np.ndarray, " last"]
    loud: float


def find_interruptions(cells: CellStatistics) -> list[Finding]:
    """Silence, cut-off ends, dropouts and clicks."""
    power = cells.power
    if not len(power) or power.max() < _SILENT_POWER:
        return [_silent_track()] if len(power) else []
    audible = power[power >= _SILENT_POWER]
    level = _Level(power, cells.last_sound, float(np.percentile(audible, _LOUD_PERCENT)))
    gaps = _dropouts(level)
    return [*_find_silence(level), *_find_cut_ends(level), *_find_dropouts(gaps), *_find_clicks(cells, gaps)]


def _silent_track() -> Finding:
    return Finding(
        name="silence",
        value=100.0,
        unit="%",
        severity=Severity.PROBLEM,
        sentence="The track is silent, or so quiet that it counts as silent.",
        remedy="Check the export.",
    )


def _find_silence(level: _Level) -> list[Finding]:
    (audible,) = np.nonzero(level.power >= _SILENT_POWER)
    ends = {
        "leading_silence": (audible[0] * CELL_SECONDS, _MIN_LEADING_S, "starts after"),
        "trailing_silence": ((len(level.power) - 1 - audible[-1]) * CELL_SECONDS, _MIN_TRAILING_S, "ends with"),
    }
    return [
        Finding(
            name=name,
            value=float(seconds),
            unit="s",
            severity=Severity.INFO,
            sentence=f"The track {verb} {seconds:.1f} s of silence.",
            remedy="Trim it, unless it is meant.",
        )
        for name, (seconds, limit, verb) in ends.items()
        if seconds >= limit
    ]


def _find_cut_ends(level: _Level) -> list[Finding]:
    limit = level.loud * 10.0 ** (_CUT_OFF_DB / 10.0)
    # The last cells only: a note may start at once, but it does not end at once. A constant that continues is no music.
    end = float(level.last_sound.min())
    if end < limit:
        return []
    return [
        Finding(
            name="cut_end",
            value=10.0 * float(np.log10(end / level.loud)),
            unit="dB",
            severity=Severity.WARNING,
            sentence="The music stops while it is still loud: the end seems to be cut off.",
            remedy="Export up to the end of the last note and its reverb, or fade it out.",
        )
    ]


def _dropouts(level: _Level) -> Int[np.ndarray, "gaps 2"]:
    """The first cell of each short gap of digital silence with music close on both sides, and the cell after it."""
    first, stop = find_runs(level.power == 0.0)
    seconds = (stop - first) * CELL_SECONDS
    reach = round(_BEFORE_DROPOUT_S / CELL_SECONDS)
    limit = level.loud * 10.0 ** (_DROPOUT_DB / 10.0)
    is_inside = (seconds >= _DROPOUT_S[0]) & (seconds <= _DROPOUT_S[1]) & (first >= reach)
    is_inside &= stop + reach <= len(level.power)
    gaps = [
        (start, end)
        for start, end in zip(first[is_inside], stop[is_inside], strict=True)
        if level.power[start - 2 : start].max() >= limit and level.power[end : end + 2].max() >= limit
    ]
    return np.array(gaps, int).reshape(-1, 2)


def _find_dropouts(gaps: Int[np.ndarray, "gaps 2"]) -> list[Finding]:
    if not len(gaps):
        return []
    return [
        Finding(
            name="dropouts",
            value=float(len(gaps)),
            unit="",
            severity=Severity.PROBLEM,
            sentence=f"The music is interrupted by digital silence {_times(len(gaps))}, first at"
            f" {format_time(gaps[0, 0] * CELL_SECONDS)}.",
            remedy="Export again with a larger audio buffer, or edit the gap.",
        )
    ]


def _find_clicks(cells: CellStatistics, gaps: Int[np.ndarray, "gaps 2"]) -> list[Finding]:
    """Wrong samples: second differences far above those around, within a few samples; not the edges of gaps."""
    from_edge = cells.clicks[:, None] - gaps.ravel()
    is_edge = (from_edge >= -_GAP_EDGE_CELLS) & (from_edge < _GAP_EDGE_CELLS)
    positions = cells.clicks[~is_edge.any(axis=1)]
    seconds = len(cells.power) * CELL_SECONDS
    if not len(positions) or len(positions) > _MAX_CLICKS_PER_S * seconds:
        return []
    return [
        Finding(
            name="clicks",
            value=float(len(positions)),
            unit="",
            severity=Severity.PROBLEM if len(positions) >= 3 else Severity.WARNING,
            sentence=f"The waveform jumps for a sample or two (a click) at least {_times(len(positions))}, first at"
            f" {format_time(positions[0] * CELL_SECONDS)}.",
            remedy="Repair it with a declicker, or cross-fade the edit where it happens.",
        )
    ]


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")

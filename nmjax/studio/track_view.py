"""What the page shows of a track."""

from __future__ import annotations

import math
from typing import Any

from nmjax.audio.units import json_number
from nmjax.mastering.summary import NO_PURPOSE, SIMILAR_MUSIC, describe_processing
from nmjax.runtime.number_format import format_fixed
from nmjax.studio.changes import reset_edits
from nmjax.studio.prepared import Prepared
from nmjax.studio.state import FROM_NETWORK
from nmjax.studio.suggestion import resolve_settings, state_to_dict
from nmjax.studio.track import Track

_SAME_LOUDNESS_DB = 0.05


def change_dict(track: Track) -> dict[str, Any]:
    """The reply to a change."""
    prepared = track.prepare()
    return {
        "revision": prepared.revision,
        "state": state_to_dict(prepared.suggestion, prepared.resolved, prepared.edits),
        "can_undo": track.history.can_undo,
        "can_redo": track.history.can_redo,
    }


def track_dict(track: Track) -> dict[str, Any]:
    """Everything about the track, for JSON."""
    with track.lock:
        tree = {
            **track.brief(),
            "findings": [],
            "input": None,
            "summary": [],
            "state": None,
            "suggestion": None,
            "can_undo": track.history.can_undo,
            "can_redo": track.history.can_redo,
            "snapshots": list(track.history.snapshots),
            "references": [file.to_dict() for file in track.reference_files.values()],
            "target_notes": [],
            "loudness_change_db": _loudness_change_db(track),
        }
        if track.analysis is None or track.suggestion() is None or not track.sources:
            return tree
        prepared = track.prepare()
        reset = reset_edits(prepared.edits)
        return {
            **tree,
            "findings": track.analysis.findings_with(prepared.plan.repairs),
            "input": track.analysis.input,
            "summary": _summary(track, track.prepare_delivery()),
            "target_notes": list(prepared.suggestion.notes),
            "state": state_to_dict(prepared.suggestion, prepared.resolved, prepared.edits),
            "suggestion": state_to_dict(prepared.suggestion, resolve_settings(prepared.suggestion, reset), reset),
        }


def _summary(track: Track, delivered: Prepared) -> list[str]:
    """What the master is, in sentences; the first one is the most important. delivered: without a solo."""
    if not math.isfinite(delivered.signal.lufs):
        return ["The loudness of this track cannot be measured: it is silent, or shorter than 0.4 s."]
    edits = delivered.edits
    is_own = any((edits.bands, edits.side_bands, edits.amounts["eq"] != 1.0, "eq" in edits.bypass))
    is_prediction = edits.base == FROM_NETWORK and delivered.suggestion.reference is None and not is_own
    purpose = SIMILAR_MUSIC if is_prediction else NO_PURPOSE
    if edits.intensity < 1.0:
        purpose = purpose._replace(small="")
    return [describe_processing(delivered.plan, track.sample_rate, track.channels, purpose), *_describe_gain(track)]


def _loudness_change_db(track: Track) -> float | None:
    """How much louder the master is; None while it is not measured, and where a solo is played in its place."""
    if track.master is None or track.history.current.solo:
        return None
    return json_number(track.master.lufs - track.original_lufs)


def _describe_gain(track: Track) -> list[str]:
    """How much louder or quieter the master is, once it is measured."""
    change_db = _loudness_change_db(track)
    if change_db is None or track.master is None:
        return []
    lufs = format_fixed(track.master.lufs, "LUFS")
    if abs(change_db) < _SAME_LOUDNESS_DB:
        return [f"The master is as loud as the original: {lufs}."]
    direction = "up" if change_db > 0.0 else "down"
    return [f"It is turned {direction} by {format_fixed(abs(change_db), 'dB')}, to {lufs}."]

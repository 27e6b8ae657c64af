"""What the page shows of a track."""

from __future__ import annotations

import math
from typing import Any

from nmjax.audio.units import json_number
from nmjax.mastering.summary import NO_PURPOSE, SIMILAR_MUSIC, describe_processing
from nmjax.studio.changes import reset_edits
from nmjax.studio.prepared import Prepared
from nmjax.studio.state import FROM_NETWORK
from nmjax.studio.suggestion import resolve_settings, state_to_dict
from nmjax.studio.track import Track


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
            "loudness_change_db": json_number(track.master.lufs - track.original_lufs) if track.master else None,
        }
        if track.analysis is None or track.suggestion() is None or not track.sources:
            return tree
        prepared = track.prepare()
        reset = reset_edits(prepared.edits)
        return {
            **tree,
            "findings": track.analysis.findings_with(prepared.plan.repairs),
            "input": track.analysis.input,
            "summary": _summary(track, prepared),
            "target_notes": list(prepared.suggestion.notes),
            "state": state_to_dict(prepared.suggestion, prepared.resolved, prepared.edits),
            "suggestion": state_to_dict(prepared.suggestion, resolve_settings(prepared.suggestion, reset), reset),
        }


def _summary(track: Track, prepared: Prepared) -> list[str]:
    if not math.isfinite(prepared.signal.lufs):
        return []
    is_prediction = prepared.edits.base == FROM_NETWORK and prepared.suggestion.reference is None
    return [describe_processing(prepared.plan, track.sample_rate, SIMILAR_MUSIC if is_prediction else NO_PURPOSE)]

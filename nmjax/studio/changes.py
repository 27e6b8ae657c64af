"""Changes of a track's settings. Where the result cannot be rendered, they raise BadInputError and change nothing."""

from __future__ import annotations

import hashlib
from typing import Any

from nmjax.mastering import pretrained
from nmjax.mastering.settings.file import StoredSettings
from nmjax.runtime.errors import BadInputError
from nmjax.studio import track_files
from nmjax.studio.state import MAX_REFERENCES, Edits, ReferenceChoice, patch_edits
from nmjax.studio.suggestion import Suggestion, delivery_spec, resolve_settings
from nmjax.studio.targets import check_references, follow_choices
from nmjax.studio.track import Track

_WAIT = "The track is still being analyzed; wait a moment."


def patch(track: Track, changes: dict[str, Any]) -> None:
    """A partial change; `transient` while a control moves."""
    with track.lock:
        changes = dict(changes)
        transient = changes.pop("transient", False) is True
        suggestion = track.suggestion()
        if suggestion is None:
            raise BadInputError(_WAIT)
        before = track.history.current
        edits = patch_edits(before, changes, suggestion.num_bands, pretrained.model_names())
        check_references(edits, track.reference_files)
        if edits.side_bands and track.channels != 2:
            raise BadInputError("The track is not stereo, so it has no side; change the other bands.")
        edits = follow_choices(before, edits)
        _check(track, edits)
        track.history.change(edits, transient)
        track.changed(transient)


def add_reference(track: Track, reference_id: str) -> None:
    """Follow one more reference, in place of a style.

    Raises:
        BadInputError: there are too many.
    """
    with track.lock:
        current = track.history.current
        if len(current.references) >= MAX_REFERENCES:
            raise BadInputError(f"There are {MAX_REFERENCES} references already; remove one first.")
        references = [*current.references, ReferenceChoice(id=reference_id)]
        edits = current.model_copy(update={"references": references, "style": None})
        track.history.change(follow_choices(current, edits))
        track.changed()


def load(track: Track, stored: StoredSettings, text: str) -> None:
    """Settings of a file in place of the network's suggestion."""
    with track.lock:
        if track.analysis is None:
            raise BadInputError(_WAIT)
        key = f"loaded:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        track.analysis.suggestions[key] = Suggestion.from_settings(stored)
        current = track.history.current
        names = [*stored.repairs.active()] or ["none"]
        edits = Edits(model=current.model, base=key, deliver=current.deliver, repair=names)
        _check(track, edits)
        track.history.change(edits)
        track.save_analysis()
        track.changed()


def step(track: Track, direction: str) -> None:
    """Undo, redo, or reset to the suggestion."""
    with track.lock:
        current = track.history.current
        if direction == "undo":
            moved = track.history.undo()
        elif direction == "redo":
            moved = track.history.redo()
        else:
            track.history.change(reset_edits(current))
            moved = True
        if moved:
            track.changed()


def give_up_unmade(track: Track) -> None:
    """Back to the last step whose suggestion is there, since making that of the current one was canceled or failed."""
    with track.lock:
        suggestions = track.analysis.suggestions if track.analysis else {}
        while track.target_key(track.history.current) not in suggestions and track.history.undo():
            pass
        track.changed()


def store_snapshot(track: Track, name: str) -> None:
    """Store the settings under a name."""
    with track.lock:
        track.history.snapshots[name] = track.history.current
        track_files.write_history(track.folder, track.history)


def restore_snapshot(track: Track, name: str) -> None:
    """The settings of a name, as a new step."""
    with track.lock:
        track.history.change(track.history.snapshots[name])
        track.changed()


def delete_snapshot(track: Track, name: str) -> None:
    """Forget a name."""
    with track.lock:
        del track.history.snapshots[name]
        track_files.write_history(track.folder, track.history)


def reset_edits(edits: Edits) -> Edits:
    """The edits without what a person has moved."""
    names = ("intensity", "amounts", "bands", "side_bands", "processors", "bypass", "solo")
    fresh = Edits(model=edits.model, base=edits.base)
    return edits.model_copy(update={name: getattr(fresh, name) for name in names})


def _check(track: Track, edits: Edits) -> None:
    suggestion = track.suggestion()
    delivery_spec(edits.deliver)
    if suggestion is not None:
        resolve_settings(suggestion, edits)

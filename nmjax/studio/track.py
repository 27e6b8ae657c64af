"""One track of the studio: its files, its settings with their history, and what they sound like now."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from nmjax.audio.reader import AudioInfo
from nmjax.mastering import pretrained
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.references import Excerpts
from nmjax.mastering.settings.file import StoredSettings
from nmjax.reference.features import TrackFeatures
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError
from nmjax.studio.analysis import Analysis, repair_key
from nmjax.studio.engine import PieceRenderer
from nmjax.studio.networks import network_of_checkpoint
from nmjax.studio.prepared import Prepared, Reference
from nmjax.studio.spool import Spool
from nmjax.studio.state import FROM_NETWORK, MAX_REFERENCES, Edits, History, ReferenceChoice, patch_edits
from nmjax.studio.suggestion import (
    Suggestion,
    delivery_spec,
    render_plan,
    resolve_settings,
    settings_text,
)
from nmjax.studio.targets import ReferenceFile, check_references, follow_choices, stored_references
from nmjax.studio.whole_pass import RenderedSound, WholeMaster


class Track:
    """A track; `lock` guards everything but the renderer, which has a lock of its own.

    Args:
        folder: of its files; its name is the track's id.
        name: for people.
        upload: the file as it was given.
    """

    def __init__(self, folder: Path, name: str, upload: Path):
        self.folder, self.id, self.name, self.upload = folder, folder.name, name, upload
        self.info: AudioInfo | None = None
        self.status = "decoding"
        self.error: str | None = None
        self.frames = 0
        self.sources: dict[str, Spool] = {}  # by key of the repairs
        self.original_peaks: np.ndarray | None = None
        self.original_meters: dict[str, Any] | None = None
        self.original_lufs = -math.inf
        self.analysis: Analysis | None = None
        self.measured: tuple[TrackFeatures, Excerpts] | None = None  # for targets, made when there is one
        self.reference_files: dict[str, ReferenceFile] = {}  # by id, also those that undo brings back
        self.references: dict[str, Reference] = {}  # by id, those that were measured
        self.history = History(Edits(model=pretrained.DEFAULT_MODEL, base=FROM_NETWORK))
        self.revision = 1
        self.is_transient = False
        self.lock, self.render_lock = threading.RLock(), threading.Lock()
        self.renderer: tuple[str, PieceRenderer] | None = None
        self.sound: RenderedSound | None = None
        self.sound_change_db = 0.0  # that the settings of `sound` were estimated to have
        self.master: WholeMaster | None = None
        self._prepared: Prepared | None = None
        self._last_suggestion: Suggestion | None = None

    @property
    def audio_folder(self) -> Path:
        """Where decoded and rendered audio is; it can be made again."""
        return self.folder / "audio"

    @property
    def sample_rate(self) -> int:
        """Hz; 0 before the header was read."""
        return self.info.sample_rate if self.info else 0

    @property
    def channels(self) -> int:
        """Number of channels; 0 before the header was read."""
        return self.info.channels if self.info else 0

    def brief(self) -> dict[str, Any]:
        """The track in a list, for JSON."""
        rate = self.sample_rate
        return {
            "id": self.id,
            "name": self.name,
            "sample_rate": rate,
            "channels": self.channels,
            "frames": self.frames,
            "duration_s": self.frames / rate if rate else 0.0,
            "status": self.status,
            "error": self.error,
            "revision": self.revision,
        }

    def target_key(self, edits: Edits) -> str:
        """The key of the suggestion that edits ask for."""
        if edits.base != FROM_NETWORK:
            return edits.base
        if not edits.has_target:
            return edits.model
        references = [(chosen.id, chosen.weight) for chosen in edits.references]
        # Above 1, an intensity changes the match itself.
        match = (edits.style, references, edits.reference_strength, sorted(edits.reference_weights.items()),
                 edits.same_song, max(1.0, edits.intensity))  # fmt: skip
        return f"{edits.model}+{hashlib.sha256(json.dumps(match).encode()).hexdigest()[:16]}"

    def suggestion(self) -> Suggestion | None:
        """What the current edits apply to: what they ask for, or what there was before while that is made."""
        if self.analysis is None:
            return None
        found = self.analysis.suggestions.get(self.target_key(self.history.current))
        self._last_suggestion = found or self._last_suggestion or next(iter(self.analysis.suggestions.values()), None)
        return self._last_suggestion

    def prepare(self) -> Prepared:
        """The current settings, ready to render.

        Raises:
            BadInputError: the track is not analyzed yet, or an amount is too large.
        """
        with self.lock:
            if self._prepared and self._prepared.revision == self.revision:
                return self._prepared
            self._prepared = self._prepare()
            return self._prepared

    def _prepare(self) -> Prepared:
        suggestion, analysis = self.suggestion(), self.analysis
        if suggestion is None or analysis is None or not self.sources:
            raise BadInputError("The track is still being analyzed; wait a moment.")
        edits = self.history.current
        repairs = analysis.repairs(edits.repair)
        if repair_key(repairs) not in self.sources or repair_key(repairs) not in analysis.lufs:
            repairs = analysis.certain  # until the other ones are made
        source = self.sources[repair_key(repairs)]
        signal = SourceSignal(source.chunks, self.sample_rate, analysis.input_lufs(repairs), source.frames)
        resolved = resolve_settings(suggestion, edits)
        network = None
        if resolved.residual_amount and suggestion.model:
            network = network_of_checkpoint(suggestion.model.checkpoint)
        if network is None:
            resolved = dataclasses.replace(resolved, residual_amount=0.0)
        plan = render_plan(
            suggestion,
            resolved,
            repairs,
            sample_rate=self.sample_rate,
            input_gain_db=signal.input_gain_db,
            is_exact=not self.is_transient,
        )
        text = settings_text(
            "", suggestion, plan.prediction, plan.rendered_bands, plan.residual_amount, self.sample_rate, repairs
        )
        return Prepared(
            revision=self.revision,
            edits=edits,
            suggestion=suggestion,
            resolved=resolved,
            plan=plan,
            spec=delivery_spec(edits.deliver).for_input(analysis.original_lufs),
            sound_key=hashlib.sha256(text.encode()).hexdigest(),
            network=network,
            source=source,
            signal=signal,
            is_exact=not self.is_transient,
        )

    def settings_json(self) -> str:
        """The settings as the command line's file.

        Raises:
            BadInputError: the track is not analyzed yet.
        """
        prepared = self.prepare()
        if not prepared.is_exact:
            with self.lock:
                self.is_transient = False
                self._prepared = None
            prepared = self.prepare()
        plan = prepared.plan
        return settings_text(
            self.upload.name,
            prepared.suggestion,
            plan.prediction,
            plan.rendered_bands,
            plan.residual_amount,
            self.sample_rate,
            plan.repairs,
            plan.rendered_side_bands,
        )

    # Changes of the settings. Each raises BadInputError, and changes nothing, where the result cannot be rendered.

    def patch(self, changes: dict[str, Any]) -> None:
        """A partial change; `transient` while a control moves."""
        with self.lock:
            changes = dict(changes)
            transient = changes.pop("transient", False) is True
            suggestion = self.suggestion()
            if suggestion is None:
                raise BadInputError("The track is still being analyzed; wait a moment.")
            before = self.history.current
            edits = patch_edits(before, changes, suggestion.num_bands, pretrained.model_names())
            check_references(edits, self.reference_files)
            if edits.side_bands and self.channels != 2:
                raise BadInputError("The track is not stereo, so it has no side; change the other bands.")
            edits = follow_choices(before, edits)
            self._check(edits)
            self.history.change(edits, transient)
            self._changed(transient)

    def with_reference(self, reference_id: str) -> Edits:
        """The current edits with one more reference, in place of a style.

        Raises:
            BadInputError: there are too many.
        """
        current = self.history.current
        if len(current.references) >= MAX_REFERENCES:
            raise BadInputError(f"There are {MAX_REFERENCES} references already; remove one first.")
        references = [*current.references, ReferenceChoice(id=reference_id)]
        return follow_choices(current, current.model_copy(update={"references": references, "style": None}))

    def add_reference(self, reference_id: str) -> None:
        """Follow a reference that was measured, too."""
        with self.lock:
            self.history.change(self.with_reference(reference_id))
            self.save_analysis()
            self._changed()

    def forget_reference(self, reference_id: str) -> None:
        """Leave out a reference that could not be used."""
        with self.lock:
            self.reference_files.pop(reference_id, None)
            self.references.pop(reference_id, None)

    def load(self, stored: StoredSettings, text: str) -> None:
        """Settings of a file in place of the network's suggestion."""
        with self.lock:
            if self.analysis is None:
                raise BadInputError("The track is still being analyzed; wait a moment.")
            key = f"loaded:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
            self.analysis.suggestions[key] = Suggestion.from_settings(stored)
            current = self.history.current
            names = [*stored.repairs.active()] or ["none"]
            edits = Edits(model=current.model, base=key, deliver=current.deliver, repair=names)
            self._check(edits)
            self.history.change(edits)
            self.save_analysis()
            self._changed()

    def step(self, direction: str) -> None:
        """Undo, redo, or reset to the suggestion."""
        with self.lock:
            current = self.history.current
            if direction == "undo":
                moved = self.history.undo()
            elif direction == "redo":
                moved = self.history.redo()
            else:
                self.history.change(self.reset_edits(current))
                moved = True
            if moved:
                self._changed()

    def snapshot(self, name: str) -> None:
        """Store the settings under a name."""
        with self.lock:
            self.history.snapshots[name] = self.history.current
            self.save_history()

    def restore_snapshot(self, name: str) -> None:
        """The settings of a name, as a new step."""
        with self.lock:
            self.history.change(self.history.snapshots[name])
            self._changed()

    def delete_snapshot(self, name: str) -> None:
        """Forget a name."""
        with self.lock:
            del self.history.snapshots[name]
            self.save_history()

    def bump(self) -> None:
        """A new revision, since something else than the edits has changed."""
        with self.lock:
            self._changed()

    @staticmethod
    def reset_edits(edits: Edits) -> Edits:
        """The edits without what a person has moved."""
        names = ("intensity", "amounts", "bands", "side_bands", "processors", "bypass", "solo")
        fresh = Edits(model=edits.model, base=edits.base)
        return edits.model_copy(update={name: getattr(fresh, name) for name in names})

    def _check(self, edits: Edits) -> None:
        suggestion = self.suggestion()
        delivery_spec(edits.deliver)
        if suggestion is not None:
            resolve_settings(suggestion, edits)

    def _changed(self, transient: bool = False) -> None:
        self.revision += 1
        self.is_transient = transient
        self._prepared = None
        if not transient:
            self.save_history()

    # Files.

    def save_history(self) -> None:
        """Write the settings and their history."""
        atomic_files.write_text(self.folder / "history.json", json.dumps(self.history.to_dict()))

    def save_analysis(self) -> None:
        """Write the analysis."""
        if self.analysis:
            text = json.dumps(self.analysis.to_dict(self.sample_rate))
            atomic_files.write_text(self.folder / "analysis.json", text)

    def save_header(self) -> None:
        """Write what finds the track again."""
        text = json.dumps({"name": self.name, "upload": self.upload.name})
        atomic_files.write_text(self.folder / "track.json", text)

    def read_stored(self) -> None:
        """Read history and analysis of an earlier run, as far as they are usable."""
        for name, read in (("history.json", self._read_history), ("analysis.json", self._read_analysis)):
            path = self.folder / name
            try:
                if path.is_file():
                    read(json.loads(path.read_text(encoding="utf-8")))
            except (BadInputError, ValueError, KeyError, TypeError, AttributeError):
                path.replace(path.with_suffix(".damaged"))  # it is made again
        self.reference_files = stored_references(self.folder, self.history.reference_ids())

    def _read_history(self, tree: dict[str, Any]) -> None:
        self.history = History.from_dict(tree)

    def _read_analysis(self, tree: dict[str, Any]) -> None:
        self.analysis = Analysis.from_dict(tree)

    def close(self) -> None:
        """Remove what can be rendered again."""
        with self.lock:
            if self.sound:
                self.sound.close()
            for path in self.audio_folder.glob("*.f32"):
                path.unlink(missing_ok=True)

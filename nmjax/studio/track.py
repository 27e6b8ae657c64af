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
from nmjax.reference.features import TrackFeatures
from nmjax.reference.reference_target import ReferenceAudio
from nmjax.runtime.errors import BadInputError
from nmjax.studio import track_files
from nmjax.studio.analysis import Analysis, repair_key
from nmjax.studio.engine import PieceRenderer
from nmjax.studio.networks import network_of_checkpoint
from nmjax.studio.prepared import Prepared, Reference
from nmjax.studio.spool import Spool
from nmjax.studio.state import FROM_NETWORK, Edits, History
from nmjax.studio.suggestion import (
    Suggestion,
    delivery_spec,
    render_plan,
    resolve_settings,
    settings_text,
)
from nmjax.studio.targets import ReferenceFile, stored_references
from nmjax.studio.whole_pass import RenderedSound, WholeMaster


class Track:
    """A track; `lock` guards everything but the renderer, which has a lock of its own, and what makes suggestions.

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
        self.references: dict[str, Reference] = {}  # by `ReferenceChoice.key`, those that were measured
        self.history = History(Edits(model=pretrained.DEFAULT_MODEL, base=FROM_NETWORK))
        self.revision = 1
        self.is_transient = False
        self.lock, self.render_lock, self.parts_lock = threading.RLock(), threading.Lock(), threading.Lock()
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

    def played_reference(self) -> ReferenceAudio | None:
        """The audio of the first reference that can be played; None where there is none."""
        chosen = (self.references.get(x.key) for x in self.history.current.references)
        spool = next((x.spool for x in chosen if x and x.spool), None)
        return ReferenceAudio(spool.chunks, self.sample_rate) if spool else None

    def target_key(self, edits: Edits) -> str:
        """The key of the suggestion that edits ask for."""
        if edits.base != FROM_NETWORK:
            return edits.base
        if not edits.has_target:
            return edits.model
        references = [(chosen.key, chosen.weight) for chosen in edits.references]
        # Above 1, an intensity changes the match itself.
        match = (edits.style, references, edits.reference_strength, sorted(edits.reference_weights.items()),
                 edits.same_song, edits.max_boost, max(1.0, edits.intensity))  # fmt: skip
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
            self._prepared = self._prepare(self.history.current, is_exact=not self.is_transient)
            return self._prepared

    def prepare_delivery(self) -> Prepared:
        """What a delivery and a settings file have: every stage, since a solo is for listening; bands at their rate.

        Raises:
            BadInputError: as `prepare`.
        """
        with self.lock:
            current = self.history.current
            if current.solo is None and not self.is_transient:
                return self.prepare()
            return self._prepare(current.model_copy(update={"solo": None}), is_exact=True)

    def _prepare(self, edits: Edits, is_exact: bool) -> Prepared:
        suggestion, analysis = self.suggestion(), self.analysis
        if suggestion is None or analysis is None or not self.sources:
            raise BadInputError("The track is still being analyzed; wait a moment.")
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
            is_exact=is_exact,
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
            is_exact=is_exact,
        )

    def settings_json(self, prepared: Prepared) -> str:
        """The settings as the command line's file. prepared: of `prepare_delivery`."""
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

    def changed(self, transient: bool = False) -> None:
        """A new revision, since the edits or something else have changed. transient: while a control moves."""
        with self.lock:
            self.revision += 1
            self.is_transient = transient
            self._prepared = None
            if not transient:
                track_files.write_history(self.folder, self.history)

    def save_analysis(self) -> None:
        """Write the analysis."""
        if self.analysis:
            track_files.write_analysis(self.folder, self.analysis, self.sample_rate)

    def read_stored(self) -> None:
        """Read history and analysis of an earlier run, as far as they are usable."""
        self.history = track_files.read_history(self.folder) or self.history
        self.analysis = track_files.read_analysis(self.folder)
        self.reference_files = stored_references(self.folder, self.history.reference_ids())

    def close(self) -> None:
        """Remove what can be rendered again."""
        with self.lock:
            if self.sound:
                self.sound.close()
            for path in self.audio_folder.glob("*.f32"):
                path.unlink(missing_ok=True)

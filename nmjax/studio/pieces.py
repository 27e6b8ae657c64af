"""Pieces of a track as the page plays them: original, master, what changed, or the reference."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from nmjax.audio.units import db_to_amplitude
from nmjax.runtime.errors import BadInputError
from nmjax.studio.engine import PieceRenderer
from nmjax.studio.levels import master_levels
from nmjax.studio.passes import Priority
from nmjax.studio.prepared import Prepared
from nmjax.studio.spool import Spool
from nmjax.studio.track import Track

SIDES = ("original", "master", "null", "reference")
MAX_PIECE_S = 30.0


class NoReferenceError(BadInputError):
    """The track has no reference that can be played, perhaps no longer."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """Audio for the page.

    Attributes:
        audio: `[frames, channel]`.
        gain_db: applied for equal loudness.
        is_exact: whether it is the engine's rendering of the whole track, rather than of the surroundings.
    """

    audio: Float[np.ndarray, "frames channel"]
    gain_db: float = 0.0
    is_exact: bool = True


def read_piece(
    track: Track, side: str, start: int, frames: int, *, is_equal: bool, priority: Priority, reference_id: str = ""
) -> Piece:
    """A piece of a side.

    Args:
        track: the track.
        side: one of `SIDES`.
        start, frames: the piece, in frames of the track; silent outside of it.
        is_equal: at the loudness of the original, rather than as delivered.
        priority: lets the piece go before the work on whole tracks.
        reference_id: which of several references; empty for the first one that can be played.

    Raises:
        NoReferenceError: there is no reference.
        BadInputError: the track cannot be played yet.
    """
    original = track.sources.get("none")
    if original is None:
        raise BadInputError("The track is still being decoded; wait a moment.")
    if side == "original":
        return Piece(original.read(start, frames))
    if side == "reference":
        return _reference_piece(track, reference_id, start, frames, is_equal)
    with priority.first():
        master = _master_piece(track, track.prepare(), start, frames, is_equal or side == "null")
    if side == "master":
        return master
    return dataclasses.replace(master, audio=master.audio - original.read(start, frames))


def _reference_piece(track: Track, reference_id: str, start: int, frames: int, is_equal: bool) -> Piece:
    analysis, gain_db = track.analysis, 0.0
    chosen = [x.key for x in track.history.current.references if reference_id in ("", x.id)]
    references = [track.references[x] for x in chosen if x in track.references]
    reference = next((x for x in references if x.spool), None)
    if reference is None or reference.spool is None:
        raise NoReferenceError("The track has no reference that can be played; choose one first.")
    audio = piece_of(reference.spool, start, frames)
    if is_equal and analysis and math.isfinite(reference.lufs) and analysis.input["lufs"] is not None:
        gain_db = analysis.original_lufs - reference.lufs
    return Piece(audio * np.float32(db_to_amplitude(gain_db)), gain_db)


def _master_piece(track: Track, prepared: Prepared, start: int, frames: int, is_equal: bool) -> Piece:
    levels, gain_db = master_levels(track, prepared), 0.0
    original_lufs = track.analysis.original_lufs if track.analysis else -math.inf
    if is_equal and math.isfinite(levels.lufs) and math.isfinite(original_lufs):
        gain_db = original_lufs - levels.lufs
    whole = track.master
    if whole and whole.revision == prepared.revision:
        audio = whole.spool.read(start, frames)
    else:
        with track.render_lock:
            renderer = piece_renderer(track, prepared)
            audio = renderer.render_delivered(start, frames, levels.gain_db, levels.ceiling_db)
    return Piece(audio * np.float32(db_to_amplitude(gain_db)), gain_db, levels.is_exact)


def piece_renderer(track: Track, prepared: Prepared) -> PieceRenderer:
    """The renderer of a track, with these settings; the caller holds `track.render_lock`."""
    key = f"{prepared.source.path.name} {prepared.signal.lufs}"
    if track.renderer is None or track.renderer[0] != key:
        track.renderer = (key, PieceRenderer(prepared.source, prepared.signal))
    renderer = track.renderer[1]
    renderer.set_plan(prepared.plan, prepared.network)
    return renderer


def piece_of(spool: Spool, start: int, frames: int) -> Float[np.ndarray, "frames channel"]:
    """Frames of a spool that repeats from its start."""
    if not spool.frames:
        return np.zeros((frames, spool.channels), np.float32)
    index = (start + np.arange(frames)) % spool.frames
    first, last = int(index.min()), int(index.max())
    return spool.read(first, last - first + 1)[index - first]

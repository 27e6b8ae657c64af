"""From settings to sound: equaliser and stages in float64 at the file's own rate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from nmjax.dsp import Bands, equalise
from nmjax.inference.decibels import amplitude_of
from nmjax.inference.stream import Pieces, recut
from nmjax.models import Settings
from nmjax.models.stages import LATENCY, PIECE, STAGES, is_neutral, play_piece, stage_state

_SECONDS = 3


def equalised(pieces: Pieces, bands: Bands, sample_rate: int) -> Iterator[np.ndarray]:
    """The stream through the bands (arrays `[1, bands]`) with the filters' state carried; float64 inside, float32
    out. Through bells of 0 dB it passes as it is."""
    if flat(bands):
        yield from pieces
        return
    size = _SECONDS * sample_rate
    wide = jax.tree.map(lambda x: np.asarray(x, np.float64), bands)
    state = None
    for piece in recut(pieces, size):
        audio = np.zeros((1, size, piece.shape[1]), np.float64)
        audio[0, : len(piece)] = piece
        with jax.enable_x64(True):  # not around the yield: the caller's own arithmetic stays as it is
            if state is None:
                state = np.zeros((1, piece.shape[1], bands.freq_hz.shape[1], 2), np.float64)
            out, state = _equalise(audio, wide, sample_rate, state)
            out = np.asarray(out)
        yield out[0, : len(piece)].astype(np.float32)


@partial(jax.jit, static_argnums=2)
def _equalise(audio, bands, sample_rate, state):
    return equalise(audio, bands, sample_rate, state)


def active_stages(settings: Settings) -> list[str]:
    """The stages that are there and change something, in the order of the chain."""
    there = [(stage, getattr(settings, stage)) for stage in STAGES]
    return [stage for stage, given in there if given is not None and not is_neutral(stage, given)]


def staged(
    pieces: Pieces, stage: str, settings: Settings, sample_rate: int, level_gain_db: float
) -> Iterator[np.ndarray]:
    """The stream through one stage, which works at the model's level (so many dB above the stream's); its state is
    carried and its delay taken off. float64 inside, float32 out."""
    size = _SECONDS * sample_rate // PIECE * PIECE
    given = jax.tree.map(lambda x: np.asarray(x, np.float64), getattr(settings, stage))
    late, gain = LATENCY[stage], amplitude_of(level_gain_db)
    state = None
    for piece in recut(_with_end(pieces, late), size):
        audio = np.zeros((1, size, piece.shape[1]), np.float64)
        np.multiply(piece, gain, out=audio[0, : len(piece)])
        with jax.enable_x64(True):
            if state is None:
                state = stage_state(stage, 1, piece.shape[1], sample_rate, np.float64)
            out, state = _play_piece(audio, stage, given, sample_rate, state)
            out = np.asarray(out)
        made = (out[0, : len(piece)] / gain).astype(np.float32)
        if late < len(made):
            yield made[late:]
        late = max(0, late - len(made))


def _with_end(pieces: Pieces, frames: int) -> Iterator[np.ndarray]:
    """The stream, and as much silence as brings out what a delay holds back."""
    channels = 1
    for piece in pieces:
        channels = piece.shape[1]
        yield piece
    yield np.zeros((frames, channels), np.float32)


_play_piece = jax.jit(play_piece, static_argnums=(1, 3))


def flat(bands: Bands) -> bool:
    """Whether these are bells that change nothing."""
    return bands.kind == "peaking" and not np.asarray(bands.gain_db).any()

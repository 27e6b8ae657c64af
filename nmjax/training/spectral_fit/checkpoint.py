"""Checkpoints of spectral fits: each records the songs that it was fitted on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from nmjax.config import Config
from nmjax.data import Song
from nmjax.runtime.checkpoints import Checkpoints
from nmjax.training.spectral_fit.decoder_fit import DECODER_STEPS


def save_spectral_fit(checkpoints: Checkpoints, config: Config, variables: dict, songs: Sequence[Song]) -> None:
    """Save a fitted network and a digest of its songs."""
    meta = {
        "config": config.model_dump(mode="json"),
        "step": DECODER_STEPS,
        "best_validation_loss": None,
        "shuffle_index": 0,
        "data_state": {},
        "songs_digest": _songs_digest(songs),
    }
    checkpoints.save(DECODER_STEPS, variables, {"step": np.int32(DECODER_STEPS)}, meta)


def is_fit_on(checkpoints: Checkpoints, songs: Sequence[Song]) -> bool:
    """Whether the latest checkpoint was fitted on these songs."""
    step = checkpoints.latest(lambda _: None)
    return step is not None and checkpoints.meta(step).get("songs_digest") == _songs_digest(songs)


def _songs_digest(songs: Sequence[Song]) -> str:
    names = "\n".join(f"{song.name}|{song.target.frames}" for song in songs)
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()

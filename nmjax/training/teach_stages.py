"""Teaching phase 2's stages from what the spectral encoder hears of faulty excerpts: closed form, in minutes.

How strongly a song's dynamics were expanded, and by how much its side is too loud, are known of an excerpt that
training made faulty itself. A ridge regression from what is heard of mid and side to these two is the best linear
guess, and does little where little can be told. Three numbers of z hold the guesses; decoders turn them into settings:

- an envelope raised to the power 1 + e is brought back best by a compressor with the times and the threshold below and
  a slope of 0.87·e (so a ratio below 1, expansion, where e is): found by descent in audio with e known, on 80 excerpts
  of training songs, where it takes half of the error in the multi-resolution STFT away;
- a side too loud by d dB by the width 10^(−d/20), both bands alike.

The saturator stays neutral: training's faults hold nothing that it would mend. (Of the dynamics next to nothing can be
told, docs/results.md: what is left is their mean, a little expansion, and so a little compression for every song.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from nmjax.config import Config
from nmjax.data import Song
from nmjax.dsp.level import gain_to_lufs_db, scaled_db
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.spectral_encoder import BANDS
from nmjax.models.stages import settings_of
from nmjax.training import degrade
from nmjax.training.listen import albums, excerpts, heard_features
from nmjax.training.ridge import folds, ridge

_DRAWS = 2  # faults an excerpt
_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0)  # beside standardised inputs; the best on albums that were left out
_COMPRESSOR = {"threshold_db": -22.4, "attack_ms": 6.0, "release_ms": 60.0, "knee_db": 4.0}
_SLOPE = 0.87  # of the compressor, for an exponent of 1
_USUAL_DB = -17.0  # the level of music at −20 LUFS, on the compressor's scale
_EXPONENT, _MID_DB, _SIDE_DB = BANDS, BANDS + 1, BANDS + 2  # numbers of z; the last is read from the side's
_UNITS = (0.1, 3.0, 3.0)  # of the exponent, and of dB, where z is 1


@dataclasses.dataclass(frozen=True)
class Faulty:
    """Faulty excerpts and their faults. mid, side: features of what was heard. exponent: of the dynamics. side_db: the
    side's gain. stereo: whether there was a side. groups: which album each is of, from 0."""

    mid: Float[np.ndarray, "items features"]
    side: Float[np.ndarray, "items features"]
    exponent: Float[np.ndarray, "items"]
    side_db: Float[np.ndarray, "items"]
    stereo: Float[np.ndarray, "items"]
    groups: Int[np.ndarray, "items"]


def stages_taught(params: dict, config: Config, songs: Sequence[Song], report: Callable[[str], None]) -> dict:
    """The encoder and the stages' decoders, with three more numbers of z taught and what follows from them."""
    return fitted(params, heard_faulty(config, songs, report), report)


def fitted(params: dict, found: Faulty, report: Callable[[str], None]) -> dict:
    """See `stages_taught`, from what was heard."""
    both = np.concatenate([found.mid, found.side], axis=1)
    stereo = found.stereo > 0.0
    exponent, bias, known = _guess(found.mid, found.exponent, found.groups)
    side, side_bias, side_known = _guess(both[stereo], found.side_db[stereo], found.groups[stereo])
    report(
        f"On albums left out, {100.0 * known:.0f} % of the dynamics' variance and {100.0 * side_known:.0f} % of the "
        "side's gain can be told."
    )
    size = found.mid.shape[1]
    kernels = np.stack([exponent, side[:size], side[size:]], axis=1) / np.array(_UNITS)
    biases = np.array([bias, side_bias, 0.0]) / np.array(_UNITS)
    out = params["encoder"]["out"]
    columns = slice(_EXPONENT, _SIDE_DB + 1)
    out = {
        "kernel": out["kernel"].at[:, columns].set(jnp.asarray(kernels, jnp.float32)),
        "bias": out["bias"].at[columns].set(jnp.asarray(biases, jnp.float32)),
    }
    stages = dict(params["stages"])
    stages["compressor"] = _compressor_taught(stages["compressor"])
    stages["width"] = _width_taught(stages["width"])
    return {"encoder": {"out": out}, "stages": stages}


def heard_faulty(config: Config, songs: Sequence[Song], report: Callable[[str], None]) -> Faulty:
    """Excerpts of songs, each with faults of its own from training's generator, at the model's level."""

    @jax.jit
    def hear(audio, chance):
        source = degrade.faulty(audio, chance, config.degrade, SAMPLE_RATE)
        source = scaled_db(source, gain_to_lufs_db(source, SAMPLE_RATE, MODEL_LUFS))
        side = 0.5 * (source[:, :, :1] - source[:, :, 1:])
        mid = jnp.mean(source, axis=2, keepdims=True)
        drawn = degrade.drawn_exponent(chance, config.degrade), degrade.drawn_side_db(chance, config.degrade)
        return heard_features(mid), heard_features(side), *drawn, jnp.any(side != 0.0, axis=(1, 2)).astype(jnp.float32)

    draw, rows, groups = np.random.default_rng(config.seed), [], []
    for number, (song, album) in enumerate(zip(songs, albums(songs), strict=True), 1):
        for audio in excerpts(song, mono=False):
            stereo = audio[:, :2] if audio.shape[1] > 1 else np.repeat(audio, 2, axis=1)
            chance = draw.uniform(size=(_DRAWS, degrade.chances_needed(config.degrade)))
            heard = hear(jnp.asarray(np.repeat(stereo[None], _DRAWS, axis=0)), jnp.asarray(chance, jnp.float32))
            rows.append([np.asarray(x, np.float64) for x in heard])
            groups += [album] * _DRAWS
        if number % 50 == 0:
            report(f"Heard {number} of {len(songs)} songs with faults.")
    columns = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Faulty(*columns, np.unique(groups, return_inverse=True)[1])


def _guess(
    inputs: Float[np.ndarray, "items inputs"], wanted: Float[np.ndarray, "items"], groups: Int[np.ndarray, "items"]
) -> tuple[np.ndarray, float, float]:
    """Kernel, bias, and the share of the variance that is told of albums left out, for the best of `_RIDGES`."""
    start, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-3
    inputs = (inputs - start) / scale
    fold = folds(np.unique(groups, return_inverse=True)[1])

    def left(penalty: float) -> float:
        errors = []
        for k in np.unique(fold):
            mean, slope = ridge(inputs[fold != k], wanted[fold != k], penalty)
            errors.append(wanted[fold == k] - mean - inputs[fold == k] @ slope)
        return float(np.mean(np.concatenate(errors) ** 2) / np.var(wanted))

    lost = {penalty: left(penalty) for penalty in _RIDGES}
    best = min(lost, key=lost.get)
    mean, slope = ridge(inputs, wanted, best)
    slope = slope / scale
    return slope, float(mean - start @ slope), 1.0 - lost[best]


def _compressor_taught(params: dict) -> dict:
    """Ratio and make-up follow the exponent's number of z; the other settings stand."""
    rows = settings_of("compressor")
    slope = _SLOPE * _UNITS[0]
    linear = {"ratio": slope, "makeup_db": slope * (_USUAL_DB - _COMPRESSOR["threshold_db"])}
    bias = [row.raw_of(_COMPRESSOR.get(row.name, row.start)) for row in rows]
    return _linear(params, {_EXPONENT: [linear.get(row.name, 0.0) * row.raw_slope for row in rows]}, bias)


def _width_taught(params: dict) -> dict:
    """Both bands follow the sum of what mid and side say; the side's z comes behind mid's."""
    rows = settings_of("width")
    behind = params["hidden"]["kernel"].shape[0] // 2
    factor = -np.log(10.0) / 20.0 * _UNITS[1]  # of 10^(−d/20) − 1 at small d
    moves = [factor * row.raw_slope for row in rows]
    return _linear(params, {_MID_DB: moves, behind + _SIDE_DB: moves}, [row.raw_of(row.start) for row in rows])


def _linear(params: dict, moves: dict[int, list[float]], bias: list[float]) -> dict:
    """A decoder whose raw settings are linear in the sum of some numbers of z, by two of its hidden units: relu(x) −
    relu(−x) = x. The others' outputs have no weight yet."""
    hidden, head = params["hidden"], params["settings"]["dense"]
    kernel, out = np.array(hidden["kernel"]), np.zeros(np.shape(head["kernel"]), np.float32)
    kernel[:, :2] = 0.0
    for place, move in moves.items():
        kernel[place, :2] = 1.0, -1.0
        out[0], out[1] = move, np.negative(move)
    return {
        "hidden": {"kernel": jnp.asarray(kernel), "bias": hidden["bias"].at[:2].set(0.0)},
        "settings": {"dense": {"kernel": jnp.asarray(out), "bias": jnp.asarray(bias, jnp.float32)}},
    }

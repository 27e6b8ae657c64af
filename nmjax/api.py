"""Mastering from Python: `nmjax.master`, the same as `infer.py` without files.

import nmjax

result = nmjax.master(audio, 44_100, ckpt="runs/1b", deliver="cd")
result.audio                # [time, channel] float32
result.measurements.lufs    # of the master
result.settings["eq"]["bands"][2]["gain_db"] = -1.0
again = nmjax.master(audio, 44_100, ckpt="runs/1b", settings=result.settings)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.inference import weights
from nmjax.inference.deliver.delivery import Plan, delivered, solve
from nmjax.inference.deliver.verify import Verdict, judged
from nmjax.inference.master import PIECE, Options, Prepared, Sound, facts_of, prepare, rendered, settings_text
from nmjax.inference.network import Network, load
from nmjax.inference.reference import aim_of, checked, profile_of_given, profile_of_pieces
from nmjax.inference.settings.control import Control
from nmjax.inference.settings.file import StoredSettings, read_settings, stored
from nmjax.inference.wish import Wish
from nmjax.reference.match import Aim
from nmjax.reference.profile import Profile

__all__ = ["Result", "load", "master"]
Reference = str | Path | tuple[np.ndarray, int]


@dataclasses.dataclass(frozen=True)
class Result:
    """A master. audio: as it was given, `[time, channel]` or `[time]`, float32. settings: what a settings file holds
    (docs/settings.md), as a dict; `json.dump` makes one of it. measurements: of the master, by code that shares nothing
    with what made it; `.passed` says whether it is what was asked for, `.line` all in one line. notes: sentences."""

    audio: Float[np.ndarray, "time *channel"]
    settings: dict[str, Any]
    measurements: Verdict
    notes: list[str]


def master(
    audio: np.ndarray,
    sample_rate: int,
    *,
    ckpt: str | Path | Network | None = None,
    model: str | None = None,
    settings: str | Path | Mapping[str, Any] | None = None,
    deliver: str = "streaming",
    lufs: float | str | None = None,
    true_peak: float | str | None = None,
    max_limiting: float | None = None,
    eq_amount: float = 1.0,
    residual_amount: float = 1.0,
    bands: Mapping[int, Mapping[str, float]] | None = None,
    bypass: Iterable[str] = (),
    stages: Mapping[str, Mapping[str, float]] | None = None,
    analyse_seconds: float | None = None,
    reference: Reference | Sequence[Reference] | None = None,
    reference_strength: float = 1.0,
    reference_weights: Mapping[str, float] | None = None,
    same_song: bool = False,
) -> Result:
    """Master a signal as `infer.py` masters a file of floats: the same samples.

    Args:
        audio: `[time, channel]` or `[time]`, 1 to 8 channels, full scale ±1; integers are scaled to it.
        sample_rate: 8,000 to 192,000 Hz.
        ckpt: a run's folder, or what `nmjax.load` made of it (for many signals). model: the name of a network that
            comes with the program. Neither: the best of those, another one with a `reference`, none with `settings`.
        settings: these in place of the network's: a file (JSON, .txt, .csv) or a dict as `Result.settings`.
        deliver: "streaming" (−14 LUFS, −1 dBTP), "cd" (−9, −0.3) or "club" (−7, −0.3). lufs, true_peak: another number
            in its place, or "none"; lufs also "reference", as loud as that.
            max_limiting: dB, the deepest gain reduction; 6 by default.
        eq_amount: 0 to 2, scales the bands' decibels. residual_amount: 0 to 2, scales the residual.
        bands: values in place of the network's, by number from 1: `{3: {"gain_db": -1.0}}`.
        bypass: of "eq", "compressor", "saturator", "width" and "residual".
        stages: values in place of the network's, by stage: `{"compressor": {"ratio": 2.0}}`.
        analyse_seconds: so much is listened to, evenly spread; None: all.
        reference: music to come near to: a file, a target file (.json), or `(audio, sample_rate)`; or a list of those,
            which count alike. reference_strength: 0 (the network's answer) to 1. reference_weights: the same for
            "tone", "dynamics" and "width". same_song: whether it is another part or mix of this very song.

    Raises:
        BadInputError: anything that cannot be used; a sentence says what and what instead.
    """
    wish = _wish(ckpt, model, settings, deliver, lufs, true_peak, max_limiting, analyse_seconds)
    if settings is not None and reference is not None:
        raise BadInputError("Settings say what is rendered, so that no reference can change it; give one of them.")
    if isinstance(ckpt, Network) and model:
        raise BadInputError("ckpt and model name two networks; give one of them.")
    aim = _aim(reference, reference_strength, reference_weights or {}, same_song)
    options = dataclasses.replace(
        dataclasses.replace(wish, settings=None).options(aim),
        control=Control(eq_amount, residual_amount, dict(bands or {}), frozenset(bypass), dict(stages or {})),
        settings=None if settings is None else _settings(settings),
    )
    sound = _sound(audio, sample_rate)
    if aim and not (ckpt or model):
        network = weights.for_references(lambda _: None)
    else:
        network = ckpt if isinstance(ckpt, Network) else wish.network(lambda _: None)
    prepared = prepare(sound, network, options)
    with rendered(prepared, network) as source:
        plan = solve(source, sample_rate, sound.channels, options.deliveries[0])
        made = np.concatenate([piece.astype(np.float32) for piece in delivered(source, sample_rate, plan)])
    return _result(made.reshape(np.shape(audio)), prepared, plan, network, options)


def _wish(ckpt, model, settings, deliver, lufs, true_peak, max_limiting, seconds) -> Wish:
    """The command's words for the same."""
    return Wish(
        ckpt=None if ckpt is None or isinstance(ckpt, Network) else str(ckpt),
        model=model,
        settings=None if settings is None else "given",  # no network is needed then
        deliver=(deliver,),
        lufs=None if lufs is None else str(lufs),
        true_peak=None if true_peak is None else str(true_peak),
        max_limiting=max_limiting,
        seconds=seconds,
    )


def _result(made: np.ndarray, prepared: Prepared, plan: Plan, network: Network | None, options: Options) -> Result:
    sound, wanted = prepared.sound, options.deliveries[0]
    found = judged(_cut(made), sound.sample_rate, sound.channels, wanted)
    delivery = {wanted.name: facts_of(found, plan)}
    text = settings_text("audio", prepared.chosen, sound.sample_rate, network, options, delivery)
    notes = [*prepared.notes, *([plan.reason] if plan.reason else [])]
    return Result(made, json.loads(text), found, notes)


def _settings(given: str | Path | Mapping[str, Any]) -> StoredSettings:
    if isinstance(given, str | Path):
        return read_settings(Path(given))
    try:
        return stored(json.dumps(given), "settings")
    except TypeError:
        raise BadInputError("The settings hold something that JSON cannot; give numbers, texts and lists.") from None


def _aim(reference, strength: float, weights: Mapping[str, float], same_song: bool) -> Aim | None:
    """Everything that is given as a reference, heard."""
    if reference is None:
        if strength != 1.0 or weights or same_song:
            raise BadInputError("Nothing is given to master towards; give a reference.")
        return None
    several = [reference] if isinstance(reference, str | Path | tuple) else list(reference)
    heard = [_heard(one) for one in several]
    if not heard:
        raise BadInputError("The list of references is empty; give one, or None.")
    profiles, names = zip(*heard, strict=True)
    return aim_of(profiles, [1.0] * len(profiles), ", ".join(names), strength, weights, same_song)


def _heard(reference: Reference) -> tuple[Profile, str]:
    """A reference's profile and what it is called."""
    if not isinstance(reference, tuple):
        return profile_of_given(Path(reference))
    sound = _sound(*reference)
    return checked(profile_of_pieces(sound.pieces(), sound.sample_rate), "The reference"), "the reference"


def _sound(audio: np.ndarray, sample_rate: int) -> Sound:
    """Checked as a file would be."""
    audio = np.asarray(audio)
    if audio.ndim not in (1, 2) or not audio.size or audio.dtype.kind not in "if":
        raise BadInputError(
            f"The audio is {audio.dtype} of shape {audio.shape}; give numbers, [time, channel] or [time]."
        )
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    if channels > io.MOST_CHANNELS:
        raise BadInputError(f"The audio has {channels} channels; give [time, channel] with 1 to {io.MOST_CHANNELS}.")
    if int(sample_rate) != sample_rate or not io.LOWEST_RATE <= sample_rate <= io.HIGHEST_RATE:
        raise BadInputError(f"The sample rate is {sample_rate}; {io.LOWEST_RATE} to {io.HIGHEST_RATE} Hz can be used.")
    for piece in _cut(audio):
        io.check_samples(piece, "The audio")
    return Sound(lambda: _cut(audio), int(sample_rate), channels, "The audio")


def _cut(audio: np.ndarray) -> Iterator[Float[np.ndarray, "frames channel"]]:
    """`[time, channel]` or `[time]` in pieces of float32."""
    full = -float(np.iinfo(audio.dtype).min) if audio.dtype.kind == "i" else 1.0
    for start in range(0, len(audio), PIECE):
        piece = audio[start : start + PIECE]
        piece = piece.astype(np.float32) if full == 1.0 else (piece / full).astype(np.float32)
        yield piece.reshape(len(piece), -1)

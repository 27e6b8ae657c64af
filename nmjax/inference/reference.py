"""What a person gives to be mastered towards: music or target files as words, and the aim that they make together."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.inference.settings.tree import known
from nmjax.inference.stream import Pieces, ahead, resampled, stretches
from nmjax.inference.track import Heard
from nmjax.models import SAMPLE_RATE, Prediction
from nmjax.reference import target
from nmjax.reference.match import Aim, Match, matched
from nmjax.reference.profile import Profile, profile_of

LEAST_SECONDS = 3.0
_EXCERPTS, _EXCERPT_SECONDS = 8, 3.0
FEATURES = ("tone", "dynamics", "width")


@dataclasses.dataclass(frozen=True)
class References:
    """See `infer.py --help`. files: "PATH" or "PATH=WEIGHT". target: a target file, in their place. strength: a number.
    weights: as "tone=1,width=0.5". same_song: whether the references are parts or mixes of the track's own song."""

    files: tuple[str, ...] = ()
    target: str | None = None
    strength: str = "1"
    weights: str = ""
    same_song: bool = False

    @property
    def given(self) -> bool:
        """Whether there is anything to master towards."""
        return bool(self.files or self.target)

    def absolute(self) -> References:
        """The same from any current folder."""
        files = tuple(f"{os.path.abspath(path)}={weight!r}" for path, weight in map(_parted, self.files))
        return dataclasses.replace(self, files=files, target=self.target and os.path.abspath(self.target))

    def weighted(self) -> list[tuple[Path, float]]:
        """Every file that is read, with its weight."""
        return [*map(_parted, self.files), *([(Path(self.target), 1.0)] if self.target else [])]

    def aim(self) -> Aim | None:
        """All of them heard; None where none is given.

        Raises:
            BadInputError: a file that cannot be used, a number out of its range, or words without a reference.
        """
        strength, shares = _number(self.strength, "--reference-strength"), _shares(self.weights)
        if not self.given:
            if self != References():
                raise BadInputError("Nothing is given to master towards; add --reference FILE or --target FILE.")
            return None
        if self.files and self.target:
            raise BadInputError("--reference and --target are two aims; give one of them.")
        paths, weights = zip(*self.weighted(), strict=True)
        profiles, names = zip(*map(profile_of_given, paths), strict=True)
        return aim_of(profiles, weights, ", ".join(names), strength, shares, self.same_song)


def aim_of(
    profiles: Sequence[Profile],
    weights: Sequence[float],
    name: str,
    strength: float,
    shares: Mapping[str, float],
    same_song: bool,
) -> Aim:
    """The aim that references make together. shares: how much each of FEATURES counts, 1 where it is not named.

    Raises:
        BadInputError: a number out of its range, or an unknown feature.
    """
    for feature in shares:
        if feature not in FEATURES:
            raise BadInputError(f"A reference has no feature {feature!r}; {known(feature, FEATURES)}")
    found = {feature: share(value, f"The reference's weight of {feature}") for feature, value in shares.items()}
    strength = share(strength, "The reference's strength")
    return Aim(target.together(profiles, weights), name, strength, **found, same_song=same_song)


def profile_of_given(path: Path) -> tuple[Profile, str]:
    """The profile of a target file (.json) or of music, and its name."""
    if path.suffix.lower() == ".json":
        return target.read(path)
    return profile_of_file(path), path.name


def profile_of_file(path: Path) -> Profile:
    """The profile of a music file, at any rate and with any number of channels.

    Raises:
        BadInputError: it cannot be read, is shorter than 3 s, or silent.
    """
    info = io.probe(path)
    return checked(profile_of_pieces(io.pieces(path), info.sample_rate), f"'{path}'")


def profile_of_pieces(pieces: Pieces, sample_rate: int) -> Profile:
    """The profile of a signal in pieces `[frames, channel]` at any rate."""
    return profile_of(ahead(resampled(pieces, sample_rate, SAMPLE_RATE)), min(sample_rate, SAMPLE_RATE) / 2)


def brought_near(prediction: Prediction, heard: Heard, aim: Aim) -> Match:
    """The network's settings for a signal, moved towards what it is to come near to."""
    track = profile_of_pieces(heard.pieces(), heard.sample_rate)
    return matched(prediction, track, aim, partial(excerpts_of, heard))


def excerpts_of(heard: Heard) -> Float[np.ndarray, "blocks time channel"]:
    """Eight evenly spread excerpts of 3 s at the model's rate and level; of a shorter track all of it as one."""
    seconds = _EXCERPTS * _EXCERPT_SECONDS
    pieces = resampled(heard.levelled(), heard.sample_rate, SAMPLE_RATE)
    frames = round(heard.frames * SAMPLE_RATE / heard.sample_rate)
    if frames <= seconds * SAMPLE_RATE:
        return np.concatenate(list(pieces))[None]
    audio = np.concatenate(list(stretches(pieces, frames, SAMPLE_RATE, seconds, _EXCERPT_SECONDS)))
    size = int(_EXCERPT_SECONDS * SAMPLE_RATE)
    return audio[: len(audio) // size * size].reshape(-1, size, audio.shape[1])


def checked(profile: Profile, name: str) -> Profile:
    """The profile, if a track can be brought near to it."""
    if profile.seconds < LEAST_SECONDS - 0.01:
        raise BadInputError(
            f"{name} is {profile.seconds:.1f} s long; a reference needs {LEAST_SECONDS:g} s, better a whole song."
        )
    if profile.silent:
        raise BadInputError(f"{name} is silent; give a reference that sounds.")
    return profile


def _parted(word: str) -> tuple[Path, float]:
    """A path and its weight; a file whose own name ends like a weight is taken as it is."""
    path, sign, weight = word.rpartition("=")
    if not sign or Path(word).exists():
        return Path(word), 1.0
    try:
        number = float(weight)
    except ValueError:
        return Path(word), 1.0
    if not 0.0 < number < 1e6:
        raise BadInputError(f"--reference {word}: the weight must be above 0 and below a million; or leave it out.")
    return Path(path), number


def _shares(words: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for word in words.split(",") if words else ():
        name, _, value = word.partition("=")
        if name in shares:
            raise BadInputError(f"--reference-weights gives two weights of {name}; leave one of them.")
        shares[name] = _number(value, f"--reference-weights {name}".rstrip())
    return shares


def _number(word: str, where: str) -> float:
    try:
        return share(float(word), where)
    except ValueError:
        raise BadInputError(f"{where} is {word!r}; give a number from 0 to 1.") from None


def share(value: float, where: str) -> float:
    """A number from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise BadInputError(f"{where} is {value:g}; choose 0 to 1.")
    return float(value)

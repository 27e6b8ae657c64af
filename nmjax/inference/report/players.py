"""Excerpts of input and master at the same loudness, to be compared by ear inside a report."""

from __future__ import annotations

import base64
import dataclasses
import io as memory
import math

import numpy as np
import soundfile
from jaxtyping import Float

from nmjax import io
from nmjax.inference.decibels import amplitude_of
from nmjax.inference.deliver.measure import measured
from nmjax.inference.report.insight import Heardings
from nmjax.inference.stream import Pieces

SECONDS = 10.0  # of an excerpt
MOST_BYTES = 5_400_000  # of all players' text in a page
_HIGHEST_RATE = 48_000  # Hz; more cannot be heard and makes the page larger
_SHORT_TERM_S = 3.0
_FULL = 1.0 - 2.0**-15  # the largest sample of 16 bits
# Which channels are heard on the left and on the right, by number of channels, in the orders of WAVE files: L R C,
# L R Ls Rs, L R C Ls Rs, L R C LFE Ls Rs and so on; the centre and what lies behind at −3 dB (ITU-R BS.775), no LFE.
_HALF = math.sqrt(0.5)
_FOLDS = {
    3: ((1, 0, _HALF), (0, 1, _HALF)),
    4: ((1, 0, _HALF, 0), (0, 1, 0, _HALF)),
    5: ((1, 0, _HALF, _HALF, 0), (0, 1, _HALF, 0, _HALF)),
    6: ((1, 0, _HALF, 0, _HALF, 0), (0, 1, _HALF, 0, 0, _HALF)),
    7: ((1, 0, _HALF, 0, _HALF, _HALF, 0), (0, 1, _HALF, 0, _HALF, 0, _HALF)),
    8: ((1, 0, _HALF, 0, _HALF, 0, _HALF, 0), (0, 1, _HALF, 0, 0, _HALF, 0, _HALF)),
}


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """The same stretch of input and master, `[frames, channel]`, from `start` on (seconds)."""

    name: str
    start: float
    sample_rate: int
    before: Float[np.ndarray, "frames channel"]
    after: Float[np.ndarray, "frames channel"]


@dataclasses.dataclass(frozen=True)
class Player:
    """An excerpt ready to be played. before, after: FLAC (16 bits, mono or stereo) as base64. before_db, after_db: the
    gains that bring both to one loudness. lufs: that loudness, −inf where it is too short or quiet to have any."""

    name: str
    start: float
    seconds: float
    before: str
    after: str
    before_db: float
    after_db: float
    lufs: float


def excerpts(before: Pieces, after: Pieces, master: Heardings) -> list[Excerpt]:
    """The loudest 10 s of the master, and 10 s that are as loud as most of it; both signals are read once, as streams,
    because seeking is not exact in every format.

    Args:
        before, after: input and master from their start, at one rate.
        master: what was heard of the master.
    """
    places = _places(master)
    starts = [round(start * master.sample_rate) for _, start in places]
    frames = round(SECONDS * master.sample_rate)
    pairs = zip(places, _cut(before, starts, frames), _cut(after, starts, frames), strict=True)
    return [
        Excerpt(name, start, master.sample_rate, old[: len(new)], new[: len(old)])
        for (name, start), old, new in pairs
        if len(old) and len(new)
    ]


def players(found: list[Excerpt]) -> list[Player]:
    """The excerpts at the same loudness, encoded; shortened where they would make a page larger than `MOST_BYTES`."""
    share = 1.0
    while True:
        ready = [_player(excerpt, share) for excerpt in found]
        size = sum(len(player.before) + len(player.after) for player in ready)
        if size <= MOST_BYTES:
            return ready
        share *= 0.98 * MOST_BYTES / size


def _places(master: Heardings) -> list[tuple[str, float]]:
    """Names and starts in seconds."""
    last = master.duration - SECONDS
    if last <= 0.0:
        return [("The whole track", 0.0)]
    spacing = float(master.seconds[0])
    count = min(len(master.seconds), 1 + round((SECONDS - _SHORT_TERM_S) / spacing))
    power = np.convolve(10.0 ** (master.short_term / 10.0), np.ones(count) / count, "valid")
    starts = np.clip(master.seconds[: len(power)] - _SHORT_TERM_S, 0.0, last)
    loudest = float(starts[np.argmax(power)])
    places = [("The loudest passage", loudest)]
    elsewhere = (np.abs(starts - loudest) >= SECONDS) & (power > 0.0)
    if elsewhere.any():
        typical = np.log(np.median(power[power > 0.0]))
        distance = np.where(elsewhere, np.abs(np.log(np.where(power > 0.0, power, 1.0)) - typical), np.inf)
        places.append(("A typical passage", float(starts[np.argmin(distance)])))
    return places


def _cut(pieces: Pieces, starts: list[int], frames: int) -> list[np.ndarray]:
    """`frames` from each of `starts` on, fewer where the signal ends; read no further than needed."""
    kept: list[list[np.ndarray]] = [[] for _ in starts]
    place, channels = 0, 1
    for piece in pieces:
        channels = piece.shape[1]
        for start, parts in zip(starts, kept, strict=True):
            first, end = max(0, start - place), min(len(piece), start + frames - place)
            if first < end:
                parts.append(piece[first:end].copy())
        place += len(piece)
        if place >= max(starts) + frames:
            break
    return [np.concatenate(parts) if parts else np.zeros((0, channels), np.float32) for parts in kept]


def _player(excerpt: Excerpt, share: float) -> Player:
    frames = max(1, round(share * len(excerpt.before)))
    before, after = (_playable(x[:frames], excerpt.sample_rate) for x in (excerpt.before, excerpt.after))
    rate = min(excerpt.sample_rate, _HIGHEST_RATE)
    loud = [measured([x], rate, x.shape[1]).lufs for x in (before, after)]  # compiled already, for most tracks
    finite = all(map(math.isfinite, loud))
    gains = [min(loud) - x if finite else 0.0 for x in loud]
    peak = max(float(np.abs(x).max()) * amplitude_of(g) for x, g in zip((before, after), gains, strict=True))
    lower = min(0.0, -20.0 * math.log10(peak / _FULL)) if peak > 0.0 else 0.0
    gains = [gain + lower for gain in gains]
    texts = [_flac(x * amplitude_of(g), rate) for x, g in zip((before, after), gains, strict=True)]
    lufs = min(loud) + lower if finite else -math.inf
    return Player(excerpt.name, excerpt.start, frames / excerpt.sample_rate, *texts, *gains, lufs)


def _playable(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """In at most two channels at 48 kHz or less."""
    if audio.shape[1] > 2:
        audio = audio @ np.array(_FOLDS[audio.shape[1]], np.float32).T
    return io.resampled(audio, sample_rate, min(sample_rate, _HIGHEST_RATE))


def _flac(audio: np.ndarray, sample_rate: int) -> str:
    """As base64. FLAC is what Chromium, Firefox and Safari all play without any loss."""
    steps = np.clip(np.rint(audio * 2.0**15), -(2.0**15), 2.0**15 - 1.0).astype(np.int16)
    file = memory.BytesIO()
    soundfile.write(file, steps, sample_rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(file.getvalue()).decode()

"""Is a reference another mix of the track's own passage, and where does it begin?

Both are compared by their outlines, mono audio at a low rate. The offset is the peak of the cross-correlation of the
whitened spectra (the phase transform, Knapp and Carter 1976), which no equalizer moves. It counts where the aligned
outlines correlate in half of the seconds or more, in a band around 150 Hz. Other music has near 0 there, but a song
whose bass and drums repeat has up to 0.7 under another melody; so then the fine spectra of simultaneous frames are
compared as well.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from nmjax.audio.phase_correlation import phase_correlation
from nmjax.reference.features import OUTLINE_RATE, TrackFeatures
from nmjax.reference.frame_matching import frame_similarity
from nmjax.reference.target_eq import usable_bands

_WINDOW = round(OUTLINE_RATE)  # samples of a second
_MIN_SECONDS = 3  # of the overlap
_MIN_OVERLAP = 0.3  # of the shorter recording
_MIN_CORRELATION = 0.5  # in at least half of the seconds
_SILENCE = 1e-6  # of the power of the loudest second
_MIN_SIMILARITY = 0.85  # median cosine of simultaneous frames
# Of recordings that do not begin and end together, nine tenths of the frames have to be more similar than that: a
# repeated verse has other words or instruments in some.
_MIN_SECTION_SIMILARITY, _MAX_DIFFERENT = 0.9, 0.1
_SAME_SPAN_SECONDS = 0.02  # recordings that begin and end within this are compared as they are


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The section that two recordings have in common, in seconds of each.

    Attributes:
        track_start: where it begins in the track.
        reference_start: where it begins in the reference.
        seconds: its length.
        is_whole: whether it is all of both.
    """

    track_start: float
    reference_start: float
    seconds: float
    is_whole: bool


def align(track: Float[np.ndarray, " track"], reference: Float[np.ndarray, " reference"]) -> Alignment | None:
    """The passage that two recordings may have in common, which `plays_the_same` confirms; None where there is none.

    Args:
        track: outline of the track at `OUTLINE_RATE`.
        reference: the same of the reference.
    """
    lag = _best_lag(track, reference)
    start, other_start = max(-lag, 0), max(lag, 0)
    length = min(len(track) - start, len(reference) - other_start)
    if length < max(_MIN_SECONDS * _WINDOW, _MIN_OVERLAP * min(len(track), len(reference))):
        return None
    agreeing = _agreeing_seconds(track[start : start + length], reference[other_start : other_start + length])
    if np.mean(agreeing) < 0.5:
        return None
    first, last = np.flatnonzero(agreeing)[[0, -1]] * _WINDOW
    end = length if length - last < 2 * _WINDOW else last + _WINDOW
    if end - first < _MIN_SECONDS * _WINDOW:
        return None
    missing = max(len(track), len(reference)) - (end - first)
    return Alignment(
        track_start=(start + first) / OUTLINE_RATE,
        reference_start=(other_start + first) / OUTLINE_RATE,
        seconds=(end - first) / OUTLINE_RATE,
        is_whole=bool(missing <= _SAME_SPAN_SECONDS * OUTLINE_RATE),
    )


def plays_the_same(track: TrackFeatures, reference: TrackFeatures, is_whole: bool) -> bool:
    """Whether the notes and sounds of two aligned recordings are the same, whatever their tone; frames decide.

    Args:
        track, reference: features of the sections that they have in common.
        is_whole: whether these are all of both, which other sections of a song hardly ever are.
    """
    usable = usable_bands(track, reference)
    if not (track.frames and reference.frames and usable.any()):
        return False
    count = min(len(x.frames.levels_db) for x in (track, reference) if x.frames)
    first, second = (x.select(np.arange(count)) for x in (track.frames, reference.frames))
    similarity = np.diag(frame_similarity(first, second, usable))
    if is_whole:
        return bool(np.median(similarity) > _MIN_SIMILARITY)
    return bool(np.quantile(similarity, _MAX_DIFFERENT) > _MIN_SECTION_SIMILARITY)


def _best_lag(track: np.ndarray, reference: np.ndarray) -> int:
    """By how many samples the track's content is later in the reference; negative where it is earlier."""
    size = 1 << (len(track) + len(reference) - 1).bit_length()
    lag = int(np.argmax(np.abs(phase_correlation(track, reference, size))))
    return lag if lag < len(reference) else lag - size


def _band_pass(outline: np.ndarray) -> np.ndarray:
    """The outline around 150 Hz: lower, a second holds few independent values; higher, half a sample matters."""
    return np.convolve(outline, np.convolve([0.25, 0.5, 0.25], [1.0, 0.0, -1.0]), mode="same")


def _agreeing_seconds(track: np.ndarray, reference: np.ndarray) -> Bool[np.ndarray, " seconds"]:
    """Mask of the seconds in which two aligned outlines correlate; silence agrees with everything, unless it is all."""
    blocks = [_band_pass(x)[: len(x) // _WINDOW * _WINDOW].reshape(-1, _WINDOW) for x in (track, reference)]
    power = [np.sum(x**2, axis=1) for x in blocks]
    is_silent = np.any([x <= _SILENCE * x.max(initial=0.0) for x in power], axis=0)
    if is_silent.all():
        return np.zeros(len(is_silent), bool)
    correlation = np.sum(blocks[0] * blocks[1], axis=1) / np.sqrt(np.maximum(power[0] * power[1], 1e-30))
    return is_silent | (np.abs(correlation) > _MIN_CORRELATION)

"""Excerpts of input and master at the same loudness, to be compared by ear inside a report."""

from __future__ import annotations

import base64
import dataclasses
import io as memory
import math

import numpy as np
import soundfile
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.delivery.meter import measure_stream
from nmjax.report.track_analysis import SignalAnalysis

EXCERPT_S = 10.0  # of an excerpt
MAX_PLAYER_BYTES = 5_400_000  # of all players' text in a page
_MAX_SAMPLE_RATE = 48_000  # Hz; more cannot be heard and makes the page larger
_SHORT_TERM_S = 3.0
_FULL_SCALE = 1.0 - 2.0**-15  # the largest sample of 16 bits
# Which channels are heard on the left and on the right, by number of channels, in the orders of WAVE files: L R C,
# L R Ls Rs, L R C Ls Rs, L R C LFE Ls Rs and so on; the centre and what lies behind at −3 dB (ITU-R BS.775), no LFE.
_MINUS_3_DB = math.sqrt(0.5)
_DOWNMIX = {
    3: ((1, 0, _MINUS_3_DB), (0, 1, _MINUS_3_DB)),
    4: ((1, 0, _MINUS_3_DB, 0), (0, 1, 0, _MINUS_3_DB)),
    5: ((1, 0, _MINUS_3_DB, _MINUS_3_DB, 0), (0, 1, _MINUS_3_DB, 0, _MINUS_3_DB)),
    6: ((1, 0, _MINUS_3_DB, 0, _MINUS_3_DB, 0), (0, 1, _MINUS_3_DB, 0, 0, _MINUS_3_DB)),
    7: ((1, 0, _MINUS_3_DB, 0, _MINUS_3_DB, _MINUS_3_DB, 0), (0, 1, _MINUS_3_DB, 0, _MINUS_3_DB, 0, _MINUS_3_DB)),
    8: ((1, 0, _MINUS_3_DB, 0, _MINUS_3_DB, 0, _MINUS_3_DB, 0), (0, 1, _MINUS_3_DB, 0, 0, _MINUS_3_DB, 0, _MINUS_3_DB)),
}


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """The same stretch of input and master, `[frames, channel]`, from `start` on (seconds)."""

    name: str
    start_s: float
    sample_rate: int
    before: Float[np.ndarray, "frames channel"]
    after: Float[np.ndarray, "frames channel"]


@dataclasses.dataclass(frozen=True)
class AudioPlayer:
    """An excerpt ready to be played. before, after: FLAC (16 bits, mono or stereo) as base64. before_db, after_db: the
    gains that bring both to one loudness. lufs: that loudness, −inf where it is too short or quiet to have any."""

    name: str
    start_s: float
    duration_s: float
    before_flac: str
    after_flac: str
    before_gain_db: float
    after_gain_db: float
    lufs: float


def select_excerpts(before: AudioChunks, after: AudioChunks, master_analysis: SignalAnalysis) -> list[Excerpt]:
    """The loudest 10 s of the master, and 10 s that are as loud as most of it; both signals are read once, as streams,
    because seeking is not exact in every format.

    Args:
        before, after: input and master from their start, at one rate.
        master: what was heard of the master.
    """
    named_starts = _choose_starts(master_analysis)
    start_frames = [round(start_s * master_analysis.sample_rate) for _, start_s in named_starts]
    num_frames = round(EXCERPT_S * master_analysis.sample_rate)
    pairs = zip(
        named_starts,
        _read_excerpts(before, start_frames, num_frames),
        _read_excerpts(after, start_frames, num_frames),
        strict=True,
    )
    return [
        Excerpt(
            name,
            start_s,
            master_analysis.sample_rate,
            before_audio[: len(after_audio)],
            after_audio[: len(before_audio)],
        )
        for (name, start_s), before_audio, after_audio in pairs
        if len(before_audio) and len(after_audio)
    ]


def encode_players(selected: list[Excerpt]) -> list[AudioPlayer]:
    """The excerpts at the same loudness, encoded; shortened where they would make a page larger than `MOST_BYTES`."""
    length_ratio = 1.0
    while True:
        encoded = [_encode_player(excerpt, length_ratio) for excerpt in selected]
        num_chars = sum(len(player.before_flac) + len(player.after_flac) for player in encoded)
        if num_chars <= MAX_PLAYER_BYTES:
            return encoded
        length_ratio *= 0.98 * MAX_PLAYER_BYTES / num_chars


def _choose_starts(analysis: SignalAnalysis) -> list[tuple[str, float]]:
    """Names and starts in seconds."""
    last_start_s = analysis.duration_s - EXCERPT_S
    if last_start_s <= 0.0:
        return [("The whole track", 0.0)]
    spacing_s = float(analysis.times_s[0])
    num_points = min(len(analysis.times_s), 1 + round((EXCERPT_S - _SHORT_TERM_S) / spacing_s))
    power = np.convolve(10.0 ** (analysis.short_term_lufs / 10.0), np.ones(num_points) / num_points, "valid")
    starts_s = np.clip(analysis.times_s[: len(power)] - _SHORT_TERM_S, 0.0, last_start_s)
    loudest_start_s = float(starts_s[np.argmax(power)])
    named_starts = [("The loudest passage", loudest_start_s)]
    is_separate = (np.abs(starts_s - loudest_start_s) >= EXCERPT_S) & (power > 0.0)
    if is_separate.any():
        log_median_power = np.log(np.median(power[power > 0.0]))
        distance = np.where(is_separate, np.abs(np.log(np.where(power > 0.0, power, 1.0)) - log_median_power), np.inf)
        named_starts.append(("A typical passage", float(starts_s[np.argmin(distance)])))
    return named_starts


def _read_excerpts(pieces: AudioChunks, start_frames: list[int], num_frames: int) -> list[np.ndarray]:
    """`frames` from each of `starts` on, fewer where the signal ends; read no further than needed."""
    excerpt_parts: list[list[np.ndarray]] = [[] for _ in start_frames]
    position, channels = 0, 1
    for piece in pieces:
        channels = piece.shape[1]
        for start, parts in zip(start_frames, excerpt_parts, strict=True):
            first, end = max(0, start - position), min(len(piece), start + num_frames - position)
            if first < end:
                parts.append(piece[first:end].copy())
        position += len(piece)
        if position >= max(start_frames) + num_frames:
            break
    return [np.concatenate(parts) if parts else np.zeros((0, channels), np.float32) for parts in excerpt_parts]


def _encode_player(excerpt: Excerpt, length_ratio: float) -> AudioPlayer:
    num_frames = max(1, round(length_ratio * len(excerpt.before)))
    before, after = (
        _downmix_and_resample(x[:num_frames], excerpt.sample_rate) for x in (excerpt.before, excerpt.after)
    )
    sample_rate = min(excerpt.sample_rate, _MAX_SAMPLE_RATE)
    loudness_lufs = [
        measure_stream([x], sample_rate, x.shape[1]).lufs for x in (before, after)
    ]  # compiled already, for most tracks
    has_loudness = all(map(math.isfinite, loudness_lufs))
    gains_db = [min(loudness_lufs) - x if has_loudness else 0.0 for x in loudness_lufs]
    peak = max(
        float(np.abs(x).max()) * db_to_amplitude(gain_db) for x, gain_db in zip((before, after), gains_db, strict=True)
    )
    headroom_gain_db = min(0.0, -20.0 * math.log10(peak / _FULL_SCALE)) if peak > 0.0 else 0.0
    gains_db = [gain + headroom_gain_db for gain in gains_db]
    encoded = [
        _encode_flac_base64(x * db_to_amplitude(gain_db), sample_rate)
        for x, gain_db in zip((before, after), gains_db, strict=True)
    ]
    lufs = min(loudness_lufs) + headroom_gain_db if has_loudness else -math.inf
    return AudioPlayer(excerpt.name, excerpt.start_s, num_frames / excerpt.sample_rate, *encoded, *gains_db, lufs)


def _downmix_and_resample(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """In at most two channels at 48 kHz or less."""
    if audio.shape[1] > 2:
        audio = audio @ np.array(_DOWNMIX[audio.shape[1]], np.float32).T
    return reader.resample(audio, sample_rate, min(sample_rate, _MAX_SAMPLE_RATE))


def _encode_flac_base64(audio: np.ndarray, sample_rate: int) -> str:
    """As base64. FLAC is what Chromium, Firefox and Safari all play without any loss."""
    pcm = np.clip(np.rint(audio * 2.0**15), -(2.0**15), 2.0**15 - 1.0).astype(np.int16)
    buffer = memory.BytesIO()
    soundfile.write(buffer, pcm, sample_rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()

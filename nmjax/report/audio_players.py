"""Excerpts of input and master at equal loudness, for A/B comparison in the report."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.delivery.meter import measure_stream
from nmjax.report.track_analysis import SignalAnalysis

EXCERPT_S = 10.0
MAX_PLAYER_BYTES = 5_400_000  # of the encoded audio of all players of a page
_MAX_SAMPLE_RATE = 48_000  # a higher rate is inaudible and makes the page larger
_SHORT_TERM_S = 3.0
_FULL_SCALE = 1.0 - 2.0**-15  # the largest 16-bit sample
# Gains from each channel to left and right, by number of channels. The channel orders are those of WAVE files: L R C,
# L R Ls Rs, L R C Ls Rs, L R C LFE Ls Rs and so on. Center and surround at −3 dB (ITU-R BS.775), no LFE.
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
    """The same section of input (`before`) and master (`after`), `[frames, channel]`."""

    name: str
    start_s: float
    sample_rate: int
    before: Float[np.ndarray, "frames channel"]
    after: Float[np.ndarray, "frames channel"]


@dataclasses.dataclass(frozen=True)
class AudioPlayer:
    """An encoded excerpt.

    before_flac, after_flac: 16-bit FLAC, mono or stereo, in base64.
    before_gain_db, after_gain_db: the gains that match the loudness of both.
    lufs: the loudness of both, −inf where an excerpt is too short or too quiet to be measured.
    """

    name: str
    start_s: float
    duration_s: float
    before_flac: str
    after_flac: str
    before_gain_db: float
    after_gain_db: float
    lufs: float

    @property
    def end_s(self) -> float:
        """Where the excerpt ends in the track, in seconds."""
        return self.start_s + self.duration_s


class _Section(NamedTuple):
    name: str
    start_s: float


def select_excerpts(before: AudioChunks, after: AudioChunks, master_analysis: SignalAnalysis) -> list[Excerpt]:
    """Read the loudest 10 s of the master and a 10 s excerpt of median loudness, from input and master.

    Both signals are read once, as streams, because seeking is not exact in every format.

    Args:
        before, after: input and master from their start, with the same sample rate.
        master_analysis: the analysis of the master.
    """
    sections, sample_rate = _choose_sections(master_analysis), master_analysis.sample_rate
    starts = [round(section.start_s * sample_rate) for section in sections]
    num_frames = round(EXCERPT_S * sample_rate)
    before_parts, after_parts = (_read_excerpts(chunks, starts, num_frames) for chunks in (before, after))
    excerpts = []
    for section, before_part, after_part in zip(sections, before_parts, after_parts, strict=True):
        length = min(len(before_part), len(after_part))
        if length:
            excerpt = Excerpt(
                name=section.name,
                start_s=section.start_s,
                sample_rate=sample_rate,
                before=before_part[:length],
                after=after_part[:length],
            )
            excerpts.append(excerpt)
    return excerpts


def encode_players(excerpts: Sequence[Excerpt]) -> list[AudioPlayer]:
    """Match the loudness of the excerpts and encode them, shortened if they exceed `MAX_PLAYER_BYTES`."""
    length_ratio = 1.0
    while True:
        players = [_encode_player(excerpt, length_ratio) for excerpt in excerpts]
        num_bytes = sum(len(player.before_flac) + len(player.after_flac) for player in players)
        if num_bytes <= MAX_PLAYER_BYTES:
            return players
        length_ratio *= 0.98 * MAX_PLAYER_BYTES / num_bytes


def _choose_sections(analysis: SignalAnalysis) -> list[_Section]:
    last_start_s = analysis.duration_s - EXCERPT_S
    if last_start_s <= 0.0:
        return [_Section("Whole track", 0.0)]
    spacing_s = float(analysis.times_s[0])
    num_points = min(len(analysis.times_s), 1 + round((EXCERPT_S - _SHORT_TERM_S) / spacing_s))
    power = np.convolve(10.0 ** (analysis.short_term_lufs / 10.0), np.ones(num_points) / num_points, "valid")
    starts_s = np.clip(analysis.times_s[: len(power)] - _SHORT_TERM_S, 0.0, last_start_s)
    loudest_start_s = float(starts_s[np.argmax(power)])
    sections = [_Section("Loudest excerpt", loudest_start_s)]
    is_candidate = (np.abs(starts_s - loudest_start_s) >= EXCERPT_S) & (power > 0.0)  # no overlap, no silence
    if is_candidate.any():
        log_median_power = np.log(np.median(power[power > 0.0]))
        distance = np.where(is_candidate, np.abs(np.log(np.where(power > 0.0, power, 1.0)) - log_median_power), np.inf)
        sections.append(_Section("Typical excerpt", float(starts_s[np.argmin(distance)])))
    return sections


def _read_excerpts(chunks: AudioChunks, starts: list[int], num_frames: int) -> list[np.ndarray]:
    """`num_frames` frames from each start, fewer where the signal ends; it is read no further than needed."""
    excerpt_parts: list[list[np.ndarray]] = [[] for _ in starts]
    position, channels = 0, 1
    for chunk in chunks:
        channels = chunk.shape[1]
        for start, parts in zip(starts, excerpt_parts, strict=True):
            first, end = max(0, start - position), min(len(chunk), start + num_frames - position)
            if first < end:
                parts.append(chunk[first:end].copy())
        position += len(chunk)
        if position >= max(starts) + num_frames:
            break
    return [np.concatenate(parts) if parts else np.zeros((0, channels), np.float32) for parts in excerpt_parts]


def _encode_player(excerpt: Excerpt, length_ratio: float) -> AudioPlayer:
    num_frames = max(1, round(length_ratio * len(excerpt.before)))
    sample_rate = min(excerpt.sample_rate, _MAX_SAMPLE_RATE)
    signals = [_downmix_and_resample(x[:num_frames], excerpt.sample_rate) for x in (excerpt.before, excerpt.after)]
    loudness_lufs = [measure_stream([x], sample_rate, x.shape[1]).lufs for x in signals]
    has_loudness = all(map(math.isfinite, loudness_lufs))
    gains_db = [min(loudness_lufs) - x if has_loudness else 0.0 for x in loudness_lufs]
    peak = max(float(np.abs(x).max()) * db_to_amplitude(gain) for x, gain in zip(signals, gains_db, strict=True))
    headroom_gain_db = min(0.0, -20.0 * math.log10(peak / _FULL_SCALE)) if peak > 0.0 else 0.0
    before_gain_db, after_gain_db = (gain + headroom_gain_db for gain in gains_db)
    before, after = signals
    return AudioPlayer(
        name=excerpt.name,
        start_s=excerpt.start_s,
        duration_s=num_frames / excerpt.sample_rate,
        before_flac=_encode_flac_base64(before * db_to_amplitude(before_gain_db), sample_rate),
        after_flac=_encode_flac_base64(after * db_to_amplitude(after_gain_db), sample_rate),
        before_gain_db=before_gain_db,
        after_gain_db=after_gain_db,
        lufs=min(loudness_lufs) + headroom_gain_db if has_loudness else -math.inf,
    )


def _downmix_and_resample(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Convert to at most two channels and 48 kHz."""
    if audio.shape[1] > 2:
        audio = audio @ np.array(_DOWNMIX[audio.shape[1]], np.float32).T
    return reader.resample(audio, sample_rate, min(sample_rate, _MAX_SAMPLE_RATE))


def _encode_flac_base64(audio: np.ndarray, sample_rate: int) -> str:
    """16-bit FLAC, which Chromium, Firefox and Safari all play without loss, in base64."""
    pcm = np.clip(np.rint(audio * 2.0**15), -(2.0**15), 2.0**15 - 1.0).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, sample_rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()

"""Excerpts of input, master and reference at equal loudness, for comparison in the report."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
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

DEFAULT_EXCERPT_S = 30.0
_WHOLE_TRACK = "Whole track"  # name of an excerpt
MAX_EXCERPTS_BYTES = 32_000_000  # of the encoded audio of all players of a page that has excerpts
_MAX_SAMPLE_RATE = 48_000  # a higher rate is inaudible and makes the page larger
_SHORT_TERM_S = 3.0
_PEAK_COLUMNS = 600  # of a waveform
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
class Side:
    """What can be listened to, by its name, label and key.

    audio: `[frames, channel]`.
    """

    name: str
    label: str
    key: str
    sample_rate: int
    audio: Float[np.ndarray, "frames channel"]


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """A section of the track: input and master of the same time, and a reference if there is one."""

    name: str
    start_s: float
    sides: tuple[Side, ...]


@dataclasses.dataclass(frozen=True)
class EncodedSide:
    """A side in 16-bit FLAC, mono or stereo, in base64.

    gain_db: that matches its loudness to the others.
    peaks: minimum and maximum of each part of the waveform, one after the other.
    """

    name: str
    label: str
    key: str
    flac: str
    gain_db: float
    peaks: list[float]


@dataclasses.dataclass(frozen=True)
class AudioPlayer:
    """An encoded excerpt.

    lufs: the loudness of all sides, −inf where an excerpt is too short or too quiet to be measured.
    """

    name: str
    start_s: float
    duration_s: float
    sides: list[EncodedSide]
    lufs: float

    @property
    def end_s(self) -> float:
        """Where the excerpt ends in the track, in seconds."""
        return self.start_s + self.duration_s

    @property
    def properties(self) -> str:
        """The properties of `<nm-ab-player>` as JSON."""
        sides = [{"name": x.name, "label": x.label, "key": x.key, "peaks": x.peaks} for x in self.sides]
        return json.dumps({"seconds": round(self.duration_s, 6), "sides": sides}, separators=(",", ":"))


class _Section(NamedTuple):
    name: str
    start_s: float


def select_excerpts(
    before: AudioChunks, after: AudioChunks, master_analysis: SignalAnalysis, excerpt_s: float = DEFAULT_EXCERPT_S
) -> list[Excerpt]:
    """Read the loudest part of the master and one of median loudness, from input and master.

    Both signals are read once, as streams, because seeking is not exact in every format.

    Args:
        before, after: input and master from their start, with the same sample rate.
        master_analysis: the analysis of the master.
        excerpt_s: length in seconds; infinite for the whole track.
    """
    sections, sample_rate = _choose_sections(master_analysis, excerpt_s), master_analysis.sample_rate
    before_parts, after_parts = (_read_sections(x, sections, sample_rate, excerpt_s) for x in (before, after))
    excerpts = []
    for section, before_part, after_part in zip(sections, before_parts, after_parts, strict=True):
        length = min(len(before_part), len(after_part))
        if length:
            sides = (
                Side("original", "Input", "A", sample_rate, before_part[:length]),
                Side("master", "Master", "B", sample_rate, after_part[:length]),
            )
            excerpts.append(Excerpt(section.name, section.start_s, sides))
    return excerpts


def add_reference(
    excerpts: Sequence[Excerpt], reference: AudioChunks, analysis: SignalAnalysis, excerpt_s: float = DEFAULT_EXCERPT_S
) -> list[Excerpt]:
    """The excerpts with the loudest and the typical part of a reference as a third side, as long as theirs.

    Args:
        excerpts: of a track.
        reference: the audio from its start.
        analysis: of it.
        excerpt_s: length in seconds.
    """
    sections = _choose_sections(analysis, excerpt_s)
    parts = _read_sections(reference, sections, analysis.sample_rate, excerpt_s)
    result = []
    for i, excerpt in enumerate(excerpts):
        part = parts[min(i, len(parts) - 1)]
        first = excerpt.sides[0]
        frames = round(len(first.audio) / first.sample_rate * analysis.sample_rate)
        audio = np.zeros((frames, part.shape[1]), np.float32)  # a shorter reference ends in silence
        audio[: len(part)] = part[:frames]
        side = Side("reference", "Reference", "R", analysis.sample_rate, audio)
        result.append(dataclasses.replace(excerpt, sides=(*excerpt.sides, side)) if len(part) else excerpt)
    return result


def encode_players(excerpts: Sequence[Excerpt]) -> list[AudioPlayer]:
    """Match the loudness of the sides and encode them; excerpts are shortened if they exceed `MAX_EXCERPTS_BYTES`.

    A whole track is never shortened.
    """
    length_ratio = 1.0
    while True:
        players = [_encode_player(excerpt, length_ratio) for excerpt in excerpts]
        num_bytes = sum(len(side.flac) for player in players for side in player.sides)
        if num_bytes <= MAX_EXCERPTS_BYTES or any(excerpt.name == _WHOLE_TRACK for excerpt in excerpts):
            return players
        length_ratio *= 0.98 * MAX_EXCERPTS_BYTES / num_bytes


def _choose_sections(analysis: SignalAnalysis, excerpt_s: float) -> list[_Section]:
    last_start_s = analysis.duration_s - excerpt_s
    if last_start_s <= 0.0:
        return [_Section(_WHOLE_TRACK, 0.0)]
    spacing_s = float(analysis.times_s[0])
    num_points = min(len(analysis.times_s), 1 + round(max(0.0, excerpt_s - _SHORT_TERM_S) / spacing_s))
    power = np.convolve(10.0 ** (analysis.short_term_lufs / 10.0), np.ones(num_points) / num_points, "valid")
    starts_s = np.clip(analysis.times_s[: len(power)] - _SHORT_TERM_S, 0.0, last_start_s)
    loudest_start_s = float(starts_s[np.argmax(power)])
    sections = [_Section("Loudest excerpt", loudest_start_s)]
    is_candidate = (np.abs(starts_s - loudest_start_s) >= excerpt_s) & (power > 0.0)  # no overlap, no silence
    if is_candidate.any():
        log_median_power = np.log(np.median(power[power > 0.0]))
        distance = np.where(is_candidate, np.abs(np.log(np.where(power > 0.0, power, 1.0)) - log_median_power), np.inf)
        sections.append(_Section("Typical excerpt", float(starts_s[np.argmin(distance)])))
    return sections


def _read_sections(
    chunks: AudioChunks, sections: Sequence[_Section], sample_rate: int, excerpt_s: float
) -> list[np.ndarray]:
    """Each section, shorter where the signal ends; it is read no further than needed."""
    starts = [round(section.start_s * sample_rate) for section in sections]
    num_frames = round(excerpt_s * sample_rate) if math.isfinite(excerpt_s) else 1 << 62
    section_parts: list[list[np.ndarray]] = [[] for _ in starts]
    position, channels = 0, 1
    for chunk in chunks:
        channels = chunk.shape[1]
        for start, parts in zip(starts, section_parts, strict=True):
            first, end = max(0, start - position), min(len(chunk), start + num_frames - position)
            if first < end:
                parts.append(chunk[first:end].copy())
        position += len(chunk)
        if position >= max(starts) + num_frames:
            break
    return [np.concatenate(parts) if parts else np.zeros((0, channels), np.float32) for parts in section_parts]


def _encode_player(excerpt: Excerpt, length_ratio: float) -> AudioPlayer:
    signals, rates = [], []
    for side in excerpt.sides:
        num_frames = max(1, round(length_ratio * len(side.audio)))
        signals.append(_downmix_and_resample(side.audio[:num_frames], side.sample_rate))
        rates.append(min(side.sample_rate, _MAX_SAMPLE_RATE))
    loudness_lufs = [measure_stream([x], rate, x.shape[1]).lufs for x, rate in zip(signals, rates, strict=True)]
    has_loudness = all(map(math.isfinite, loudness_lufs))
    gains_db = [min(loudness_lufs) - x if has_loudness else 0.0 for x in loudness_lufs]
    peak = max(float(np.abs(x).max()) * db_to_amplitude(gain) for x, gain in zip(signals, gains_db, strict=True))
    headroom_gain_db = min(0.0, -20.0 * math.log10(peak / _FULL_SCALE)) if peak > 0.0 else 0.0
    first = excerpt.sides[0]
    return AudioPlayer(
        name=excerpt.name,
        start_s=excerpt.start_s,
        duration_s=max(1, round(length_ratio * len(first.audio))) / first.sample_rate,
        sides=[
            _encode_side(side, signal, rate, gain + headroom_gain_db)
            for side, signal, rate, gain in zip(excerpt.sides, signals, rates, gains_db, strict=True)
        ],
        lufs=min(loudness_lufs) + headroom_gain_db if has_loudness else -math.inf,
    )


def _encode_side(side: Side, signal: np.ndarray, sample_rate: int, gain_db: float) -> EncodedSide:
    audio = signal * db_to_amplitude(gain_db)
    return EncodedSide(
        name=side.name,
        label=side.label,
        key=side.key,
        flac=_encode_flac_base64(audio, sample_rate),
        gain_db=gain_db,
        peaks=_waveform_peaks(audio),
    )


def _waveform_peaks(audio: np.ndarray) -> list[float]:
    columns = min(_PEAK_COLUMNS, len(audio))
    starts = np.arange(columns) * len(audio) // columns
    low, high = np.minimum.reduceat(audio.min(axis=1), starts), np.maximum.reduceat(audio.max(axis=1), starts)
    return [round(float(x), 3) for x in np.stack([low, high], axis=1).ravel()]


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

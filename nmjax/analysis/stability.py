"""Robustness of predicted settings: across windows of a track, and under perturbations of the file.

Perturbations are gain, a wrong loudness estimate, resampling and lossy codecs.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import soundfile
from jaxtyping import Float

from nmjax.analysis.batched_decode import EQ_FIELDS
from nmjax.analysis.collection import Track, evenly_spaced_indices, read_representative_excerpt
from nmjax.analysis.responses import centered_eq_responses_db, response_spread_db
from nmjax.audio import reader
from nmjax.mastering.analysis import SourceSignal, predict_settings
from nmjax.mastering.delivery.loudness_scan import scan_meter
from nmjax.mastering.network import Network

MAX_TRACKS = 16  # perturbed
EXCERPT_SECONDS = 30.0
_WINDOW_GATE_LU = 20.0  # windows further below the track's loudness are ignored
_MIN_WINDOWS = 3

Audio = Float[np.ndarray, "time channel"]
AudioAndRate = tuple[Float[np.ndarray, "new_time new_channel"], int]  # and its sample rate in Hz


def window_stability_table(
    window_settings: Iterable[tuple[Track, dict[str, np.ndarray]]],
    track_settings: dict[str, dict[str, np.ndarray]],
    gate_threshold: float,
) -> list[dict]:
    """A row for each track with at least three audible windows.

    `within_track_db` is the deviation of the windows' responses from their mean, RMS over third octaves and windows.
    `gate_agreement` is the share of gates, over windows and bands, on the same side of the threshold as the track's.

    Args:
        window_settings: tracks with their settings by window, EQ arrays `[windows, bands]`.
        track_settings: settings of whole tracks by their file key, EQ arrays `[1, bands]`.
        gate_threshold: a gate is open above it.
    """
    rows = []
    for track, window_arrays in window_settings:
        is_audible = window_arrays["loudness_lufs"] > track.recording.loudness_lufs - _WINDOW_GATE_LU
        is_audible[-1] &= len(is_audible) < 2  # the last window may be very short
        if is_audible.sum() < _MIN_WINDOWS:
            continue
        settings = {name: window_arrays[name][is_audible] for name in EQ_FIELDS}
        responses_db = centered_eq_responses_db(settings)
        gates_agree = (settings["gate"] > gate_threshold) == (track_settings[track.file_key]["gate"] > gate_threshold)
        rows.append(
            {
                "track": track.name,
                "group": track.group,
                "windows": int(is_audible.sum()),
                "within_track_db": response_spread_db(responses_db),
                "gate_agreement": float(gates_agree.mean()),
            }
        )
    return rows


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """A change of a file.

    Attributes:
        name: as in the results.
        apply: `(audio, rate)` → `(audio, rate)`.
        remeasure_loudness: whether the loudness is measured again after the change, as for a file in use.
    """

    name: str
    apply: Callable[[Audio, int], AudioAndRate]
    remeasure_loudness: bool = True


def _gain_perturbation(gain_db: float) -> Callable:
    return lambda audio, rate: ((audio * 10.0 ** (gain_db / 20.0)).astype(np.float32), rate)


def _resampling_perturbation(target_rate: int) -> Callable:
    return lambda audio, rate: (reader.resample(audio, rate, target_rate), target_rate)


def _codec_perturbation(container: str, subtype: str, compression_level: float, codec_rate: int) -> Callable:
    """Encoding and decoding in memory at `codec_rate`. compression_level: libsndfile's, 0 (best) to 1."""

    def round_trip(audio: Audio, rate: int) -> AudioAndRate:
        file = io.BytesIO()
        audio = 0.5 * reader.resample(np.ascontiguousarray(audio[:, :2]), rate, codec_rate)  # headroom for the codec
        with soundfile.SoundFile(
            file,
            "w",
            samplerate=codec_rate,
            channels=audio.shape[1],
            subtype=subtype,
            format=container,
            compression_level=compression_level,
            bitrate_mode="CONSTANT" if container == "MP3" else None,
        ) as out:
            for start in range(0, len(audio), 1 << 14):
                out.write(audio[start : start + (1 << 14)])
        file.seek(0)
        return soundfile.read(file, dtype="float32", always_2d=True)

    return round_trip


PERTURBATIONS = (
    Perturbation("12 dB quieter", _gain_perturbation(-12.0)),
    Perturbation("loudness estimate off by +3 dB", _gain_perturbation(3.0), remeasure_loudness=False),
    Perturbation("loudness estimate off by −3 dB", _gain_perturbation(-3.0), remeasure_loudness=False),
    Perturbation("at 96 kHz", _resampling_perturbation(96_000)),
    Perturbation("at 48 kHz", _resampling_perturbation(48_000)),
    Perturbation("at 32 kHz", _resampling_perturbation(32_000)),
    Perturbation("at 22.05 kHz", _resampling_perturbation(22_050)),
    Perturbation("MP3, 128 kbit/s", _codec_perturbation("MP3", "MPEG_LAYER_III", 2.0 / 3.0, 44_100)),
    Perturbation("Vorbis, quality 2", _codec_perturbation("OGG", "VORBIS", 0.8, 44_100)),
    Perturbation("Opus, 48 kHz", _codec_perturbation("OGG", "OPUS", 0.8, 48_000)),
)


def perturbation_table(tracks: Sequence[Track], network: Network, gate_threshold: float) -> list[dict]:
    """A row for each perturbation, over up to `MAX_TRACKS` audible tracks; empty if there are none.

    `median_db` and `p90_db` are the median and the 90th percentile over tracks of the change of the response, RMS over
    third octaves. `gate_flip_share` is the share of gates that cross the threshold.
    """
    differences: dict[str, list[tuple[float, float]]] = {perturbation.name: [] for perturbation in PERTURBATIONS}
    for index in evenly_spaced_indices(tracks, MAX_TRACKS):
        audio, rate = read_representative_excerpt(tracks[index], EXCERPT_SECONDS), tracks[index].recording.sample_rate
        lufs = _integrated_lufs(audio, rate)
        if not math.isfinite(lufs):
            continue
        before = _predict_eq(audio, rate, lufs=lufs, network=network)
        for perturbation in PERTURBATIONS:
            perturbed, perturbed_rate = perturbation.apply(audio, rate)
            new_lufs = _integrated_lufs(perturbed, perturbed_rate) if perturbation.remeasure_loudness else lufs
            after = _predict_eq(perturbed, perturbed_rate, lufs=new_lufs, network=network)
            flipped = (after["gate"] > gate_threshold) != (before["gate"] > gate_threshold)
            difference = centered_eq_responses_db(after) - centered_eq_responses_db(before)
            differences[perturbation.name].append((float(np.sqrt(np.mean(difference**2))), float(flipped.mean())))
    rows = []
    for name, pairs in differences.items():
        if pairs:
            response_change_db, flipped = np.array(pairs).T
            rows.append(
                {
                    "perturbation": name,
                    "tracks": len(pairs),
                    "median_db": float(np.median(response_change_db)),
                    "p90_db": float(np.percentile(response_change_db, 90)),
                    "gate_flip_share": float(flipped.mean()),
                }
            )
    return rows


def _integrated_lufs(audio: Audio, rate: int) -> float:
    meter = scan_meter(rate, audio.shape[1])
    meter.update(audio)
    return meter.integrated_lufs()


def _predict_eq(audio: Audio, rate: int, *, lufs: float, network: Network) -> dict[str, np.ndarray]:
    """The predicted EQ settings, each `[1, bands]`."""
    eq = predict_settings(SourceSignal(lambda: iter([audio]), rate, lufs, len(audio)), network).settings.eq
    return {name: np.asarray(getattr(eq, name), np.float64) for name in EQ_FIELDS}

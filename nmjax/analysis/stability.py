"""How firm a track's settings are: from window to window, and where its file is louder, at another rate, or coded."""

from __future__ import annotations

import dataclasses
import io as memory
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import soundfile
from jaxtyping import Float

from nmjax.analysis.batched_decode import EQ_FIELDS
from nmjax.analysis.collection import Track
from nmjax.analysis.curves import centered_eq_responses_db
from nmjax.analysis.excerpts import evenly_spaced_indices, read_typical_excerpt
from nmjax.audio import reader
from nmjax.mastering.analysis import SourceSignal, predict_settings
from nmjax.mastering.delivery.loudness_scan import scan_meter
from nmjax.mastering.network import Network

MAX_TRACKS = 16  # at most, by which changes are judged
EXCERPT_SECONDS = 30.0  # of each
_WINDOW_GATE_LU = 20.0  # windows that lie further below the track's loudness do not count
_MIN_WINDOWS = 3

Audio = Float[np.ndarray, "time channel"]
AudioAndRate = tuple[Float[np.ndarray, "changed heard"], int]  # and its rate in Hz


def window_stability_table(
    window_settings: Iterable[tuple[Track, dict[str, np.ndarray]]],
    track_settings: dict[str, dict[str, np.ndarray]],
    gate_threshold: float,
) -> list[dict]:
    """A row a track that has three windows that sound: `windows`, how many; `within_db`, by how much their curves move
    about their mean (RMS over third octaves and windows); `same_gates`, the share of gates, over windows and bands,
    that stand on the same side of the threshold as the whole track's.

    Args:
        wholes: by a track's key its settings as a whole, each `[1, bands]`.
    """
    rows = []
    for track, window_arrays in window_settings:
        is_audible = window_arrays["loudness"] > track.recording.loudness_lufs - _WINDOW_GATE_LU
        is_audible[-1] &= len(is_audible) < 2  # the last window may hold next to nothing
        if is_audible.sum() < _MIN_WINDOWS:
            continue
        settings = {name: window_arrays[name][is_audible] for name in EQ_FIELDS}
        responses_db = centered_eq_responses_db(settings)
        gates_agree = (settings["gate"] > gate_threshold) == (track_settings[track.file_key]["gate"] > gate_threshold)
        rows.append({
            "track": track.name, "group": track.group, "windows": int(is_audible.sum()),
            "within_db": float(np.sqrt(responses_db.var(axis=0, ddof=1).mean())), "same_gates": float(gates_agree.mean()),
        })  # fmt: skip
    return rows


def response_spread_db(responses_db: Float[np.ndarray, "tracks points"]) -> float:
    """By how much tracks' curves move about their mean, RMS over third octaves and tracks."""
    return float(np.sqrt(responses_db.var(axis=0, ddof=1).mean()))


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """Something that happens to a file. made: `(audio, rate)` → `(audio, rate)`. levelled: whether its loudness is
    measured again afterwards, as it is in use."""

    name: str
    apply: Callable[[Audio, int], AudioAndRate]
    remeasure_loudness: bool = True


def _gain_perturbation(gain_db: float) -> Callable:
    return lambda audio, rate: ((audio * 10.0 ** (gain_db / 20.0)).astype(np.float32), rate)


def _resampling_perturbation(target_rate: int) -> Callable:
    return lambda audio, rate: (reader.resample(audio, rate, target_rate), target_rate)


def _codec_perturbation(container: str, subtype: str, compression_level: float, codec_rate: int) -> Callable:
    """Encoded and decoded in memory at a rate that every codec takes. level: libsndfile's, 0 (best) to 1."""

    def round_trip(audio: Audio, rate: int) -> AudioAndRate:
        file = memory.BytesIO()
        options = {"bitrate_mode": "CONSTANT"} if container == "MP3" else {}
        audio = 0.5 * reader.resample(np.ascontiguousarray(audio[:, :2]), rate, codec_rate)  # room for what coding adds
        with soundfile.SoundFile(
            file,
            "w",
            codec_rate,
            audio.shape[1],
            subtype,
            format=container,
            compression_level=compression_level,
            **options,
        ) as out:
            for start in range(0, len(audio), 1 << 14):
                out.write(audio[start : start + (1 << 14)])
        file.seek(0)
        return soundfile.read(file, dtype="float32", always_2d=True)

    return round_trip


PERTURBATIONS = (
    Perturbation("12 dB quieter", _gain_perturbation(-12.0)),
    Perturbation("level misjudged by +3 dB", _gain_perturbation(3.0), remeasure_loudness=False),
    Perturbation("level misjudged by −3 dB", _gain_perturbation(-3.0), remeasure_loudness=False),
    Perturbation("at 96 kHz", _resampling_perturbation(96_000)),
    Perturbation("at 48 kHz", _resampling_perturbation(48_000)),
    Perturbation("at 32 kHz", _resampling_perturbation(32_000)),
    Perturbation("at 22.05 kHz", _resampling_perturbation(22_050)),
    Perturbation("MP3, 128 kbit/s", _codec_perturbation("MP3", "MPEG_LAYER_III", 2.0 / 3.0, 44_100)),
    Perturbation("Vorbis, quality 2", _codec_perturbation("OGG", "VORBIS", 0.8, 44_100)),
    Perturbation("Opus, 48 kHz", _codec_perturbation("OGG", "OPUS", 0.8, 48_000)),
)


def perturbation_table(tracks: Sequence[Track], network: Network, gate_threshold: float) -> list[dict]:
    """A row a change: how far the curve is from that of the unchanged stretch (RMS over third octaves), in the median
    over tracks and at the 90th percentile; and the share of gates that change sides of the threshold."""
    differences: dict[str, list[tuple[float, float]]] = {perturbation.name: [] for perturbation in PERTURBATIONS}
    for index in evenly_spaced_indices(tracks, MAX_TRACKS):
        audio, rate = read_typical_excerpt(tracks[index], EXCERPT_SECONDS), tracks[index].recording.sample_rate
        lufs = _integrated_lufs(audio, rate)
        if not math.isfinite(lufs):
            continue
        before = _predict_eq(audio, rate, lufs, network)
        for perturbation in PERTURBATIONS:
            perturbed, perturbed_rate = perturbation.apply(audio, rate)
            after = _predict_eq(
                perturbed,
                perturbed_rate,
                _integrated_lufs(perturbed, perturbed_rate) if perturbation.remeasure_loudness else lufs,
                network,
            )
            flipped = (after["gate"] > gate_threshold) != (before["gate"] > gate_threshold)
            difference = centered_eq_responses_db(after) - centered_eq_responses_db(before)
            differences[perturbation.name].append((float(np.sqrt(np.mean(difference**2))), float(flipped.mean())))
    rows = []
    for name, pairs in differences.items():
        if pairs:
            response_change_db, flipped = np.array(pairs).T
            rows.append({"change": name, "tracks": len(pairs), "median_db": float(np.median(response_change_db)),
                         "p90_db": float(np.percentile(response_change_db, 90)), "gates_flipped": float(flipped.mean())})  # fmt: skip
    return rows


def _integrated_lufs(audio: Audio, rate: int) -> float:
    meter = scan_meter(rate, audio.shape[1])
    meter.update(audio)
    return meter.integrated_lufs()


def _predict_eq(audio: Audio, rate: int, lufs: float, network: Network) -> dict[str, np.ndarray]:
    """The network's settings, each `[1, bands]`."""
    eq = predict_settings(SourceSignal(lambda: iter([audio]), rate, lufs, len(audio)), network).settings.eq
    return {name: np.asarray(getattr(eq, name), np.float64) for name in EQ_FIELDS}

"""How firm a track's settings are: from window to window, and where its file is louder, at another rate, or coded."""

from __future__ import annotations

import dataclasses
import io as memory
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import soundfile
from jaxtyping import Float

from nmjax import io
from nmjax.analysis.collection import Track
from nmjax.analysis.curves import shapes_db
from nmjax.analysis.excerpts import spread, typical
from nmjax.analysis.settling import EQ
from nmjax.inference.deliver.survey import Loudness
from nmjax.inference.network import Network
from nmjax.inference.track import Heard, listen

TRACKS = 16  # at most, by which changes are judged
SECONDS = 30.0  # of each
_QUIET_LU = 20.0  # windows that lie further below the track's loudness do not count
_LEAST_WINDOWS = 3

Audio = Float[np.ndarray, "time channel"]
Changed = tuple[Float[np.ndarray, "changed heard"], int]  # and its rate in Hz


def window_rows(
    windowed: Iterable[tuple[Track, dict[str, np.ndarray]]], wholes: dict[str, dict[str, np.ndarray]], threshold: float
) -> list[dict]:
    """A row a track that has three windows that sound: `windows`, how many; `within_db`, by how much their curves move
    about their mean (RMS over third octaves and windows); `same_gates`, the share of gates, over windows and bands,
    that stand on the same side of the threshold as the whole track's.

    Args:
        wholes: by a track's key its settings as a whole, each `[1, bands]`.
    """
    rows = []
    for track, found in windowed:
        heard = found["loudness"] > track.sound.loudness - _QUIET_LU
        heard[-1] &= len(heard) < 2  # the last window may hold next to nothing
        if heard.sum() < _LEAST_WINDOWS:
            continue
        settings = {name: found[name][heard] for name in EQ}
        curves = shapes_db(settings)
        same = (settings["gate"] > threshold) == (wholes[track.key]["gate"] > threshold)
        rows.append({
            "track": track.name, "group": track.group, "windows": int(heard.sum()),
            "within_db": float(np.sqrt(curves.var(axis=0, ddof=1).mean())), "same_gates": float(same.mean()),
        })  # fmt: skip
    return rows


def between_db(curves: Float[np.ndarray, "tracks points"]) -> float:
    """By how much tracks' curves move about their mean, RMS over third octaves and tracks."""
    return float(np.sqrt(curves.var(axis=0, ddof=1).mean()))


@dataclasses.dataclass(frozen=True)
class Change:
    """Something that happens to a file. made: `(audio, rate)` → `(audio, rate)`. levelled: whether its loudness is
    measured again afterwards, as it is in use."""

    name: str
    made: Callable[[Audio, int], Changed]
    levelled: bool = True


def _gained(gain_db: float) -> Callable:
    return lambda audio, rate: ((audio * 10.0 ** (gain_db / 20.0)).astype(np.float32), rate)


def _at_rate(wanted: int) -> Callable:
    return lambda audio, rate: (io.resampled(audio, rate, wanted), wanted)


def _coded(container: str, subtype: str, level: float, wanted: int) -> Callable:
    """Encoded and decoded in memory at a rate that every codec takes. level: libsndfile's, 0 (best) to 1."""

    def made(audio: Audio, rate: int) -> Changed:
        file = memory.BytesIO()
        more = {"bitrate_mode": "CONSTANT"} if container == "MP3" else {}
        audio = 0.5 * io.resampled(np.ascontiguousarray(audio[:, :2]), rate, wanted)  # room for what coding adds
        with soundfile.SoundFile(
            file, "w", wanted, audio.shape[1], subtype, format=container, compression_level=level, **more
        ) as out:
            for start in range(0, len(audio), 1 << 14):
                out.write(audio[start : start + (1 << 14)])
        file.seek(0)
        return soundfile.read(file, dtype="float32", always_2d=True)

    return made


CHANGES = (
    Change("12 dB quieter", _gained(-12.0)),
    Change("level misjudged by +3 dB", _gained(3.0), levelled=False),
    Change("level misjudged by −3 dB", _gained(-3.0), levelled=False),
    Change("at 96 kHz", _at_rate(96_000)),
    Change("at 48 kHz", _at_rate(48_000)),
    Change("at 32 kHz", _at_rate(32_000)),
    Change("at 22.05 kHz", _at_rate(22_050)),
    Change("MP3, 128 kbit/s", _coded("MP3", "MPEG_LAYER_III", 2.0 / 3.0, 44_100)),
    Change("Vorbis, quality 2", _coded("OGG", "VORBIS", 0.8, 44_100)),
    Change("Opus, 48 kHz", _coded("OGG", "OPUS", 0.8, 48_000)),
)


def change_rows(tracks: Sequence[Track], network: Network, threshold: float) -> list[dict]:
    """A row a change: how far the curve is from that of the unchanged stretch (RMS over third octaves), in the median
    over tracks and at the 90th percentile; and the share of gates that change sides of the threshold."""
    moved: dict[str, list[tuple[float, float]]] = {change.name: [] for change in CHANGES}
    for place in spread(tracks, TRACKS):
        audio, rate = typical(tracks[place], SECONDS), tracks[place].sound.sample_rate
        lufs = _lufs(audio, rate)
        if not math.isfinite(lufs):
            continue
        before = _answer(audio, rate, lufs, network)
        for change in CHANGES:
            changed, at = change.made(audio, rate)
            after = _answer(changed, at, _lufs(changed, at) if change.levelled else lufs, network)
            flipped = (after["gate"] > threshold) != (before["gate"] > threshold)
            difference = shapes_db(after) - shapes_db(before)
            moved[change.name].append((float(np.sqrt(np.mean(difference**2))), float(flipped.mean())))
    rows = []
    for name, found in moved.items():
        if found:
            far, flipped = np.array(found).T
            rows.append({"change": name, "tracks": len(found), "median_db": float(np.median(far)),
                         "p90_db": float(np.percentile(far, 90)), "gates_flipped": float(flipped.mean())})  # fmt: skip
    return rows


def _lufs(audio: Audio, rate: int) -> float:
    meter = Loudness(rate, audio.shape[1])
    meter.hear(audio)
    return meter.lufs()


def _answer(audio: Audio, rate: int, lufs: float, network: Network) -> dict[str, np.ndarray]:
    """The network's settings, each `[1, bands]`."""
    eq = listen(Heard(lambda: iter([audio]), rate, lufs, len(audio)), network).settings.eq
    return {name: np.asarray(getattr(eq, name), np.float64) for name in EQ}

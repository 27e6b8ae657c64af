"""Do references of other kinds of music stay within the limits?

    python benchmarks/reference_limits.py --data music/train.csv --pairs 40

Random pairs of songs of different kinds (the column `genre` of the CSV): a section of the first is matched to a section
of the second, as `infer.py --reference` does. The response is that of the rendered audio: the Fourier transform of an
impulse in mid and in side that has passed the equalizers, less the change of the section's loudness (BS.1770) by the
same equalizers. Neither shares code with the fit. The compressor's effect is measured on the rendered section: by how
much it moves loudness range (EBU Tech 3342) and crest factor (median of blocks of 3 s) away from the reference,
compared to the same master without it. A row per pair, then the largest values.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.audio.loudness_meter import LoudnessMeter
from nmjax.dsp.loudness import channel_weights
from nmjax.mastering import pretrained
from nmjax.mastering.analysis import SourceSignal, process_chain
from nmjax.mastering.reference_features import features_from_chunks
from nmjax.mastering.render import equalize_side_stream, equalize_stream
from nmjax.mastering.track_analysis import plan_render
from nmjax.mastering.types import MasteringOptions, RenderPlan
from nmjax.models import MODEL_LUFS
from nmjax.reference.reference_target import ReferenceTarget

_IMPULSE_FRAMES = 1 << 17
_SUB_BASS_HZ, _LOWEST_HZ, _HIGHEST_SHARE = 60.0, 10.0, 0.45  # of the sample rate
_WORST = {
    "boost_db": max,
    "sub_bass_db": max,
    "cut_db": min,
    "distance_octaves": min,
    "ratio": min,
    "low_width": min,
    "high_width": max,
    "least_high_width": min,
    "range_away_lu": max,
    "crest_away_db": max,
}


@dataclasses.dataclass(frozen=True)
class Row:
    """What was rendered for a pair: gains at equal loudness in dB, the change of the loudness, distance of the nearest
    two bands in octaves, compressor and width, by how much the compressor leads away from the reference, and the tone's
    distance to the reference before and after in dB."""

    boost_db: float
    sub_bass_db: float
    cut_db: float
    loudness_lu: float
    distance_octaves: float
    ratio: float
    low_width: float
    high_width: float
    range_away_lu: float
    crest_away_db: float
    before_db: float
    after_db: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, metavar="CSV", help="songs, with target and genre")
    parser.add_argument("--pairs", type=int, default=40, metavar="N")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="N", help="length of the sections")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with args.data.open(newline="", encoding="utf-8") as file:
        songs = [(args.data.parent / row["target"], row["genre"]) for row in csv.DictReader(file)]
    network = pretrained.load_for_references(lambda _: None)
    rng, rows = np.random.default_rng(args.seed), []
    while len(rows) < args.pairs:
        (track, kind), (reference, other_kind) = (songs[i] for i in rng.integers(len(songs), size=2))
        if kind == other_kind:
            continue
        audio, rate = _read_section(track, args.seconds)
        reference_audio, reference_rate = _read_section(reference, args.seconds)
        features = features_from_chunks([reference_audio], reference_rate)
        signal = SourceSignal(lambda audio=audio: [audio], rate, MODEL_LUFS, len(audio))
        options = MasteringOptions(reference_target=ReferenceTarget(features, reference.name))
        plan = plan_render(signal, network, options, [])
        away = _moved_away(plan, signal, _dynamics(reference_audio, reference_rate))
        rows.append(_measure(plan, audio, rate, away))
        print(f"{track.name} → {reference.name}: {rows[-1]}; {plan.match_outcome}", flush=True)
    for name, worst in _WORST.items():
        field = name.removeprefix("least_")
        print(f"{name}: {worst(getattr(row, field) for row in rows):.3f} at worst in {len(rows)} pairs")
    for field in ("loudness_lu", "before_db", "after_db"):
        print(f"{field}: {np.mean([getattr(row, field) for row in rows]):.2f} on average")


def _read_section(path: Path, seconds: float) -> tuple[np.ndarray, int]:
    """The middle of a file, and its sample rate."""
    info = reader.probe(path)
    frames = min(info.frames, round(seconds * info.sample_rate))
    return reader.read_frames(path, (info.frames - frames) // 2, frames)[:, :2], info.sample_rate


def _moved_away(plan: RenderPlan, signal: SourceSignal, reference: np.ndarray) -> np.ndarray:
    """By how much the compressor makes the distances to the reference's loudness range and crest factor larger."""
    settings = plan.prediction.settings
    distances = []
    for compressor in (settings.compressor, None):
        chosen = dataclasses.replace(settings, compressor=compressor)
        chunks = process_chain(signal, chosen, plan.rendered_bands, plan.rendered_side_bands)
        audio = np.concatenate(list(chunks))
        distances.append(np.abs(_dynamics(audio, signal.sample_rate) - reference))
    return distances[0] - distances[1]


def _dynamics(audio: np.ndarray, rate: int) -> np.ndarray:
    """Loudness range in LU, and the median crest factor in dB of the blocks within 30 dB of the loudest one."""
    blocks = audio[: len(audio) // (3 * rate) * 3 * rate].reshape(-1, 3 * rate * audio.shape[1]).astype(np.float64)
    power_db = 10.0 * np.log10(np.mean(blocks**2, axis=1) + 1e-12)
    crest_db = 20.0 * np.log10(np.abs(blocks).max(axis=1) + 1e-6) - power_db
    return np.array([_meter(audio, rate).loudness_range_lu(), np.median(crest_db[power_db > power_db.max() - 30.0])])


def _measure(plan: RenderPlan, audio: np.ndarray, rate: int, away: np.ndarray) -> Row:
    freq_hz = np.fft.rfftfreq(_IMPULSE_FRAMES, 1.0 / rate)
    loudness_lu = _integrated_lufs(_equalized(plan, audio, rate), rate) - _integrated_lufs(audio, rate)
    gain_db = np.stack([_response_db(plan, rate, right) for right in (1.0, -1.0)]) - loudness_lu
    gain_db = gain_db[:, (freq_hz >= _LOWEST_HZ) & (freq_hz < _HIGHEST_SHARE * rate)]
    num_sub_bass = np.count_nonzero((freq_hz >= _LOWEST_HZ) & (freq_hz < _SUB_BASS_HZ))
    settings, outcome = plan.prediction.settings, plan.match_outcome
    octaves = np.sort(np.log2(np.asarray(settings.eq.freq_hz)[0]))
    return Row(
        boost_db=float(gain_db[:, num_sub_bass:].max()),
        sub_bass_db=float(gain_db[:, :num_sub_bass].max()),
        cut_db=float(gain_db.min()),
        loudness_lu=loudness_lu,
        distance_octaves=float(np.diff(octaves).min(initial=10.0)),
        ratio=1.0 if settings.compressor is None else float(settings.compressor.ratio[0]),
        low_width=1.0 if settings.width is None else float(settings.width.low[0]),
        high_width=1.0 if settings.width is None else float(settings.width.high[0]),
        range_away_lu=float(away[0]),
        crest_away_db=float(away[1]),
        before_db=outcome.before_db if outcome else np.nan,
        after_db=outcome.after_db if outcome else np.nan,
    )


def _equalized(plan: RenderPlan, audio: np.ndarray, rate: int) -> np.ndarray:
    equalized = equalize_stream([audio.astype(np.float32)], plan.rendered_bands, rate)
    return np.concatenate(list(equalize_side_stream(equalized, plan.rendered_side_bands, rate)))


def _integrated_lufs(audio: np.ndarray, rate: int) -> float:
    return _meter(audio, rate).integrated_lufs()


def _meter(audio: np.ndarray, rate: int) -> LoudnessMeter:
    meter = LoudnessMeter(rate, channel_weights(audio.shape[1]))
    meter.update(audio.astype(np.float32))
    return meter


def _response_db(plan: RenderPlan, rate: int, right: float) -> np.ndarray:
    """The response to an impulse on both channels. right: 1 for an impulse in mid, −1 for one in the side."""
    impulse = np.zeros((_IMPULSE_FRAMES, 2), np.float32)
    impulse[0] = 1.0, right
    left = _equalized(plan, impulse, rate)[:, 0]
    return 20.0 * np.log10(np.abs(np.fft.rfft(left.astype(np.float64))) + 1e-12)


if __name__ == "__main__":
    main()

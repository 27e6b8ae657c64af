"""How much of clipping and saturation does a network's residual undo, and does it leave clean music alone?

    python benchmarks/damage.py music/validation.csv --ckpt runs/damage --excerpts 4

Excerpts of each song of a CSV's column `target`, damaged as by `nmjax.evaluation.damage`: each kind with a drive of 4
to 8 and of 8 to 14 dB, and untouched. The gain is SI-SDR after minus SI-SDR before. `shuffled`: the residual gets z of
another example of the same kind and drive; `zero`: z = 0; both show what z contributes. On hard clipping, the exact
declipper for comparison. The interval is that of the mean, by bootstrap over songs.
"""

import argparse
import csv
import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import soundfile

from nmjax.dsp.declip import declip
from nmjax.evaluation.damage import CURVES, Damage, apply_damage
from nmjax.evaluation.metrics import lufs, si_sdr_db
from nmjax.mastering.analysis import SourceSignal, predict_settings, render_prediction
from nmjax.mastering.network import load

RATE, DRIVES_DB, MAX_BIAS = 44_100, ((4.0, 8.0), (8.0, 14.0)), 0.4
LEAST_UNTOUCHED_DB = 40.0  # SI-SDR of clean music that counts as unharmed


@dataclasses.dataclass(frozen=True)
class Item:
    """An excerpt of a song, and what was done to it."""

    song: int
    clean: np.ndarray
    source: np.ndarray


def read_excerpts(paths, seconds, count):
    """`(song, audio [time, 2])`: `count` excerpts of each song, evenly spread; other rates and silence are omitted."""
    frames = round(seconds * RATE)
    for song, path in enumerate(paths):
        info = soundfile.info(path)
        if info.samplerate != RATE or info.frames < frames:
            continue
        for start in np.linspace(0, info.frames - frames, count + 2)[1:-1]:
            audio = soundfile.read(path, frames=frames, start=int(start), dtype="float64", always_2d=True)[0]
            audio = audio[:, :2] if audio.shape[1] > 1 else np.repeat(audio, 2, axis=1)
            if np.sqrt(np.mean(audio**2)) > 0.005:
                yield song, audio


def damaged_items(excerpts, kind, drives_db, rng):
    """Every excerpt with a damage of this kind; half of them asymmetric, as in the benchmark."""
    for song, clean in excerpts:
        bias = 0.0 if rng.uniform() < 0.5 else rng.uniform(-MAX_BIAS, MAX_BIAS)
        damage = Damage(kind, int(rng.integers(len(CURVES[kind]))), rng.uniform(*drives_db), bias)
        yield Item(song, clean, apply_damage(clean, damage))


def render_all(items, network):
    """Outputs of the network for each item with true, shuffled and zero z, as `{name: [outputs]}`."""
    signals = [
        SourceSignal(lambda x=item.source: [x.astype(np.float32)], RATE, lufs(item.source, RATE)) for item in items
    ]
    predictions = [predict_settings(signal, network) for signal in signals]
    z_of = {
        "true": [p.z for p in predictions],
        "shuffled": [predictions[i - 1].z for i in range(len(predictions))],
        "zero": [jnp.zeros_like(p.z) for p in predictions],
    }
    return {
        name: [
            np.concatenate(list(render_prediction(s, p.replace(z=z), p.settings.eq.bands(), network)))
            for s, p, z in zip(signals, predictions, zs, strict=True)
        ]
        for name, zs in z_of.items()
    }


def declip_exactly(item):
    """The item restored by the consistent declipper, with its highest and lowest samples as levels."""
    source = item.source.astype(np.float32)
    return declip(source, np.stack([source.max(axis=0), -source.min(axis=0)], axis=1) * 0.995, RATE)


def mean_with_interval(values, songs, rng):
    """Mean and its 95 % interval, by drawing songs with replacement."""
    by_song = [np.asarray(values)[np.asarray(songs) == song] for song in sorted(set(songs))]
    draws = [np.concatenate([by_song[i] for i in rng.integers(len(by_song), size=len(by_song))]) for _ in range(2000)]
    low, high = np.percentile([x.mean() for x in draws], [2.5, 97.5])
    return f"{np.mean(values):+.1f} ({low:+.1f} to {high:+.1f})"


def print_gains(excerpts, network, rng):
    print("| damage | drive, dB | SI-SDR, dB | gain | worst | with shuffled z | with z = 0 | exact declipper |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind in CURVES:
        for drives_db in DRIVES_DB:
            items = list(damaged_items(excerpts, kind, drives_db, rng))
            songs = [item.song for item in items]
            before = np.array([si_sdr_db(item.source, item.clean) for item in items])

            def gains(outputs, items=items, before=before):
                return [si_sdr_db(y, item.clean) for y, item in zip(outputs, items, strict=True)] - before

            gain = {name: gains(outputs) for name, outputs in render_all(items, network).items()}
            exact = f"{np.mean(gains([declip_exactly(item) for item in items])):+.1f}" if kind == "hard" else ""
            print(
                f"| {kind} | {drives_db[0]:g}–{drives_db[1]:g} | {before.mean():.1f} |"
                f" {mean_with_interval(gain['true'], songs, rng)} | {gain['true'].min():+.1f} |"
                f" {gain['shuffled'].mean():+.1f} | {gain['zero'].mean():+.1f} | {exact} |",
                flush=True,
            )


def print_harm(excerpts, network):
    items = [Item(song, clean, clean) for song, clean in excerpts]
    result = np.array(
        [si_sdr_db(y, item.clean) for y, item in zip(render_all(items, network)["true"], items, strict=True)]
    )
    share = np.mean(result >= LEAST_UNTOUCHED_DB)
    print(
        f"\nUntouched: SI-SDR {np.median(result):.1f} dB (median), {result.min():.1f} dB (worst); "
        f"{100.0 * share:.0f} % of {len(result)} at {LEAST_UNTOUCHED_DB:g} dB or more."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--ckpt", type=Path, required=True, help="run folder of a network with a residual")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--excerpts", type=int, default=1, help="excerpts per song")
    parser.add_argument("--songs", type=int, help="at most this many songs, evenly spread")
    args = parser.parse_args()
    with open(args.catalog, newline="", encoding="utf-8") as file:
        paths = [args.catalog.parent / row["target"] for row in csv.DictReader(file)]
    if args.songs:
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, args.songs).astype(int)]
    network, rng = load(args.ckpt), np.random.default_rng(0)
    excerpts = list(read_excerpts(paths, args.seconds, args.excerpts))
    print(f"{len(excerpts)} excerpts of {args.seconds:g} s, network of step {network.step}\n")
    print_gains(excerpts, network, rng)
    print_harm(excerpts, network)


if __name__ == "__main__":
    main()

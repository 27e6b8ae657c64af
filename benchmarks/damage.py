"""How much of clipping and saturation does a network's residual undo, and does it leave clean music alone?

    python benchmarks/damage.py music/validation.csv --ckpt nmjax/weights/1b-restore --untouched 5

Excerpts of each song of a CSV's column `target`, damaged as by `nmjax.evaluation.damage`: each kind with a drive of 4
to 8 and of 8 to 14 dB, and untouched. The gain is SI-SDR after minus SI-SDR before. `shuffled`: the residual gets z of
another example of the same kind and drive; `zero`: z = 0; both show what z contributes. `found`: excerpts in which
the diagnosis finds saturation or clipping; `repair`: the gain of `--repair clip,saturation`, which uses the curve of
the shipped network, and the declipper above the ceiling; `auto`: that of `--repair auto`, which leaves alone what is
uncertain. The interval is that of the mean, by bootstrap over songs.
"""

import argparse
import csv
import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import soundfile
from repair import repair

from nmjax.evaluation.damage import CURVES, apply_damage, random_damage
from nmjax.evaluation.metrics import lufs, si_sdr_db
from nmjax.evaluation.statistics import error_ratio
from nmjax.mastering.analysis import SourceSignal, predict_settings, render_prediction
from nmjax.mastering.network import load

RATE, DRIVES_DB = 44_100, ((4.0, 8.0), (8.0, 14.0))
REPAIRS = ("clip", "saturation")
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
        curve, drive_db = int(rng.integers(len(CURVES[kind]))), rng.uniform(*drives_db)
        damage = dataclasses.replace(random_damage(rng), kind=kind, curve=curve, drive_db=drive_db)
        yield Item(song, clean, apply_damage(clean, damage))


def predict_all(items, network):
    """The signal of each item and the network's prediction for it."""
    signals = [
        SourceSignal(lambda x=item.source: [x.astype(np.float32)], RATE, lufs(item.source, RATE)) for item in items
    ]
    return [(signal, predict_settings(signal, network)) for signal in signals]


def render_all(predicted, network, zs=None):
    """The network's output for each signal, with its own z or with others."""
    zs = zs or [prediction.z for _, prediction in predicted]
    return [
        np.concatenate(
            list(render_prediction(signal, prediction.replace(z=z), prediction.settings.eq.bands(), network))
        )
        for (signal, prediction), z in zip(predicted, zs, strict=True)
    ]


def render_variants(items, network):
    """Outputs with true, shuffled and zero z, as `{name: [outputs]}`."""
    predicted = predict_all(items, network)
    zs = [prediction.z for _, prediction in predicted]
    return {
        "true": render_all(predicted, network),
        "shuffled": render_all(predicted, network, [zs[-1], *zs[:-1]]),
        "zero": render_all(predicted, network, [jnp.zeros_like(z) for z in zs]),
    }


def repair_excerpt(audio):
    """Whether the diagnosis finds clipping or saturation, and the results of `--repair clip,saturation` and `auto`."""
    source = audio.astype(np.float32)
    findings, _, named = repair(source, REPAIRS)
    return bool(findings & {"clipping", "saturation"}), named, repair(source)[2]


def mean_with_interval(values, songs):
    """Mean and its 95 % interval, by drawing songs with replacement."""
    mean = error_ratio(np.asarray(values), np.ones(len(values)), songs)
    return f"{mean.value:+.1f} ({mean.ci_low:+.1f} to {mean.ci_high:+.1f})"


def print_gains(excerpts, network, rng):
    print("| damage | drive, dB | SI-SDR, dB | network | worst | shuffled z | z = 0 | found | repair | worst | auto |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for kind in CURVES:
        for drives_db in DRIVES_DB:
            items = list(damaged_items(excerpts, kind, drives_db, rng))
            songs = [item.song for item in items]
            before = np.array([si_sdr_db(item.source, item.clean) for item in items])

            def gains(outputs, items=items, before=before):
                return [si_sdr_db(y, item.clean) for y, item in zip(outputs, items, strict=True)] - before

            gain = {name: gains(outputs) for name, outputs in render_variants(items, network).items()}
            found, *repaired = zip(*(repair_excerpt(item.source) for item in items), strict=True)
            named, auto = map(gains, repaired)
            print(
                f"| {kind} | {drives_db[0]:g}–{drives_db[1]:g} | {before.mean():.1f} |"
                f" {mean_with_interval(gain['true'], songs)} | {gain['true'].min():+.1f} |"
                f" {gain['shuffled'].mean():+.1f} | {gain['zero'].mean():+.1f} | {100.0 * np.mean(found):.0f} % |"
                f" {mean_with_interval(named, songs)} | {named.min():+.1f} | {mean_with_interval(auto, songs)} |",
                flush=True,
            )


def print_harm(excerpts, network):
    results, found = [], []
    for song, clean in excerpts:
        (output,) = render_all(predict_all([Item(song, clean, clean)], network), network)
        is_found, *repaired = repair_excerpt(clean)
        results.append([si_sdr_db(y, clean) for y in (output, *repaired)])
        found.append(is_found)
    print(f"\nUntouched: something is found in {sum(found)} of {len(found)} excerpts.")
    for name, values in zip(("network", "repair", "auto"), np.array(results).T, strict=True):
        unharmed = np.sum(values >= LEAST_UNTOUCHED_DB)
        print(f"{name}: {unharmed} at {LEAST_UNTOUCHED_DB:g} dB SI-SDR or more, worst {values.min():.1f} dB.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--ckpt", type=Path, required=True, help="run folder of a network with a residual")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--excerpts", type=int, default=1, help="excerpts per song")
    parser.add_argument("--untouched", type=int, default=1, help="untouched excerpts per song")
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
    print_harm(read_excerpts(paths, args.seconds, args.untouched), network)


if __name__ == "__main__":
    main()

"""Speed of predicting the settings of a collection: batches of windows against one track at a time, in turns.

    python benchmarks/analyze.py MUSIC [--ckpt DIR] [--max-tracks 24] [--rounds 3] [--batch 4,16,32]

MUSIC is a folder or a CSV that was indexed before (run analyze.py on it once). One at a time is what infer.py does
before it renders: `predict_settings`, a window at a time. Both read from the disk, and neither measures the loudness,
which is in the index. Prints medians. On a machine with other load, CPU seconds are more reliable than wall seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from nmjax.analysis import batched_encode
from nmjax.analysis.batched_decode import decode_settings
from nmjax.analysis.collection import collect_tracks
from nmjax.mastering import pretrained
from nmjax.mastering.analysis import predict_settings
from nmjax.mastering.network import load


def systems(tracks: list, network, batches: list[int]) -> dict[str, Callable[[], None]]:
    """Functions by name that predict the settings of all tracks once."""

    def batched(size: int) -> Callable[[], None]:
        def run():
            for features in batched_encode.encode_tracks(tracks, network, batch_size=size):
                decode_settings(features.track_mean[None], network)

        return run

    def one_at_a_time():
        for track in tracks:
            predict_settings(track.source_signal(), network).settings.eq.gain_db.block_until_ready()

    return {"one at a time": one_at_a_time, **{f"batches of {size} windows": batched(size) for size in batches}}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("music", type=Path)
    parser.add_argument("--ckpt", type=Path, help="default: the network that comes with the program")
    parser.add_argument("--max-tracks", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", default="4,16,32")
    args = parser.parse_args()
    network = load(args.ckpt or pretrained.model_folder())
    tracks = collect_tracks([args.music], max_tracks=args.max_tracks)
    seconds = sum(track.recording.seconds for track in tracks)
    runs = systems(tracks, network, [int(size) for size in args.batch.split(",")])
    for run in runs.values():
        run()  # compiles, and brings the files into the page cache
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            times[name].append((time.perf_counter() - start, time.process_time() - cpu_start))
    print(f"{len(tracks)} tracks, {seconds / 60:.0f} min; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.\n")
    print("| method | wall s | CPU s | tracks a minute | per minute of CPU | × real time |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, samples in times.items():
        wall, cpu = (statistics.median(values) for values in zip(*samples, strict=True))
        rates = (60 * len(tracks) / seconds_used for seconds_used in (wall, cpu))
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {' | '.join(f'{r:.0f}' for r in rates)} | {seconds / wall:.0f} |")


if __name__ == "__main__":
    main()

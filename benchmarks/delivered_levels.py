"""Do delivered files meet their loudness and ceiling, as ffmpeg's ebur128 measures them?

    python benchmarks/delivered_levels.py music/validation.csv [--deliver cd] [--max-songs 10]

Masters the songs of a CSV's column `target` with the default network, and reads each master with ffmpeg (EBU R 128:
integrated loudness and true peak, both printed with one decimal). The loudness is compared with what was asked for and,
where a song cannot reach it within the limiter's depth, with what the program says that it delivered.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = {"streaming": (-14.0, -1.0), "cd": (-9.0, -0.3), "club": (-7.0, -0.3)}  # LUFS, dBTP
LUFS_TOLERANCE = 0.1
ROUNDING = 1e-6


def master(track, out, name):
    """The delivery of a track as the program reports it."""
    command = [sys.executable, "-m", "nmjax", "infer", str(track), "-o", str(out), "--deliver", name, "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode not in (0, 3):  # 3: delivered, but not as loud as asked for
        raise SystemExit(f"{track}: {result.stderr.strip()}")
    (row,) = json.loads(result.stdout)["tracks"]
    return row["deliveries"][0]


def measure_with_ffmpeg(path):
    """Integrated loudness and true peak of a file."""
    command = ["ffmpeg", "-hide_banner", "-nostats", "-i", str(path), "-af", "ebur128=peak=true", "-f", "null", "-"]
    summary = subprocess.run(command, capture_output=True, text=True, check=True).stderr.rsplit("Summary:", 1)[1]
    found = (re.search(pattern, summary) for pattern in (r"I:\s+(\S+) LUFS", r"Peak:\s+(\S+) dBFS"))
    return tuple(float(match[1]) for match in found)


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path, help="CSV file with a column `target`")
    parser.add_argument("--deliver", default="streaming", choices=TARGETS)
    parser.add_argument("--max-songs", type=int, help="only the first songs")
    options = parser.parse_args()
    with open(options.table, newline="") as file:
        tracks = [options.table.parent / row["target"] for row in csv.DictReader(file)][: options.max_songs]
    target_lufs, ceiling_db = TARGETS[options.deliver]
    rows = []
    print("| song | status | LUFS, ours | LUFS, ffmpeg | dBTP, ours | dBTP, ffmpeg |\n|---|---|---:|---:|---:|---:|")
    for track in tracks:
        with tempfile.TemporaryDirectory() as folder:
            delivery = master(track, Path(folder) / "master.wav", options.deliver)
            lufs, peak_db = measure_with_ffmpeg(delivery["file"])
        rows.append((delivery, lufs, peak_db))
        print(
            f"| {track.stem} | {delivery['status']} | {delivery['lufs']:.2f} | {lufs:.1f} |"
            f" {delivery['true_peak_db']:.2f} | {peak_db:.1f} |",
            flush=True,
        )
    passed = [row for row in rows if row[0]["status"] == "pass"]
    on_target = sum(abs(lufs - target_lufs) <= LUFS_TOLERANCE + ROUNDING for _, lufs, _ in passed)
    as_reported = sum(abs(lufs - delivery["lufs"]) <= LUFS_TOLERANCE + 0.05 for delivery, lufs, _ in rows)
    below = sum(peak_db <= ceiling_db + ROUNDING for *_, peak_db in rows)
    print(f"\n{len(passed)} of {len(rows)} masters pass; ffmpeg finds {on_target} of these within {LUFS_TOLERANCE} LU.")
    print(f"{as_reported} of {len(rows)} have the loudness that was reported, to the tenth that ffmpeg prints.")
    print(f"{below} of {len(rows)} are below {ceiling_db} dBTP, to the tenth that ffmpeg prints.")


if __name__ == "__main__":
    main()

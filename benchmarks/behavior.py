"""Does a refactoring change what the programs compute?

    python benchmarks/behavior.py record OUT --repo CHECKOUT --music FOLDER [--start FOLDER]
    python benchmarks/behavior.py compare BEFORE AFTER

`--music FOLDER` holds `tracks/` (each is mastered four times), `reference.flac` and `training/` (four songs). Names of
keys, columns and log entries may differ between two recordings. Audio, loss traces and table columns must be equal.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import soundfile
from tensorboardX.proto.event_pb2 import Event

PHASES = ("1a", "1b", "1c", "2")
STEPS = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("record")
    p.add_argument("out", type=Path)
    p.add_argument("--repo", type=Path, required=True)
    p.add_argument("--music", type=Path, required=True)
    p.add_argument("--start", type=Path, help="folder with a checkpoint a phase to start the traces from")
    p.add_argument("--only", choices=("masters", "traces", "tables"))
    p.set_defaults(run=record)
    p = commands.add_parser("compare")
    p.add_argument("before", type=Path)
    p.add_argument("after", type=Path)
    p.set_defaults(run=compare)
    args = parser.parse_args()
    return args.run(args)


def record(args: argparse.Namespace) -> int:
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name, recorder in (("masters", record_masters), ("traces", record_traces), ("tables", record_tables)):
        if args.only in (None, name):
            results = recorder(args.repo.resolve(), args.music.resolve(), out, args.start and args.start.resolve())
            (out / f"{name}.json").write_text(json.dumps(results, indent=1))
    return 0


def run_program(repo: Path, *arguments: object) -> None:
    """Run a program of the checkout; exit code 3 (a delivery misses its target) means that its master was written."""
    command = [sys.executable, *map(str, arguments)]
    print("$", *command[1:], flush=True)
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    code = subprocess.run(command, cwd=repo, env=environment, stdin=subprocess.DEVNULL).returncode
    if code not in (0, 3):
        raise SystemExit(f"{command[1]} ended with exit code {code}.")


def record_masters(repo: Path, music: Path, out: Path, _start: Path | None) -> dict[str, str]:
    results = {}
    for track in sorted((music / "tracks").iterdir()):
        variants = {
            "default": (),
            "model2": ("--model", "2"),
            "reference": ("--reference", music / "reference.flac"),
            "settings": ("--settings", out / "settings.json", "--band", "3.gain_db=-1"),
        }
        for variant, arguments in variants.items():
            master = out / f"{track.stem}-{variant}.wav"
            run_program(repo, "infer.py", track, "-o", master, "--bits", "float", "--force", "--quiet", *arguments)
            audio, rate = soundfile.read(master, dtype="float32")
            results[f"{track.stem} {variant}"] = (
                f"{rate} Hz {audio.shape} {hashlib.sha256(audio.tobytes()).hexdigest()}"
            )
            if variant == "default":  # earlier versions name the settings file NAME.json instead of NAME.wav.json
                (written,) = (path for path in out.glob(f"{master.stem}.*json"))
                written.replace(out / "settings.json")
            master.unlink()
    return results


def record_traces(repo: Path, music: Path, out: Path, start: Path | None) -> dict[str, list]:
    results = {}
    for phase in PHASES:
        run = out / f"run-{phase}"
        shutil.rmtree(run, ignore_errors=True)
        arguments = ["train.py", "--phase", phase, "--config", "smoke", "--data", music / "training", "--out", run]
        arguments += ["--init-from", start / phase] if start else []
        run_program(
            repo, *arguments, f"train.steps={STEPS if start else 1}", "train.validate_every=10", "data.channels=2"
        )
        results[phase] = read_scalars(run / "log")
    return results


def read_scalars(folder: Path) -> list[list]:
    """[[(step, value), …], …], a list for each scalar, without those that measure time; in an order of their own."""
    series: dict[str, list] = {}
    for file in sorted(folder.glob("events.*")):
        data, at = file.read_bytes(), 0
        while at + 12 <= len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += 16 + size
            for value in event.summary.value:
                if value.HasField("simple_value") and "per_second" not in value.tag and "wait" not in value.tag:
                    series.setdefault(value.tag, []).append((event.step, value.simple_value))
    return sorted(series.values())


def record_tables(repo: Path, music: Path, out: Path, _start: Path | None) -> dict[str, list]:
    """All columns of settings.parquet and of the CSV tables, as texts, sorted."""
    folder = out / "analysis"
    shutil.rmtree(folder, ignore_errors=True)
    help_text = subprocess.run(
        [sys.executable, "analyze.py", "--help"], cwd=repo, capture_output=True, text=True, env={**os.environ}
    ).stdout
    windows = ["--window-seconds", "6"] if "--window-seconds" in help_text else ["--windows"]
    run_program(repo, "analyze.py", "--model", "2", music / "training", "--out", folder, *windows)
    columns = []
    for file in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(file)
        columns += [[str(v) for v in table[name].to_pylist()] for name in table.column_names]
    for file in sorted(folder.rglob("*.csv")):
        with file.open(newline="") as lines:
            rows = list(csv.reader(lines))[1:]
        columns += [list(column) for column in zip(*rows, strict=True)]
    return {"columns": sorted(c for c in columns if all(is_number(v) for v in c))}


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def compare(args: argparse.Namespace) -> int:
    """Print a line for each recorded entry; 1 where one differs."""
    differs = False
    for name in ("masters", "traces", "tables"):
        if not (args.before / f"{name}.json").exists() or not (args.after / f"{name}.json").exists():
            continue
        before, after = (json.loads((folder / f"{name}.json").read_text()) for folder in (args.before, args.after))
        for key in sorted(before | after):
            first, second = json.dumps(before.get(key)), json.dumps(after.get(key))  # as text, where NaN equals NaN
            differs |= first != second
            outcome = "equal" if first == second else f"DIFFERENT{describe_difference(before.get(key), after.get(key))}"
            print(f"{name:8} {key:30} {outcome}")
    return int(differs)


def describe_difference(before: object, after: object) -> str:
    """The largest relative difference, where both hold the same numbers of values."""
    first, second = flatten(before), flatten(after)
    if not first or len(first) != len(second):
        return f" ({len(first)} and {len(second)} numbers)"
    return f" (by {max(abs(a - b) / max(abs(a), 1e-12) for a, b in zip(first, second, strict=True)):.1e} at most)"


def flatten(value: object) -> list[float]:
    if isinstance(value, list):
        return [number for part in value for number in flatten(part)]
    return [float(value)] if isinstance(value, int | float) or (isinstance(value, str) and is_number(value)) else []


if __name__ == "__main__":
    sys.exit(main())

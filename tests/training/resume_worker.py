"""Resume a run from its last checkpoint, in a process that can be killed.

    python -m tests.training.resume_worker FOLDER MUSIC [key=value …]

Appends the number and the exact loss of each step to `trace.txt`, writes the final state to `final.npz`, and prints the
losses as JSON.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from nmjax.data import find_songs
from tests.training.tiny_run import RecordingLogger, new_run, tiny_config


class TraceWriter(RecordingLogger):
    """A logger that also writes to a file."""

    def __init__(self, path: Path):
        super().__init__()
        self._path = path

    def log_step(self, step: int, metrics: dict[str, float]) -> None:
        super().log_step(step, metrics)
        with open(self._path, "a") as file:
            file.write(f"{step} {metrics['loss'].hex()}\n")


def main(folder: Path, music: Path, *changes: str) -> None:
    """Start or resume the run, and train to the end."""
    folder.mkdir(parents=True, exist_ok=True)
    run, logger = new_run(tiny_config("1a", *changes), find_songs(music), folder), TraceWriter(folder / "trace.txt")
    if (step := run.latest_checkpoints.latest()) is not None:
        run.resume(step)
    run.train(logger)
    flat = {jax.tree_util.keystr(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(run.state)}
    np.savez(folder / "final.npz", **flat)
    print(json.dumps({"devices": jax.device_count(), "losses": logger.losses}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])

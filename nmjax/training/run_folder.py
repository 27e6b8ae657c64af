"""The run folder: one training at a time, resume checks, and the record of the split."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nmjax.config import Config, flatten_config, restore_config
from nmjax.data import Song
from nmjax.runtime import atomic_files, distributed
from nmjax.runtime.checkpoints import Checkpoints
from nmjax.runtime.errors import BadInputError

_NO_EFFECT = ("data.cache_dir", "data.read_threads", "data.num_workers")  # settings that do not change the result


@contextlib.contextmanager
def folder_lock(out: Path) -> Iterator[None]:
    """Hold the run folder for one training; the lock ends with the process, however it ends.

    Raises:
        BadInputError: Another training holds the folder, or it cannot be created.
    """
    if not distributed.is_main_process():  # the main process holds the folder for all processes
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        fd = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise BadInputError(atomic_files.write_error_message(out, error)) from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(
                f"Another training is running in '{out}'. Wait for it, or choose another --out."
            ) from None
        yield
    finally:
        os.close(fd)


def find_resume_step(config: Config, out: Path, report: Callable[[str], None]) -> int | None:
    """The step of the latest checkpoint of a run with the same config; None to start from step 0.

    Args:
        config: Settings of the run.
        out: Run folder.
        report: Called with a message for each damaged checkpoint.

    Raises:
        BadInputError: The folder holds a run of another config or of an earlier version.
    """
    latest = Checkpoints(out / "latest")
    step = latest.latest(report)
    if step is None:
        _check_restartable(Checkpoints(out / "best"), config, out)
        return None
    meta = latest.meta(step)
    if "shuffle_index" not in meta:
        raise BadInputError(
            f"The run in '{out}' was written by an earlier version of nmjax and cannot be resumed. {_new_run_hint(out)}"
        )
    previous = restore_config(meta["config"])
    if previous.phase != config.phase:
        raise BadInputError(f"'{out}' holds a run of phase {previous.phase}, not {config.phase}. Choose another --out.")
    if changed := _changed_settings(previous, config):
        raise BadInputError(f"'{out}' holds a run with other settings ({'; '.join(changed)}). {_new_run_hint(out)}")
    return step


def _check_restartable(best: Checkpoints, config: Config, out: Path) -> None:
    """A run without a latest checkpoint can be restarted only with the same config: its best one would be removed."""
    step = best.latest(lambda _: None)
    if step and _changed_settings(restore_config(best.meta(step)["config"]), config):
        raise BadInputError(
            f"'{out}' holds the best checkpoint (step {step}) of a run with other settings, which cannot be resumed. "
            f"{_new_run_hint(out)}"
        )


def _new_run_hint(out: Path) -> str:
    return f"Choose another --out; '--init-from {out}' starts from its weights."


def _changed_settings(previous: Config, current: Config) -> list[str]:
    old, new = dict(flatten_config(previous.model_dump())), dict(flatten_config(current.model_dump()))
    return [f"{key} was {old[key]}, now {new[key]}" for key in old if old[key] != new[key] and key not in _NO_EFFECT]


def write_split(path: Path, training: Sequence[Song], held_out: Sequence[Song]) -> None:
    """Write the names of the training and the validation songs, or check that they are those of an existing file.

    Raises:
        BadInputError: The file has other names, or cannot be written.
    """
    split = {"training": [s.name for s in training], "validation": [s.name for s in held_out]}
    if not path.is_file():
        atomic_files.write_text(path, json.dumps(split, indent=1, ensure_ascii=False) + "\n")
        return
    saved = json.loads(path.read_text())
    if saved == split:
        return
    previous_names, current_names = ({name for names in tree.values() for name in names} for tree in (saved, split))
    changed = [
        f"'{name}' is {'missing' if name in previous_names else 'new'}"
        for name in sorted(previous_names ^ current_names)
    ]
    raise BadInputError(
        f"The music differs from that of the run in '{path.parent}' "
        f"({'; '.join(changed[:3]) or 'the split is another one'}). Restore the music, or choose another --out."
    )

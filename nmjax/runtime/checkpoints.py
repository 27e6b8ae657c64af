"""Checkpoints: saved atomically, checked by digest before use, merged by name.

A folder of checkpoints has one folder per step, written by orbax: `model` (the network's variables), `training` (state
that only a resumed run needs), `meta` (JSON: the config and the position of the run), and `digests.json` over all of
these, written last. orbax restores a flipped byte without an error, so a step without matching digests is not used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nmjax.runtime import atomic_files, checkpoint_reader, distributed
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.lazy_jax import jax

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

_DIGESTS_FILE = "digests.json"
_COMMIT_FILE = "commit_success.txt"
_HEADROOM_BYTES = 1 << 20  # of a checkpoint, beside its arrays
_OS_ERROR = re.compile(r"os_error_code='(\d+)'")  # how tensorstore reports what the disk said


class Checkpoints:
    """The checkpoints of one folder, the newest `keep` of them."""

    def __init__(self, folder: Path, keep: int = 2):
        self.folder = folder.resolve()  # orbax fails late on relative paths
        self._keep = keep

    def save(self, step: int, model: Any, training: Any, meta: dict[str, Any]) -> None:
        """Save trees of arrays and JSON under `step`; when it returns, they are on the disk.

        A run that resumes from an older checkpoint reaches steps that it saved before: complete ones stay, incomplete
        ones are written again. Later steps than `step` are damaged, or will be written again: they go,
        since orbax keeps no step that is older than its newest.

        Raises:
            BadInputError: the disk is full or the folder cannot be written. Earlier checkpoints stay.
        """
        import orbax.checkpoint as ocp  # a third of a second, which nobody needs who only reads a network

        if step in self.steps() and not self._problem(step):
            return
        distributed.barrier("looked for earlier checkpoints")
        try:
            if distributed.is_main_process():
                for stale in (s for s in self.steps() if s >= step):
                    shutil.rmtree(self.folder / str(stale))
                self._check_disk_space((model, training))
            distributed.barrier("made room for a checkpoint")
            with _silence_absl(), self._manager(writing=True) as manager:
                saved = manager.save(
                    step,
                    args=ocp.args.Composite(
                        model=ocp.args.StandardSave(model),
                        training=ocp.args.StandardSave(training),
                        meta=ocp.args.JsonSave(meta),
                    ),
                )
                manager.wait_until_finished()
            if not saved:
                raise OSError(f"orbax did not save step {step}")
            if distributed.is_main_process():
                for file in (self.folder / str(step)).rglob(_COMMIT_FILE):
                    file.write_text("Checkpoint commit was successful.")  # orbax adds the path on this machine
                atomic_files.write_text(
                    self.folder / str(step) / _DIGESTS_FILE, json.dumps(_file_digests(self.folder / str(step)))
                )
            distributed.barrier("saved a checkpoint")
        except OSError as error:
            self._remove_partial(step)
            raise BadInputError(atomic_files.write_error_message(self.folder, error)) from None
        except ValueError as error:
            self._remove_partial(step)
            if os_error := _OS_ERROR.search(str(error)):
                raise BadInputError(
                    atomic_files.write_error_message(
                        self.folder, OSError(int(os_error[1]), os.strerror(int(os_error[1])))
                    )
                ) from None
            raise

    def _check_disk_space(self, trees: Any) -> None:
        """Raise before anything is written: orbax's threads would each report a full disk with a traceback."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < sum(x.nbytes for x in jax.tree.leaves(trees)) + _HEADROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _remove_partial(self, step: int) -> None:
        for partial in [self.folder / str(step), *self.folder.glob("*.orbax-checkpoint-tmp*")]:
            shutil.rmtree(partial, ignore_errors=True)

    def steps(self) -> list[int]:
        """Steps that have a folder, whether they can be used or not, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if p.name.isdigit())

    def latest(self, report: Callable[[str], None] = print) -> int | None:
        """The newest step whose digests match; newer ones that do not are reported. None where there is none."""
        for step in reversed(self.steps()):
            if problem := self._problem(step):
                report(f"Checkpoint {self.folder / str(step)} {problem}; going back to the one before.")
            else:
                return step
        return None

    def _problem(self, step: int) -> str:
        folder = self.folder / str(step)
        try:
            expected = json.loads((folder / _DIGESTS_FILE).read_text())
        except (OSError, ValueError):
            return "is unfinished"
        if not expected:
            return "is unfinished"
        return "" if expected == _file_digests(folder) else "is damaged"

    def clear(self) -> None:
        """Remove every step.

        Raises:
            BadInputError: the folder cannot be written.
        """
        try:
            for step in self.steps() if distributed.is_main_process() else []:
                shutil.rmtree(self.folder / str(step))
        except OSError as error:
            raise BadInputError(atomic_files.write_error_message(self.folder, error)) from None
        distributed.barrier("cleared checkpoints")

    def meta(self, step: int) -> dict[str, Any]:
        """The JSON part."""
        return checkpoint_reader.read_json(self.folder / str(step) / "meta")

    def digest(self, step: int) -> str:
        """Identifies a step in settings files."""
        return hashlib.sha256((self.folder / str(step) / _DIGESTS_FILE).read_bytes()).hexdigest()[:16]

    def restore(self, step: int, **targets: Any) -> dict[str, Any]:
        """Parts of a checkpoint by name (`model=`, `training=`), into the shapes, types and shardings of the
        targets."""
        import orbax.checkpoint as ocp

        args = {name: ocp.args.StandardRestore(tree) for name, tree in targets.items()}
        with self._manager() as manager:
            return dict(manager.restore(step, args=ocp.args.Composite(**args)))

    def read_model(self, step: int) -> dict[str, Any]:
        """The network's variables as they were saved, as NumPy arrays."""
        return checkpoint_reader.read_tree(self.folder / str(step) / "model")

    def restore_model(self, step: int) -> Any:
        """The network's variables as they were saved, on one device."""
        return jax.device_put(self.read_model(step), jax.devices()[0])

    def _manager(self, writing: bool = False) -> ocp.CheckpointManager:
        """Only who writes may make the folder, and clear away what an earlier writer left half-done in it."""
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._keep, enable_async_checkpointing=False, cleanup_tmp_directories=writing, create=writing
        )
        handlers = {
            "model": ocp.StandardCheckpointHandler(),
            "training": ocp.StandardCheckpointHandler(),
            "meta": ocp.JsonCheckpointHandler(),
        }
        return ocp.CheckpointManager(self.folder, item_handlers=handlers, options=options)


@contextlib.contextmanager
def _silence_absl() -> Iterator[None]:
    """Suppress orbax's own tracebacks on stderr; the caller reports the error in one sentence."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def find_checkpoint(folder: Path, report: Callable[[str], None] = print) -> tuple[Checkpoints, int]:
    """The checkpoint that a user means by a folder: a run's best, else its latest, or a folder of checkpoints itself.

    Raises:
        BadInputError: missing, or nothing finished and undamaged in it.
    """
    if not folder.is_dir():
        raise BadInputError(f"Checkpoint folder '{folder}' is missing; give the folder that train.py wrote (--out).")
    candidates = [Checkpoints(path) for path in (folder / "best", folder / "latest", folder)]
    for checkpoints in candidates:
        if (step := checkpoints.latest(report)) is not None:
            return checkpoints, step
    unfinished = any(checkpoints.steps() for checkpoints in candidates)
    reason = "only unfinished or damaged checkpoints; train on, or take another" if unfinished else "no checkpoint"
    raise BadInputError(f"'{folder}' holds {reason}.")


class MergeReport(NamedTuple):
    """Names of variables by what `merge_variables` did with them.

    Attributes:
        transferred: Taken from the source.
        new: Missing in the source.
        mismatched: Of another shape in the source.
        unused: Only in the source.
    """

    transferred: list[str]
    new: list[str]
    mismatched: list[str]
    unused: list[str]


def merge_variables(target: Any, source: Any) -> tuple[Any, MergeReport]:
    """`target` with every leaf replaced that `source` has under the same name and in the same shape, and a report."""
    source_leaves = {
        jax.tree_util.keystr(p, simple=True, separator="/"): x for p, x in jax.tree_util.tree_leaves_with_path(source)
    }
    report = MergeReport([], [], [], [])

    def pick(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        match = source_leaves.pop(name, None)
        if match is not None and match.shape == leaf.shape:
            report.transferred.append(name)
            return match
        (report.new if match is None else report.mismatched).append(name)
        return leaf

    merged = jax.tree_util.tree_map_with_path(pick, target)
    report.unused.extend(sorted(source_leaves))
    return merged, report


def _file_digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != _DIGESTS_FILE)
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

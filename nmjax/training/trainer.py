"""From a command to a run: find the music, split it, start or go on, train."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from nmjax.config import Config, flatten_config, restore_config
from nmjax.data import (
    SONG_SPECTRUM_HZ,
    DataSource,
    Song,
    find_all_songs,
    find_songs,
    spectrum_covariance,
    split_songs,
    training_batches,
    validation_batches,
)
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.runtime import atomic_files, distributed
from nmjax.runtime.checkpoints import Checkpoints
from nmjax.runtime.errors import BadInputError
from nmjax.training.augment import eq_distribution
from nmjax.training.logging import NullLogger, RunLogger
from nmjax.training.loop import TrainingLoop, graceful_stop
from nmjax.training.provenance import record_start
from nmjax.training.spectral_fit.fit import (
    DECODER_STEPS,
    check_enough_albums,
    check_spectral_encoder,
    fit_spectral_variables,
)
from nmjax.training.state import count_params, create_train_state, initial_variables
from nmjax.training.warm_start import init_from_checkpoint


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """What `train.py` was asked for.

    data: folders of mastered music and CSV files, or the unmastered side's folder. target: the mastered side's folder.
    validation: music to validate with instead of a share of `data`. out: the run's folder. init_from: an earlier
    run's folder.
    """

    config: Config
    data: tuple[DataSource, ...]
    out: Path
    target: Path | None = None
    validation: Path | None = None
    init_from: Path | None = None


def train(request: TrainingRequest, console: Console | None = None) -> None:
    """Train, or go on training where the run in `out` stopped; one of several processes if `hosts.join` was called.

    Leaves by SystemExit when the run was stopped by a signal: 128 plus its number, as a shell reports it.

    Raises:
        BadInputError: whatever of the request cannot be used.
    """
    console = console or Console(quiet=not distributed.is_main_process())
    report = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    config, out = request.config, request.out
    step = _resume_step(request, report)
    if step is not None and step >= config.train.steps:
        report(f"The run in '{out}' is complete ({step} steps).")
        return
    training, held_out = _load_songs(request, report)
    variables = initial_variables(build_model(config), config.seed)
    if step is None and request.init_from:
        variables = init_from_checkpoint(variables, config, request.init_from, report)
    loop = _build_loop(request, variables, training, held_out)
    with _folder_lock(out):
        if distributed.is_main_process():
            _write_split(out / "split.json", training, held_out)
        if step is None:
            loop.best_checkpoints.clear()  # of a run that was stopped before it could be gone on with
        else:
            loop.resume(step)
            report(f"Going on from step {step}.{' --init-from counts at the start only.' * bool(request.init_from)}")
        if distributed.is_main_process():
            record_start(out, config, step or 0)
        report(f"Phase {config.phase}: {count_params(variables['params']):,} parameters on {_device_summary()}.")
        _run_loop(loop, out, step or 0, console)
    if held_out and loop.best_checkpoints.latest(report) == 0:
        report("No validation was better than the start; the best checkpoint is the start itself.")
    report(f"Done. Master a track with:  python infer.py --ckpt {out} TRACK")


def fit_spectral(request: TrainingRequest, console: Console | None = None) -> None:
    """Teach a phase with the spectral encoder from levels alone (see `nmjax.training.spectral_fit.fit`); its checkpoint is `best`.
    What is not taught comes from `init_from`, if there is one.

    Raises:
        BadInputError: whatever of the request cannot be used, or a folder that holds a run already.
    """
    console = console or Console()
    report = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    config, out = request.config, request.out
    checkpoints = Checkpoints(out / "best")
    check_spectral_encoder(config)
    if checkpoints.steps() or Checkpoints(out / "latest").steps():
        raise BadInputError(f"'{out}' holds a run already; choose another --out.")
    training, held_out = _load_songs(request, report)
    check_enough_albums(training)
    variables = initial = initial_variables(build_model(config), config.seed)
    if request.init_from:
        variables = init_from_checkpoint(initial, config, request.init_from, report)
        decoder = {"decoder": initial["params"]["decoder"]}  # another one's bands would be a worse start for teaching
        variables = {**variables, **{k: x for k, x in initial.items() if k == "warm_start"}}
        variables["params"] = variables["params"] | decoder
    with _folder_lock(out):
        _write_split(out / "split.json", training, held_out)
        record_start(out, config, 0)
        save_spectral_fit(checkpoints, config, fit_spectral_variables(config, variables, training, report), training)
    report(f"Done. Master a track with:  python infer.py --ckpt {out} TRACK")


def save_spectral_fit(checkpoints: Checkpoints, config: Config, variables: dict, songs: Sequence[Song]) -> None:
    """A checkpoint of a taught network, and of the songs that it was taught on."""
    meta = {
        "config": config.model_dump(mode="json"),
        "step": DECODER_STEPS,
        "best_validation_loss": None,
        "shuffle_index": 0,
        "data_state": {},
    }
    checkpoints.save(
        DECODER_STEPS, variables, {"step": np.int32(DECODER_STEPS)}, meta | {"songs_digest": _songs_digest(songs)}
    )


def is_fit_on(checkpoints: Checkpoints, songs: Sequence[Song]) -> bool:
    """Whether what `keep_taught` keeps there was taught on these songs."""
    return checkpoints.meta(checkpoints.latest(lambda _: None)).get("songs_digest") == _songs_digest(songs)


def _songs_digest(songs: Sequence[Song]) -> str:
    names = "\n".join(f"{song.name}|{song.target.frames}" for song in songs)
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def _resume_step(request: TrainingRequest, report) -> int | None:
    """The step to go on from; None where there is nothing to go on with. Refuses a folder that holds another run."""
    latest = Checkpoints(request.out / "latest")
    step = latest.latest(report)
    if step is None:
        _check_restartable(Checkpoints(request.out / "best"), request.config, request.out)
        return None
    meta = latest.meta(step)
    if "shuffle_index" not in meta:
        raise BadInputError(
            f"'{request.out}' holds a run of an earlier nmjax, which this one cannot go on with; choose another --out, "
            f"with '--init-from {request.out}' to start from its weights."
        )
    _check_same_config(restore_config(meta["config"]), request.config, request.out)
    return step


def _build_loop(request: TrainingRequest, variables: dict, training: list[Song], held_out: list[Song]) -> TrainingLoop:
    config, process = request.config, (jax.process_index(), jax.process_count())
    weights = [source.weight for source in request.data if source.weight is not None] or None
    speed_semitones = config.augment.speed_semitones

    def batches_for_shuffle(shuffle_index: int):
        return training_batches(
            training, config.data, SAMPLE_RATE, config.seed, weights, speed_semitones, process, shuffle_index
        )

    batches = validation_batches(held_out, config.data, SAMPLE_RATE, process) if held_out else []
    distribution = eq_distribution(SONG_SPECTRUM_HZ, spectrum_covariance(training))
    return TrainingLoop(
        config, create_train_state(config, variables), distribution, batches_for_shuffle, batches, request.out
    )


def _run_loop(loop: TrainingLoop, out: Path, start_step: int, console: Console) -> None:
    config = loop.config
    log = (
        RunLogger(out / "log", config.train.steps, start_step, config.data.batch_size, console)
        if distributed.is_main_process()
        else NullLogger()
    )
    with log, graceful_stop(loop):
        try:
            finished = loop.train(log)
        except KeyboardInterrupt:
            log.info("Stopped. The same command goes on from the last checkpoint.")
            raise SystemExit(128 + signal.SIGINT) from None
    if not finished:
        console.print("Stopped and saved. The same command goes on from here.", highlight=False)
        raise SystemExit(128 + (loop.stop_signal or signal.SIGTERM))


def _device_summary() -> str:
    kind, devices, processes = jax.devices()[0].device_kind, jax.device_count(), jax.process_count()
    return (
        f"{devices} × {kind}" * (devices > 1) + kind * (devices == 1) + f" in {processes} processes" * (processes > 1)
    )


@contextlib.contextmanager
def _folder_lock(out: Path) -> Iterator[None]:
    """One training a folder at a time; the lock goes with the process, however that ends."""
    if not distributed.is_main_process():  # the first process holds the folder for all of them
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
                f"Another training is at work in '{out}'; wait for it, or choose another --out."
            ) from None
        yield
    finally:
        os.close(fd)


def _changed_settings(previous: Config, current: Config) -> list[str]:
    """The settings that make another run of it; where and how the data are read does not."""
    old, new = dict(flatten_config(previous.model_dump())), dict(flatten_config(current.model_dump()))
    ignored = ("data.cache_dir", "data.read_threads", "data.num_workers")
    return [f"{key} was {old[key]}, now {new[key]}" for key in old if old[key] != new[key] and key not in ignored]


def _check_same_config(previous: Config, current: Config, out: Path) -> None:
    if previous.phase != current.phase:
        raise BadInputError(
            f"'{out}' holds a run of phase {previous.phase}, not {current.phase}; choose another --out."
        )
    if changed := _changed_settings(previous, current):
        raise BadInputError(
            f"'{out}' holds a run with other settings ({'; '.join(changed)}); "
            f"choose another --out, with '--init-from {out}' to start from its weights."
        )


def _check_restartable(best: Checkpoints, config: Config, out: Path) -> None:
    """A run that cannot be gone on with may be begun again, but another one may not take what it had learnt."""
    step = best.latest(lambda _: None)
    if step and _changed_settings(restore_config(best.meta(step)["config"]), config):
        raise BadInputError(
            f"'{out}' holds what another run had learnt by step {step}, and nothing to go on from; "
            f"choose another --out, with '--init-from {out}' to start from its weights."
        )


def _load_songs(request: TrainingRequest, report) -> tuple[list[Song], list[Song]]:
    config = request.config
    cache_dir = Path(config.data.cache_dir) if config.data.cache_dir else None
    report(f"Looking through {', '.join(str(s.path) for s in request.data)} (every file is listened to once) …")
    songs = find_all_songs(request.data, request.target, cache_dir, report)
    if request.validation:
        training, held_out = songs, find_songs(request.validation, None, cache_dir, report)
        training_paths = {song.target.original_path for song in training}
        if any(song.input for song in training) and not all(song.input for song in held_out):
            raise BadInputError(
                f"--data has an unmastered side and --validation ({request.validation}) has none; "
                "give a CSV with the columns input and target."
            )
        if duplicates := [song.name for song in held_out if song.target.original_path in training_paths]:
            raise BadInputError(f"'{duplicates[0]}' is in --data and in --validation; take it out of one of them.")
    else:
        training, held_out = split_songs(songs, config.data.validation_fraction, config.seed)
    hours = [sum(song.seconds for song in subset) / 3600 for subset in (training, held_out)]
    if held_out:
        report(
            f"Training on {len(training)} songs ({hours[0]:.2f} h), validating on {len(held_out)} ({hours[1]:.2f} h)."
        )
    else:
        report(f"Training on {len(training)} song{'s' * (len(training) > 1)} ({hours[0]:.2f} h); nothing is validated.")
    return training, held_out


def _write_split(path: Path, training: list[Song], held_out: list[Song]) -> None:
    split = {"training": [s.name for s in training], "validation": [s.name for s in held_out]}
    if path.is_file():
        saved = json.loads(path.read_text())
        previous_names, current_names = ({name for names in tree.values() for name in names} for tree in (saved, split))
        changed = [
            f"'{name}' is {'gone' if name in previous_names else 'new'}"
            for name in sorted(previous_names ^ current_names)
        ]
        if saved != split:
            raise BadInputError(
                f"The music is not what the run in '{path.parent}' began with "
                f"({'; '.join(changed[:3]) or 'it is split otherwise'}); put it back, or choose another --out."
            )
        return
    atomic_files.write_text(path, json.dumps(split, indent=1, ensure_ascii=False) + "\n")

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

from nmjax import hosts, io
from nmjax.checkpoint import Checkpoints
from nmjax.config import Config, leaves, restored
from nmjax.data import (
    STYLE_HZ,
    Song,
    Source,
    find_all,
    find_songs,
    split_songs,
    style_covariance,
    training_batches,
    validation_batches,
)
from nmjax.errors import BadInputError
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.training.augment import style_of
from nmjax.training.carry import start_from
from nmjax.training.log import Log, Silence
from nmjax.training.loop import Run, stopping_by_signal
from nmjax.training.record import record_start
from nmjax.training.state import count, initial_state, initial_variables
from nmjax.training.teach import LESSONS, check_can_teach, check_enough, taught


@dataclasses.dataclass(frozen=True)
class Request:
    """What `train.py` was asked for.

    data: folders of mastered music and CSV files, or the unmastered side's folder. target: the mastered side's folder.
    validation: music to validate with instead of a share of `data`. out: the run's folder. init_from: an earlier
    run's folder.
    """

    config: Config
    data: tuple[Source, ...]
    out: Path
    target: Path | None = None
    validation: Path | None = None
    init_from: Path | None = None


def run(request: Request, console: Console | None = None) -> None:
    """Train, or go on training where the run in `out` stopped; one of several processes if `hosts.join` was called.

    Leaves by SystemExit when the run was stopped by a signal: 128 plus its number, as a shell reports it.

    Raises:
        BadInputError: whatever of the request cannot be used.
    """
    console = console or Console(quiet=not hosts.first())
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    config, out = request.config, request.out
    step = _where_it_stands(request, say)
    if step is not None and step >= config.train.steps:
        say(f"The run in '{out}' is complete ({step} steps).")
        return
    training, held_out = _music(request, say)
    variables = initial_variables(build_model(config), config.seed)
    if step is None and request.init_from:
        variables = start_from(variables, config, request.init_from, say)
    this = _assembled(request, variables, training, held_out)
    with _alone(out):
        if hosts.first():
            _write_split(out / "split.json", training, held_out)
        if step is None:
            this.best_checkpoints.clear()  # of a run that was stopped before it could be gone on with
        else:
            this.resume(step)
            say(f"Going on from step {step}.{' --init-from counts at the start only.' * bool(request.init_from)}")
        if hosts.first():
            record_start(out, config, step or 0)
        say(f"Phase {config.phase}: {count(variables['params']):,} parameters on {_devices()}.")
        _trained(this, out, step or 0, console)
    if held_out and this.best_checkpoints.latest(say) == 0:
        say("No validation was better than the start; the best checkpoint is the start itself.")
    say(f"Done. Master a track with:  python infer.py --ckpt {out} TRACK")


def teach(request: Request, console: Console | None = None) -> None:
    """Teach a phase with the spectral encoder from levels alone (see `nmjax.training.teach`); its checkpoint is `best`.
    What is not taught comes from `init_from`, if there is one.

    Raises:
        BadInputError: whatever of the request cannot be used, or a folder that holds a run already.
    """
    console = console or Console()
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    config, out = request.config, request.out
    best = Checkpoints(out / "best")
    check_can_teach(config)
    if best.steps() or Checkpoints(out / "latest").steps():
        raise BadInputError(f"'{out}' holds a run already; choose another --out.")
    training, held_out = _music(request, say)
    check_enough(training)
    variables = fresh = initial_variables(build_model(config), config.seed)
    if request.init_from:
        variables = start_from(fresh, config, request.init_from, say)
        decoder = {"decoder": fresh["params"]["decoder"]}  # another one's bands would be a worse start for teaching
        variables = {**variables, **{k: x for k, x in fresh.items() if k == "carried"}}
        variables["params"] = variables["params"] | decoder
    with _alone(out):
        _write_split(out / "split.json", training, held_out)
        record_start(out, config, 0)
        keep_taught(best, config, taught(config, variables, training, say), training)
    say(f"Done. Master a track with:  python infer.py --ckpt {out} TRACK")


def keep_taught(best: Checkpoints, config: Config, model: dict, songs: Sequence[Song]) -> None:
    """A checkpoint of a taught network, and of the songs that it was taught on."""
    meta = {"config": config.model_dump(mode="json"), "step": LESSONS, "best": None, "order": 0, "data": {}}
    best.save(LESSONS, model, {"step": np.int32(LESSONS)}, meta | {"songs": _digest_of(songs)})


def taught_on(best: Checkpoints, songs: Sequence[Song]) -> bool:
    """Whether what `keep_taught` keeps there was taught on these songs."""
    return best.meta(best.latest(lambda _: None)).get("songs") == _digest_of(songs)


def _digest_of(songs: Sequence[Song]) -> str:
    names = "\n".join(f"{song.name}|{song.target.frames}" for song in songs)
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def _where_it_stands(request: Request, say) -> int | None:
    """The step to go on from; None where there is nothing to go on with. Refuses a folder that holds another run."""
    latest = Checkpoints(request.out / "latest")
    step = latest.latest(say)
    if step is None:
        _check_abandoned(Checkpoints(request.out / "best"), request.config, request.out)
        return None
    meta = latest.meta(step)
    if "order" not in meta:
        raise BadInputError(
            f"'{request.out}' holds a run of an earlier nmjax, which this one cannot go on with; choose another --out, "
            f"with '--init-from {request.out}' to start from its weights."
        )
    _check_same(restored(meta["config"]), request.config, request.out)
    return step


def _assembled(request: Request, variables: dict, training: list[Song], held_out: list[Song]) -> Run:
    config, process = request.config, (jax.process_index(), jax.process_count())
    weights = [source.weight for source in request.data if source.weight is not None] or None
    speed = config.augment.speed_semitones

    def in_order(order: int):
        return training_batches(training, config.data, SAMPLE_RATE, config.seed, weights, speed, process, order)

    batches = validation_batches(held_out, config.data, SAMPLE_RATE, process) if held_out else []
    style = style_of(STYLE_HZ, style_covariance(training))
    return Run(config, initial_state(config, variables), style, in_order, batches, request.out)


def _trained(run: Run, out: Path, start: int, console: Console) -> None:
    config = run.config
    log = Log(out / "log", config.train.steps, start, config.data.batch_size, console) if hosts.first() else Silence()
    with log, stopping_by_signal(run):
        try:
            finished = run.train(log)
        except KeyboardInterrupt:
            log.say("Stopped. The same command goes on from the last checkpoint.")
            raise SystemExit(128 + signal.SIGINT) from None
    if not finished:
        console.print("Stopped and saved. The same command goes on from here.", highlight=False)
        raise SystemExit(128 + (run.stopped_by or signal.SIGTERM))


def _devices() -> str:
    kind, devices, processes = jax.devices()[0].device_kind, jax.device_count(), jax.process_count()
    return (
        f"{devices} × {kind}" * (devices > 1) + kind * (devices == 1) + f" in {processes} processes" * (processes > 1)
    )


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One training a folder at a time; the lock goes with the process, however that ends."""
    if not hosts.first():  # the first process holds the folder for all of them
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise BadInputError(io.unwritable(out, error)) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(
                f"Another training is at work in '{out}'; wait for it, or choose another --out."
            ) from None
        yield
    finally:
        os.close(handle)


def _changes(before: Config, now: Config) -> list[str]:
    """The settings that make another run of it; where and how the data are read does not."""
    old, new = dict(leaves(before.model_dump())), dict(leaves(now.model_dump()))
    free = ("data.cache_dir", "data.read_threads", "data.workers")
    return [f"{key} was {old[key]}, now {new[key]}" for key in old if old[key] != new[key] and key not in free]


def _check_same(before: Config, now: Config, out: Path) -> None:
    if before.phase != now.phase:
        raise BadInputError(f"'{out}' holds a run of phase {before.phase}, not {now.phase}; choose another --out.")
    if changed := _changes(before, now):
        raise BadInputError(
            f"'{out}' holds a run with other settings ({'; '.join(changed)}); "
            f"choose another --out, with '--init-from {out}' to start from its weights."
        )


def _check_abandoned(best: Checkpoints, config: Config, out: Path) -> None:
    """A run that cannot be gone on with may be begun again, but another one may not take what it had learnt."""
    step = best.latest(lambda _: None)
    if step and _changes(restored(best.meta(step)["config"]), config):
        raise BadInputError(
            f"'{out}' holds what another run had learnt by step {step}, and nothing to go on from; "
            f"choose another --out, with '--init-from {out}' to start from its weights."
        )


def _music(request: Request, say) -> tuple[list[Song], list[Song]]:
    config = request.config
    cache_dir = Path(config.data.cache_dir) if config.data.cache_dir else None
    say(f"Looking through {', '.join(str(s.path) for s in request.data)} (every file is listened to once) …")
    songs = find_all(request.data, request.target, cache_dir, say)
    if request.validation:
        training, held_out = songs, find_songs(request.validation, None, cache_dir, say)
        heard = {song.target.original for song in training}
        if any(song.input for song in training) and not all(song.input for song in held_out):
            raise BadInputError(
                f"--data has an unmastered side and --validation ({request.validation}) has none; "
                "give a CSV with the columns input and target."
            )
        if twice := [song.name for song in held_out if song.target.original in heard]:
            raise BadInputError(f"'{twice[0]}' is in --data and in --validation; take it out of one of them.")
    else:
        training, held_out = split_songs(songs, config.data.validation_share, config.seed)
    hours = [sum(song.seconds for song in side) / 3600 for side in (training, held_out)]
    if held_out:
        say(f"Training on {len(training)} songs ({hours[0]:.2f} h), validating on {len(held_out)} ({hours[1]:.2f} h).")
    else:
        say(f"Training on {len(training)} song{'s' * (len(training) > 1)} ({hours[0]:.2f} h); nothing is validated.")
    return training, held_out


def _write_split(path: Path, training: list[Song], held_out: list[Song]) -> None:
    split = {"training": [s.name for s in training], "validation": [s.name for s in held_out]}
    if path.is_file():
        earlier = json.loads(path.read_text())
        before, now = ({name for names in tree.values() for name in names} for tree in (earlier, split))
        changed = [f"'{name}' is {'gone' if name in before else 'new'}" for name in sorted(before ^ now)]
        if earlier != split:
            raise BadInputError(
                f"The music is not what the run in '{path.parent}' began with "
                f"({'; '.join(changed[:3]) or 'it is split otherwise'}); put it back, or choose another --out."
            )
        return
    io.write_text(path, json.dumps(split, indent=1, ensure_ascii=False) + "\n")

"""A request → a trained or fitted network in its run folder."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
from rich.console import Console

from nmjax.data import SONG_SPECTRUM_HZ, Song, spectrum_covariance, training_batches, validation_batches
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.runtime import distributed
from nmjax.runtime.checkpoints import Checkpoints
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.slow_compile_alarm import hide_slow_compile_alarm
from nmjax.training.augment import eq_distribution
from nmjax.training.logging import NullLogger, RunLogger
from nmjax.training.loop import TrainingLoop, graceful_stop
from nmjax.training.provenance import record_start
from nmjax.training.request import TrainingRequest, load_songs
from nmjax.training.run_folder import find_resume_step, folder_lock, write_split
from nmjax.training.sharding import check_batch_size
from nmjax.training.spectral_fit.checkpoint import save_spectral_fit
from nmjax.training.spectral_fit.excerpts import check_enough_albums
from nmjax.training.spectral_fit.fit import check_spectral_encoder, fit_spectral_variables
from nmjax.training.state import count_params, create_train_state, initial_variables
from nmjax.training.warm_start import find_warm_start, init_from_checkpoint


def train(request: TrainingRequest, console: Console | None = None) -> None:
    """Train a network, or resume the run in the request's folder.

    One of several processes if `nmjax.runtime.distributed.initialize` was called.

    Args:
        request: Settings, music and folders.
        console: Console for messages and progress.

    Raises:
        BadInputError: Something in the request cannot be used.
        SystemExit: A signal stopped the run; the code is 128 plus the signal's number.
    """
    console = console or Console(quiet=not distributed.is_main_process())
    report = _reporter(console)
    config, out = request.config, request.out
    check_batch_size(config)
    resume_step = find_resume_step(config, out, report)
    if resume_step is not None and resume_step >= config.train.steps:
        report(f"The run in '{out}' is complete ({resume_step} steps).")
        return
    if resume_step is None and request.init_from:  # an error comes before the music is read, which can take minutes
        find_warm_start(config, request.init_from, report=lambda _: None)
    training, held_out = load_songs(request, report)
    variables = initial_variables(build_model(config), config.seed)
    if resume_step is None and request.init_from:
        variables = init_from_checkpoint(variables, config, request.init_from, report)
    loop = _build_loop(request, variables, training, held_out)
    start_step = resume_step or 0
    with folder_lock(out):
        if distributed.is_main_process():
            write_split(out / "split.json", training, held_out)
        if resume_step is None:
            loop.best_checkpoints.clear()  # of a run that was stopped before its first latest checkpoint
        else:
            loop.resume(resume_step)
            ignored = " --init-from has no effect on a resumed run." * bool(request.init_from)
            report(f"Resuming from step {resume_step}.{ignored}")
        if distributed.is_main_process():
            record_start(out, config, start_step)
        report(f"Phase {config.phase}: {count_params(variables['params']):,} parameters on {_device_summary()}.")
        _run_loop(loop, out, start_step, console)
    if held_out and loop.best_checkpoints.latest(report) == 0:
        report("No validation was better than that of step 0, so the best checkpoint is that of step 0.")
    report(f"Done. Master a track with:  nmjax infer TRACK --ckpt {out}")


def fit_spectral(request: TrainingRequest, console: Console | None = None) -> None:
    """Fit a network with the spectral encoder by `fit_spectral_variables`, and save it as the best checkpoint.

    Variables that are not fitted come from the warm start, if there is one.

    Args:
        request: Settings, music and folders.
        console: Console for messages.

    Raises:
        BadInputError: Something in the request cannot be used, or the folder already holds a run.
    """
    console = console or Console()
    report = _reporter(console)
    config, out = request.config, request.out
    checkpoints = Checkpoints(out / "best")
    check_spectral_encoder(config)
    if checkpoints.steps() or Checkpoints(out / "latest").steps():
        raise BadInputError(f"'{out}' already holds a run. Choose another --out.")
    training, held_out = load_songs(request, report)
    check_enough_albums(training)
    variables = initial_variables(build_model(config), config.seed)
    if request.init_from:
        fresh = variables
        variables = init_from_checkpoint(fresh, config, request.init_from, report)
        # The fit starts from a fresh equalizer decoder: the bands of another network are a worse start.
        params = {**variables["params"], "decoder": fresh["params"]["decoder"]}
        variables = {**variables, "params": params}
        if "warm_start" in fresh:
            variables["warm_start"] = fresh["warm_start"]
    with folder_lock(out):
        write_split(out / "split.json", training, held_out)
        record_start(out, config, 0)
        save_spectral_fit(checkpoints, config, fit_spectral_variables(config, variables, training, report), training)
    report(f"Done. Master a track with:  nmjax infer TRACK --ckpt {out}")


def _reporter(console: Console) -> Callable[[str], None]:
    return partial(console.print, highlight=False, markup=False, soft_wrap=True)


def _build_loop(request: TrainingRequest, variables: dict, training: list[Song], held_out: list[Song]) -> TrainingLoop:
    config, process = request.config, (jax.process_index(), jax.process_count())
    weights = [source.weight for source in request.data if source.weight is not None] or None

    def make_batches(shuffle_index: int):
        return training_batches(
            songs=training,
            config=config.data,
            sample_rate=SAMPLE_RATE,
            seed=config.seed,
            weights=weights,
            speed_semitones=config.augment.speed_semitones,
            process=process,
            order=shuffle_index,
        )

    return TrainingLoop(
        config=config,
        state=create_train_state(config, variables),
        eq_distribution=eq_distribution(SONG_SPECTRUM_HZ, spectrum_covariance(training)),
        make_batches=make_batches,
        validation_batches=validation_batches(held_out, config.data, SAMPLE_RATE, process) if held_out else [],
        out=request.out,
    )


def _run_loop(loop: TrainingLoop, out: Path, start_step: int, console: Console) -> None:
    config = loop.config
    if distributed.is_main_process():
        logger = RunLogger(
            folder=out / "log",
            total_steps=config.train.steps,
            start_step=start_step,
            batch_size=config.data.batch_size,
            console=console,
        )
    else:
        logger = NullLogger()
    with hide_slow_compile_alarm(), logger, graceful_stop(loop):
        try:
            finished = loop.train(logger)
        except KeyboardInterrupt:
            logger.info("Stopped. The same command resumes from the last checkpoint.")
            raise SystemExit(128 + signal.SIGINT) from None
    if not finished:
        console.print("Stopped and saved. The same command resumes from here.", highlight=False)
        raise SystemExit(128 + (loop.stop_signal or signal.SIGTERM))


def _device_summary() -> str:
    kind, devices, processes = jax.devices()[0].device_kind, jax.device_count(), jax.process_count()
    summary = f"{devices} × {kind}" if devices > 1 else kind
    return summary + f" in {processes} processes" * (processes > 1)

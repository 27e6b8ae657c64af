"""The training loop around the compiled step: data, validation, checkpoints, rollback after repeated bad updates."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.config import Config
from nmjax.runtime import distributed
from nmjax.runtime.checkpoints import Checkpoints
from nmjax.runtime.errors import BadInputError
from nmjax.training.augment import EqDistribution
from nmjax.training.sharding import DataSharding
from nmjax.training.state import TrainState
from nmjax.training.step import Metrics, RandomInputs, jit_train_step
from nmjax.training.validation_step import make_validation_step

Arrays = dict[str, np.ndarray]
_MAX_ROLLBACKS = 3  # to one checkpoint, before the run gives up
_TRAINING_ITEMS = ("step", "skipped", "consecutive_skips", "loss_ema", "variables", "opt_state")


@runtime_checkable
class BatchIterator(Protocol):
    """Endless batches with a state that JSON can store."""

    def __next__(self) -> Arrays: ...
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class TrainingLogger(Protocol):
    """Receiver of a run's progress."""

    def info(self, message: str) -> None: ...
    def log_step(self, step: int, metrics: dict[str, float]) -> None: ...
    def log_validation(self, step: int, metrics: dict[str, float], is_best: bool, sample: Arrays) -> None: ...
    def flush(self) -> None: ...


class _PendingStep(NamedTuple):
    """A dispatched step whose metrics have not been read yet."""

    step: int
    metrics: Metrics
    data_wait_seconds: float

    def log(self, logger: TrainingLogger) -> int:
        """Log the step, and return the number of consecutively skipped updates up to it."""
        metrics = {name: float(value) for name, value in self.metrics.items()}
        logger.log_step(self.step, metrics | {"data_wait_seconds": self.data_wait_seconds})
        return int(metrics["consecutive_skips"])


class TrainingLoop:
    """A training run in a folder: its state, its data and its checkpoints.

    Set `stop_signal` to a signal's number to stop after the current step.

    Args:
        config: Settings of the run.
        state: Initial state.
        eq_distribution: Distribution of the random EQ of the augmentation.
        make_batches: Shuffle index → training batches; this process's rows only.
        validation_batches: This process's rows of the validation batches; empty for no validation.
        out: Run folder.
    """

    def __init__(
        self,
        config: Config,
        state: TrainState,
        eq_distribution: EqDistribution,
        make_batches: Callable[[int], BatchIterator],
        validation_batches: list[Arrays],
        out: Path,
    ):
        self.config, self.sharding = config, DataSharding(config)
        self.state, self._eq_distribution = self.sharding.replicate((state, eq_distribution))
        self.latest_checkpoints, self.best_checkpoints = Checkpoints(out / "latest"), Checkpoints(out / "best")
        replicated = self.sharding.replicated_sharding
        on_mesh = self.sharding.on_mesh
        self._train_step = on_mesh(jit_train_step(config, out_shardings=replicated))
        self._validation_step = on_mesh(jax.jit(make_validation_step(config), out_shardings=replicated))
        self.best_loss = float("inf")
        self.stop_signal = 0
        self._rollbacks = Counter()
        self._make_batches, self.validation_batches = make_batches, validation_batches
        self._start_reading(shuffle_index=0)

    def _start_reading(self, shuffle_index: int) -> None:
        """Read the data from the beginning in the order of this index, with its degradations."""
        self.shuffle_index, self.batches = shuffle_index, self._make_batches(shuffle_index)
        self._random_inputs = RandomInputs(self.sharding.replicate(np.int32(shuffle_index)), self._eq_distribution)

    def close(self) -> None:
        """Close the batches' threads and processes, and wait for the current step.

        Without the wait, a process that ends while XLA computes would crash.
        """
        self.batches.close()
        with contextlib.suppress(RuntimeError):  # interrupted while a step had the state donated
            jax.block_until_ready(self.state)

    def resume(self, step: int) -> None:
        """Restore the latest checkpoint of `step`; the run continues bit-identically on the same devices.

        The number of devices may differ from that of the run that wrote the checkpoint.
        """
        meta = self.latest_checkpoints.meta(step)
        items = self.latest_checkpoints.restore(
            step,
            model=self.sharding.restore_targets(self.state.ema_variables),
            training=self.sharding.restore_targets(_training_items(self.state)),
        )
        self.state = TrainState(ema_variables=items["model"], **items["training"])
        self.batches.close()
        self._start_reading(meta["shuffle_index"])
        self.batches.set_state(meta["data_state"])
        self.best_loss = meta["best_validation_loss"] if meta["best_validation_loss"] is not None else float("inf")

    def train(self, logger: TrainingLogger) -> bool:
        """Train to the config's last step, or until `stop_signal` is set; True if the last step was reached.

        Metrics of a step are read after the next one has been dispatched.
        """
        step, train = int(self.state.step), self.config.train
        if step == 0:
            self._validate(step, logger)
            self._save(self.latest_checkpoints, step, logger)
        pending: _PendingStep | None = None
        while step < train.steps:
            batch, wait_seconds = self._next_batch()
            self.state, metrics = self._train_step(self.state, batch, self._random_inputs)
            step += 1
            consecutive_skips = pending.log(logger) if pending else 0
            pending = _PendingStep(step, metrics, wait_seconds)
            stop = distributed.should_stop(step, bool(self.stop_signal))
            validate = step == train.steps or step % train.validate_every == 0
            save_interval = step % train.checkpoint_every == 0
            if stop or validate or save_interval:
                consecutive_skips, pending = pending.log(logger), None
            if consecutive_skips >= train.max_skipped:
                step, pending = self._roll_back(logger), None
                continue
            if validate:
                self._validate(step, logger)
            if stop or step == train.steps or (save_interval and consecutive_skips == 0):
                self._save(self.latest_checkpoints, step, logger)
            if stop:
                break
        return step == train.steps

    def _next_batch(self) -> tuple[dict[str, jax.Array], float]:
        """The next batch over all devices, and the seconds spent waiting for it."""
        start = time.perf_counter()
        batch = self.sharding.shard_batch(next(self.batches))
        return batch, time.perf_counter() - start

    def _roll_back(self, logger: TrainingLogger) -> int:
        """Restore the latest good checkpoint with the data in another order, and return its step.

        Raises:
            BadInputError: The run has been rolled back to this checkpoint three times already.
        """
        train, step = self.config.train, self.latest_checkpoints.latest(logger.info)
        self._rollbacks[step] += 1
        reason = (
            f"The last {train.max_skipped} updates were not finite or had a loss above "
            f"{train.max_loss_ratio:g} times the running mean"
        )
        if step is None or self._rollbacks[step] > _MAX_ROLLBACKS:
            raise BadInputError(
                f"{reason}, even after {_MAX_ROLLBACKS} rollbacks to step {step}. "
                "Lower train.learning_rate, or check the music and the loss settings."
            )
        shuffle_index = self.shuffle_index + 1
        self.resume(step)
        data_state = self.batches.get_state()
        self.batches.close()
        self._start_reading(shuffle_index)
        self.batches.set_state(data_state)
        self.state = self.state.replace(consecutive_skips=jnp.zeros_like(self.state.consecutive_skips))
        logger.info(f"{reason}: rolled back to the checkpoint of step {step}, with the data in another order.")
        return step

    def _validate(self, step: int, logger: TrainingLogger) -> None:
        if not self.validation_batches:
            return
        results = [
            self._validation_step(self.state.ema_variables, self.sharding.shard_batch(batch))
            for batch in self.validation_batches
        ]
        metrics = {name: float(np.mean([m[name] for m, _ in results])) for name in results[0][0]}
        improved = metrics["signal"] < self.best_loss
        if improved:
            self.best_loss = metrics["signal"]
        logger.log_validation(step, metrics, improved, {k: np.asarray(x) for k, x in results[0][1].items()})
        if improved:
            self._save(self.best_checkpoints, step, logger)

    def _save(self, checkpoints: Checkpoints, step: int, logger: TrainingLogger) -> None:
        logger.flush()  # a run that resumes from this checkpoint logs no earlier step again
        meta = {
            "config": self.config.model_dump(mode="json"),
            "step": step,
            "best_validation_loss": self.best_loss if np.isfinite(self.best_loss) else None,
            "shuffle_index": self.shuffle_index,
            "data_state": self.batches.get_state(),
        }
        checkpoints.save(step, self.state.ema_variables, _training_items(self.state), meta)


def _training_items(state: TrainState) -> dict[str, Any]:
    """The part of a state that only the training needs; inference needs `ema_variables` alone."""
    return {name: getattr(state, name) for name in _TRAINING_ITEMS}


@contextlib.contextmanager
def graceful_stop(loop: TrainingLoop) -> Iterator[None]:
    """Ctrl-C and SIGTERM let the current step finish and the run save; a second one raises KeyboardInterrupt.

    With several processes SIGTERM is left to JAX, which finds a step at which all of them stop.
    """

    def stop(number: int, _) -> None:
        if loop.stop_signal:
            raise KeyboardInterrupt
        loop.stop_signal = number

    signals = (signal.SIGINT,) if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM)
    previous_handlers = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
        loop.close()

"""The thin loop around the compiled step."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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
from nmjax.training.step import RandomInputs, jit_train_step, make_validation_step

Arrays = dict[str, np.ndarray]
_MAX_ROLLBACKS = 3  # to one checkpoint, before the run gives up


@runtime_checkable
class BatchIterator(Protocol):
    """Batches without end, with a state that JSON can hold."""

    def __next__(self) -> Arrays: ...
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class TrainingLogger(Protocol):
    """Who hears of a run's progress."""

    def info(self, message: str) -> None: ...
    def log_step(self, step: int, metrics: dict[str, float]) -> None: ...
    def log_validation(self, step: int, metrics: dict[str, float], is_best: bool, sample: Arrays) -> None: ...


class TrainingLoop:
    """A run in a folder: state, data, checkpoints. `train` goes on from wherever it stands.

    make_stream: the training batches in an order of that number; this process's rows only. validation: the same of the
    validation batches.
    Set `stopped_by` to a signal's number to stop after the step at work.
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
        self._make_batches, self.validation_batches = make_batches, validation_batches
        self.state, self._eq_distribution = self.sharding.replicate((state, eq_distribution))
        self.latest_checkpoints, self.best_checkpoints = Checkpoints(out / "latest"), Checkpoints(out / "best")
        replicated = self.sharding.replicated_sharding
        self._train_step = jit_train_step(config, out_shardings=replicated)
        self._validation_step = jax.jit(make_validation_step(config), out_shardings=replicated)
        self.best_loss, self._rollbacks, self.stop_signal = float("inf"), Counter(), 0
        self.batches: BatchIterator | None = None
        self._set_shuffle(0)

    def _set_shuffle(self, shuffle_index: int) -> None:
        """Read the data in another order, with other faults."""
        if self.batches is not None:
            self.batches.close()
        self.shuffle_index, self.batches = shuffle_index, self._make_batches(shuffle_index)
        self._random_inputs = RandomInputs(self.sharding.replicate(np.int32(shuffle_index)), self._eq_distribution)

    def close(self) -> None:
        """Let go of the stream's threads and processes, and wait for the step at work: a process that ended while XLA
        computes would crash."""
        self.batches.close()
        with contextlib.suppress(RuntimeError):  # interrupted between giving the state away and getting the next
            jax.block_until_ready(self.state)

    def resume(self, step: int) -> None:
        """Stand where checkpoint `step` was written, to the bit; on any number of devices."""
        meta = self.latest_checkpoints.meta(step)
        variables, training = _checkpoint_items(self.state)
        items = self.latest_checkpoints.restore(
            step, model=self.sharding.restore_targets(variables), training=self.sharding.restore_targets(training)
        )
        self.state = TrainState(ema_variables=items["model"], **items["training"])
        self._set_shuffle(meta["shuffle_index"])
        self.batches.set_state(meta["data_state"])
        self.best_loss = meta["best_validation_loss"] if meta["best_validation_loss"] is not None else float("inf")

    def train(self, logger: TrainingLogger) -> bool:
        """Train to the config's last step, or until `stopped_by` is set; True if it came to the end.

        Metrics of a step are read after the next one has been dispatched.
        """
        step, last_step = int(self.state.step), self.config.train.steps
        if step == 0:
            self._validate(step, logger)
            self._save(self.latest_checkpoints, step)
        pending: tuple[int, dict] | None = None
        while step < last_step:
            batch, wait_seconds = self._next_batch()
            self.state, metrics = self._train_step(self.state, batch, self._random_inputs)
            step += 1
            consecutive_skips = _log_step(pending, logger)
            pending = (step, metrics | {"data_wait_seconds": wait_seconds})
            stop = distributed.should_stop(step, bool(self.stop_signal))
            validate, save = (step % interval == 0 for interval in _intervals(self.config))
            if stop or step == last_step or validate or save:
                consecutive_skips, pending = _log_step(pending, logger), None
            if consecutive_skips >= self.config.train.max_skipped:
                step, pending = self._roll_back(logger), None
                continue
            if step == last_step or validate:
                self._validate(step, logger)
            if stop or step == last_step or (save and consecutive_skips == 0):
                self._save(self.latest_checkpoints, step)
            if stop:
                break
        return step == last_step

    def _next_batch(self) -> tuple[dict[str, jax.Array], float]:
        """A batch over the devices, and for how many seconds the loop waited for it."""
        start = time.perf_counter()
        batch = self.sharding.shard_batch(next(self.batches))
        return batch, time.perf_counter() - start

    def _roll_back(self, logger: TrainingLogger) -> int:
        """To the last good checkpoint, with the data in another order; gives up where that does not help.

        Raises:
            BadInputError: this checkpoint has been gone back to three times.
        """
        step, max_skips = self.latest_checkpoints.latest(logger.info), self.config.train.max_skipped
        self._rollbacks[step] += 1
        reason = f"The last {max_skips} updates were not finite, or their loss was more than {self.config.train.max_loss_ratio:g} times"
        reason += " the usual one"
        if step is None or self._rollbacks[step] > _MAX_ROLLBACKS:
            raise BadInputError(
                f"{reason}, and going back to step {step} {_MAX_ROLLBACKS} times did not help; lower "
                "train.learning_rate, or look at the music and the settings of the loss."
            )
        shuffle_index = self.shuffle_index + 1
        self.resume(step)
        data_state = self.batches.get_state()
        self._set_shuffle(shuffle_index)
        self.batches.set_state(data_state)
        self.state = self.state.replace(consecutive_skips=jnp.zeros_like(self.state.consecutive_skips))
        logger.info(f"{reason}: back to the checkpoint of step {step}, with the data in another order.")
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
            self._save(self.best_checkpoints, step)

    def _save(self, checkpoints: Checkpoints, step: int) -> None:
        best_loss = self.best_loss if np.isfinite(self.best_loss) else None
        meta = {
            "config": self.config.model_dump(mode="json"),
            "step": step,
            "best_validation_loss": best_loss,
            "shuffle_index": self.shuffle_index,
            "data_state": self.batches.get_state(),
        }
        variables, training = _checkpoint_items(self.state)
        checkpoints.save(step, variables, training, meta)


def _checkpoint_items(state: TrainState) -> tuple[dict, dict[str, Any]]:
    """How a state is cut into a checkpoint: what masters a track, and what else going on needs."""
    training = {
        name: getattr(state, name)
        for name in ("step", "skipped", "consecutive_skips", "loss_ema", "variables", "opt_state")
    }
    return state.ema_variables, training


def _intervals(config: Config) -> tuple[int, int]:
    return config.train.validate_every, config.train.checkpoint_every


def _log_step(pending: tuple[int, dict] | None, logger: TrainingLogger) -> int:
    """Tell of a step; how many updates up to it were left out in a row."""
    if not pending:
        return 0
    metrics = {name: float(value) for name, value in pending[1].items()}
    logger.log_step(pending[0], metrics)
    return int(metrics["consecutive_skips"])


@contextlib.contextmanager
def graceful_stop(loop: TrainingLoop) -> Iterator[None]:
    """Ctrl-C and SIGTERM let the step end and the run save; a second one stops at once, by KeyboardInterrupt.

    With several processes SIGTERM is JAX's: it finds a step at which all of them stop.
    """

    def stop(number, _):
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

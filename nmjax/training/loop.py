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

from nmjax import hosts
from nmjax.checkpoint import Checkpoints
from nmjax.config import Config
from nmjax.errors import BadInputError
from nmjax.training.augment import Style
from nmjax.training.placement import Placement
from nmjax.training.state import TrainState
from nmjax.training.step import Dice, jitted_train_step, make_validation_step

Arrays = dict[str, np.ndarray]
_MOST_RETURNS = 3  # to one checkpoint, before the run gives up


@runtime_checkable
class Stream(Protocol):
    """Batches without end, with a state that JSON can hold."""

    def __next__(self) -> Arrays: ...
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class Listener(Protocol):
    """Who hears of a run's progress."""

    def say(self, sentence: str) -> None: ...
    def step(self, step: int, metrics: dict[str, float]) -> None: ...
    def validation(self, step: int, metrics: dict[str, float], best: bool, sample: Arrays) -> None: ...


class Run:
    """A run in a folder: state, data, checkpoints. `train` goes on from wherever it stands.

    make_stream: the training batches in an order of that number; this process's rows only. validation: the same of the
    validation batches.
    Set `stopped_by` to a signal's number to stop after the step at work.
    """

    def __init__(
        self,
        config: Config,
        state: TrainState,
        style: Style,
        make_stream: Callable[[int], Stream],
        validation: list[Arrays],
        out: Path,
    ):
        self.config, self.place = config, Placement(config)
        self._make_stream, self.validation = make_stream, validation
        self.state, self._style = self.place.copies((state, style))
        self.latest_checkpoints, self.best_checkpoints = Checkpoints(out / "latest"), Checkpoints(out / "best")
        copied = self.place.copied
        self._train_step = jitted_train_step(config, out_shardings=copied)
        self._validation_step = jax.jit(make_validation_step(config), out_shardings=copied)
        self.best, self._returns, self.stopped_by = float("inf"), Counter(), 0
        self.stream: Stream | None = None
        self._take_order(0)

    def _take_order(self, order: int) -> None:
        """Read the data in another order, with other faults."""
        if self.stream is not None:
            self.stream.close()
        self.order, self.stream = order, self._make_stream(order)
        self._dice = Dice(self.place.copies(np.int32(order)), self._style)

    def close(self) -> None:
        """Let go of the stream's threads and processes, and wait for the step at work: a process that ended while XLA
        computes would crash."""
        self.stream.close()
        with contextlib.suppress(RuntimeError):  # interrupted between giving the state away and getting the next
            jax.block_until_ready(self.state)

    def resume(self, step: int) -> None:
        """Stand where checkpoint `step` was written, to the bit; on any number of devices."""
        meta = self.latest_checkpoints.meta(step)
        model, training = _parts(self.state)
        found = self.latest_checkpoints.restore(step, model=self.place.like(model), training=self.place.like(training))
        self.state = TrainState(average=found["model"], **found["training"])
        self._take_order(meta["order"])
        self.stream.set_state(meta["data"])
        self.best = meta["best"] if meta["best"] is not None else float("inf")

    def train(self, listener: Listener) -> bool:
        """Train to the config's last step, or until `stopped_by` is set; True if it came to the end.

        Metrics of a step are read after the next one has been dispatched.
        """
        step, last = int(self.state.step), self.config.train.steps
        if step == 0:
            self._validate(step, listener)
            self._save(self.latest_checkpoints, step)
        waiting: tuple[int, dict] | None = None
        while step < last:
            batch, waited = self._next_batch()
            self.state, metrics = self._train_step(self.state, batch, self._dice)
            step += 1
            bad = _hand_over(waiting, listener)
            waiting = (step, metrics | {"waited": waited})
            stop = hosts.asked_to_stop(step, bool(self.stopped_by))
            validate, save = (step % every == 0 for every in _rhythm(self.config))
            if stop or step == last or validate or save:
                bad, waiting = _hand_over(waiting, listener), None
            if bad >= self.config.train.bad_steps:
                step, waiting = self._go_back(listener), None
                continue
            if step == last or validate:
                self._validate(step, listener)
            if stop or step == last or (save and bad == 0):
                self._save(self.latest_checkpoints, step)
            if stop:
                break
        return step == last

    def _next_batch(self) -> tuple[dict[str, jax.Array], float]:
        """A batch over the devices, and for how many seconds the loop waited for it."""
        start = time.perf_counter()
        batch = self.place.rows(next(self.stream))
        return batch, time.perf_counter() - start

    def _go_back(self, listener: Listener) -> int:
        """To the last good checkpoint, with the data in another order; gives up where that does not help.

        Raises:
            BadInputError: this checkpoint has been gone back to three times.
        """
        step, bad = self.latest_checkpoints.latest(listener.say), self.config.train.bad_steps
        self._returns[step] += 1
        said = f"The last {bad} updates were not finite, or their loss was more than {self.config.train.spike:g} times"
        said += " the usual one"
        if step is None or self._returns[step] > _MOST_RETURNS:
            raise BadInputError(
                f"{said}, and going back to step {step} {_MOST_RETURNS} times did not help; lower "
                "train.learning_rate, or look at the music and the settings of the loss."
            )
        order = self.order + 1
        self.resume(step)
        data = self.stream.get_state()
        self._take_order(order)
        self.stream.set_state(data)
        self.state = self.state.replace(in_row=jnp.zeros_like(self.state.in_row))
        listener.say(f"{said}: back to the checkpoint of step {step}, with the data in another order.")
        return step

    def _validate(self, step: int, listener: Listener) -> None:
        if not self.validation:
            return
        found = [self._validation_step(self.state.average, self.place.rows(batch)) for batch in self.validation]
        metrics = {name: float(np.mean([m[name] for m, _ in found])) for name in found[0][0]}
        better = metrics["signal"] < self.best
        if better:
            self.best = metrics["signal"]
        listener.validation(step, metrics, better, {k: np.asarray(x) for k, x in found[0][1].items()})
        if better:
            self._save(self.best_checkpoints, step)

    def _save(self, checkpoints: Checkpoints, step: int) -> None:
        best = self.best if np.isfinite(self.best) else None
        meta = {
            "config": self.config.model_dump(mode="json"),
            "step": step,
            "best": best,
            "order": self.order,
            "data": self.stream.get_state(),
        }
        model, training = _parts(self.state)
        checkpoints.save(step, model, training, meta)


def _parts(state: TrainState) -> tuple[dict, dict[str, Any]]:
    """How a state is cut into a checkpoint: what masters a track, and what else going on needs."""
    training = {name: getattr(state, name) for name in ("step", "skipped", "in_row", "usual", "model", "optimiser")}
    return state.average, training


def _rhythm(config: Config) -> tuple[int, int]:
    return config.train.validate_every, config.train.checkpoint_every


def _hand_over(waiting: tuple[int, dict] | None, listener: Listener) -> int:
    """Tell of a step; how many updates up to it were left out in a row."""
    if not waiting:
        return 0
    metrics = {name: float(value) for name, value in waiting[1].items()}
    listener.step(waiting[0], metrics)
    return int(metrics["in_row"])


@contextlib.contextmanager
def stopping_by_signal(run: Run) -> Iterator[None]:
    """Ctrl-C and SIGTERM let the step end and the run save; a second one stops at once, by KeyboardInterrupt.

    With several processes SIGTERM is JAX's: it finds a step at which all of them stop.
    """

    def stop(number, _):
        if run.stopped_by:
            raise KeyboardInterrupt
        run.stopped_by = number

    numbers = (signal.SIGINT,) if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        run.close()

"""The thin loop around the compiled step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nmjax.checkpoint import Checkpoints
from nmjax.config import Config
from nmjax.errors import BadInputError
from nmjax.training.state import TrainState
from nmjax.training.step import make_train_step, make_validation_step

Arrays = dict[str, np.ndarray]
_WATCH_EVERY = 50  # steps


@runtime_checkable
class Stream(Protocol):
    """Batches without end, with a state that JSON can hold."""

    def __next__(self) -> Arrays: ...
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...


@runtime_checkable
class Listener(Protocol):
    """Who hears of a run's progress."""

    def say(self, sentence: str) -> None: ...
    def step(self, step: int, metrics: dict[str, float]) -> None: ...
    def validation(self, step: int, metrics: dict[str, float], best: bool) -> None: ...


class Run:
    """A run in a folder: state, data, checkpoints. `train` goes on from wherever it stands.

    Batches are spread over the devices of one mesh axis; the state is copied to each.
    """

    def __init__(self, config: Config, state: TrainState, stream: Stream, validation: list[Arrays], out: Path):
        devices = jax.devices()
        if config.data.batch_size % len(devices):
            raise BadInputError(f"data.batch_size must be a multiple of the {len(devices)} devices.")
        mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,))
        self._spread, self._copied = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
        self.config, self.stream, self.validation = config, stream, validation
        self.state = jax.device_put(state, self._copied)
        self.best, self._skipped = float("inf"), int(state.skipped)
        self.latest_checkpoints, self.best_checkpoints = Checkpoints(out / "latest"), Checkpoints(out / "best")
        self._train_step = jax.jit(make_train_step(config), donate_argnums=0)
        self._validation_step = jax.jit(make_validation_step(config))
        self._key, self._validation_key = jax.random.split(jax.random.key(config.seed))

    def resume(self, step: int) -> None:
        """Stand where checkpoint `step` was written, to the bit."""
        meta = self.latest_checkpoints.meta(step)
        target = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._copied), _parts(self.state)
        )
        found = self.latest_checkpoints.restore(step, **target)
        self.state = TrainState(
            found["training"]["step"], found["training"]["skipped"], found["model"], found["training"]["optimiser"]
        )
        self._skipped = int(self.state.skipped)
        self.stream.set_state(meta["data"])
        self.best = meta["best"] if meta["best"] is not None else float("inf")

    def train(self, listener: Listener) -> None:
        """Train to the config's last step. Metrics of a step are read after the next one has been dispatched."""
        step, steps, rhythm = int(self.state.step), self.config.train.steps, self.config.train
        if step == 0:
            self._validate(step, listener)
        waiting: tuple[int, Any] | None = None
        while step < steps:
            batch = jax.device_put(next(self.stream), self._spread)
            self.state, metrics = self._train_step(self.state, batch, self._key)
            step += 1
            _hand_over(waiting, listener)
            waiting = (step, metrics)
            self._watch(step)
            last = step == steps
            if last or step % rhythm.validate_every == 0:
                waiting = _hand_over(waiting, listener)
                self._validate(step, listener)
            if last or step % rhythm.checkpoint_every == 0:
                waiting = _hand_over(waiting, listener)
                self._save(self.latest_checkpoints, step)

    def _watch(self, step: int) -> None:
        """Give up a run in which no update has been possible for a while."""
        if step % _WATCH_EVERY == 0:
            skipped = int(self.state.skipped)
            if skipped - self._skipped == _WATCH_EVERY:
                raise BadInputError(
                    f"The last {_WATCH_EVERY} updates before step {step} were not finite; lower train.learning_rate, "
                    "or look at the music and the settings of the loss."
                )
            self._skipped = skipped

    def _validate(self, step: int, listener: Listener) -> None:
        if not self.validation:
            return
        found = []
        for number, batch in enumerate(self.validation):
            batch = jax.device_put(batch, self._spread)
            found.append(self._validation_step(self.state.model, batch, self._validation_key, np.int32(number)))
        metrics = {name: float(np.mean([m[name] for m in found])) for name in found[0]}
        better = metrics["signal"] < self.best
        if better:
            self.best = metrics["signal"]
        listener.validation(step, metrics, better)
        if better:
            self._save(self.best_checkpoints, step)

    def _save(self, checkpoints: Checkpoints, step: int) -> None:
        best = self.best if np.isfinite(self.best) else None
        meta = {
            "config": self.config.model_dump(mode="json"),
            "step": step,
            "best": best,
            "data": self.stream.get_state(),
        }
        checkpoints.save(step, meta=meta, **_parts(self.state))


def _parts(state: TrainState) -> dict[str, Any]:
    """How a state is cut into the parts of a checkpoint."""
    training = {"step": state.step, "skipped": state.skipped, "optimiser": state.optimiser}
    return {"model": state.model, "training": training}


def _hand_over(waiting: tuple[int, Any] | None, listener: Listener) -> None:
    if waiting:
        listener.step(waiting[0], {name: float(value) for name, value in waiting[1].items()})


@contextlib.contextmanager
def interruptible(listener: Listener) -> Iterator[None]:
    """Ctrl-C ends a run with a sentence; what the last checkpoint holds is kept."""
    try:
        yield
    except KeyboardInterrupt:
        listener.say("Stopped. The same command goes on from the last checkpoint.")
        raise SystemExit(130) from None

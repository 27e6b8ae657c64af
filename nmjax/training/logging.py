"""Progress of a run: a progress bar, a printed line per validation, and scalars, images and audio for TensorBoard."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.models import SAMPLE_RATE
from nmjax.runtime.errors import BadInputError
from nmjax.training.event_file import EventFile
from nmjax.training.validation_step import RESPONSE_HZ

_RATIO_TERMS = ("mr_stft", "eq_response")  # terms of a validation whose ratio is printed besides that of the whole
_TERM_LABELS = {"loss": "loss", "mr_stft": "stft", "eq_response": "eq"}  # short: everything fits into 80 columns
_LOG_EVERY = 20  # steps between printed lines where there is no terminal for a progress bar
_SPEED_EMA_RATE = 0.1  # of the running means of speed and waiting time


class RunLogger:
    """Progress on the terminal, and an event file for TensorBoard; a context manager.

    Args:
        folder: Folder of the event file.
        total_steps: Last step of the run.
        start_step: Step from which the run continues.
        batch_size: Excerpts per step.
        console: Console for the progress.
    """

    def __init__(
        self, folder: Path, total_steps: int, start_step: int, batch_size: int, console: Console | None = None
    ):
        self.console = console or Console()
        self._events = EventFile(folder, first_step=start_step + 1)
        columns = (BarColumn(8), MofNCompleteColumn(), TextColumn("{task.fields[terms]}"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._task = self._progress.add_task("train", total=total_steps, completed=start_step, terms="compiling")
        self._batch_size, self._last_time, self._is_first_step = batch_size, time.monotonic(), True
        self._excerpts_per_second = self._wait_fraction = 0.0  # running means
        self._validation_summary = ""

    def __enter__(self) -> RunLogger:
        self._progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
        with contextlib.suppress(BadInputError):  # a full disk, which has been reported already
            self._events.close()

    def info(self, message: str) -> None:
        """A line above the progress bar."""
        self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def log_step(self, step: int, metrics: dict[str, float]) -> None:
        """Log the metrics of one step; `data_wait_seconds` is the time for which it waited for data."""
        self._update_speed(metrics["data_wait_seconds"])
        for name, value in metrics.items():
            self._events.add_scalar(f"train/{name}", value, step)
        self._events.add_scalar("train/excerpts_per_second", self._excerpts_per_second, step)
        self._events.add_scalar("train/data_wait_fraction", self._wait_fraction, step)
        terms = " ".join(f"{label} {metrics[name]:.3f}" for name, label in _TERM_LABELS.items() if name in metrics)
        terms = f"{terms}{self._validation_summary}"
        skipped = f" skipped {metrics['skipped']:.0f}" if metrics["skipped"] else ""
        self._progress.update(self._task, completed=step, terms=f"{terms} {self._excerpts_per_second:.1f}/s{skipped}")
        if not self.console.is_terminal and step % _LOG_EVERY == 0:
            waiting = f", {100 * self._wait_fraction:.0f} % waiting for data" if self._wait_fraction >= 0.02 else ""
            self.info(f"step {step}: {terms}, {self._excerpts_per_second:.2f} excerpts/s{waiting}{skipped}")

    def _update_speed(self, wait_seconds: float) -> None:
        """Update the running means of speed and waiting time; the first step compiles and does not count."""
        now = time.monotonic()
        elapsed = max(now - self._last_time, 1e-9)
        self._last_time = now
        if self._is_first_step:
            self._is_first_step = False
            return
        rate, wait_fraction = self._batch_size / elapsed, min(wait_seconds / elapsed, 1.0)
        ema_rate = _SPEED_EMA_RATE if self._excerpts_per_second else 1.0
        self._excerpts_per_second += ema_rate * (rate - self._excerpts_per_second)
        self._wait_fraction += ema_rate * (wait_fraction - self._wait_fraction)

    def log_validation(
        self, step: int, metrics: dict[str, float], is_best: bool, sample: dict[str, np.ndarray]
    ) -> None:
        """Log the metrics of a validation beside those of the unprocessed input, and the first excerpt."""
        for name, value in metrics.items():
            self._events.add_scalar(f"validation/{name}", value, step)
        self._log_sample(step, sample)
        loss, identity_loss = metrics["signal"], metrics["identity/signal"]
        suffix = ", the best so far" if is_best and step else ""
        self.info(
            f"step {step}: validation {loss:.4f}, unprocessed {identity_loss:.4f}, "
            f"ratio {_ratio(loss, identity_loss)}{_term_ratios(metrics)}{suffix}"
        )
        self._validation_summary = f" val {loss:.3f} (input {identity_loss:.3f})"
        self._last_time = time.monotonic()

    def flush(self) -> None:
        """Write everything that was logged to the disk."""
        self._events.flush()

    def _log_sample(self, step: int, sample: dict[str, np.ndarray]) -> None:
        """Log the equalizer's response as an image and the excerpt as audio; input and target at step 0 only."""
        from nmjax import plots  # importing matplotlib takes a second, for which the first steps need not wait

        image = plots.eq_response_image(
            RESPONSE_HZ,
            sample["eq_response_db"],
            np.array(THIRD_OCTAVES_HZ),
            sample["target_response_db"],
            f"step {step}",
        )
        self._events.add_image("validation/eq_response", image, step)
        for name in ("input", "target", "output") if step == 0 else ("output",):
            audio = sample[name] / max(1.0, float(np.abs(sample[name]).max()))
            self._events.add_audio(f"validation/{name}", audio, step, SAMPLE_RATE)


class NullLogger:
    """A logger without output, for every process except the first."""

    def __enter__(self) -> NullLogger:
        return self

    def __exit__(self, *_) -> None: ...

    def info(self, message: str) -> None: ...

    def log_step(self, step: int, metrics: dict[str, float]) -> None: ...

    def log_validation(
        self, step: int, metrics: dict[str, float], is_best: bool, sample: dict[str, np.ndarray]
    ) -> None: ...

    def flush(self) -> None: ...


def _term_ratios(metrics: dict[str, float]) -> str:
    """The ratios of the most informative terms that the run has."""
    ratios = [
        f"{name} {_ratio(metrics[name], metrics[f'identity/{name}'])}" for name in _RATIO_TERMS if name in metrics
    ]
    return f" (of {', '.join(ratios)})" if ratios else ""


def _ratio(loss: float, identity_loss: float) -> str:
    """The loss relative to that of the unprocessed input; a dash if that is 0, as for silence."""
    return f"{loss / identity_loss:.4f}" if identity_loss else "–"

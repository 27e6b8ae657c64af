"""What a person sees of a run: a progress line, TensorBoard's scalars, curves and sounds, and each validation as a line
that stays."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from nmjax.dsp.auditory import THIRD_OCTAVES_HZ
from nmjax.models import SAMPLE_RATE
from nmjax.training.step import CURVE_HZ

_RATIOS = ("mr_stft", "curve")  # of a validation, beside the whole's
_SHOWN = {"loss": "loss", "mr_stft": "stft", "curve": "curve"}  # short: all fits 80 columns
_LINE_EVERY = 20  # steps, where there is no terminal to draw a bar on
_PACE = 0.1  # of the running means of speed and waiting


class Log:
    """Progress on the terminal and everything else in `folder`; a context manager."""

    def __init__(self, folder: Path, steps: int, start: int, batch_size: int, console: Console | None = None):
        self.console = console or Console()
        self._writer = SummaryWriter(str(folder), purge_step=start + 1)
        columns = (BarColumn(8), MofNCompleteColumn(), TextColumn("{task.fields[terms]}"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._task = self._progress.add_task("train", total=steps, completed=start, terms="compiling")
        self._batch_size, self._last, self._first = batch_size, time.monotonic(), True
        self._rate = self._waited = 0.0  # excerpts a second, share of the time
        self._validated = ""

    def __enter__(self) -> Log:
        self._progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
        with contextlib.suppress(OSError):  # a full disk; what was to be said about it is on its way
            self._writer.close()

    def say(self, sentence: str) -> None:
        """A line above the progress bar."""
        self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def step(self, step: int, metrics: dict[str, float]) -> None:
        """One update's metrics; `waited` are the seconds that it waited for data."""
        self._clock(metrics["waited"])
        for name, value in metrics.items():
            self._writer.add_scalar(f"train/{name}", value, step)
        self._writer.add_scalar("train/excerpts_per_second", self._rate, step)
        self._writer.add_scalar("train/waiting_share", self._waited, step)
        terms = " ".join(f"{short} {metrics[name]:.3f}" for name, short in _SHOWN.items() if name in metrics)
        terms = f"{terms}{self._validated}"
        skipped = f" left out {metrics['skipped']:.0f}" if metrics["skipped"] else ""
        self._progress.update(self._task, completed=step, terms=f"{terms} {self._rate:.1f}/s{skipped}")
        if not self.console.is_terminal and step % _LINE_EVERY == 0:
            waiting = f", {100 * self._waited:.0f} % waiting for data" if self._waited >= 0.02 else ""
            self.say(f"step {step}: {terms}, {self._rate:.2f} excerpts/s{waiting}{skipped}")

    def _clock(self, waited: float) -> None:
        """Running means of speed and waiting; the first step compiles and does not count."""
        now = time.monotonic()
        passed = max(now - self._last, 1e-9)
        self._last = now
        if self._first:
            self._first = False
            return
        rate, share = self._batch_size / passed, min(waited / passed, 1.0)
        pace = _PACE if self._rate else 1.0
        self._rate += pace * (rate - self._rate)
        self._waited += pace * (share - self._waited)

    def validation(self, step: int, metrics: dict[str, float], best: bool, sample: dict[str, np.ndarray]) -> None:
        """One validation's metrics with the identity's beside them, and what the first excerpt became."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"validation/{name}", value, step)
        self._show(step, sample)
        ours, idle = metrics["signal"], metrics["identity/signal"]
        mark = ", the best so far" if best and step else ""
        self.say(
            f"step {step}: validation {ours:.4f}, doing nothing {idle:.4f}, ratio {_ratio(ours, idle)}"
            f"{_shares(metrics)}{mark}"
        )
        self._validated = f" val {ours:.3f} (as is {idle:.3f})"
        self._last = time.monotonic()

    def _show(self, step: int, sample: dict[str, np.ndarray]) -> None:
        """The equaliser's curve as a picture and the excerpt as sound; what does not change, once."""
        from nmjax import plots  # matplotlib takes a second, which the first steps need not wait for

        picture = plots.learnt_curve(
            CURVE_HZ, sample["curve_db"], np.array(THIRD_OCTAVES_HZ), sample["wanted_db"], f"step {step}"
        )
        self._writer.add_image("validation/curve", picture, step, dataformats="HWC")
        for side in ("input", "target", "output") if step == 0 else ("output",):
            sound = sample[side] / max(1.0, float(np.abs(sample[side]).max()))
            self._writer.add_audio(f"validation/{side}", sound, step, SAMPLE_RATE)


class Silence:
    """A listener that says nothing: for every process but the first."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_) -> None: ...

    def say(self, sentence: str) -> None: ...

    def step(self, step: int, metrics: dict[str, float]) -> None: ...

    def validation(self, step: int, metrics: dict[str, float], best: bool, sample: dict[str, np.ndarray]) -> None: ...


def _shares(metrics: dict[str, float]) -> str:
    """The ratios of the terms that say most, of those that the run has."""
    said = [f"{name} {_ratio(metrics[name], metrics[f'identity/{name}'])}" for name in _RATIOS if name in metrics]
    return f" (of {', '.join(said)})" if said else ""


def _ratio(ours: float, idle: float) -> str:
    """Ours over doing nothing's; a dash where that is 0, as for silence."""
    return f"{ours / idle:.4f}" if idle else "–"

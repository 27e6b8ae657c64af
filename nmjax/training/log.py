"""What a person sees of a run: a progress line, TensorBoard scalars, and each validation as a line that stays."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

_SHOWN = {"loss": "loss", "mr_stft": "stft", "a_weighted": "A", "lufs": "LUFS"}  # short: all fits 80 columns
_LINE_EVERY = 20  # steps, where there is no terminal to draw a bar on


class Log:
    """Progress on the terminal and scalars in `folder`; a context manager."""

    def __init__(self, folder: Path, steps: int, start: int, batch_size: int, console: Console | None = None):
        self.console = console or Console()
        self._writer = SummaryWriter(str(folder), purge_step=start + 1)
        columns = (BarColumn(8), MofNCompleteColumn(), TextColumn("{task.fields[terms]}"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._task = self._progress.add_task("train", total=steps, completed=start, terms="compiling")
        self._batch_size, self._last, self._rate = batch_size, time.monotonic(), 0.0

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
        """One update's metrics."""
        now = time.monotonic()
        rate = self._batch_size / max(now - self._last, 1e-9)
        self._last, self._rate = now, rate if self._rate == 0.0 else 0.9 * self._rate + 0.1 * rate
        for name, value in metrics.items():
            self._writer.add_scalar(f"train/{name}", value, step)
        self._writer.add_scalar("train/excerpts_per_second", self._rate, step)
        terms = " ".join(f"{short} {metrics[name]:.3f}" for name, short in _SHOWN.items())
        skipped = f" skipped {metrics['skipped']:.0f}" if metrics["skipped"] else ""
        self._progress.update(self._task, completed=step, terms=f"{terms} {self._rate:.1f}/s{skipped}")
        if not self.console.is_terminal and step % _LINE_EVERY == 0:
            self.say(f"step {step}: {terms}, {self._rate:.2f} excerpts/s{skipped}")

    def validation(self, step: int, metrics: dict[str, float], best: bool) -> None:
        """One validation's metrics, with the identity's beside them."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"validation/{name}", value, step)
        ours, idle = metrics["signal"], metrics["identity/signal"]
        mark = ", the best so far" if best and step else ""
        self.say(
            f"step {step}: validation {ours:.4f}, doing nothing {idle:.4f}, ratio {_ratio(ours, idle)} "
            f"(of mr_stft {_ratio(metrics['mr_stft'], metrics['identity/mr_stft'])}){mark}"
        )
        self._last = time.monotonic()


def _ratio(ours: float, idle: float) -> str:
    """Ours over doing nothing's; a dash where that is 0, as for silence."""
    return f"{ours / idle:.4f}" if idle else "–"

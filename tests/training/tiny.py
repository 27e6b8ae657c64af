"""The smallest run that is still a whole one."""

from pathlib import Path

from nmjax.config import Config, load_config

CHANGES = (
    "model.width=0.02",
    "model.momentum=0.5",
    "data.excerpt_seconds=0.45",
    "data.batch_size=4",
    "data.validation_excerpts=4",
    "data.read_threads=0",
    "loss.windows=[256]",
)


def tiny(phase: str = "1a", *more: str) -> Config:
    """The smoke config, smaller."""
    return load_config(phase, ["smoke"], [*CHANGES, *more])


def command(phase: str, data: Path, out: Path, *more: str) -> list[str]:
    """The same as arguments of the command line."""
    return ["train", "--phase", phase, "--config", "smoke", "--data", str(data), "--out", str(out), *more, *CHANGES]


class Recorder:
    """A listener that keeps what it hears, and can stop a run as a crash would."""

    def __init__(self, crash_at: int | None = None):
        self.losses: dict[int, float] = {}
        self.validations: list[tuple[int, float]] = []
        self.said: list[str] = []
        self._crash_at = crash_at

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def step(self, step: int, metrics: dict[str, float]) -> None:
        self.losses[step] = metrics["loss"]
        if step == self._crash_at:
            raise InterruptedError

    def validation(self, step: int, metrics: dict[str, float], best: bool) -> None:
        self.validations.append((step, metrics["signal"]))

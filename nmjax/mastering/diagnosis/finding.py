"""A finding: what a detector reports about a track."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any

from nmjax.audio.units import json_number


class Severity(enum.StrEnum):
    """How much a finding matters to the master."""

    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


_USUAL_PERCENT = 10.0  # of the songs are below what is usual, and as many above
SEVERITY_ORDER = {severity: rank for rank, severity in enumerate(reversed(Severity))}  # worst first


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One observation about a track.

    Attributes:
        name: of the detector's subject, such as "hum"; stable, for programs.
        value: the measured quantity.
        unit: of the value; "" for a pure number.
        severity: how much it matters.
        sentence: what was found, for a musician.
        remedy: what can be done about it.
        repaired: what was done about it; empty where nothing was.
        percentile: where the value ranks among the training songs, 0 to 100; None where no table has it.
    """

    name: str
    value: float
    unit: str
    severity: Severity
    sentence: str
    remedy: str
    percentile: float | None = None
    repaired: str = ""

    @property
    def ranked_sentence(self) -> str:
        """The sentence with the rank of the value where it is unusual: "… (higher than 99 % of songs)."."""
        if self.percentile is None or _USUAL_PERCENT < self.percentile < 100.0 - _USUAL_PERCENT:
            return self.sentence
        is_high = self.percentile >= 50.0
        share = min(99, math.floor(self.percentile if is_high else 100.0 - self.percentile))
        return f"{self.sentence.removesuffix('.')} ({'higher' if is_high else 'lower'} than {share} % of songs)."

    @property
    def advice(self) -> str:
        """What was done about it, otherwise what can be done."""
        return f"Repaired: {self.repaired}" if self.repaired else self.remedy

    def to_dict(self) -> dict[str, Any]:
        """The finding for JSON."""
        percentile = None if self.percentile is None else round(self.percentile, 1)
        return {**dataclasses.asdict(self), "value": json_number(self.value), "percentile": percentile}

"""What programs read: the JSON of `infer --json` and of `inspect --json`, as pydantic models.

Every output is made from the models, so their JSON Schema (`json_schema.py`) cannot be wrong about it.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nmjax.audio.units import json_number

INFER_FORMAT = "nmjax infer 2"
INSPECT_FORMAT = "nmjax inspect 2"


class _Output(BaseModel):
    """A model that refuses unknown keys. Its fields are all written, null where there is no value."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FindingRecord(_Output):
    """A finding of the diagnosis; docs/explanation/diagnosis.md lists them."""

    name: str = Field(description="of what was found, such as hum; stable")
    value: float | None = Field(description="in the unit; null where it is not finite")
    unit: str = Field(description="empty for a pure number")
    severity: Literal["info", "warning", "problem"]
    sentence: str = Field(description="what was found")
    remedy: str = Field(description="what can be done about it")
    repaired: str = Field(description="what was done about it; empty where nothing was")
    percentile: float | None = Field(description="rank of the value among the training songs, 0 to 100")


class Levels(_Output):
    """Levels of a whole signal, null where they are not finite."""

    lufs: float | None = Field(description="integrated loudness, LUFS")
    true_peak_db: float | None = Field(description="dBTP")
    loudness_range_lu: float | None = Field(description="LU; null below 3 s")


class InspectedTrack(_Output):
    """A track of `nmjax inspect`."""

    track: str = Field(description="absolute path")
    input: Levels = Field(description="of the file as it is, before repairs")
    findings: list[FindingRecord] = Field(description="the worst first")


class InspectOutput(_Output):
    """The output of `nmjax inspect --json`."""

    format: Literal["nmjax inspect 2"] = INSPECT_FORMAT
    tracks: list[InspectedTrack]


class Delivery(Levels):
    """A master: its levels as an independent meter reads them from the file."""

    name: str = Field(description="of the delivery, such as streaming")
    file: str = Field(description="absolute path")
    status: Literal["pass", "fail", "not_measured"] = Field(description="whether the file meets the delivery")
    summary: str = Field(description="by how much the master is louder or quieter than the input, and why")
    gain_db: float | None = Field(description="of the delivery alone, after repair and processing, before its limiter")
    max_gain_reduction_db: float | None = Field(description="of the limiter")


class Residual(_Output):
    """What the residual network added."""

    level_db: float = Field(description="relative to the signal that it was added to")
    summary: str


class ReferenceOutcome(_Output):
    """How near the master came to its reference, and at what cost."""

    name: str = Field(description="of the reference")
    before_db: float = Field(description="RMS of the tonal difference before the EQ, dB")
    after_db: float = Field(description="the same after the EQ")
    boost_db: float = Field(description="largest gain of the EQ's summed response, at equal loudness")
    cut_db: float = Field(description="its smallest gain")
    limits_reached: list[str] = Field(description="some of boost, cut, expansion and narrow_bass")


class MasteredTrack(InspectedTrack):
    """A track of `nmjax infer`: the input and what was found in it, before repairs, and what was done."""

    status: Literal["done", "skipped", "failed"] = Field(description="skipped: an earlier run has mastered it")
    error: str = Field(description="why it failed")
    summary: list[str] = Field(description="what was done, in sentences")
    reference: ReferenceOutcome | None
    residual: Residual | None
    deliveries: list[Delivery]
    files: dict[str, str] = Field(description="kind of file → absolute path")
    settings: dict[str, Any] | None = Field(description="keys of the settings file, without what it repeats")
    notes: list[str]


class InferOutput(_Output):
    """The output of `nmjax infer --json`, for one track and for many."""

    format: Literal["nmjax infer 2"] = INFER_FORMAT
    tracks: list[MasteredTrack]
    stop_reason: str = Field(description="why a batch ended early; empty where it did not")


def levels_record(lufs: float | None, true_peak_db: float | None, loudness_range_lu: float | None) -> Levels:
    """Levels rounded to hundredths."""
    return Levels(
        lufs=json_number(lufs),
        true_peak_db=json_number(true_peak_db),
        loudness_range_lu=json_number(loudness_range_lu),
    )


def to_json(output: InferOutput | InspectOutput) -> str:
    """The text of an output, in ASCII."""
    return json.dumps(output.model_dump(), indent=1)

"""Ranges of the values in a settings file, and errors of pydantic that say in our words what is wrong with a value."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError, core_schema

from nmjax.runtime.errors import BadInputError

MESSAGE: Literal["message"] = "message"  # a custom error: what is wrong with the value
SENTENCE: Literal["sentence"] = "sentence"  # a custom error that needs no label


class StrictModel(BaseModel):
    """A model that refuses unknown keys and values of another type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def value_error(text: str, kind: Literal["message", "sentence"] = MESSAGE) -> PydanticCustomError:
    """An error with this text, of which the kind says how a message uses it."""
    return PydanticCustomError(kind, "{text}", {"text": text})


class Range(NamedTuple):
    """A range of numbers, both ends included; as an annotation of a pydantic field, its check."""

    low: float
    high: float
    unit: str = ""

    def check(self, value: Any, label: str) -> float:
        """Returns a value as a float.

        Raises:
            BadInputError: it is not a number, or not within the range; the message begins with `label`.
        """
        try:
            return self._validate(value)
        except PydanticCustomError as error:
            raise BadInputError(f"{label} {error.message()}") from None

    def _validate(self, value: Any) -> float:
        unit = f" {self.unit}" if self.unit else ""
        limits = f"{self.low:g} to {self.high:g}{unit}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise value_error(f"is {format_value(value)}; give a number from {limits}.")
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            number = math.inf
        if not self.low <= number <= self.high:  # also refuses NaN
            raise value_error(f"is {number:g}{unit}; choose {limits}.")
        return number

    def __get_pydantic_json_schema__(self, _core_schema: Any, _handler: Any) -> dict[str, Any]:
        unit = {"description": self.unit} if self.unit else {}
        return {"type": "number", "minimum": self.low, "maximum": self.high, **unit}

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)


def _to_whole_number(value: float) -> int:
    if value % 1.0:
        raise value_error(f"is {value:g}; give a whole number.")
    return int(value)


WholeNumber = AfterValidator(_to_whole_number)
"""As an annotation of a pydantic field, after a `Range`: refuses fractions."""


def format_value(value: Any) -> str:
    """A value as JSON, shortened; control characters and lone surrogates are escaped."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

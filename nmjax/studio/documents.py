"""JSON documents from a page as typed models, with errors as sentences."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import AfterValidator, ValidationError

from nmjax.mastering.settings.error_messages import describe
from nmjax.mastering.settings.ranges import StrictModel, format_value, value_error
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest

Model = TypeVar("Model", bound=StrictModel)


def one_of(choices: Collection[str]) -> AfterValidator:
    """As an annotation of a text: it is one of these."""

    def check(value: str) -> str:
        if value not in choices:
            raise value_error(f"is {format_value(value)}; {suggest(value, choices)}")
        return value

    return AfterValidator(check)


def read_model(model: type[Model], tree: Any) -> Model:
    """The model of a JSON document.

    Raises:
        BadInputError: a name or a value that is not allowed; the first one is named.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    # pydantic adds which type of a union, or that a key is meant.
    location = tuple(part for part in first["loc"] if not (isinstance(part, str) and set("[(") & set(part)))
    if first["type"] == "bool_type":
        raise BadInputError(f"{location[-1]} is {format_value(first['input'])}; give true or false.")
    raise BadInputError(describe({**first, "loc": location}, lambda _: tuple(model.model_fields)))

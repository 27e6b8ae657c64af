"""Errors of a settings file as sentences."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import ErrorDetails

from nmjax.mastering.settings.ranges import MESSAGE, SENTENCE, format_value
from nmjax.models import PHASES
from nmjax.models.signal_format import LATENT_SIZE
from nmjax.runtime.options import suggest

Location = tuple[int | str, ...]
_HINTS = {
    "model.phase": f"the phases are {', '.join(PHASES)}.",
    "model.step": "give a whole number from 0.",
    "model.checkpoint": "give the digest that nmjax wrote.",
}


def describe(error: ErrorDetails, keys_at: Callable[[Location], tuple[str, ...]]) -> str:
    """A validation error as one sentence. keys_at: the keys of the model at a place in the file."""
    kind, location, value = error["type"], error["loc"], error["input"]
    label, parent = _label(location), _label(location[:-1])
    if kind == SENTENCE:
        return error["msg"]
    if kind == MESSAGE:
        return f"{label} {error['msg']}"
    if kind == "string_unicode" and keys_at(location):  # a key that is not valid Unicode
        return f"{label} has an unknown key {format_value(value)}; {suggest(value, keys_at(location))}"
    if kind == "extra_forbidden":
        known = suggest(str(location[-1]), keys_at(location[:-1]))
        return f"{parent} has an unknown key {format_value(location[-1])}; {known}"
    if kind == "missing":
        return f"{parent} has no '{location[-1]}'; add it."
    if kind == "model_type":
        return f"{label} is {format_value(value)}; give keys in braces: {', '.join(keys_at(location))}."
    if kind == "list_type":
        return f"{label} is {format_value(value)}; give a list in brackets."
    return _describe_value(error, label)


def _describe_value(error: ErrorDetails, label: str) -> str:
    """A value of the right type that is not allowed."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if label == "z":
        return f"z has {len(value)} entries; give {LATENT_SIZE} numbers, or null."
    if kind == "too_long":
        return f"{label} has {len(value)} entries; give at most {context['max_length']}."
    if kind == "too_short":
        return f"{label} is empty; give at least one number."
    if kind == "literal_error" and label not in _HINTS:
        return f"{label} is {format_value(value)}; choose {context['expected']}."
    return f"{label} is {format_value(value)}; {_HINTS.get(label, 'give a name, or null.')}"


def _label(location: Location) -> str:
    """What messages call a place in the file."""
    match location:
        case ():
            return "the file"
        case (section, "bands", int(index)):
            return f"band {index + 1} of {section}"
        case (section, "bands", int(index), field):
            return f"band {index + 1} of {section}: {field}"
        case ("repair", name, field, int(index)):
            return f"number {index + 1} of repair.{name}.{field}"
        case ("z", int(index)):
            return f"number {index + 1} of z"
        case _:
            return ".".join(map(str, location))

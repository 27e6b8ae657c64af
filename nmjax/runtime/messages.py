"""Messages that name options, in the words of the command line or of another interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class OptionName(NamedTuple):
    """An option that a message names, such as the remedy `--reference-strength 0.45`.

    Attributes:
        name: field of the options, such as "reference_strength".
        value: text of its value; empty for the option alone.
    """

    name: str
    value: str = ""

    def __str__(self) -> str:
        flag = f"--{self.name.replace('_', '-')}"
        return f"{flag} {self.value}" if self.value else flag


class Message(str):
    """A message that names options. As a text it has the words of the command line.

    Args:
        parts: texts and options, which follow each other.
    """

    parts: tuple[str | OptionName, ...]

    def __new__(cls, *parts: str | OptionName) -> Message:
        """Joins the parts."""
        message = super().__new__(cls, "".join(map(str, parts)))
        message.parts = parts
        return message

    def __reduce__(self) -> tuple[type[Message], tuple[str | OptionName, ...]]:
        return Message, self.parts


def say(message: str, name_option: Callable[[OptionName], str]) -> str:
    """A message with the words of another interface for its options.

    Args:
        message: a `Message`; another text stays as it is.
        name_option: the words for an option.
    """
    if not isinstance(message, Message):
        return message
    return "".join(name_option(part) if isinstance(part, OptionName) else part for part in message.parts)

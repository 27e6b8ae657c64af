"""Option dataclasses: each option of a command is declared once, as a field made by `option`.

From the declaration come the command line (`nmjax.cli.parser`), the keywords of `nmjax.master`, the digest in the batch
manifest and the reference page `docs/reference/options.md`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from nmjax.runtime.errors import BadInputError

UINT32_MAX = 2**32 - 1
_MIN_PREFIX = 3  # letters of the beginning of a name that suggest the name
_MIN_SIMILARITY = 0.75  # of `difflib`; one wrong letter in four


class OptionError(BadInputError):
    """An option has an invalid value. `str()` names the dataclass field; the command line names the flag instead."""

    def __init__(self, name: str, problem: str):
        super().__init__(f"{name} {problem}")
        self.name = name
        self.problem = problem


@dataclasses.dataclass(frozen=True)
class OptionSpec:
    """How an option is written, explained and checked.

    Attributes:
        help: explanation, without the range and the default.
        group: heading in the help; "" for the options that come first.
        flag: such as "--band"; "" for the field's name.
        short: such as "-o".
        metavar: placeholder of the value.
        parse: from the text of one value to the value; raises ValueError with a message where it cannot be read.
        collect: from the list of values to the field's value; a tuple by default.
        repeat: the flag may be given several times.
        positional: written without a flag.
        required: whether a value must be given.
        choices: the only valid values.
        low, high: the range of a number, inclusive; None for no limit.
        exclusive: whether the limits themselves are outside the range.
        bare: value of the flag where it is given without one.
    """

    help: str
    group: str = ""
    flag: str = ""
    short: str = ""
    metavar: str = ""
    parse: Callable[[str], Any] | None = None
    collect: Callable[[list], Any] = tuple
    repeat: bool = False
    positional: bool = False
    required: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    exclusive: bool = False
    bare: Any = None

    @property
    def range_text(self) -> str:
        """The valid range, such as "0 to 2"; empty where any value is valid."""
        if self.low is None:
            return ""
        if self.high is None:
            return f"{self.low:g} or more"
        return f"between {self.low:g} and {self.high:g}" if self.exclusive else f"{self.low:g} to {self.high:.10g}"

    def find_problem(self, value: Any) -> str:
        """What is wrong with a value, as the end of a message that starts with the option's name; empty if nothing."""
        if isinstance(value, int | float) and self.low is not None:
            low, high = self.low, math.inf if self.high is None else self.high
            is_inside = low < value < high if self.exclusive else low <= value <= high
            if not (is_inside and math.isfinite(value)):
                return f"must be {self.range_text}; it is {value:g}."
        for choice in value if isinstance(value, tuple) else (value,):
            if self.choices and choice is not None and choice not in self.choices:
                return f"cannot be '{choice}'; {suggest(str(choice), self.choices)}"
        return ""


def option(default: Any = dataclasses.MISSING, *, hash: bool | None = None, **spec: Any) -> Any:
    """A dataclass field with an `OptionSpec`; a field without a default is a required option."""
    factory = type(default) if isinstance(default, dict) else dataclasses.MISSING
    required = default is dataclasses.MISSING
    metadata = {"option": OptionSpec(required=required, **spec)}
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, hash=hash, metadata=metadata)
    return dataclasses.field(default=default, hash=hash, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Base of option dataclasses; checks each value against its `OptionSpec`.

    Raises:
        OptionError: a value is out of its range or not among the choices.
    """

    def __post_init__(self) -> None:
        for name, spec in option_specs(type(self)).items():
            if problem := spec.find_problem(getattr(self, name)):
                raise OptionError(name, problem)

    def is_given(self, name: str) -> bool:
        """Whether an option differs from its default."""
        return getattr(self, name) != default_of(type(self), name)


OptionsType = TypeVar("OptionsType", bound=Options)


def option_specs(cls: type[Options]) -> dict[str, OptionSpec]:
    """The options of a dataclass by field name, in the order of declaration."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(cls)}


def default_of(cls: type[Options], name: str) -> Any:
    """The default of a field; `dataclasses.MISSING` for a required option."""
    (field,) = (field for field in dataclasses.fields(cls) if field.name == name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def from_keywords(cls: type[OptionsType], caller: str, **values: Any) -> OptionsType:
    """Options from Python keywords; texts are read as on the command line.

    Raises:
        TypeError: an unknown keyword.
        OptionError: an invalid value.
    """
    specs = option_specs(cls)
    for name, value in values.items():
        if name not in specs:
            raise TypeError(f"{caller} has no option '{name}'; {suggest(name, specs)}")
        values[name] = _read_value(specs[name], name, value)
    return cls(**values)


def _read_value(spec: OptionSpec, name: str, value: Any) -> Any:
    """A value of any form that Python callers use: a text, a list of texts, or the value itself."""
    is_list = isinstance(value, list | tuple | set | frozenset)
    texts = list(value) if is_list else [value]
    if not all(isinstance(text, str) for text in texts):
        return value
    try:
        items = [spec.parse(text) if spec.parse else text for text in texts]
    except ValueError as error:
        raise OptionError(name, str(error)) from None
    if spec.repeat:
        return spec.collect(items)
    return tuple(texts) if is_list else items[0]


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choice that begins with the word, or differs from it by about one letter in four; empty where none does."""
    choices = list(choices)
    longer = [choice for choice in choices if len(word) >= _MIN_PREFIX and choice.startswith(word)]
    return next(iter(longer or difflib.get_close_matches(word, choices, 1, _MIN_SIMILARITY)), "")


def suggest(word: str, choices: Iterable[str]) -> str:
    """ "did you mean 'x'?", or the list of all choices where none is near."""
    choices = list(choices)
    match = nearest(word, choices)
    return f"did you mean '{match}'?" if match else f"choose one of: {', '.join(choices)}."


# Readers of values: from the text on the command line to the value. Their messages follow the option's name.


def read_float(text: str) -> float:
    """A number with a decimal point."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be a number; it is '{text}'.") from None


def read_int(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number; it is '{text}'.") from None


def read_text(text: str) -> str:
    """A text that is not empty; an empty one is most often an unset variable of a shell script."""
    if not text:
        raise ValueError("has no value.")
    return text


def read_path(text: str) -> Path:
    """A path that is not empty."""
    return Path(read_text(text))


def read_list(text: str) -> tuple[str, ...]:
    """Values separated by commas."""
    return tuple(text.split(",")) if text else ()


def read_float_or(*words: str) -> Callable[[str], float | str]:
    """A number, or one of these words."""

    def read(text: str) -> float | str:
        if text in words:
            return text
        try:
            return float(text)
        except ValueError:
            raise ValueError(
                f"must be a number{', '.join(['', *words[:-1]])} or {words[-1]}; it is '{text}'."
            ) from None

    return read

"""Command-line parsers built from option dataclasses.

argparse does the work: tyro and cyclopts print their errors in boxes of several lines and end the process themselves,
while here an error is one sentence on stderr, and comma lists, `key=value` words between the options and flags with an
optional value are needed.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, NoReturn

from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import OptionError, OptionSpec, OptionsType, default_of, nearest, option_specs


@dataclasses.dataclass(frozen=True)
class Command(Generic[OptionsType]):
    """A command of `nmjax`.

    Attributes:
        name: as on the command line.
        summary: what it does, in half a line.
        examples: command lines, without "nmjax"; a comment after "#".
        options: dataclass of its options.
        run: does it; returns the exit code, None for 0.
        details: further lines of the help, after the examples.
    """

    name: str
    summary: str
    examples: tuple[str, ...]
    options: type[OptionsType]
    run: Callable[[OptionsType], int | None]
    details: str = ""


class CommandParser(argparse.ArgumentParser):
    """Parser of one command that raises BadInputError; its help opens with examples."""

    def __init__(self, command: Command):
        self._specs = option_specs(command.options)
        self._metavars = {option_label(name, spec): spec.metavar for name, spec in self._specs.items()}
        self._command = command
        positionals = [spec.metavar for spec in self._specs.values() if spec.positional]
        usage = " ".join(["%(prog)s [options]", *(f"{metavar} ..." for metavar in positionals)])
        super().__init__(prog=f"nmjax {command.name}", usage=usage, allow_abbrev=False)
        groups: dict[str, Any] = {"": self}
        for name, spec in self._specs.items():
            if spec.group not in groups:
                groups[spec.group] = self.add_argument_group(spec.group)
            groups[spec.group].add_argument(*_names(name, spec), **_argparse_keywords(command, name, spec))

    def error(self, message: str) -> NoReturn:
        names, _, problem = message.removeprefix("argument ").partition(": ")
        flag = names.split("/")[-1]
        if problem == "expected one argument":
            message = f"{flag} has no value; write {flag} {self._metavars[flag]}"
        elif problem.startswith("ignored explicit argument"):
            message = f"{flag} takes no value; write {flag} alone"
        raise BadInputError(f"{message[0].upper()}{message[1:]}. See '{self.prog} --help'.")

    def format_help(self) -> str:
        command = self._command
        details = f"{command.details}\n\n" if command.details else ""
        return f"{command.summary}\n\n{format_examples(command)}\n{details}{super().format_help()}"

    def parse(self, arguments: Sequence[str]) -> Any:
        """The options dataclass of a command line.

        Raises:
            BadInputError: an unknown, missing or invalid option.
        """
        namespace, unknown = self.parse_known_intermixed_args(list(arguments))
        if unknown:
            self._reject(unknown[0])
        values = {}
        for name, spec in self._specs.items():
            raw = getattr(namespace, name)
            if raw is None or (spec.positional and not raw):
                if spec.required:
                    raise BadInputError(self._missing(name, spec))
                continue
            try:
                values[name] = _read(spec, raw)
            except ValueError as error:
                raise BadInputError(f"{option_label(name, spec)} {error}") from None
        try:
            return self._command.options(**values)
        except OptionError as error:
            raise BadInputError(f"{option_label(error.name, self._specs[error.name])} {error.problem}") from None

    def _missing(self, name: str, spec: OptionSpec) -> str:
        """The message about a required option that is not given."""
        if spec.positional:
            return f"Give a {spec.metavar.lower()}: {self.prog} {spec.metavar}. See '{self.prog} --help'."
        return f"Add {option_label(name, spec)} {spec.metavar}. See '{self.prog} --help'."

    def _reject(self, argument: str) -> NoReturn:
        if not argument.startswith("-"):
            raise BadInputError(f"'{argument}' is not an option of '{self.prog}'; see '{self.prog} --help'.")
        flag = argument.partition("=")[0]
        flags = [option_label(name, spec) for name, spec in self._specs.items() if not spec.positional]
        match = nearest(flag.lstrip("-"), [name.removeprefix("--") for name in flags])
        hint = f"did you mean --{match}? " if match else ""
        raise BadInputError(f"There is no option {flag}; {hint}'{self.prog} --help' lists all options.")


def format_examples(command: Command) -> str:
    """The examples, one a line."""
    return "examples:\n" + "".join(f"  nmjax {example}\n" for example in command.examples)


def option_label(name: str, spec: OptionSpec) -> str:
    """What messages call an option: its flag, or the placeholder of a positional one."""
    if spec.positional:
        return spec.metavar
    return spec.flag or f"--{name.replace('_', '-')}"


def describe_default(cls: type, name: str, spec: OptionSpec) -> str:
    """The default as on the command line; empty where there is none, or where the help says it."""
    default = default_of(cls, name)
    if spec.required or default is None or default is False or default in ((), {}) or "default" in spec.help:
        return ""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def describe_option(cls: type, name: str, spec: OptionSpec) -> str:
    """The help of an option with its choices, range and default."""
    notes = []
    if spec.choices and not all(choice in spec.help for choice in spec.choices):
        notes.append(", ".join(spec.choices))
    if spec.range_text:
        notes.append(spec.range_text)
    if default := describe_default(cls, name, spec):
        notes.append(f"default: {default}")
    if spec.repeat:
        notes.append("repeatable")
    return spec.help + (f" ({'; '.join(notes)})" if notes else "")


def _names(name: str, spec: OptionSpec) -> list[str]:
    if spec.positional:
        return [name]
    return [*([spec.short] if spec.short else []), option_label(name, spec)]


def _argparse_keywords(command: Command, name: str, spec: OptionSpec) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "help": describe_option(command.options, name, spec).replace("%", "%%"),
        "default": None,
    }
    if spec.positional:
        return {**keywords, "nargs": "*", "metavar": spec.metavar}
    keywords["dest"] = name
    if default_of(command.options, name) is False:
        return {**keywords, "action": "store_true"}
    keywords["metavar"] = spec.metavar or None
    if spec.bare is not None:
        keywords |= {"nargs": "?", "const": spec.bare}
    return keywords | ({"action": "append"} if spec.repeat else {})


def _read(spec: OptionSpec, raw: Any) -> Any:
    """The value of what argparse found: a text, a list of texts, or a value that needs no reading."""
    if isinstance(raw, list):
        return spec.collect([_read(spec, text) for text in raw])
    return spec.parse(raw) if spec.parse and isinstance(raw, str) else raw

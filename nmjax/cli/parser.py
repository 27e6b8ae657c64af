"""Argparse as the command line wants it: faults are sentences, and nothing is taken for what it is not."""

from __future__ import annotations

import argparse

from nmjax.runtime.errors import BadInputError


class CommandParser(argparse.ArgumentParser):
    """Argparse, whose complaints are sentences like all others."""

    def error(self, message: str):
        raise BadInputError(f"{message[0].upper()}{message[1:]}; '{self.prog} --help' lists what can be given.")


def non_empty_string(value: str) -> str:
    """Some text, for options that would otherwise mean nothing where a script's variable is not set: an argument's
    type."""
    if not value:
        raise argparse.ArgumentTypeError("there is nothing behind it")
    return value


def uint32(value: str) -> int:
    """A whole number from 0, small enough for every generator of random numbers: an argument's type."""
    if not (value.isascii() and value.isdigit() and int(value[:20]) < 2**32):
        raise argparse.ArgumentTypeError(f"'{value}' is no whole number from 0 to 4294967295")
    return int(value)


def parse_intermixed(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Options and key=value in any order; argparse alone takes positional arguments in one place only."""
    args, unparsed = parser.parse_known_args(arguments)
    if unparsed and ("overrides" not in args or any(token.startswith("-") for token in unparsed)):
        parser.error(f"unknown argument: {' '.join(unparsed)}")
    if unparsed:
        args.overrides += unparsed
    return args

"""Argparse as the command line wants it: faults are sentences, and nothing is taken for what it is not."""

from __future__ import annotations

import argparse

from nmjax.errors import BadInputError


class Parser(argparse.ArgumentParser):
    """Argparse, whose complaints are sentences like all others."""

    def error(self, message: str):
        raise BadInputError(f"{message[0].upper()}{message[1:]}; '{self.prog} --help' lists what can be given.")


def filled(word: str) -> str:
    """Some text, for options that would otherwise mean nothing where a script's variable is not set: an argument's
    type."""
    if not word:
        raise argparse.ArgumentTypeError("there is nothing behind it")
    return word


def natural(word: str) -> int:
    """A whole number from 0, small enough for every generator of random numbers: an argument's type."""
    if not (word.isascii() and word.isdigit() and int(word[:20]) < 2**32):
        raise argparse.ArgumentTypeError(f"'{word}' is no whole number from 0 to 4294967295")
    return int(word)


def parsed(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Options and key=value in any order; argparse alone takes positional arguments in one place only."""
    given, rest = parser.parse_known_args(arguments)
    if rest and ("overrides" not in given or any(word.startswith("-") for word in rest)):
        parser.error(f"unknown argument: {' '.join(rest)}")
    if rest:
        given.overrides += rest
    return given

"""Exceptions for errors that the user can correct."""


class BadInputError(ValueError):
    """Something that the user gave cannot be used.

    The message names the thing and the remedy; the command line prints it and exits with 2.
    """


class CannotWriteError(BadInputError):
    """The disk is full or a folder cannot be written; no input file is the cause."""

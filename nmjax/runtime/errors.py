"""The one exception for input that a person can put right."""


class BadInputError(ValueError):
    """Something given by the user cannot be used.

    The message is one sentence that names the thing and the remedy; the command line prints it and exits with 2.
    """


class CannotWriteError(BadInputError):
    """A disk is full or a place cannot be written: no fault of any one input file."""

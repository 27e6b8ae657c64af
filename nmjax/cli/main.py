"""The command line. NumPy, JAX and the like are imported when a command runs, so help and errors are immediate."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nmjax import __version__
from nmjax.cli import analyze, evaluate, infer, inspect, options_page, schema, studio, targets, train, weights
from nmjax.cli.parser import CommandParser
from nmjax.runtime import signals
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.exit_codes import ExitCode
from nmjax.runtime.options import suggest

DOCUMENTED_COMMANDS = (
    infer.COMMAND,
    studio.COMMAND,
    inspect.COMMAND,
    train.COMMAND,
    evaluate.COMMAND,
    analyze.COMMAND,
    targets.COMMAND,
    weights.COMMAND,
)
_PAGES = (options_page.make_command(DOCUMENTED_COMMANDS), schema.COMMAND)
COMMANDS = {command.name: command for command in (*DOCUMENTED_COMMANDS, *_PAGES)}
_HELP = """Neural audio mastering with settings you can read.

examples:
  nmjax infer track.wav  # writes track-mastered.wav
  nmjax train --phase 1a --config small --data music --out runs/1a
  nmjax infer --help  # the options of a command

usage: nmjax COMMAND [options] ...

commands:
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line such as `["infer", "track.wav"]`; returns the exit code, see `ExitCode`.

    A problem with an option or an input is one sentence on stderr.
    """
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except BadInputError as error:
        _print_error(str(error))
        return ExitCode.BAD_INPUT
    except OSError as error:  # such as a name that is too long, or a folder without read permission
        subject = f"'{error.filename}'" if error.filename else "A file"
        _print_error(f"{subject} cannot be used ({error.strerror or error}); check the path and its permissions.")
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt as interruption:
        _print_error("stopped.")
        return signals.exit_code(interruption)


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        print(_HELP + "\n".join(f"  {command.name:{width}}  {command.summary}" for command in COMMANDS.values()))
        return ExitCode.SUCCESS
    if name == "--version":
        print(f"nmjax {__version__}")
        return ExitCode.SUCCESS
    if name not in COMMANDS:
        problem = f"There is no command '{name}'" if name else "Give a command"
        raise BadInputError(f"{problem}; {suggest(name, COMMANDS)} See 'nmjax --help'.")
    command = COMMANDS[name]
    parser = CommandParser(command)
    if any(argument in ("-h", "--help") for argument in arguments[1:]):
        parser.print_help()
        return ExitCode.SUCCESS
    return command.run(parser.parse(arguments[1:])) or ExitCode.SUCCESS


def _print_error(message: str) -> None:
    """Print a message to stderr, with undecodable bytes of file names replaced."""
    print(f"nmjax: {message.encode(errors='replace').decode()}", file=sys.stderr)

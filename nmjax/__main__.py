"""Entry point of `nmjax`, `python -m nmjax`, `train.py`, `infer.py` and the other scripts."""

from __future__ import annotations

import sys

from nmjax.runtime import signals
from nmjax.runtime.allocator import restart_with_tuned_allocator


def main(arguments: list[str] | None = None) -> int:
    """Run the command line (`nmjax.cli`) and return its exit code."""
    signals.block_signals()
    restart_with_tuned_allocator()
    try:
        signals.install_handlers()
        from nmjax.cli import main  # after the restart, which would import it twice

        code = main.main(arguments)
    except KeyboardInterrupt as interruption:  # before the command line could handle it
        print("nmjax: stopped.", file=sys.stderr)
        code = signals.exit_code(interruption)
    if code > 128:
        signals.exit_immediately(code)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""What a person starts: `nmjax`, `python -m nmjax`, `train.py`, `infer.py`, `evaluate.py`."""

from __future__ import annotations

import sys

from nmjax.runtime import signals


def main(arguments: list[str] | None = None) -> int:
    """The command line (`nmjax.cli`), with large pages; the exit code."""
    signals.block_signals()
    from nmjax.runtime.huge_pages import restart_with_huge_pages

    restart_with_huge_pages()
    try:
        signals.install_handlers()
        from nmjax.cli import main  # only now: the start would load it twice

        code = main.main(arguments)
    except KeyboardInterrupt as stop:  # before the command line could hear it
        print("nmjax: stopped.", file=sys.stderr)
        code = signals.exit_code(stop)
    if code > 128:
        signals.exit_immediately(code)
    return code


if __name__ == "__main__":
    sys.exit(main())

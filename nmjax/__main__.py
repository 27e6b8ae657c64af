"""What a person starts: `nmjax`, `python -m nmjax`, `train.py`, `infer.py`, `evaluate.py`."""

from __future__ import annotations

import sys

from nmjax import interrupt


def main(arguments: list[str] | None = None) -> int:
    """The command line (`nmjax.cli`), with large pages; the exit code."""
    interrupt.hold()
    from nmjax.pages import restart_with_large_pages

    restart_with_large_pages()
    try:
        interrupt.listen()
        from nmjax import cli  # only now: the start would load it twice

        code = cli.main(arguments)
    except KeyboardInterrupt as stop:  # before the command line could hear it
        print("nmjax: stopped.", file=sys.stderr)
        code = interrupt.code_of(stop)
    if code > 128:
        interrupt.end(code)
    return code


if __name__ == "__main__":
    sys.exit(main())

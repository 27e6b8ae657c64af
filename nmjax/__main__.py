"""What a person starts: `nmjax`, `python -m nmjax`, `train.py`, `infer.py`, `evaluate.py`."""

from __future__ import annotations

import sys

from nmjax.pages import restart_with_large_pages


def main(arguments: list[str] | None = None) -> int:
    """The command line (`nmjax.cli`), with large pages; the exit code."""
    restart_with_large_pages()
    from nmjax import cli  # only now: the start would load it twice

    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())

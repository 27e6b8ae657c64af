"""Packages that only some commands need, and how to install them."""

from __future__ import annotations

import importlib.util

from nmjax.runtime.errors import BadInputError

EXTRAS = {"train": ("grain", "pyarrow", "tensorboardX")}


def require_extra(extra: str, purpose: str) -> None:
    """Check that the packages of an extra are installed, before anything is imported.

    Args:
        extra: a key of `EXTRAS`, as in `pip install 'nmjax[train]'`.
        purpose: the beginning of the message, such as "Training".

    Raises:
        BadInputError: one is missing; the message has the command that installs it.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInputError(f"{purpose} needs {', '.join(missing)}; install with: pip install 'nmjax[{extra}]'.")

"""The shipped networks, loaded once each."""

from __future__ import annotations

import functools
import threading

from nmjax.mastering import pretrained
from nmjax.mastering.network import Network

_lock = threading.Lock()


def load_network(name: str) -> Network:
    """A shipped network by its name.

    Raises:
        BadInputError: there is none of this name.
    """
    with _lock:  # two threads would load it twice
        return _load(name)


@functools.cache
def _load(name: str) -> Network:
    return pretrained.load_shipped(name, lambda _: None)


def network_of_checkpoint(digest: str) -> Network | None:
    """The shipped network with this checkpoint, which a settings file names; None where it is another one."""
    for name in pretrained.model_names():
        network = load_network(name)
        if network.checkpoint_digest == digest:
            return network
    return None

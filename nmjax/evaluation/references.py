"""Systems that are given a reference, and whether they arrive at it."""

from __future__ import annotations

import numpy as np

from nmjax.evaluation.items import Audio, Item
from nmjax.inference.master import Options, choose
from nmjax.inference.network import Network
from nmjax.inference.reference import LEAST_SECONDS, profile_of_pieces
from nmjax.inference.track import Heard, corrected
from nmjax.models import SAMPLE_RATE
from nmjax.reference.match import Aim


def towards(item: Item, network: Network, which: str) -> Audio | None:
    """As `infer.py --reference` plays it, before delivery; for another part of the `same` song with `--same-song`, for
    an`other` song without."""
    given = item.same if which == "same" else item.other
    if given is None or len(given) < LEAST_SECONDS * SAMPLE_RATE:
        return None
    heard = Heard(lambda: [item.source.astype(np.float32)], SAMPLE_RATE, item.lufs, len(item.source))
    aim = Aim(profile_of_pieces([given], SAMPLE_RATE), which, same_song=which == "same")
    chosen = choose(heard, network, Options(aim=aim), [])
    return np.concatenate(list(corrected(heard, chosen.prediction, chosen.rendered, network)))

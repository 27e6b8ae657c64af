"""The settings of a track as JSON that a person can read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nmjax.dsp import Bands
from nmjax.inference.network import Network
from nmjax.models import SAMPLE_RATE, Prediction

FORMAT = "nmjax settings 1"


def as_json(
    track: str, network: Network, prediction: Prediction, rendered: Bands, rate: int, delivery: dict[str, Any]
) -> str:
    """Settings in physical units, the bands as rendered at the file's rate, what was delivered, and z on a line of
    its own.

    Numbers are written so that they read back to the same float32.
    """
    eq = prediction.settings.eq
    rows = zip(*(np.asarray(x)[0].tolist() for x in (eq.freq_hz, eq.gain_db, eq.q, eq.gate)), strict=True)
    tree = {
        "format": FORMAT,
        "track": track,
        "model": {"phase": network.config.phase, "step": network.step, "checkpoint": network.identity},
        "input_gain_db": float(prediction.settings.input_gain_db[0]),
        "eq": {
            "sample_rate": SAMPLE_RATE,
            "bands": [dict(zip(("freq_hz", "gain_db", "q", "gate"), row, strict=True)) for row in rows],
        },
        "eq_as_rendered": {
            "sample_rate": rate,
            "bands": [
                dict(zip(("freq_hz", "gain_db", "q"), row, strict=True))
                for row in zip(
                    *(np.asarray(x)[0].tolist() for x in (rendered.freq_hz, rendered.gain_db, rendered.q)), strict=True
                )
            ],
        },
        "delivery": delivery,
    }
    z = json.dumps(np.asarray(prediction.z)[0].tolist())
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)[:-2] + f',\n  "z": {z}\n}}\n'

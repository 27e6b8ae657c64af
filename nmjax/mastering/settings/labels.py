"""Settings of the processors as text for people, each with its unit once: "threshold −22.4 dB"."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.models.processors import PROCESSORS, ProcessorSetting
from nmjax.runtime.number_format import format_general

_LABELS = {
    "makeup_db": "make-up",
    "low": f"side below {CROSSOVER_HZ:g} Hz",
    "high": f"side above {CROSSOVER_HZ:g} Hz",
}
_FACTORS = ("low", "high")
_CLOSED_GATE, _OPEN_GATE = 0.005, 0.995  # gates that two decimals show as 0 and as 1


def setting_label(setting: ProcessorSetting) -> str:
    """The name of a setting without its unit: "attack" for `attack_ms`."""
    return _LABELS.get(setting.name, setting.name.removesuffix(f"_{setting.unit.lower()}"))


def setting_value(setting: ProcessorSetting, value: float) -> str:
    """A value with its unit: "−22.4 dB", "× 0.993"."""
    text = format_general(value, setting.unit, digits=3)
    return f"× {text}" if setting.name in _FACTORS else text


def describe_settings(processor: str, values: Any, by_hand: Container[str] = ()) -> str:
    """All settings of one track's processor on one line; those whose names are in `by_hand` are marked."""
    return ", ".join(
        f"{setting_label(setting)} {setting_value(setting, float(getattr(values, setting.name)[0]))}"
        f"{' (set by hand)' if setting.name in by_hand else ''}"
        for setting in PROCESSORS[processor].settings
    )


def is_closed(gate: float) -> bool:
    """Whether a band has no effect, since its gate is closed."""
    return gate < _CLOSED_GATE


def is_fully_open(gate: float) -> bool:
    """Whether a gate leaves the gain of its band as it is."""
    return gate >= _OPEN_GATE


def describe_closed_bands(num_closed: int, num_bands: int) -> str:
    """How many bands are not shown; empty for none."""
    if not num_closed:
        return ""
    return f"{num_closed} of {num_bands} bands {'is' if num_closed == 1 else 'are'} closed."

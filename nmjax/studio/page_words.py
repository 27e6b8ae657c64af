"""Messages of the mastering code in the page's words: its controls in place of options of the command line."""

from __future__ import annotations

from nmjax.runtime.messages import OptionName, say

_CONTROLS = {
    "max_boost": "“Largest boost”",
    "reference_strength": "“Strength”",
    "true_peak": "“Peak limit”",
    "bits": "“Bits”",
}
_PERCENT = ("reference_strength",)
_VALUES = {"float": "32 float"}  # as the page calls them


def page_words(message: str) -> str:
    """A message that names the page's controls."""
    return say(message, _name_control)


def _name_control(option: OptionName) -> str:
    if option.name == "reference_weights":
        aspect, share = option.value.split("=")
        return f"“{aspect.capitalize()}” of the target at {100.0 * float(share):.0f}\N{NO-BREAK SPACE}%"
    control = _CONTROLS[option.name]
    if not option.value:
        return control
    if option.name in _PERCENT:
        return f"{control} at {100.0 * float(option.value):.0f}\N{NO-BREAK SPACE}%"
    return f"{control} {_VALUES.get(option.value, option.value)}"

"""What a delivery asks for: loudness and true-peak ceiling."""

from __future__ import annotations

import dataclasses
from typing import Literal

from nmjax.runtime.errors import BadInputError

MIN_LUFS = -60.0  # the lowest loudness that a spec can ask for


@dataclasses.dataclass(frozen=True)
class DeliverySpec:
    """Loudness and ceiling to deliver.

    Attributes:
        lufs: integrated loudness, −60 to 0 LUFS; None for no gain.
        true_peak_db: ceiling, −30 to 0 dBTP; None for no limiter.
        max_limiting_db: deepest gain reduction of the limiter, 0 to 30 dB.
        name: of the standard, for file names and tables.
        relative: "keep" for the loudness of the input, which `for_input` fills in; "clean" for the loudest that
            `max_limiting_db` allows, where `lufs` is None; otherwise empty.

    Raises:
        BadInputError: a number outside its range.
    """

    lufs: float | None = -14.0
    true_peak_db: float | None = -1.0
    max_limiting_db: float = 6.0
    name: str = "streaming"
    relative: Literal["", "keep", "clean"] = ""

    def __post_init__(self):
        for value, low, high, template in (
            (self.lufs, MIN_LUFS, 0.0, "A loudness of {:g} LUFS"),
            (self.true_peak_db, -30.0, 0.0, "A ceiling of {:g} dBTP"),
            (self.max_limiting_db, 0.0, 30.0, "A limit of {:g} dB for the limiter"),
        ):
            if value is not None and not low <= value <= high:
                raise BadInputError(f"{template.format(value)} cannot be delivered; choose {low:g} to {high:g}.")

    @property
    def allowed_limiting_db(self) -> float:
        """Deepest gain reduction in dB; 0 without a limiter."""
        return 0.0 if self.true_peak_db is None else self.max_limiting_db

    @property
    def asks_for_loudness(self) -> bool:
        """Whether the delivery depends on how loud the signal is."""
        return self.lufs is not None or bool(self.relative)

    def for_input(self, lufs: float) -> DeliverySpec:
        """The spec for an input of this loudness; another one only for "keep"."""
        if self.relative != "keep":
            return self
        return dataclasses.replace(self, lufs=lufs if MIN_LUFS <= lufs <= 0.0 else None)


PRESETS = {
    "streaming": DeliverySpec(),
    "cd": DeliverySpec(lufs=-9.0, true_peak_db=-0.3, name="cd"),
    "club": DeliverySpec(lufs=-7.0, true_peak_db=-0.3, name="club"),
}

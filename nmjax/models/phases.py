"""The phases as rows of one table: code asks for the property that it needs, never for a phase's name."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Phase:
    """Properties of a phase.

    Attributes:
        name: Name in configs, checkpoints and on the command line.
        num_bands: Bands of the equalizer.
        has_gates: Whether each band has a soft gate that can switch it off.
        has_residual: Whether a second network adds a residual waveform to the output.
        has_processors: Whether a compressor, a saturator and a stereo width stage follow the equalizer. The encoder
            then encodes mid and side; otherwise it encodes the mean of the channels (mid) only.
    """

    name: str
    num_bands: int
    has_gates: bool
    has_residual: bool
    has_processors: bool

    def can_start_from(self, earlier: Phase) -> bool:
        """Whether a run of this phase can be initialized from a checkpoint of `earlier`."""
        order = list(PHASES)
        return order.index(earlier.name) <= order.index(self.name)


_ROWS = (
    Phase("1a", num_bands=5, has_gates=False, has_residual=False, has_processors=False),
    Phase("1b", num_bands=5, has_gates=False, has_residual=True, has_processors=False),
    Phase("1c", num_bands=10, has_gates=True, has_residual=True, has_processors=False),
    Phase("2", num_bands=10, has_gates=True, has_residual=True, has_processors=True),
)
PHASES = {phase.name: phase for phase in _ROWS}  # by name, each phase after those that it can start from

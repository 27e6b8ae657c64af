"""The settings of one revision of a track, ready to render, and its reference."""

from __future__ import annotations

import dataclasses
import math

from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.network import Network
from nmjax.mastering.types import RenderPlan
from nmjax.reference.features import TrackFeatures
from nmjax.studio.spool import Spool
from nmjax.studio.state import Edits
from nmjax.studio.suggestion import ResolvedSettings, Suggestion


@dataclasses.dataclass(frozen=True)
class Reference:
    """A measured reference of a track.

    Attributes:
        features: what settings are matched to.
        name: for settings files, as the command line has it.
        spool: its audio at the track's rate and number of channels; None for a target file.
        lufs: loudness of that audio; −inf where it has none.
    """

    features: TrackFeatures
    name: str
    spool: Spool | None = None
    lufs: float = -math.inf


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The settings of one revision, ready to render.

    Attributes:
        revision: of the track.
        edits: of the person.
        suggestion: that they change.
        resolved: the settings.
        plan: what is rendered.
        spec: of the delivery.
        sound_key: identifies everything before the delivery.
        network: adds the residual; None where there is none.
        source: the repaired track.
        signal: the same, measured.
        is_exact: False while a control moves.
    """

    revision: int
    edits: Edits
    suggestion: Suggestion
    resolved: ResolvedSettings
    plan: RenderPlan
    spec: DeliverySpec
    sound_key: str
    network: Network | None
    source: Spool
    signal: SourceSignal
    is_exact: bool

"""Data that mastering takes and returns: options, render plan, analyzed track, result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from nmjax.audio.reader import AudioInfo
from nmjax.dsp import Bands
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.delivery.spec import PRESETS, DeliverySpec
from nmjax.mastering.delivery.write import DeliveryResult
from nmjax.mastering.diagnosis.diagnosis import LoudnessMeasures
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.early_scan import Measurements
from nmjax.mastering.network import Network
from nmjax.mastering.output_paths import OutputPaths
from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan
from nmjax.mastering.request import AUTO
from nmjax.mastering.residual_level import ResidualMeter
from nmjax.mastering.settings.file import StoredSettings
from nmjax.mastering.settings.overrides import Overrides
from nmjax.models import Prediction
from nmjax.reference.match import ReferenceMatch
from nmjax.reference.outcome import MatchOutcome
from nmjax.reference.reference_target import ReferenceTarget


@dataclasses.dataclass(frozen=True)
class AlbumSettings:
    """Settings shared by the songs of an album.

    Attributes:
        prediction: the settings of every song.
        lufs: integrated loudness of the album, in LUFS.
        match: how a reference changed the prediction; None without a reference.
    """

    prediction: Prediction
    lufs: float
    match: ReferenceMatch | None = None


@dataclasses.dataclass(frozen=True)
class MasteringOptions:
    """Checked options, the same for every track.

    Attributes:
        delivery_specs: one master is written for each.
        overrides: changes to the settings.
        settings: rendered instead of the network's prediction.
        repair: names of `request.REPAIR_NAMES`, "auto" or "none".
        analysis_seconds: length of the evenly spaced excerpts that the network analyzes; None for the whole track.
        bits: sample format of the master, one of `formats.BIT_DEPTHS`; None for the input's.
        album: settings shared by an album.
        album_gain_db: gain of the album before delivery.
        intensity: 0 to 2, how far all stages of a prediction go.
        reference_target: reference that the predicted settings are matched to.
    """

    delivery_specs: tuple[DeliverySpec, ...] = (PRESETS["streaming"],)
    overrides: Overrides = dataclasses.field(default_factory=Overrides)
    settings: StoredSettings | None = None
    repair: tuple[str, ...] = (AUTO,)
    analysis_seconds: float | None = None
    bits: str | None = None
    album: AlbumSettings | None = None
    album_gain_db: float = 0.0
    reference_target: ReferenceTarget | None = None
    intensity: float = 1.0


@dataclasses.dataclass(frozen=True)
class RenderPlan:
    """The settings to render.

    Attributes:
        prediction: settings after all overrides.
        eq_sample_rate: rate in Hz at which the prediction's bands have their intended response.
        rendered_bands: the bands fitted to the same response at the track's sample rate.
        rendered_side_bands: the same of the side's equalizer; None where there is none.
        residual_amount: scales the residual; 0 leaves it out.
        match: how a reference changed the prediction; None without a reference.
        repairs: what is repaired before everything else.
        eq_scale: how much of the predicted EQ was asked for, 1 for all of it.
    """

    prediction: Prediction
    eq_sample_rate: int
    rendered_bands: Bands
    residual_amount: float
    match: ReferenceMatch | None = None
    repairs: RepairPlan = NO_REPAIRS
    eq_scale: float = 1.0
    rendered_side_bands: Bands | None = None

    @property
    def match_outcome(self) -> MatchOutcome | None:
        """How near the settings come to the reference; None without one, or where its tone is not matched."""
        return self.match and self.match.outcome(self.prediction.settings, self.eq_sample_rate)


@dataclasses.dataclass(frozen=True)
class InputSignal:
    """A signal to master.

    Attributes:
        read_chunks: opens the signal from its start, as `[frames, channel]` float32 chunks.
        sample_rate: in Hz.
        channels: number of channels.
        name: what messages call it.
        bits: of the samples in its file; None where unknown.
        wait_for_loudness: returns what is known before the diagnosis of measurements that have been started already, or
            None where that is nothing or they failed; None for none.
        wait_for_features: the same, with what a match needs.
        wait_for_scan: returns all of them.
    """

    read_chunks: StreamOpener
    sample_rate: int
    channels: int
    name: str
    bits: int | None = None
    wait_for_loudness: Callable[[], Measurements | None] | None = None
    wait_for_features: Callable[[], Measurements | None] | None = None
    wait_for_scan: Callable[[], Measurements | None] | None = None


@dataclasses.dataclass(frozen=True)
class AnalyzedTrack:
    """A measured and analyzed track.

    Attributes:
        input_signal: the track.
        original: loudness and peak before the repair.
        input_scan: measurements of the repaired track.
        signal: the repaired track.
        render_plan: the settings to render.
        notes: messages for the user.
        findings: of the diagnosis before the repair; empty where the track was not diagnosed.
        early_result: what is done already; None for nothing.
    """

    input_signal: InputSignal
    original: LoudnessMeasures
    input_scan: LoudnessScan
    signal: SourceSignal
    render_plan: RenderPlan
    notes: list[str]
    findings: list[Finding]
    early_result: EarlyResult | None = None


@dataclasses.dataclass(frozen=True)
class RenderedTrack:
    """A track after equalizer, processors and residual, before delivery.

    Attributes:
        open_stream: opens it from its start at each call; the first to read it to its end waits for the rendering.
        residual_meter: of the residual that is added; None where nothing is rendered.
    """

    open_stream: StreamOpener
    residual_meter: ResidualMeter | None = None

    @property
    def residual_level_db(self) -> float | None:
        """Level of the residual relative to the signal to which it was added, of what has been read; −inf for a silent
        one, None where none was rendered."""
        return self.residual_meter.level_db if self.residual_meter else None


class EarlyResult(NamedTuple):
    """What follows the analysis of a track without repairs, done while its diagnosis was still measured.

    Attributes:
        render_plan: the settings to render.
        notes: messages for the user from planning.
        rendered: the rendered track, which has been read to its end; it is closed with the work.
        delivery_scan: of the rendered track at its own rate, for delivery; None where no delivery needs it.
    """

    render_plan: RenderPlan
    notes: list[str]
    rendered: RenderedTrack
    delivery_scan: LoudnessScan | None


@dataclasses.dataclass(frozen=True)
class MasteringResult:
    """A mastered track.

    Attributes:
        outputs: paths of the written files.
        info: header of the input file.
        network: the network that was loaded; None where settings were rendered without one.
        original: loudness and peak of the input before the repair.
        input_scan: measurements of the repaired input.
        render_plan: the settings that were rendered.
        delivery_results: one for each master.
        residual_level_db: see `RenderedTrack`.
        notes: messages for the user.
        findings: see `AnalyzedTrack`.
        has_given_settings: whether the settings were given, rather than predicted.
    """

    outputs: OutputPaths
    info: AudioInfo
    network: Network | None
    original: LoudnessMeasures
    input_scan: LoudnessScan
    render_plan: RenderPlan
    delivery_results: list[DeliveryResult]
    residual_level_db: float | None
    notes: list[str]
    findings: list[Finding]
    has_given_settings: bool = False

    @property
    def repair_sentences(self) -> list[str]:
        """What was repaired before everything else."""
        return [repair.sentence for repair in self.render_plan.repairs.active().values()]

    @property
    def unreported_repairs(self) -> list[str]:
        """The sentences that stand in none of the findings, such as those of repairs from a settings file."""
        reported = " ".join(finding.repaired for finding in self.findings)
        return [sentence for sentence in self.repair_sentences if sentence not in reported]

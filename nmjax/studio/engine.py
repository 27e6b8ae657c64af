"""Pieces of a track rendered by the mastering engine around the play head.

A stage renders blocks of one fixed length, each from the state after the block before. Where that state is not known,
after a seek or a change, the stage runs over some blocks before (preroll), until its filters have forgotten their
start. Blocks of a stage stay valid as long as nothing before it changes: a change of the compressor does not render the
equalizer again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.audio.units import db_to_amplitude
from nmjax.dsp import Bands
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.delivery.limiter import Limiter
from nmjax.mastering.network import Network
from nmjax.mastering.render import EqualizerStage, ProcessorStage, SideEqualizerStage, active_processors, is_flat
from nmjax.mastering.types import RenderPlan
from nmjax.models import Settings
from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.models.processors import PROCESSORS
from nmjax.studio.blocks import Blocks, ResidualBlocks, SourceBlocks, StageBlocks, block_frames
from nmjax.studio.spool import Spool

_MAX_EQ_PREROLL_S = 1.5
_PROCESSOR_PREROLL_S = {"compressor": 2.0, "saturator": 0.2, "width": 0.2}
_FORGOTTEN = math.log(10.0 ** (100.0 / 20.0))  # time constants until a filter's start is 100 dB down
_LIMITER_PREROLL_S, _MAX_LIMITER_PREROLL_S, _LIMITER_AHEAD_S = 0.5, 1.5, 0.02


class PieceRenderer:
    """Renders any piece of a track with the current settings.

    Args:
        source: the repaired track.
        signal: the same, measured.
    """

    def __init__(self, source: Spool, signal: SourceSignal):
        self._source, self._signal = source, signal
        self._size = block_frames(signal.sample_rate)
        self._stages: list[tuple[Any, StageBlocks]] = []
        self._residual: tuple[Any, ResidualBlocks] | None = None
        self._residual_amount = 0.0

    def set_plan(self, plan: RenderPlan, network: Network | None) -> None:
        """Render with these settings from now on; stages before the first change keep their blocks.

        Args:
            plan: the settings.
            network: adds the residual; None where the plan has none.
        """
        settings, rate = plan.prediction.settings, self._signal.sample_rate
        stages: list[tuple[Any, Callable[[], Any], float]] = []
        side_bands = plan.rendered_side_bands if self._source.channels == 2 else None
        for name, bands, stage in (
            ("eq", plan.rendered_bands, EqualizerStage),
            ("eq_side", side_bands, SideEqualizerStage),
        ):
            if bands is not None and not is_flat(bands):
                key = (name, bands.kind, *(np.asarray(x).tobytes() for x in (bands.freq_hz, bands.gain_db, bands.q)))
                stages.append((key, partial(stage, bands, rate), eq_preroll_s(bands)))
        for name in active_processors(settings):
            key = _processor_key(name, settings, self._signal.input_gain_db)
            stages.append((key, _stage_maker(name, settings, rate, self._signal), _PROCESSOR_PREROLL_S[name]))
        upstream: Blocks = SourceBlocks(self._source, self._size)
        unchanged, result = True, []
        for i, (key, make, preroll_s) in enumerate(stages):
            unchanged = unchanged and i < len(self._stages) and self._stages[i][0] == key
            if unchanged:
                upstream = self._stages[i][1]
            else:
                upstream = self._stage_blocks(make(), upstream, preroll_s, self._earlier_compressor(key))
            result.append((key, upstream))
        self._stages = result
        self._set_residual(plan, network)

    def _earlier_compressor(self, key: tuple) -> StageBlocks | None:
        """The compressor until now: its envelope is slow, and changes little with most settings."""
        return next((x for (name, *_), x in self._stages if name == key[0] == "compressor"), None)

    def _stage_blocks(self, stage: Any, upstream: Blocks, preroll_s: float, earlier: StageBlocks | None) -> StageBlocks:
        return StageBlocks(
            stage,
            upstream,
            size=self._size,
            total_frames=self._source.frames,
            preroll_s=preroll_s,
            sample_rate=self._signal.sample_rate,
            earlier=earlier,
        )

    def _set_residual(self, plan: RenderPlan, network: Network | None) -> None:
        self._residual_amount = plan.residual_amount if network and math.isfinite(self._signal.lufs) else 0.0
        if network is None or not self._residual_amount:
            return
        z = plan.prediction.z
        key = (network.checkpoint_digest, np.asarray(z).tobytes())
        if self._residual is None or self._residual[0] != key:
            self._residual = (key, ResidualBlocks(self._source, self._signal, network, z, self._size))

    def render(self, start: int, frames: int) -> Float[np.ndarray, "frames channel"]:
        """A piece before delivery; silent outside of the track."""
        last: Blocks = self._stages[-1][1] if self._stages else SourceBlocks(self._source, self._size)
        audio = self._read(last, start + last.delay, frames)
        if self._residual_amount and self._residual:
            residual = self._read(self._residual[1], start, frames)
            audio = audio + residual * np.float32(self._residual_amount)
        return audio

    def render_delivered(
        self, start: int, frames: int, gain_db: float, ceiling_db: float | None
    ) -> Float[np.ndarray, "frames channel"]:
        """A piece after the delivery's gain and limiter.

        Args:
            start, frames: the piece.
            gain_db: before the limiter.
            ceiling_db: of the limiter in dBTP; None where it is not needed.
        """
        gain, rate = np.float32(db_to_amplitude(gain_db)), self._signal.sample_rate
        if ceiling_db is None:
            return self.render(start, frames) * gain
        begin = max(0, self._limiter_start(start))
        end = min(max(start + frames + int(_LIMITER_AHEAD_S * rate), begin + 1), max(self._source.frames, begin + 1))
        section = self.render(begin, end - begin) * gain
        limited = np.concatenate(list(Limiter(rate, ceiling_db).limit([section])))[start - begin :][:frames]
        return np.concatenate([limited, np.zeros((frames - len(limited), section.shape[1]), np.float32)])

    def _limiter_start(self, start: int) -> int:
        """Where the limiter begins for a piece: earlier where the blocks before are there already."""
        rate = self._signal.sample_rate
        begin, earliest = start - int(_LIMITER_PREROLL_S * rate), start - int(_MAX_LIMITER_PREROLL_S * rate)
        if not self._stages:
            return earliest
        last = self._stages[-1][1]
        while begin > earliest and last.is_stored((begin - self._size + last.delay) // self._size):
            begin -= self._size
        return begin

    def _read(self, blocks: Blocks, start: int, frames: int) -> Float[np.ndarray, "frames channel"]:
        """Frames of blocks; silence before the first."""
        first, last = max(0, start) // self._size, max(0, start + frames - 1) // self._size
        joined = np.concatenate([blocks.block(k) for k in range(first, last + 1)])
        audio = np.zeros((frames, self._source.channels), np.float32)
        offset = max(0, -start)
        piece = joined[max(0, start) - first * self._size :][: frames - offset]
        audio[offset : offset + len(piece)] = piece
        return audio


def eq_preroll_s(bands: Bands) -> float:
    """Seconds after which the filters have forgotten their start by 100 dB, at most 1.5 s."""
    freq_hz, gain_db, q = (np.asarray(x, np.float64)[0] for x in (bands.freq_hz, bands.gain_db, bands.q))
    # A boost narrows the poles of the filter by the root of its gain, a cut those of its inverse.
    seconds = _FORGOTTEN * q * 10.0 ** (np.abs(gain_db) / 40.0) / (np.pi * freq_hz)
    return float(min(_MAX_EQ_PREROLL_S, max(seconds[gain_db != 0.0], default=0.0)))


def warm_up(sample_rate: int, channels: int) -> None:
    """Compile the processors' programs of a block, so that the first change does not wait for the compiler.

    Args:
        sample_rate: Hz.
        channels: number of channels.
    """
    size, one = block_frames(sample_rate), np.ones((1, 1), np.float32)
    silence = np.zeros((size, channels), np.float32)
    neutral = {name: processor.initial_settings() for name, processor in PROCESSORS.items()}
    settings = at_model_level(EqSettings(one, one, one, one)).replace(**neutral)
    for name in PROCESSORS:
        ProcessorStage(name, settings, sample_rate, 0.0).process(silence, size)


def warm_up_residual(source: Spool, signal: SourceSignal, network: Network, z: Any) -> None:
    """The same for a network's residual; arguments as in `ResidualBlocks`."""
    ResidualBlocks(source, signal, network, z, block_frames(signal.sample_rate)).block(0)


def _stage_maker(name: str, settings: Settings, rate: int, signal: SourceSignal) -> Callable[[], ProcessorStage]:
    return lambda: ProcessorStage(name, settings, rate, signal.input_gain_db)


def _processor_key(name: str, settings: Settings, input_gain_db: float) -> tuple:
    values = getattr(settings, name)
    return (name, input_gain_db, *(float(x[0]) for x in vars(values).values()))

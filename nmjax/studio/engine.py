"""Pieces of a track rendered by the mastering engine around the play head.

A stage renders blocks of one fixed length, each from the state after the block before. Where that state is not known,
after a seek or a change, the stage runs over some blocks before (preroll), until its filters have forgotten their
start. Blocks of a stage stay valid as long as nothing before it changes: a change of the compressor does not render the
equalizer again.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.audio.units import db_to_amplitude
from nmjax.dsp import Bands
from nmjax.mastering.analysis import SourceSignal, residual_stream
from nmjax.mastering.delivery.limiter import Limiter
from nmjax.mastering.network import Network
from nmjax.mastering.render import EqualizerStage, ProcessorStage, active_processors, is_flat
from nmjax.mastering.types import RenderPlan
from nmjax.models import SAMPLE_RATE, Settings
from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.models.processors import BLOCK_SIZE, PROCESSORS
from nmjax.studio.spool import Spool

_BLOCK_SECONDS = 0.25
_STORED_BLOCKS, _STORED_STATES = 64, 4096
_MAX_EQ_PREROLL_S = 1.5
_PROCESSOR_PREROLL_S = {"compressor": 2.0, "saturator": 0.2, "width": 0.2}
_WARM_PREROLL_S = 0.5  # where a stage has the state that it had there with other settings
_FORGOTTEN = math.log(10.0 ** (100.0 / 20.0))  # time constants until a filter's start is 100 dB down
_LIMITER_PREROLL_S, _MAX_LIMITER_PREROLL_S, _LIMITER_AHEAD_S = 0.5, 1.5, 0.02
_RESIDUAL_BLOCKS = 2  # rendered together: the network's windows are about 0.7 s long
_RESIDUAL_CONTEXT = 4096  # frames on either side, for the network and both resamplers


@runtime_checkable
class Blocks(Protocol):
    """A signal in blocks. `delay`: by how many frames it is late."""

    delay: int

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block; block 0 starts with the track."""
        ...


def block_frames(sample_rate: int) -> int:
    """Length of a block, a multiple of what the processors need."""
    return max(1, int(_BLOCK_SECONDS * sample_rate) // BLOCK_SIZE) * BLOCK_SIZE


class SourceBlocks:
    """The track itself, silent before its start and after its end."""

    delay = 0

    def __init__(self, source: Spool, size: int):
        self._source, self._size = source, size

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block of the track."""
        return self._source.read(index * self._size, self._size)


class StageBlocks:
    """The output of one stage, with the states between its blocks.

    Args:
        stage: filters a block from a state.
        upstream: its input.
        size: frames of a block.
        total_frames: of the track; the output is silent outside of it, as that of the engine is.
        preroll_s: seconds that are rendered where the state is not known.
        sample_rate: Hz.
        earlier: the same stage with other settings or another input; its states are nearer than silence.
    """

    def __init__(
        self,
        stage,
        upstream: Blocks,
        *,
        size: int,
        total_frames: int,
        preroll_s: float,
        sample_rate: int,
        earlier: StageBlocks | None = None,
    ):
        self._stage, self._upstream, self._size, self._total_frames = stage, upstream, size, total_frames
        self._preroll, self._warm_preroll = (
            math.ceil(seconds * sample_rate / size) for seconds in (preroll_s, min(preroll_s, _WARM_PREROLL_S))
        )
        self._earlier: collections.OrderedDict[int, Any] = collections.OrderedDict()
        if earlier is not None:
            self._earlier.update(collections.ChainMap(earlier._states, earlier._earlier))
        self.delay = upstream.delay + stage.latency
        self._outputs: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._states: collections.OrderedDict[int, Any] = collections.OrderedDict({0: None})

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block of the output."""
        if index in self._outputs:
            self._outputs.move_to_end(index)
            return self._outputs[index]
        first, state = self._start(index)
        for k in range(first, index):
            _, state = self._stage.process(self._upstream.block(k), self._size, state)
            self._store(self._earlier, k + 1, state, _STORED_STATES)  # near, but not the state of the whole track
        output, state = self._stage.process(self._upstream.block(index), self._size, state)
        self._store(self._states, index + 1, state, _STORED_STATES)
        self._store(self._outputs, index, self._silence_outside(output, index), _STORED_BLOCKS)
        return self._outputs[index]

    def is_stored(self, index: int) -> bool:
        """Whether a block needs no rendering."""
        return index in self._outputs

    def _start(self, index: int) -> tuple[int, Any]:
        """From which block to render up to a block, and the state before it."""
        if index in self._states:
            return index, self._states[index]
        first = max(0, index - self._preroll)
        known = max((k for k in range(first, index) if k in self._states), default=None)
        if known is not None:
            return known, self._states[known]
        warm = index - self._warm_preroll
        if warm > first and self._earlier.get(warm) is not None:
            return warm, self._earlier[warm]
        return first, None

    def _silence_outside(self, output: np.ndarray, index: int) -> np.ndarray:
        first = self.delay - index * self._size
        end = first + self._total_frames
        if first > 0 or end < self._size:
            output[: max(0, first)] = 0.0
            output[max(0, end) :] = 0.0
        return output

    @staticmethod
    def _store(stored: collections.OrderedDict, key: int, value: Any, limit: int) -> None:
        stored[key] = value
        stored.move_to_end(key)
        if len(stored) > limit:
            oldest = next(k for k in stored if k != 0)  # the state at rest stays
            del stored[oldest]


class ResidualBlocks:
    """The network's residual at amount 1, which depends on the track and z alone."""

    delay = 0

    def __init__(self, source: Spool, signal: SourceSignal, network: Network, z: Any, size: int):
        self._source, self._signal, self._network, self._z, self._size = source, signal, network, z, size
        self._outputs: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block of the residual."""
        if index not in self._outputs:
            first = index // _RESIDUAL_BLOCKS * _RESIDUAL_BLOCKS
            section = self._render(first * self._size, _RESIDUAL_BLOCKS * self._size)
            for k in range(_RESIDUAL_BLOCKS):
                self._outputs[first + k] = section[k * self._size : (k + 1) * self._size]
            while len(self._outputs) > _STORED_BLOCKS:
                self._outputs.popitem(last=False)
        return self._outputs[index]

    def _render(self, start: int, frames: int) -> Float[np.ndarray, "frames channel"]:
        rate = self._signal.sample_rate
        # Where the network's grid of 8 samples and the resampler's grid meet the track's own.
        step = 8 * rate // math.gcd(rate, SAMPLE_RATE)
        begin = max(0, (start - _RESIDUAL_CONTEXT) // step * step)
        end = min(self._source.frames, start + frames + _RESIDUAL_CONTEXT)
        if begin >= end:
            return np.zeros((frames, self._source.channels), np.float32)
        section = SourceSignal(
            lambda: iter([self._source.read(begin, end - begin)]), rate, self._signal.lufs, end - begin
        )
        residual = np.concatenate(list(residual_stream(section, self._network, self._z)))[start - begin :][:frames]
        return np.concatenate([residual, np.zeros((frames - len(residual), residual.shape[1]), np.float32)])


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
        if not is_flat(plan.rendered_bands):
            bands = plan.rendered_bands
            key = ("eq", bands.kind, *(np.asarray(x).tobytes() for x in (bands.freq_hz, bands.gain_db, bands.q)))
            stages.append((key, lambda: EqualizerStage(bands, rate), eq_preroll_s(bands)))
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


def warm_up(sample_rate: int, channels: int, num_bands: int) -> None:
    """Compile the programs of a block, so that the first change does not wait for the compiler.

    Args:
        sample_rate: Hz.
        channels: number of channels.
        num_bands: of the equalizer.
    """
    size = block_frames(sample_rate)
    ones = jnp.ones((1, num_bands), jnp.float32)
    silence = np.zeros((size, channels), np.float32)
    EqualizerStage(Bands(1000.0 * ones, ones, ones), sample_rate).process(silence, size)
    neutral = {name: processor.initial_settings() for name, processor in PROCESSORS.items()}
    eq = EqSettings(1000.0 * ones, ones, ones, ones)
    for name in PROCESSORS:
        ProcessorStage(name, at_model_level(eq).replace(**neutral), sample_rate, 0.0).process(silence, size)


def warm_up_residual(source: Spool, signal: SourceSignal, network: Network, z: Any) -> None:
    """The same for a network's residual; arguments as in `ResidualBlocks`."""
    ResidualBlocks(source, signal, network, z, block_frames(signal.sample_rate)).block(0)


def _stage_maker(name: str, settings: Settings, rate: int, signal: SourceSignal) -> Callable[[], ProcessorStage]:
    return lambda: ProcessorStage(name, settings, rate, signal.input_gain_db)


def _processor_key(name: str, settings: Settings, input_gain_db: float) -> tuple:
    values = getattr(settings, name)
    return (name, input_gain_db, *(float(x[0]) for x in vars(values).values()))

"""The streaming loudness meter in NumPy: ITU-R BS.1770-4, EBU Tech 3341 and 3342.

`nmjax.dsp.loudness` computes the same measures in JAX with gradients, `nmjax.dsp.loudness_stream` inside compiled
programs. `nmjax.mastering.delivery.verify` has a meter of its own on purpose: it verifies masters independently.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from nmjax.audio.k_weighting import k_weighting_sos
from nmjax.audio.section_filter import SectionFilter
from nmjax.audio.spool import Spool
from nmjax.audio.streams import CHUNK_FRAMES, rechunk

OFFSET_LUFS = -0.691  # loudness of a K-weighted power of 1
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0  # of integrated loudness, below the mean power of what passes the absolute gate
RANGE_GATE_LU = -20.0  # the same for the loudness range
HOPS_PER_SECOND = 10  # gating blocks start every 100 ms
BLOCK_HOPS = 4  # and last 400 ms
SHORT_TERM_HOPS = 30  # short-term loudness: 3 s


class LoudnessMeter:
    """K-weighted energy of a signal in steps of equal length, as chunks of any size arrive.

    Step n starts at frame ceil(n · sample_rate / steps_per_second). Memory grows by `steps_per_second` numbers a
    second.

    Args:
        sample_rate: Hz.
        channel_weights: BS.1770's weight of each channel (`nmjax.audio.bs1770.channel_weights`).
        steps_per_second: a multiple of 10.
        dtype: of the stored energies.
        memory_pages: see `StepAccumulator`.
    """

    def __init__(
        self,
        sample_rate: int,
        channel_weights: npt.ArrayLike,
        steps_per_second: int = HOPS_PER_SECOND,
        dtype: npt.DTypeLike = np.float64,
        memory_pages: int | None = None,
    ):
        self._weights = np.asarray(channel_weights, np.float64)
        self._k_weighting = SectionFilter(k_weighting_sos(sample_rate), len(self._weights))
        self._sample_rate, self._steps_per_hop = sample_rate, steps_per_second // HOPS_PER_SECOND
        self._steps = StepAccumulator(np.add, sample_rate, steps_per_second, dtype, memory_pages)

    @property
    def num_frames(self) -> int:
        """Frames metered so far."""
        return self._steps.num_frames

    def update(self, chunk: Float[np.ndarray, "frames channel"]) -> None:
        """Meter the next chunk; its channels match `channel_weights`."""
        weighted = self._k_weighting(chunk.T)
        self._steps.add(np.einsum("ct,ct,c->t", weighted, weighted, self._weights))

    def mean_power(self) -> float:
        """Mean K-weighted power of all frames, ungated; 0 before the first."""
        return float(self._steps.values().sum()) / max(1, self.num_frames)

    def hop_powers(self) -> Float[np.ndarray, " hops"]:
        """Mean K-weighted power of each complete 100 ms."""
        energies, num_frames = self._hops()
        return energies / num_frames

    def interval_powers(self, num_hops: int) -> Float[np.ndarray, " intervals"]:
        """Mean K-weighted power of successive intervals of `num_hops` · 100 ms; the last one may be shorter."""
        energies = self._steps.values()
        steps = np.arange(0, len(energies), num_hops * self._steps_per_hop)
        edges = np.append(self._steps.start_frame(steps), self.num_frames)
        return np.add.reduceat(energies, steps) / np.diff(edges)

    def short_term_powers(self) -> Float[np.ndarray, " windows"]:
        """Mean K-weighted power of each complete 3 s, one every 100 ms."""
        powers = self.hop_powers()
        if len(powers) < SHORT_TERM_HOPS:
            return np.zeros(0)
        return np.lib.stride_tricks.sliding_window_view(powers, SHORT_TERM_HOPS).mean(axis=1)

    def integrated_lufs(self, step_gains: Iterable[np.ndarray] | None = None) -> float:
        """Integrated (gated) loudness in LUFS; −inf for silence and below 400 ms.

        Args:
            step_gains: factors on the amplitude of each step (complete or not), in arrays of `page_steps`, the last of
                which may be shorter; None for none.
        """
        energies, num_frames = self._hops(step_gains)
        return gated_loudness(energies, num_frames) if len(energies) >= BLOCK_HOPS else -math.inf

    def loudness_range_lu(self) -> float:
        """Loudness range in LU (EBU Tech 3342); NaN below 3 s."""
        powers = self.short_term_powers()
        return loudness_range_of_powers(powers) if len(powers) else math.nan

    @property
    def page_steps(self) -> int:
        """Steps of a page, see `integrated_lufs`."""
        return self._steps.page_steps

    def _hops(self, step_gains: Iterable[np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Energy and number of frames of each complete 100 ms."""
        num_hops = self.num_frames * HOPS_PER_SECOND // self._sample_rate
        starts = self._steps.start_frame(np.arange(num_hops + 1) * self._steps_per_hop)
        gains_by_page = itertools.repeat(None) if step_gains is None else step_gains
        pages = [
            _hop_energies(page, self._steps_per_hop, gains)
            for page, gains in zip(self._steps.pages(), gains_by_page, strict=step_gains is not None)
        ]
        return np.concatenate([np.zeros(0), *pages])[:num_hops], np.diff(starts)


def _hop_energies(energies: np.ndarray, steps_per_hop: int, gains: np.ndarray | None = None) -> np.ndarray:
    """The energy of each 100 ms of a page; of the last, incomplete one nothing."""
    complete = len(energies) // steps_per_hop * steps_per_hop
    by_hop = energies[:complete].reshape(-1, steps_per_hop)
    gains_by_hop = np.broadcast_to(1.0, by_hop.shape) if gains is None else gains[:complete].reshape(by_hop.shape)
    return np.einsum("hs,hs,hs->h", by_hop, gains_by_hop, gains_by_hop, dtype=np.float64)


class StepAccumulator:
    """Reduces a stream of values to one value for each step of 1/steps_per_second s.

    Values are stored in pages of equal size: many small arrays would keep the memory between them from being returned
    to the system.

    Args:
        reduce: np.add, np.maximum or another binary ufunc.
        sample_rate: values a second.
        steps_per_second: a multiple of 10 below `sample_rate`.
        dtype: of the stored values.
        memory_pages: how many pages stay in memory; more of them, of float32, are stored in a temporary file. None for
            all.
    """

    def __init__(
        self,
        reduce: np.ufunc,
        sample_rate: int,
        steps_per_second: int,
        dtype: npt.DTypeLike = np.float32,
        memory_pages: int | None = None,
    ):
        self._reduce, self._rate, self._steps_per_second = reduce, sample_rate, steps_per_second
        steps_per_hop = steps_per_second // HOPS_PER_SECOND
        self.page_steps = CHUNK_FRAMES // steps_per_hop * steps_per_hop
        self._page, self._page_start = np.zeros(self.page_steps, dtype), 0
        self._full_pages: list[np.ndarray] = []
        self._memory_pages, self._spool = memory_pages, None
        self.num_frames = self.num_steps = 0

    def add(self, values: Float[np.ndarray, " frames"]) -> None:
        """Reduce the next values."""
        if not len(values):
            return
        first, last = (
            (frame * self._steps_per_second) // self._rate for frame in (self.num_frames, self.num_frames + len(values))
        )
        starts = np.maximum(self.start_frame(np.arange(first, last + 1)) - self.num_frames, 0)
        new_steps = self._reduce.reduceat(values, starts[starts < len(values)]).astype(self._page.dtype)
        if first < self.num_steps:  # the chunk before ended within this step
            new_steps[0] = self._reduce(self._page[first - self._page_start], new_steps[0])
        self.num_steps = first + len(new_steps)
        self.num_frames += len(values)
        while len(new_steps):
            if first - self._page_start == self.page_steps:
                self._store_page()
            part = new_steps[: self.page_steps - (first - self._page_start)]
            self._page[first - self._page_start :][: len(part)] = part
            new_steps, first = new_steps[len(part) :], first + len(part)

    def _store_page(self) -> None:
        if self._memory_pages is None or len(self._full_pages) < self._memory_pages:
            self._full_pages.append(self._page)
        else:
            self._spool = self._spool or Spool(channels=1)
            self._spool.append(self._page[:, None])
        self._page, self._page_start = np.zeros_like(self._page), self._page_start + self.page_steps

    def pages(self) -> Iterator[np.ndarray]:
        """All steps in pages of `page_steps`; the last may be shorter or empty, and its last step incomplete."""
        yield from self._full_pages
        if self._spool:
            yield from (page[:, 0] for page in rechunk(self._spool.read_chunks(), self.page_steps))
        yield self._page[: self.num_steps - self._page_start]

    def values(self) -> np.ndarray:
        """`[steps]`; the last step may be incomplete."""
        return np.concatenate([*self.pages()])

    def start_frame(self, step: np.ndarray) -> np.ndarray:
        """The first frame of a step."""
        return -(-step * self._rate // self._steps_per_second)


def power_to_lufs(power: np.ndarray | float) -> np.ndarray | np.float64:
    """LUFS of a K-weighted power; −inf for 0."""
    with np.errstate(divide="ignore"):
        return OFFSET_LUFS + 10.0 * np.log10(power)


def gated_loudness(energy: Float[np.ndarray, " hops"], num_frames: np.ndarray) -> float:
    """Integrated loudness in LUFS from the K-weighted energy and the frames of each 100 ms.

    Blocks of 400 ms every 100 ms, gated at −70 LUFS and then at 10 LU below the mean power of the rest
    (ITU-R BS.1770-4, annex 1); −inf where no block passes.

    Args:
        energy: at least 4 values.
        num_frames: `[hops]`.
    """
    ones = np.ones(BLOCK_HOPS)
    power = np.convolve(energy, ones, "valid") / np.convolve(num_frames, ones, "valid")
    power = power[power_to_lufs(power) > ABSOLUTE_GATE_LUFS]
    if not len(power):
        return -math.inf
    gate_power = 10.0 ** (RELATIVE_GATE_LU / 10.0) * np.mean(power)
    return float(power_to_lufs(float(np.mean(power[power > gate_power]))))


def loudness_range_of_powers(powers: Float[np.ndarray, " windows"]) -> float:
    """Loudness range in LU of short-term powers (EBU Tech 3342).

    From the 10th to the 95th percentile of the values above −70 LUFS and above the mean power − 20 LU; 0 where there
    are none.
    """
    powers = powers[power_to_lufs(powers) > ABSOLUTE_GATE_LUFS]
    if not len(powers):
        return 0.0
    powers = powers[powers > 10.0 ** (RANGE_GATE_LU / 10.0) * np.mean(powers)]
    low, high = np.percentile(powers, (10.0, 95.0), method="nearest")
    return float(10.0 * np.log10(high / low))

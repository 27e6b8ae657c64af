"""A track rendered when it is read for the first time, before delivery."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nmjax.audio.spool import StoredStream
from nmjax.audio.streams import AudioChunks, scale_stream_db
from nmjax.mastering.analysis import SourceSignal, process_chain, residual_stream
from nmjax.mastering.network import Network
from nmjax.mastering.render import active_processors, is_flat
from nmjax.mastering.residual_level import ResidualMeter
from nmjax.mastering.source import StreamTap, no_tap
from nmjax.mastering.types import AnalyzedTrack, RenderedTrack, RenderPlan

RENDERED_MEMORY_BYTES = 64 << 20  # of a rendered track; the rest of it is in a file: three minutes of stereo


def render_track(
    analyzed_track: AnalyzedTrack,
    network: Network | None,
    gain_db: float = 0.0,
    folder: Path | None = None,
    tap: StreamTap = no_tap,
) -> contextlib.AbstractContextManager[RenderedTrack]:
    """Renders an analyzed track; arguments as in `render_signal`."""
    return render_signal(
        analyzed_track.signal,
        analyzed_track.input_signal.channels,
        analyzed_track.render_plan,
        network,
        gain_db=gain_db,
        folder=folder,
        tap=tap,
        memory_bytes=RENDERED_MEMORY_BYTES,
    )


@contextlib.contextmanager
def render_signal(
    signal: SourceSignal,
    channels: int,
    render_plan: RenderPlan,
    network: Network | None,
    *,
    gain_db: float = 0.0,
    folder: Path | None = None,
    tap: StreamTap = no_tap,
    memory_bytes: int = 0,
) -> Iterator[RenderedTrack]:
    """Renders a repaired signal when it is read for the first time; it can be read until the context ends.

    It is the input itself where nothing is changed; otherwise the first reading, to its end, stores it.

    Args:
        signal: the signal.
        channels: its number of channels.
        render_plan: the settings.
        network: adds the residual.
        gain_db: of an album, before delivery.
        folder: of the temporary file; None for the system's.
        tap: called with the name of each stage and its output.
        memory_bytes: how much of the result stays in memory; nothing does beside a residual, whose network needs much
            of it, and takes longer than a file.
    """
    settings = render_plan.prediction.settings
    side_bands = render_plan.rendered_side_bands if channels == 2 else None
    has_side_eq = side_bands is not None and not is_flat(side_bands)
    has_processing = not is_flat(render_plan.rendered_bands) or has_side_eq or bool(active_processors(settings))
    if not render_plan.residual_amount and not has_processing and gain_db == 0.0:
        yield RenderedTrack(signal.read_chunks)
        return
    residual_network = network if render_plan.residual_amount else None
    residual_meter = ResidualMeter()

    def render() -> AudioChunks:
        audio = process_chain(signal, settings, render_plan.rendered_bands, side_bands, tap)
        if residual_network:
            residual = residual_stream(signal, residual_network, render_plan.prediction.z, render_plan.residual_amount)
            audio = residual_meter.add(audio, tap("residual", residual))
        return scale_stream_db(audio, gain_db)

    stored_bytes = 0 if residual_network else memory_bytes
    with contextlib.closing(StoredStream(render, channels, folder, stored_bytes)) as rendered:
        yield RenderedTrack(rendered.read_chunks, residual_meter)

"""Requests for what a track sounds like: waveform, audio, curves and meters."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nmjax.studio.curves import curves_dict
from nmjax.studio.peaks import read_peaks
from nmjax.studio.pieces import MAX_PIECE_S, SIDES, NoReferenceError, read_piece
from nmjax.studio.request_values import choice, number, studio_of, track_of

_MAX_COLUMNS = 20_000
_OCTETS = "application/octet-stream"


async def get_peaks(request: Request) -> Response:
    """Minima and maxima of a waveform, `[columns, 2]`."""
    track, side = track_of(request), choice(request, "side", "original", ("original", "master"))
    columns = number(request, "columns", 1000, 1, _MAX_COLUMNS)
    spool, steps, revision = track.sources.get("none"), track.original_peaks, track.revision
    if side == "master":
        whole = track.master
        spool, steps, revision = (whole.spool, whole.peaks, whole.revision) if whole else (None, None, 0)
    if spool is None or steps is None:
        return JSONResponse({"error": "The waveform is not ready yet; wait a moment.", "pending": True}, 409)
    start = number(request, "start", 0, 0, max(0, spool.frames - 1))
    frames = number(request, "frames", spool.frames, 1, spool.frames)
    peaks = await run_in_threadpool(read_peaks, steps, spool, start, frames, columns)
    return Response(peaks.tobytes(), media_type=_OCTETS, headers={"X-Revision": str(revision)})


async def get_audio(request: Request) -> Response:
    """A piece of a side, `[frames, channel]` float32."""
    track, side = track_of(request), choice(request, "side", "master", SIDES)
    loudness = choice(request, "loudness", "equal", ("equal", "delivered"))
    rate = track.sample_rate or 1
    start = number(request, "start", 0, -rate, 1 << 40)
    frames = number(request, "frames", rate // 2, 1, int(MAX_PIECE_S * rate))
    revision = number(request, "revision", track.revision, 0, 1 << 40)
    if side in ("master", "null") and revision != track.revision:
        return JSONResponse({"error": "The settings have changed.", "revision": track.revision}, 409)
    priority = studio_of(request).priority
    try:
        piece = await run_in_threadpool(
            read_piece,
            track,
            side,
            start,
            frames,
            is_equal=loudness == "equal",
            priority=priority,
            reference_id=request.query_params.get("reference", ""),
        )
    except NoReferenceError as error:  # it was removed while the page asked for it: the page asks for the state again
        return JSONResponse({"error": str(error), "revision": track.revision}, 409)
    headers = {
        "X-Revision": str(revision),
        "X-Gain-DB": f"{piece.gain_db:.4f}",
        "X-Channels": str(piece.audio.shape[1]),
        "X-Sample-Rate": str(track.sample_rate),
        "X-Exact": str(int(piece.is_exact)),
        "Cache-Control": "no-store",
    }
    audio = np.ascontiguousarray(piece.audio, "<f4")
    return Response(audio.tobytes(), media_type=_OCTETS, headers=headers)


async def get_curves(request: Request) -> Response:
    """Responses, spectra and static curves of the current settings."""
    track = track_of(request)

    def work() -> dict[str, Any]:
        prepared, analysis = track.prepare(), track.analysis
        assert analysis is not None
        return curves_dict(
            prepared.plan.prediction,
            eq_sample_rate=prepared.suggestion.eq_sample_rate,
            sample_rate=track.sample_rate,
            spectrum_db=analysis.spectrum_db,
            side_spectrum_db=analysis.side_spectrum_db,
            difference_db=prepared.suggestion.difference_db,
        )

    return JSONResponse(await run_in_threadpool(work))


async def get_meters(request: Request) -> Response:
    """Loudness and gain reduction over time."""
    track, side = track_of(request), choice(request, "side", "master", ("original", "master"))
    meters = track.original_meters if side == "original" else track.master and track.master.meters
    is_old = side == "master" and (track.master is None or track.master.revision != track.revision)
    empty = {"times_s": [], "momentary": [], "short_term": [], "limiter_gain_db": [], "compressor_gain_db": []}
    numbers = dict.fromkeys(("integrated", "loudness_range", "true_peak_db"))
    return JSONResponse({**empty, **numbers, **(meters or {}), "pending": is_old or meters is None})

"""The requests of the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from nmjax.mastering.settings.file import settings_from_json
from nmjax.runtime.errors import BadInputError
from nmjax.studio.curves import curves_dict
from nmjax.studio.deliveries import delivered_file, read_order
from nmjax.studio.peaks import read_peaks
from nmjax.studio.pieces import MAX_PIECE_S, SIDES, read_piece
from nmjax.studio.request_values import choice, number, read_json, read_text
from nmjax.studio.security import REPORT_CSP
from nmjax.studio.session_info import session_dict
from nmjax.studio.studio import NoSuchThingError, Studio
from nmjax.studio.targets import TARGET_SUFFIX, new_reference_folder
from nmjax.studio.track import Track
from nmjax.studio.track_view import change_dict, track_dict
from nmjax.studio.uploads import UploadError, receive, safe_name

_MAX_COLUMNS = 20_000
_MAX_SNAPSHOT_NAME = 80
_MAX_SNAPSHOTS = 200
_OCTETS = "application/octet-stream"


def all_routes() -> list[Route]:
    """The routes of the API."""
    track = "/api/tracks/{track}"
    table: list[tuple[str, str, Callable]] = [
        ("GET", "/api/session", get_session),
        ("POST", "/api/tracks", post_track),
        ("GET", track, get_track),
        ("DELETE", track, delete_track),
        ("PATCH", f"{track}/state", patch_state),
        ("POST", f"{track}/snapshots", post_snapshot),
        ("POST", f"{track}/snapshots/{{name:path}}/restore", restore_snapshot),
        ("DELETE", f"{track}/snapshots/{{name:path}}", delete_snapshot),
        ("GET", f"{track}/settings.json", get_settings),
        ("PUT", f"{track}/settings.json", put_settings),
        ("GET", f"{track}/peaks", get_peaks),
        ("GET", f"{track}/audio", get_audio),
        ("GET", f"{track}/curves", get_curves),
        ("GET", f"{track}/meters", get_meters),
        ("POST", f"{track}/references", post_reference),
        ("POST", f"{track}/{{step}}", post_step),
        ("POST", "/api/deliveries", post_delivery),
        ("GET", "/api/deliveries/{job}/{file}", get_delivery),
        ("GET", "/api/jobs", get_jobs),
        ("DELETE", "/api/jobs/{job}", delete_job),
        ("GET", "/api/events", get_events),
    ]
    return [Route(path, endpoint, methods=[method]) for method, path, endpoint in table]


def _studio(request: Request) -> Studio:
    return request.app.state.studio


def _track(request: Request) -> Track:
    return _studio(request).track(request.path_params["track"])


async def get_session(request: Request) -> Response:
    """The session: tracks, and everything that can be chosen."""
    return JSONResponse(session_dict(_studio(request)))


async def _receive(request: Request, folder: Path, more_suffixes: tuple[str, ...] = ()) -> tuple[str, Path]:
    """Stream the body into a folder; the name for people, and the path."""
    name = request.query_params.get("name", "")
    path = folder / safe_name(name, more_suffixes)
    length = request.headers.get("content-length")
    announced = int(length) if length and length.isdecimal() else None
    try:
        await receive(request.stream(), path, announced, _studio(request).upload_limit_bytes)
    except ClientDisconnect:
        raise UploadError("The upload was cut off; drop the file again.", 400) from None
    return "".join(c for c in name if c.isprintable())[:200], path


async def post_track(request: Request) -> Response:
    """A new track; its file is the body."""
    studio = _studio(request)
    safe_name(request.query_params.get("name", ""))  # before a folder is made
    folder = studio.new_folder()
    try:
        name, path = await _receive(request, folder / "upload")
        track = await run_in_threadpool(studio.add_track, folder, name, path)
    except BaseException:
        studio.discard_folder(folder)
        raise
    return JSONResponse(track.brief(), 201)


async def get_track(request: Request) -> Response:
    """Everything about a track but its audio."""
    return JSONResponse(await run_in_threadpool(track_dict, _track(request)))


async def delete_track(request: Request) -> Response:
    """Remove a track and its files."""
    await run_in_threadpool(_studio(request).remove_track, _track(request))
    return Response(status_code=204)


async def _change(request: Request, change: Callable[[Track], None]) -> Response:
    """Do a change of settings; returns the state after it."""
    studio, track = _studio(request), _track(request)

    def work() -> dict[str, Any]:
        with track.lock:
            change(track)
            reply = change_dict(track)
        studio.changed(track)
        return reply

    return JSONResponse(await run_in_threadpool(work))


async def patch_state(request: Request) -> Response:
    """Change some settings."""
    changes = await read_json(request)
    if not isinstance(changes, dict):
        raise BadInputError("Give the changes as names and values in braces.")
    return await _change(request, lambda track: track.patch(changes))


async def post_step(request: Request) -> Response:
    """Undo, redo or reset."""
    step = request.path_params["step"]
    if step not in ("undo", "redo", "reset"):
        raise NoSuchThingError("There is no such step; choose undo, redo or reset.")
    return await _change(request, lambda track: track.step(step))


async def post_snapshot(request: Request) -> Response:
    """Store the settings under a name."""
    tree, track = await read_json(request), _track(request)
    name = tree.get("name") if isinstance(tree, dict) else None
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _MAX_SNAPSHOT_NAME:
        raise BadInputError(f"Give the snapshot a name of 1 to {_MAX_SNAPSHOT_NAME} characters.")
    if len(track.history.snapshots) >= _MAX_SNAPSHOTS:
        raise BadInputError(f"There are {_MAX_SNAPSHOTS} snapshots already; delete one first.")
    await run_in_threadpool(track.snapshot, name.strip())
    return JSONResponse({"snapshots": list(track.history.snapshots)}, 201)


def _snapshot(request: Request) -> str:
    name = request.path_params["name"]
    if name not in _track(request).history.snapshots:
        raise NoSuchThingError("There is no snapshot of this name.")
    return name


async def restore_snapshot(request: Request) -> Response:
    """The settings of a snapshot, as a new step."""
    name = _snapshot(request)
    return await _change(request, lambda track: track.restore_snapshot(name))


async def delete_snapshot(request: Request) -> Response:
    """Forget a snapshot."""
    track, name = _track(request), _snapshot(request)
    await run_in_threadpool(track.delete_snapshot, name)
    return JSONResponse({"snapshots": list(track.history.snapshots)})


async def get_settings(request: Request) -> Response:
    """The settings file of the command line."""
    track = _track(request)
    text = await run_in_threadpool(track.settings_json)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(track.upload.stem, safe='')}-settings.json"}
    return Response(text, media_type="application/json", headers=headers)


async def put_settings(request: Request) -> Response:
    """Load a settings file."""
    text = await read_text(request)
    stored = await run_in_threadpool(settings_from_json, text, "The file")
    return await _change(request, lambda track: track.load(stored, text))


async def get_peaks(request: Request) -> Response:
    """Minima and maxima of a waveform, `[columns, 2]`."""
    track, side = _track(request), choice(request, "side", "original", ("original", "master"))
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
    track, side = _track(request), choice(request, "side", "master", SIDES)
    loudness = choice(request, "loudness", "equal", ("equal", "delivered"))
    rate = track.sample_rate or 1
    start = number(request, "start", 0, -rate, 1 << 40)
    frames = number(request, "frames", rate // 2, 1, int(MAX_PIECE_S * rate))
    revision = number(request, "revision", track.revision, 0, 1 << 40)
    if side in ("master", "null") and revision != track.revision:
        return JSONResponse({"error": "The settings have changed.", "revision": track.revision}, 409)
    priority = _studio(request).priority
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
    track = _track(request)

    def work() -> dict[str, Any]:
        prepared, analysis = track.prepare(), track.analysis
        assert analysis is not None
        return curves_dict(
            prepared.plan.prediction,
            eq_sample_rate=prepared.suggestion.eq_sample_rate,
            sample_rate=track.sample_rate,
            spectrum_db=analysis.spectrum_db,
            difference_db=prepared.suggestion.difference_db,
        )

    return JSONResponse(await run_in_threadpool(work))


async def get_meters(request: Request) -> Response:
    """Loudness and gain reduction over time."""
    track, side = _track(request), choice(request, "side", "master", ("original", "master"))
    meters = track.original_meters if side == "original" else track.master and track.master.meters
    is_old = side == "master" and (track.master is None or track.master.revision != track.revision)
    empty = {"times_s": [], "momentary": [], "short_term": [], "limiter_gain_db": [], "compressor_gain_db": []}
    numbers = dict.fromkeys(("integrated", "loudness_range", "true_peak_db"))
    return JSONResponse({**empty, **numbers, **(meters or {}), "pending": is_old or meters is None})


async def post_reference(request: Request) -> Response:
    """Match the track to one more reference; its file, music or a target file, is the body."""
    studio, track = _studio(request), _track(request)
    if track.analysis is None:
        raise BadInputError("The track is still being analyzed; wait a moment.")
    safe_name(request.query_params.get("name", ""), (TARGET_SUFFIX,))
    folder = new_reference_folder(track.folder)
    try:
        name, path = await _receive(request, folder / "file", (TARGET_SUFFIX,))
        job = await run_in_threadpool(studio.add_reference, track, folder, name, path)
    except BaseException:
        studio.discard_folder(folder)
        raise
    return JSONResponse(job.to_dict(), 202)


async def post_delivery(request: Request) -> Response:
    """Write masters."""
    order = await run_in_threadpool(read_order, await read_json(request))
    job = await run_in_threadpool(_studio(request).deliver, order)
    return JSONResponse(job.to_dict(), 202)


async def get_delivery(request: Request) -> Response:
    """A delivered file: saved by the browser, a report shown in a sandbox."""
    studio, job = _studio(request), _studio(request).jobs.get(request.path_params["job"])
    if job is None or job.kind != "delivery" or job.state != "done":
        raise NoSuchThingError("There is no such file; deliver the track again.")
    path = delivered_file(studio.session.deliveries / job.id, request.path_params["file"])
    if path.suffix == ".html":
        headers = {"Content-Security-Policy": REPORT_CSP}
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)
    return FileResponse(path, filename=path.name)


async def get_jobs(request: Request) -> Response:
    """All jobs of this run."""
    return JSONResponse([job.to_dict() for job in _studio(request).jobs.jobs()])


async def delete_job(request: Request) -> Response:
    """Cancel a job."""
    job = _studio(request).jobs.get(request.path_params["job"])
    if job is None:
        raise NoSuchThingError("There is no such job; it may have ended.")
    job.cancel()
    return JSONResponse(job.to_dict())


async def get_events(request: Request) -> Response:
    """What happens, as server-sent events."""
    stream = _studio(request).hub.subscribe()
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

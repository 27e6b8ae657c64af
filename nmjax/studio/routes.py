"""The requests of the page."""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from nmjax.studio.delivery_requests import delete_job, get_delivery, get_jobs, post_delivery
from nmjax.studio.request_values import studio_of, track_of
from nmjax.studio.session_info import session_dict
from nmjax.studio.settings_requests import (
    delete_snapshot,
    get_settings,
    patch_state,
    post_snapshot,
    post_step,
    put_settings,
    restore_snapshot,
)
from nmjax.studio.sound_requests import get_audio, get_curves, get_meters, get_peaks
from nmjax.studio.track_view import track_dict
from nmjax.studio.upload_requests import post_reference, post_track


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


async def get_session(request: Request) -> Response:
    """The session: tracks, and everything that can be chosen."""
    return JSONResponse(session_dict(studio_of(request)))


async def get_track(request: Request) -> Response:
    """Everything about a track but its audio."""
    return JSONResponse(await run_in_threadpool(track_dict, track_of(request)))


async def delete_track(request: Request) -> Response:
    """Remove a track and its files."""
    await run_in_threadpool(studio_of(request).remove_track, track_of(request))
    return Response(status_code=204)


async def get_events(request: Request) -> Response:
    """What happens, as server-sent events."""
    stream = studio_of(request).hub.subscribe()
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

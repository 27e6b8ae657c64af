"""Requests that change the settings of a track."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nmjax.mastering.settings.file import settings_from_json
from nmjax.runtime.errors import BadInputError
from nmjax.studio import changes
from nmjax.studio.ordered import order_track
from nmjax.studio.request_values import read_json, read_text, studio_of, track_of
from nmjax.studio.studio import NoSuchThingError
from nmjax.studio.track import Track
from nmjax.studio.track_view import change_dict

_MAX_SNAPSHOT_NAME = 80
_MAX_SNAPSHOTS = 200


async def _change(request: Request, change: Callable[[Track], None]) -> Response:
    """Do a change of settings; returns the state after it."""
    studio, track = studio_of(request), track_of(request)

    def work() -> dict[str, Any]:
        with track.lock:
            change(track)
            reply = change_dict(track)
        studio.changed(track)
        return reply

    return JSONResponse(await run_in_threadpool(work))


async def patch_state(request: Request) -> Response:
    """Change some settings."""
    patch = await read_json(request)
    if not isinstance(patch, dict):
        raise BadInputError("Give the changes as names and values in braces.")
    return await _change(request, lambda track: changes.patch(track, patch))


async def post_step(request: Request) -> Response:
    """Undo, redo or reset."""
    step = request.path_params["step"]
    if step not in ("undo", "redo", "reset"):
        raise NoSuchThingError("There is no such step; choose undo, redo or reset.")
    return await _change(request, lambda track: changes.step(track, step))


async def post_snapshot(request: Request) -> Response:
    """Store the settings under a name."""
    tree, track = await read_json(request), track_of(request)
    name = tree.get("name") if isinstance(tree, dict) else None
    # Dots alone would be a folder in an address.
    if not isinstance(name, str) or not name.strip(" .") or not name.isprintable() or len(name) > _MAX_SNAPSHOT_NAME:
        raise BadInputError(f"Give the snapshot a name of 1 to {_MAX_SNAPSHOT_NAME} characters.")
    if len(track.history.snapshots) >= _MAX_SNAPSHOTS:
        raise BadInputError(f"There are {_MAX_SNAPSHOTS} snapshots already; delete one first.")
    await run_in_threadpool(changes.store_snapshot, track, name.strip())
    return JSONResponse({"snapshots": list(track.history.snapshots)}, 201)


def _snapshot(request: Request) -> str:
    name = request.path_params["name"]
    if name not in track_of(request).history.snapshots:
        raise NoSuchThingError("There is no snapshot of this name.")
    return name


async def restore_snapshot(request: Request) -> Response:
    """The settings of a snapshot, as a new step."""
    name = _snapshot(request)
    return await _change(request, lambda track: changes.restore_snapshot(track, name))


async def delete_snapshot(request: Request) -> Response:
    """Forget a snapshot."""
    track, name = track_of(request), _snapshot(request)
    await run_in_threadpool(changes.delete_snapshot, track, name)
    return JSONResponse({"snapshots": list(track.history.snapshots)})


async def get_settings(request: Request) -> Response:
    """The settings file of the command line."""
    track = track_of(request)
    text = (await run_in_threadpool(order_track, track)).settings
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(track.upload.stem, safe='')}-settings.json"}
    return Response(text, media_type="application/json", headers=headers)


async def put_settings(request: Request) -> Response:
    """Load a settings file."""
    text = await read_text(request)
    stored = await run_in_threadpool(settings_from_json, text, "The file")
    return await _change(request, lambda track: changes.load(track, stored, text))

"""Requests that bring files: tracks and references."""

from __future__ import annotations

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from nmjax.runtime.errors import BadInputError
from nmjax.studio.request_values import studio_of, track_of
from nmjax.studio.targets import TARGET_SUFFIX, new_reference_folder
from nmjax.studio.uploads import UploadError, receive, safe_name


async def _receive(request: Request, folder: Path, more_suffixes: tuple[str, ...] = ()) -> tuple[str, Path]:
    """Stream the body into a folder; the name for people, and the path."""
    name = request.query_params.get("name", "")
    path = folder / safe_name(name, more_suffixes)
    length = request.headers.get("content-length")
    announced = int(length) if length and length.isdecimal() else None
    try:
        await receive(request.stream(), path, announced, studio_of(request).upload_limit_bytes)
    except ClientDisconnect:
        raise UploadError("The upload was cut off; drop the file again.", 400) from None
    return "".join(c for c in name if c.isprintable())[:200], path


async def post_track(request: Request) -> Response:
    """A new track; its file is the body."""
    studio = studio_of(request)
    safe_name(request.query_params.get("name", ""))  # before a folder is made
    folder = studio.new_folder()
    try:
        name, path = await _receive(request, folder / "upload")
        track = await run_in_threadpool(studio.add_track, folder, name, path)
    except BaseException:
        studio.discard_folder(folder)
        raise
    return JSONResponse(track.brief(), 201)


async def post_reference(request: Request) -> Response:
    """Match the track to one more reference; its file, music or a target file, is the body."""
    studio, track = studio_of(request), track_of(request)
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

"""Requests for long work: deliveries with their files, and jobs."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from nmjax.studio.deliveries import delivered_file, read_order
from nmjax.studio.request_values import read_json, studio_of
from nmjax.studio.security import REPORT_CSP
from nmjax.studio.studio import NoSuchThingError


async def post_delivery(request: Request) -> Response:
    """Write masters."""
    order = await run_in_threadpool(read_order, await read_json(request))
    job = await run_in_threadpool(studio_of(request).deliver, order)
    return JSONResponse(job.to_dict(), 202)


async def get_delivery(request: Request) -> Response:
    """A delivered file: saved by the browser, a report shown in a sandbox."""
    studio, job = studio_of(request), studio_of(request).jobs.get(request.path_params["job"])
    if job is None or job.kind != "delivery" or job.state != "done":
        raise NoSuchThingError("There is no such file; deliver the track again.")
    folder = studio.session.deliveries / job.id
    path = await run_in_threadpool(delivered_file, folder, request.path_params["file"])
    if path.suffix == ".html":
        headers = {"Content-Security-Policy": REPORT_CSP}
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)
    return FileResponse(path, filename=path.name)


async def get_jobs(request: Request) -> Response:
    """All jobs of this run."""
    return JSONResponse([job.to_dict() for job in studio_of(request).jobs.jobs()])


async def delete_job(request: Request) -> Response:
    """Cancel a job."""
    job = studio_of(request).jobs.get(request.path_params["job"])
    if job is None:
        raise NoSuchThingError("There is no such job; it may have ended.")
    job.cancel()
    return JSONResponse(job.to_dict())

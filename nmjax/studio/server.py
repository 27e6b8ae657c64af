"""The studio's server: the app, and the run of it until Ctrl-C."""

from __future__ import annotations

import contextlib
import mimetypes
import socket
import webbrowser
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio.to_thread
import uvicorn
from rich.console import Console
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from nmjax import html
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError, CannotWriteError
from nmjax.studio import routes
from nmjax.studio.security import Gate, SecurityMiddleware
from nmjax.studio.session import open_session
from nmjax.studio.studio import NoSuchThingError, Studio
from nmjax.studio.uploads import UploadError

_PAGE = Path(__file__).with_name("page")
_MIME_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_THREADS = 6  # for requests
_SHUTDOWN_S = 3  # that open requests get to end


class PageFiles(StaticFiles):
    """The page's own files; a browser asks for changes of them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def make_app(studio: Studio, gate: Gate, page: Path = _PAGE) -> Starlette:
    """The app that serves a studio. page: folder of the page's files."""
    for suffix, kind in _MIME_TYPES.items():
        mimetypes.add_type(kind, suffix)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        studio.hub.open()
        # Each thread that allocates has memory of its own; a person and a few pages need no more than these.
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        yield
        studio.hub.close()

    app = Starlette(
        routes=[
            *routes.all_routes(),
            Mount("/components", PageFiles(directory=html.COMPONENTS)),
            Mount("/", PageFiles(directory=page, html=True, check_dir=False)),
        ],
        middleware=[Middleware(SecurityMiddleware, gate=gate)],
        exception_handlers={
            BadInputError: _bad_input,
            HTTPException: _http_error,
            Exception: _internal_error,
        },
        lifespan=lifespan,
    )
    app.state.studio = studio
    return app


def _bad_input(_: Request, error: Exception) -> Response:
    status = 400
    if isinstance(error, UploadError):
        status = error.status
    elif isinstance(error, NoSuchThingError):
        status = 404
    elif isinstance(error, CannotWriteError):
        status = 507
    return JSONResponse({"error": str(error)}, status)


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"The studio cannot do this ({error.detail})."}, error.status_code)


def _internal_error(_: Request, error: Exception) -> Response:
    sentence = f"Something in the studio failed ({type(error).__name__}); its terminal says more."
    return JSONResponse({"error": sentence}, 500)


class _Server(uvicorn.Server):
    """Ends the event streams first: a shutdown would wait for them."""

    def __init__(self, config: uvicorn.Config, studio: Studio):
        super().__init__(config)
        self._studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._studio.hub.close()
        await super().shutdown(sockets)


def run_studio(
    tracks: Sequence[Path], *, port: int, new: bool, upload_limit_bytes: int, open_browser: bool, console: Console
) -> None:
    """Serve the studio on 127.0.0.1 until Ctrl-C.

    Args:
        tracks: files to add.
        port: 0 for any.
        new: start with an empty session.
        upload_limit_bytes: of a file.
        open_browser: whether the page opens by itself.
        console: where the address is printed.

    Raises:
        BadInputError: a track cannot be read, or the port is in use.
    """
    listener = listen(port)
    gate = Gate(listener.getsockname()[1], lambda address: print_line(console, f"For another browser: {address}"))
    studio = Studio(open_session(new), upload_limit_bytes)
    try:
        for track in tracks:
            studio.add_file(track)
        config = uvicorn.Config(
            make_app(studio, gate),
            log_level="warning",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
        print_line(console, f"The studio is at {gate.address}")
        print_line(console, "Ctrl-C ends it; the session stays, and is there again at the next start.")
        if open_browser:
            webbrowser.open(gate.address)
        _Server(config, studio).run(sockets=[listener])
    finally:
        studio.close()


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1. port: 0 for any.

    Raises:
        BadInputError: the port is in use.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)  # before the address is printed: who connects at once waits
    except OSError as error:
        listener.close()
        raise BadInputError(
            f"Port {port} cannot be used ({error.strerror or error}); leave --port out, or choose another one."
        ) from None
    return listener

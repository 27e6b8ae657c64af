"""What a request has: its studio and track, its JSON, and the numbers and words of its query."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from nmjax.mastering.settings.file import MAX_BYTES
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest
from nmjax.studio.studio import Studio
from nmjax.studio.track import Track
from nmjax.studio.uploads import UploadError


def studio_of(request: Request) -> Studio:
    """The studio that serves a request."""
    return request.app.state.studio


def track_of(request: Request) -> Track:
    """The track that the path of a request names.

    Raises:
        NoSuchThingError: there is none.
    """
    return studio_of(request).track(request.path_params["track"])


async def read_json(request: Request) -> Any:
    """The JSON of a request's body.

    Raises:
        BadInputError: it is too large, or no JSON.
    """
    return _parse_json(await read_text(request))


async def read_text(request: Request) -> str:
    """The text of a request's body.

    Raises:
        BadInputError: it is too large, or no UTF-8.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BYTES:
            raise UploadError(f"The request is larger than {MAX_BYTES // 1_000_000} MB.", 413)
        parts.append(part)
    try:
        return b"".join(parts).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInputError("The request is not UTF-8 text.") from None


def _parse_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise BadInputError(f"{constant} is not allowed; give a finite number.")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError("The request is not valid JSON.") from None


def number(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query, moved into its range.

    Raises:
        BadInputError: it is no number.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.removeprefix("-").isdecimal() or len(text) > 16:
        raise BadInputError(f"{name} is {text[:20]!r}; give a whole number.")
    return min(high, max(low, int(text)))


def choice(request: Request, name: str, default: str, choices: tuple[str, ...]) -> str:
    """A word of the query.

    Raises:
        BadInputError: it is none of the choices.
    """
    value = request.query_params.get(name, default)
    if value not in choices:
        raise BadInputError(f"{name} cannot be {value[:20]!r}; {suggest(value[:20], choices)}")
    return value

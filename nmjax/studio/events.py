"""Server-sent events: what happened, from any thread to every open page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

_KEEP_ALIVE_S = 15.0
_MAX_WAITING = 1000  # events of a page that does not read; it is then disconnected and reads everything again


class EventHub:
    """Distributes events to subscribers; `publish` may be called from any thread."""

    def __init__(self) -> None:
        self._subscribers: set[asyncio.Queue[str | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Deliver events in the thread and loop that call this."""
        self._loop = asyncio.get_running_loop()

    def publish(self, name: str, data: Any) -> None:
        """Send an event to all subscribers; nothing where the server does not run."""
        loop, text = self._loop, f"event: {name}\ndata: {json.dumps(data)}\n\n"
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._distribute, text)

    async def subscribe(self) -> AsyncIterator[str]:
        """The events from now on as text of the event stream, with a comment every 15 s."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._subscribers.add(queue)
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_S)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            self._subscribers.discard(queue)

    def close_soon(self) -> None:
        """End all streams; called in any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    def close(self) -> None:
        """End all streams; called in the server's thread."""
        for queue in self._subscribers:
            queue.put_nowait(None)

    def _distribute(self, text: str) -> None:
        for queue in list(self._subscribers):
            if queue.qsize() >= _MAX_WAITING:
                self._subscribers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(text)

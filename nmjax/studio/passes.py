"""When whole tracks are rendered: a moment after the last change, one at a time, never in the way of a piece."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Iterator

import numpy as np

from nmjax.audio.streams import AudioChunks
from nmjax.runtime.errors import BadInputError
from nmjax.studio.events import EventHub
from nmjax.studio.jobs import JobCanceled
from nmjax.studio.levels import loudness_change_db
from nmjax.studio.prepared import Prepared
from nmjax.studio.track import Track
from nmjax.studio.whole_pass import RenderedSound, Watch, deliver_sound, render_sound

_log = logging.getLogger(__name__)
_PAUSE_S = 0.7  # after the last change
_PROGRESS_STEP = 0.05
_POLITE_WAIT_S = 0.5  # at most, per chunk, while pieces are rendered


class Priority:
    """Pieces first: other work waits between its chunks while one is rendered."""

    def __init__(self) -> None:
        self._count, self._condition = 0, threading.Condition()

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """While a piece is rendered."""
        with self._condition:
            self._count += 1
        try:
            yield
        finally:
            with self._condition:
                self._count -= 1
                self._condition.notify_all()

    def yield_to_pieces(self) -> None:
        """Wait until no piece is rendered, but not for long."""
        with self._condition:
            self._condition.wait_for(lambda: self._count == 0, _POLITE_WAIT_S)


class PassScheduler:
    """Renders whole tracks in one thread.

    Args:
        hub: is told where a master is complete.
        priority: of the pieces.
    """

    def __init__(self, hub: EventHub, priority: Priority):
        self._hub, self._priority = hub, priority
        self._condition = threading.Condition()
        self._due: dict[str, tuple[float, Track]] = {}
        self._running: tuple[Track, int] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="studio-pass")
        self._thread.start()

    def request(self, track: Track, pause_s: float = _PAUSE_S) -> None:
        """Render a track soon; a pass over older settings of it is given up."""
        with self._condition:
            self._due[track.id] = (time.monotonic() + pause_s, track)
            self._condition.notify_all()

    def forget(self, track: Track) -> None:
        """Do not render a track, which is deleted."""
        with self._condition:
            self._due.pop(track.id, None)

    def close(self) -> None:
        """Stop, and wait for the thread."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while (track := self._next()) is not None:
            try:
                self._pass(track)
            except JobCanceled:
                pass  # newer settings are due
            except BadInputError as error:
                _log.warning("%s", error)
                self._hub.publish("message", {"track": track.id, "error": str(error)})
            except Exception:
                _log.exception("A pass over a track failed")

    def _next(self) -> Track | None:
        with self._condition:
            while not self._is_closed:
                now = time.monotonic()
                ready = [(due, name) for name, (due, _) in self._due.items() if due <= now]
                if ready:
                    return self._due.pop(min(ready)[1])[1]
                waits = [due - now for due, _ in self._due.values()]
                self._condition.wait(min(waits) if waits else None)
        return None

    def _pass(self, track: Track) -> None:
        with track.lock:
            if track.is_transient:
                return  # the final change asks again
            prepared = track.prepare()
            if track.master and track.master.revision == prepared.revision:
                return
        watch = self._watch(track, prepared)
        sound = self._sound(track, prepared, watch)
        master = deliver_sound(
            sound,
            spec=prepared.spec,
            sample_rate=track.sample_rate,
            channels=track.channels,
            path=track.audio_folder / f"master-{secrets.token_hex(4)}.f32",
            revision=prepared.revision,
            watch=watch,
        )
        with track.lock:
            if track.revision != prepared.revision or not track.folder.is_dir():
                master.spool.delete()
                return
            if track.master:
                track.master.spool.delete()
            track.master = master
        self._hub.publish("track", track.brief())

    @staticmethod
    def _sound(track: Track, prepared: Prepared, watch: Watch) -> RenderedSound:
        """The rendered track before delivery: that of the pass before, where only the delivery has changed."""
        limiting_db, sound = prepared.spec.allowed_limiting_db, track.sound
        if sound and sound.key == prepared.sound_key and sound.max_limiting_db == limiting_db:
            return sound
        sound = render_sound(
            prepared.sound_key,
            prepared.source,
            prepared.signal,
            prepared.plan,
            prepared.network,
            max_limiting_db=limiting_db,
            watch=watch,
        )
        with track.lock:
            if track.sound:
                track.sound.close()
            track.sound, track.sound_change_db = sound, loudness_change_db(prepared, track)
        return sound

    def _watch(self, track: Track, prepared: Prepared) -> Watch:
        """Follows the audio of a pass: ends it where newer settings are there, waits for pieces, reports progress."""
        published = 0.0

        def watch(chunks: AudioChunks, start: float, end: float) -> Iterator[np.ndarray]:
            nonlocal published
            done = 0
            for chunk in chunks:
                if self._is_closed or track.revision != prepared.revision:
                    raise JobCanceled
                self._priority.yield_to_pieces()
                yield chunk
                done += len(chunk)
                progress = start + (end - start) * min(1.0, done / max(1, prepared.source.frames))
                if progress - published >= _PROGRESS_STEP:
                    published = progress
                    self._hub.publish("rendering", {"track": track.id, "progress": round(progress, 2)})

        return watch

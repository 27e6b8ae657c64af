"""The studio's tracks and jobs: everything that a request can ask for, without HTTP."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nmjax.runtime.errors import BadInputError
from nmjax.studio.deliveries import DeliveryOrder, deliver
from nmjax.studio.events import EventHub
from nmjax.studio.jobs import Job, JobCanceled, JobQueue
from nmjax.studio.passes import PassScheduler, Priority
from nmjax.studio.session import SessionFolder
from nmjax.studio.targets import store_reference
from nmjax.studio.track import Track
from nmjax.studio.uploads import DEFAULT_LIMIT_BYTES, safe_name
from nmjax.studio.work import (
    analyze_track,
    complete_track,
    decode_track,
    make_parts,
    missing_parts,
)


class NoSuchThingError(BadInputError):
    """A request names a track, job or snapshot that does not exist."""


class Studio:
    """A session at work.

    Args:
        session: its folder.
        upload_limit_bytes: of a file.
    """

    def __init__(self, session: SessionFolder, upload_limit_bytes: int = DEFAULT_LIMIT_BYTES):
        self.session, self.upload_limit_bytes = session, upload_limit_bytes
        self.hub, self.priority = EventHub(), Priority()
        self.jobs, self.passes = JobQueue(self.hub), PassScheduler(self.hub, self.priority)
        self._tracks: dict[str, Track] = {}
        self._lock = threading.Lock()
        self._find_tracks()

    def _find_tracks(self) -> None:
        """The tracks of an earlier run."""
        shutil.rmtree(self.session.deliveries, ignore_errors=True)
        folders = [path for path in self.session.tracks.iterdir() if path.is_dir()]
        for folder in sorted(folders, key=lambda path: path.stat().st_mtime):
            track = stored_track(folder)
            if track is None:  # an upload that was cut off
                shutil.rmtree(folder, ignore_errors=True)
                continue
            track.close()
            self._start(track)

    def tracks(self) -> list[Track]:
        """All tracks, in the order of their arrival."""
        with self._lock:
            return list(self._tracks.values())

    def track(self, track_id: str) -> Track:
        """A track by its id.

        Raises:
            NoSuchThingError: there is none.
        """
        with self._lock:
            if track_id not in self._tracks:
                raise NoSuchThingError("There is no such track; it may have been removed.")
            return self._tracks[track_id]

    def new_folder(self) -> Path:
        """A folder for the upload of a track that is to be added."""
        folder = self.session.tracks / secrets.token_hex(8)
        (folder / "upload").mkdir(mode=0o700, parents=True)
        return folder

    @staticmethod
    def discard_folder(folder: Path) -> None:
        """Remove what a failed upload left."""
        shutil.rmtree(folder, ignore_errors=True)

    def add_track(self, folder: Path, name: str, upload: Path) -> Track:
        """Add a track whose file has arrived, and start its analysis."""
        track = Track(folder, name, upload)
        track.save_header()
        self._start(track)
        return track

    def add_file(self, path: Path) -> Track:
        """Add a copy of a file that the command line names.

        Raises:
            BadInputError: it cannot be read.
        """
        if not path.is_file():
            raise BadInputError(f"'{path}' is {'a folder' if path.is_dir() else 'missing'}. Give an audio file.")
        upload_name = safe_name(path.name)
        folder = self.new_folder()
        upload = folder / "upload" / upload_name
        shutil.copyfile(path, upload)
        return self.add_track(folder, path.name, upload)

    def _start(self, track: Track) -> None:
        with self._lock:
            self._tracks[track.id] = track
        self.publish_tracks()
        self.jobs.submit("analysis", track.id, lambda job: self._decode(job, track), is_short=True)

    def _decode(self, job: Job, track: Track) -> None:
        with self._failure_of(track):
            decode_track(job, track)
            self.jobs.submit("analysis", track.id, lambda job: self._analyze(job, track))

    def _analyze(self, job: Job, track: Track) -> None:
        with self._failure_of(track):
            analyze_track(job, track)
        self.passes.request(track, 0.0)

    @contextlib.contextmanager
    def _failure_of(self, track: Track) -> Iterator[None]:
        """Notes on the track what its analysis failed with."""
        try:
            yield
        except (BadInputError, JobCanceled) as error:
            track.status = "failed"
            track.error = str(error) or "The analysis was canceled; remove the track and drop it again."
            raise
        except Exception as error:
            track.status, track.error = "failed", f"This track cannot be used ({type(error).__name__}: {error})."
            raise
        finally:
            self.hub.publish("track", track.brief())

    def changed(self, track: Track) -> None:
        """After a change of settings: make what it asks for, render it, and tell the pages."""
        if not track.is_transient:
            if missing_parts(track):
                track.status = "analyzing"
                self.jobs.submit("analysis", track.id, lambda job: self._complete(job, track))
            else:
                self.passes.request(track)
        self.hub.publish("track", track.brief())

    def _complete(self, job: Job, track: Track) -> None:
        try:
            complete_track(job, track)
        finally:
            track.status = "ready"
            self.hub.publish("track", track.brief())
        self.passes.request(track, 0.0)

    def add_reference(self, track: Track, folder: Path, name: str, file: Path) -> Job:
        """Match a track to one more reference, whose file has arrived in a folder; a failure changes nothing."""
        reference = store_reference(folder, name, file)

        def work(job: Job) -> None:
            try:
                track.reference_files[reference.id] = reference
                edits = track.with_reference(reference.id)
                make_parts(job, track, edits)
                track.add_reference(reference.id)
            except BaseException:
                track.forget_reference(reference.id)
                self.discard_folder(folder)
                raise
            self.changed(track)

        return self.jobs.submit("reference", track.id, work)

    def remove_track(self, track: Track) -> None:
        """Forget a track and delete its files."""
        with self._lock:
            self._tracks.pop(track.id, None)
        self.jobs.cancel_track(track.id)
        self.passes.forget(track)
        with track.lock:
            track.revision += 1  # ends a pass
            track.close()
        shutil.rmtree(track.folder, ignore_errors=True)
        self.publish_tracks()

    def deliver(self, order: DeliveryOrder) -> Job:
        """Write masters.

        Raises:
            BadInputError: a track is not ready.
        """
        tracks = [self.track(track_id) for track_id in order.tracks]
        for track in tracks:
            track.prepare()
        single = tracks[0].id if len(tracks) == 1 else None
        return self.jobs.submit(
            "delivery", single, lambda job: deliver(job, order, tracks, self.session.deliveries / job.id, self.priority)
        )

    def publish_tracks(self) -> None:
        """Tell the pages which tracks there are."""
        self.hub.publish("tracks", [track.brief() for track in self.tracks()])

    def close(self) -> None:
        """Stop all work; the session stays on disk."""
        self.jobs.close()
        self.passes.close()
        for track in self.tracks():
            track.close()
        self.session.close()


def stored_track(folder: Path) -> Track | None:
    """The track of a folder, with its settings; None where its file is not complete."""
    try:
        header: dict[str, Any] = json.loads((folder / "track.json").read_text(encoding="utf-8"))
        upload = folder / "upload" / safe_name(header["upload"])
        name = str(header["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not upload.is_file():
        return None
    track = Track(folder, name, upload)
    track.read_stored()
    return track

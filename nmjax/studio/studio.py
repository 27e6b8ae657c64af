"""The studio's tracks and jobs: everything that a request can ask for, without HTTP."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from nmjax.runtime.errors import BadInputError
from nmjax.studio import changes, track_files
from nmjax.studio.deliveries import DeliveryOrder, deliver
from nmjax.studio.events import EventHub
from nmjax.studio.jobs import Job, JobCanceled, JobQueue
from nmjax.studio.ordered import order_track
from nmjax.studio.passes import PassScheduler, Priority
from nmjax.studio.session import SessionFolder
from nmjax.studio.state import ReferenceChoice
from nmjax.studio.targets import store_reference
from nmjax.studio.track import Track
from nmjax.studio.uploads import DEFAULT_LIMIT_BYTES, safe_name
from nmjax.studio.work import (
    analyze_track,
    complete_track,
    decode_track,
    measure_reference,
    missing_parts,
)

_MATCH_PAUSE_S = 0.4  # after the last change of a target
_TRANSIENT_LIMIT_S = 15.0  # without a further change, a moving control counts as let go


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
        self._delivered_tracks: dict[str, frozenset[str]] = {}  # by job
        self._unfinished: dict[str, threading.Timer] = {}  # by track: ends a change that its page has left open
        self._completions: dict[str, Job] = {}  # by track: the job that makes what its settings ask for
        self._lock, self._is_closed = threading.Lock(), False
        self._find_tracks()

    def _find_tracks(self) -> None:
        """The tracks of an earlier run."""
        shutil.rmtree(self.session.deliveries, ignore_errors=True)
        folders = [path for path in self.session.tracks.iterdir() if path.is_dir()]
        for folder in sorted(folders, key=track_files.arrival_time):
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
        """Remove the folder of a track, or what a failed upload left."""
        shutil.rmtree(folder, ignore_errors=True)

    def add_track(self, folder: Path, name: str, upload: Path) -> Track:
        """Add a track whose file has arrived, and start its analysis."""
        track = Track(folder, name, upload)
        track_files.write_header(folder, name, upload)
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
        self.jobs.submit("analysis", track.id, self._work_on(track, self._decode), is_short=True)

    def _decode(self, job: Job, track: Track) -> None:
        with self._failure_of(track):
            decode_track(job, track)
            self.jobs.submit("analysis", track.id, self._work_on(track, self._analyze))

    def _analyze(self, job: Job, track: Track) -> None:
        with self._failure_of(track):
            analyze_track(job, track)
        self.passes.request(track, 0.0)

    def _work_on(self, track: Track, work: Callable[[Job, Track], None]) -> Callable[[Job], None]:
        """The work of a job on a track, which leaves no files of one that was removed meanwhile."""

        def work_on_track(job: Job) -> None:
            try:
                work(job, track)
            finally:
                if track.id not in self._tracks:  # its folder was deleted while files were still written
                    self.discard_folder(track.folder)

        return work_on_track

    @contextlib.contextmanager
    def _failure_of(self, track: Track) -> Iterator[None]:
        """Notes on the track what its analysis failed with."""
        try:
            yield
        except JobCanceled:
            track.status, track.error = "failed", "The analysis was canceled; remove the track and drop it again."
            raise
        except BadInputError as error:
            track.status, track.error = "failed", str(error).replace(f"'{track.upload}'", f"“{track.name}”")
            raise BadInputError(track.error) from None
        except Exception as error:
            track.status, track.error = "failed", f"This track cannot be used ({type(error).__name__}: {error})."
            raise
        finally:
            self.hub.publish("track", track.brief())

    def changed(self, track: Track) -> None:
        """After a change of settings: make what it asks for, render it, and tell the pages."""
        self._watch_transient(track)
        if not track.is_transient:
            if missing_parts(track):
                self._request_parts(track)
            else:
                self.passes.request(track)
        self.hub.publish("track", track.brief())

    def _watch_transient(self, track: Track) -> None:
        """Finishes a movement of a control that does not continue, as where its page was closed."""
        with self._lock:
            if old := self._unfinished.pop(track.id, None):
                old.cancel()
            if track.is_transient and not self._is_closed:
                self._unfinished[track.id] = timer = threading.Timer(_TRANSIENT_LIMIT_S, self._finish, (track,))
                timer.daemon = True
                timer.start()

    def _finish(self, track: Track) -> None:
        with track.lock:
            if not track.is_transient or track.id not in self._tracks:
                return
            track.history.change(track.history.current)
            track.changed()
        self.changed(track)

    def _request_parts(self, track: Track) -> None:
        """Make what a track's settings ask for; work for older settings is given up."""
        track.status = "analyzing"
        with self._lock:
            superseded = self._completions.get(track.id)
            self._completions[track.id] = job = self.jobs.prepare("analysis", track.id)
        if superseded:
            superseded.cancel()
        self.jobs.start(job, self._work_on(track, self._complete))

    def _complete(self, job: Job, track: Track) -> None:
        is_made = False
        try:
            job.pause(_MATCH_PAUSE_S)  # further references, or a further choice, may follow
            with track.parts_lock:  # what this supersedes may still be at work
                complete_track(job, track)
            is_made = True
        finally:
            self._finish_parts(job, track, is_made)

    def _finish_parts(self, job: Job, track: Track, is_made: bool) -> None:
        """After a job that was not superseded: the track is ready, or goes back to settings that are there."""
        with self._lock:
            if self._completions.get(track.id) is not job:
                return
            del self._completions[track.id]
            is_removed = self._is_closed or track.id not in self._tracks
        if is_removed:
            return
        track.status = "ready"
        if not is_made:
            changes.give_up_unmade(track)
        self.hub.publish("track", track.brief())
        self.passes.request(track, 0.0)

    def add_reference(self, track: Track, folder: Path, name: str, file: Path) -> Job:
        """Let a track follow one more reference, whose file has arrived in a folder; a failure changes nothing.

        The track is matched once to all that arrive one after the other.
        """
        reference = store_reference(folder, name, file)

        def work(job: Job, track: Track) -> None:
            try:
                track.reference_files[reference.id] = reference
                measure_reference(job, track, ReferenceChoice(id=reference.id))
                changes.add_reference(track, reference.id)
            except BaseException:
                track.reference_files.pop(reference.id, None)
                track.references.pop(reference.id, None)
                self.discard_folder(folder)
                raise
            self.changed(track)

        return self.jobs.submit("reference", track.id, self._work_on(track, work))

    def remove_track(self, track: Track) -> None:
        """Forget a track and delete its files.

        Raises:
            BadInputError: it is being delivered with others.
        """
        for job in self.jobs.jobs():
            is_under_way = job.state in ("queued", "running") and job.track is None
            if is_under_way and track.id in self._delivered_tracks.get(job.id, ()):
                raise BadInputError(f"“{track.name}” is being delivered; wait, or cancel the delivery first.")
        with self._lock:
            self._tracks.pop(track.id, None)
        self.jobs.cancel_track(track.id)
        self.passes.forget(track)
        with track.lock:
            track.revision += 1  # ends a pass
            track.close()
        self.discard_folder(track.folder)
        self.publish_tracks()

    def deliver(self, order: DeliveryOrder) -> Job:
        """Write masters.

        Raises:
            BadInputError: a track is not ready.
        """
        ordered = [order_track(self.track(track_id)) for track_id in order.tracks]
        job = self.jobs.prepare("delivery", order.tracks[0] if len(ordered) == 1 else None)
        self._delivered_tracks[job.id] = frozenset(order.tracks)
        folder = self.session.deliveries / job.id
        return self.jobs.start(job, lambda job: deliver(job, order, ordered, folder, self.priority))

    def publish_tracks(self) -> None:
        """Tell the pages which tracks there are."""
        self.hub.publish("tracks", [track.brief() for track in self.tracks()])

    def close(self) -> None:
        """Stop all work; the session stays on disk."""
        self._is_closed = True
        for timer in list(self._unfinished.values()):
            timer.cancel()
        self.jobs.close()
        self.passes.close()
        for track in self.tracks():
            track.close()
        self.session.close()


def stored_track(folder: Path) -> Track | None:
    """The track of a folder, with its settings; None where its file is not complete."""
    header = track_files.read_header(folder)
    if header is None:
        return None
    track = Track(folder, header.name, header.upload)
    track.read_stored()
    return track

"""Many tracks with one wish: here or on a cluster, each alone or all as an album."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.inference.command import Request, check_target_beside, keep_target, names_of, options_of, outputs_from
from nmjax.inference.many.albums import album_options
from nmjax.inference.many.jobs import Job, tracks_of
from nmjax.inference.many.manifest import Manifest, digest_of, digest_of_file, manifest_in
from nmjax.inference.many.runs import Master, Outcome, run_all
from nmjax.inference.master import Options, master
from nmjax.inference.network import Network
from nmjax.inference.outputs import FLAGS
from nmjax.inference.programs import keep_programs
from nmjax.inference.progress import say
from nmjax.inference.wish import Wish

_MOST_WORKERS = 1000


def run_many(request: Request, console: Console) -> int:
    """Master every track that is not done yet; returns the exit code: 1 if one failed.

    Raises:
        BadInputError: whatever of the request cannot be used, before any work.
    """
    for name, flag in FLAGS.items():
        if getattr(request, name):
            raise BadInputError(f"{flag} is for a single track; give one file.")
    if request.out and not request.out.is_dir() and (request.out.exists() or request.out.suffix.lower() in io.SUFFIXES):
        raise BadInputError(f"'{request.out}' is a file or is named like one; for many tracks -o names a folder.")
    if request.workers is not None and not 1 <= request.workers <= _MOST_WORKERS:
        raise BadInputError(f"--workers must be 1 to {_MOST_WORKERS}; it is {request.workers}.")
    if request.album and (request.scheduler or request.workers):
        raise BadInputError("--album is made on one machine; leave --scheduler and --workers out.")
    wish = request.wish
    names = partial(names_of, deliveries=wish.deliveries())
    jobs = tracks_of(request.inputs, names, request.out, lambda sentence: say(console, sentence))
    manifest = manifest_in(jobs, request.out)
    options = options_of(request, console)
    network = wish.network(lambda sentence: say(console, sentence))
    check_target_beside(request.save_target, [file for job in jobs for file in job.files])
    notes: list[str] = []
    digest = digest_of(_asked_for(wish, network, jobs if request.album else []))
    if request.scheduler or request.workers:
        from nmjax.inference.many.catalogue import run_dask

        workers = (request.scheduler, request.workers)
        summary = run_dask(
            jobs, Recipe(wish.absolute(), digest), manifest, digest, console, *workers, force=request.force
        )
    else:
        if request.album and not _all_done(jobs, manifest, digest):
            options, notes = album_options(jobs, network, options, console)
        make = master_with(wish, network, options, notes)
        summary = run_all(jobs, make, manifest, digest, console, request.force)
    keep_target(request, options, console)
    if request.as_json:
        print(json.dumps(summary.as_tree(), indent=1))  # ASCII: a name may hold what no text can
    return summary.exit_code


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a worker makes its master from; a process keeps what it made, so that a model is loaded once.

    contents: a digest of all that the wish's paths lead to: a worker may live longer than what lies there.
    """

    wish: Wish
    contents: str

    def __call__(self) -> Master:
        """Loads the network."""
        keep_programs()
        return master_with(self.wish, self.wish.network(lambda _: None), self.wish.options())


def master_with(wish: Wish, network: Network | None, options: Options, shortfall: Sequence[str] = ()) -> Master:
    """A track and its first output → what became of it. shortfall: what an album falls short of, its songs too."""

    def one(track: Path, out: Path) -> Outcome:
        result = master(track, outputs_from(track, out, wish), network, options)
        verdict = "PASS" if not shortfall and all(made.verdict.passed for made in result.made) else "FAIL"
        found = result.made[0].verdict
        reasons = [made.verdict.reason for made in result.made if made.verdict.reason]
        return Outcome(out, verdict, found.lufs, found.true_peak_db, [*shortfall, *reasons, *result.notes])

    return one


def _all_done(jobs: list[Job], manifest: Path, digest: str) -> bool:
    """Whether there is nothing to listen for."""
    if not manifest.exists():
        return False
    with Manifest(manifest) as done:
        return all(done.is_done(job, digest) for job in jobs)


def _asked_for(wish: Wish, network: Network | None, album: list[Job]) -> dict:
    """All that another master would come of: the wish, the weights, edited settings, an album's songs; by what they
    hold, not by where they lie."""
    settings = Path(wish.settings).read_text(encoding="utf-8-sig") if wish.settings else ""
    songs = [digest_of_file(job.track) for job in album]
    places = {"ckpt": None, "model": None, "settings": settings}
    tree = {**dataclasses.asdict(wish), **places, "network": network and network.identity, "album": songs}
    heard = tree.pop("references")
    if wish.references.given:
        files = [(digest_of_file(path), weight) for path, weight in wish.references.weighted()]
        tree["references"] = {**heard, "files": files, "target": None}
    return tree

"""Many tracks with one wish: here or on a cluster, each alone or all as an album."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from nmjax.audio import reader
from nmjax.batch.album import plan_album_options
from nmjax.batch.jobs import Job, find_jobs
from nmjax.batch.manifest import Manifest, digest_options, file_sha256, locate_manifest
from nmjax.batch.runner import MasterFn, TrackOutcome, run_sequential
from nmjax.mastering.command import (
    InferArguments,
    check_target_path,
    default_output_files,
    output_paths_from_master,
    resolve_options,
    write_target,
)
from nmjax.mastering.master import master
from nmjax.mastering.network import Network
from nmjax.mastering.output_paths import OUTPUT_FLAGS
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.types import MasteringOptions
from nmjax.runtime.compilation_cache import enable_compilation_cache
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError

_MAX_WORKERS = 1000


def run_batch(request: InferArguments, console: Console) -> int:
    """Master every track that is not done yet; returns the exit code: 1 if one failed.

    Raises:
        BadInputError: whatever of the request cannot be used, before any work.
    """
    for name, flag in OUTPUT_FLAGS.items():
        if getattr(request, name):
            raise BadInputError(f"{flag} is for a single track; give one file.")
    if (
        request.out
        and not request.out.is_dir()
        and (request.out.exists() or request.out.suffix.lower() in reader.READABLE_SUFFIXES)
    ):
        raise BadInputError(f"'{request.out}' is a file or is named like one; for many tracks -o names a folder.")
    if request.workers is not None and not 1 <= request.workers <= _MAX_WORKERS:
        raise BadInputError(f"--workers must be 1 to {_MAX_WORKERS}; it is {request.workers}.")
    if request.album and (request.scheduler or request.workers):
        raise BadInputError("--album is made on one machine; leave --scheduler and --workers out.")
    mastering_request = request.mastering_request
    output_names = partial(default_output_files, deliveries=mastering_request.delivery_specs())
    jobs = find_jobs(request.inputs, output_names, request.out, lambda sentence: print_line(console, sentence))
    manifest = locate_manifest(jobs, request.out)
    options = resolve_options(request, console)
    network = mastering_request.load_network(lambda sentence: print_line(console, sentence))
    check_target_path(request.save_target, [file for job in jobs for file in job.files])
    notes: list[str] = []
    options_digest = digest_options(_digest_fields(mastering_request, network, jobs if request.album else []))
    if request.scheduler or request.workers:
        from nmjax.batch.dask_runner import run_dask

        cluster_options = (request.scheduler, request.workers)
        summary = run_dask(
            jobs,
            MasterFactory(mastering_request.with_absolute_paths(), options_digest),
            manifest,
            options_digest,
            console,
            *cluster_options,
            force=request.force,
        )
    else:
        if request.album and not _is_batch_done(jobs, manifest, options_digest):
            options, notes = plan_album_options(jobs, network, options, console)
        master_track = build_master(mastering_request, network, options, notes)
        summary = run_sequential(jobs, master_track, manifest, options_digest, console, request.force)
    write_target(request, options, console)
    if request.as_json:
        print(json.dumps(summary.to_dict(), indent=1))  # ASCII: a name may hold what no text can
    return summary.exit_code


@dataclasses.dataclass(frozen=True)
class MasterFactory:
    """What a worker makes its master from; a process keeps what it made, so that a model is loaded once.

    contents: a digest of all that the wish's paths lead to: a worker may live longer than what lies there.
    """

    mastering_request: MasteringRequest
    contents_digest: str

    def __call__(self) -> MasterFn:
        """Loads the network."""
        enable_compilation_cache()
        return build_master(
            self.mastering_request,
            self.mastering_request.load_network(lambda _: None),
            self.mastering_request.resolve_options(),
        )


def build_master(
    mastering_request: MasteringRequest,
    network: Network | None,
    options: MasteringOptions,
    shortfall: Sequence[str] = (),
) -> MasterFn:
    """A track and its first output → what became of it. shortfall: what an album falls short of, its songs too."""

    def master_one(track: Path, out: Path) -> TrackOutcome:
        result = master(track, output_paths_from_master(track, out, mastering_request), network, options)
        compliance_status = (
            "PASS"
            if not shortfall and all(delivered.compliance.passed for delivered in result.delivery_results)
            else "FAIL"
        )
        compliance = result.delivery_results[0].compliance
        reasons = [
            delivered.compliance.failure_reason
            for delivered in result.delivery_results
            if delivered.compliance.failure_reason
        ]
        return TrackOutcome(
            out, compliance_status, compliance.lufs, compliance.true_peak_db, [*shortfall, *reasons, *result.notes]
        )

    return master_one


def _is_batch_done(jobs: list[Job], manifest: Path, options_digest: str) -> bool:
    """Whether there is nothing to listen for."""
    if not manifest.exists():
        return False
    with Manifest(manifest) as opened:
        return all(opened.is_done(job, options_digest) for job in jobs)


def _digest_fields(mastering_request: MasteringRequest, network: Network | None, album_jobs: list[Job]) -> dict:
    """All that another master would come of: the wish, the weights, edited settings, an album's songs; by what they
    hold, not by where they lie."""
    settings = Path(mastering_request.settings).read_text(encoding="utf-8-sig") if mastering_request.settings else ""
    song_digests = [file_sha256(job.track) for job in album_jobs]
    path_fields = {"ckpt": None, "model": None, "settings": settings}
    fields = {
        **dataclasses.asdict(mastering_request),
        **path_fields,
        "network": network and network.checkpoint_digest,
        "album": song_digests,
    }
    references = fields.pop("references")
    if mastering_request.references.is_given:
        files = [(file_sha256(path), weight) for path, weight in mastering_request.references.weighted_paths()]
        fields["references"] = {**references, "files": files, "target": None}
    return fields

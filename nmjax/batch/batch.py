"""Masters many tracks with one request: here or on a cluster, each alone or all as an album."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from nmjax.audio.units import amplitude_to_db
from nmjax.batch.album import plan_album_options
from nmjax.batch.batch_summary import BatchSummary
from nmjax.batch.jobs import Job, find_jobs
from nmjax.batch.manifest import Manifest, digest_options, file_sha256, locate_manifest
from nmjax.batch.runner import BatchPlan, MasterFn, TrackOutcome, run_sequential
from nmjax.mastering.delivery.verify import ComplianceStatus
from nmjax.mastering.early_scan import EarlyScans
from nmjax.mastering.master import master
from nmjax.mastering.network import Network
from nmjax.mastering.output_paths import OutputPaths, resolve_output_paths
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.resolve import load_network, resolve_delivery_specs, resolve_options
from nmjax.mastering.summary import summary_sentences
from nmjax.mastering.types import MasteringOptions, MasteringResult
from nmjax.runtime.compilation_cache import enable_compilation_cache


@dataclasses.dataclass(frozen=True)
class BatchRequest:
    """Options of a batch.

    Attributes:
        inputs: files, folders and globs.
        mastering: how each track is mastered.
        out_dir: folder of the masters; None for the folder of each track.
        force: overwrite files that no earlier run has written.
        album: one set of settings and one gain for all tracks.
        workers: number of worker processes; None for this process, or those of `scheduler`.
        scheduler: address of a running Dask scheduler.
    """

    inputs: tuple[str, ...]
    mastering: MasteringRequest
    out_dir: Path | None = None
    force: bool = False
    album: bool = False
    workers: int | None = None
    scheduler: str | None = None


def find_batch_jobs(request: BatchRequest, log: Callable[[str], None]) -> list[Job]:
    """The tracks of a batch with the files of their masters.

    Raises:
        BadInputError: an input is missing, or two masters would be one file.
    """
    specs = resolve_delivery_specs(request.mastering)
    return find_jobs(
        request.inputs,
        output_names=lambda track: resolve_output_paths(track, None, specs).files(),
        out_dir=request.out_dir,
        report=log,
    )


def run_batch(
    request: BatchRequest,
    jobs: Sequence[Job],
    network: Network | None,
    options: MasteringOptions,
    console: Console,
    early_scans: EarlyScans | None = None,
) -> BatchSummary:
    """Master every job that is not done yet.

    Args:
        request: the batch.
        jobs: from `find_batch_jobs`.
        network: from `resolve.load_network`.
        options: from `resolve.resolve_options`.
        console: shows progress and the summary.
        early_scans: measures a track while the one before it is mastered.

    Raises:
        BadInputError: before any work, where the request cannot be fulfilled.
    """
    digest = digest_options(_digest_fields(request, network, jobs))
    plan = BatchPlan(jobs, locate_manifest(jobs, request.out_dir), digest, request.force)
    if request.scheduler or request.workers:
        from nmjax.batch.dask_runner import run_dask

        factory = MasterFactory(request.mastering.with_absolute_paths(), digest)
        return run_dask(plan, factory, console, scheduler=request.scheduler, num_workers=request.workers)
    notes: list[str] = []
    if request.album and not _is_batch_done(plan):
        options, notes = plan_album_options(jobs, network, options, console)
    prepare = (lambda job: early_scans.request(job.track)) if early_scans else None
    return run_sequential(plan, make_master(network, options, notes, early_scans), console, prepare)


@dataclasses.dataclass(frozen=True)
class MasterFactory:
    """Makes the `MasterFn` of a worker process, which keeps it, so that the network is loaded once.

    Attributes:
        request: how each track is mastered, with absolute paths.
        contents_digest: digest of the options and of all files that they name, since a worker may outlive an edit.
    """

    request: MasteringRequest
    contents_digest: str

    def __call__(self) -> MasterFn:
        """Load the network and the settings."""
        enable_compilation_cache()
        options = resolve_options(self.request)
        return make_master(load_network(self.request, options, lambda _: None), options)


def make_master(
    network: Network | None,
    options: MasteringOptions,
    album_notes: Sequence[str] = (),
    early_scans: EarlyScans | None = None,
) -> MasterFn:
    """A function that masters a job.

    Args:
        network: as for `run_batch`.
        options: as for `run_batch`.
        album_notes: what the whole album misses, and so each of its songs.
        early_scans: has the measurements of tracks that were requested.
    """

    def master_job(job: Job) -> TrackOutcome:
        *masters, settings = job.files
        result = master(
            job.track,
            OutputPaths(tuple(masters), settings),
            network,
            options,
            report_findings=True,
            early_scans=early_scans,
        )
        return _outcome(result, album_notes)

    return master_job


def _outcome(result: MasteringResult, album_notes: Sequence[str]) -> TrackOutcome:
    reports = [delivery.compliance for delivery in result.delivery_results]
    statuses = {report.status for report in reports} | ({ComplianceStatus.FAIL} if album_notes else set())
    worst = next(
        x for x in (ComplianceStatus.FAIL, ComplianceStatus.NOT_MEASURED, ComplianceStatus.PASS) if x in statuses
    )
    reasons = [report.failure_reason for report in reports if report.failure_reason]
    return TrackOutcome(
        compliance=worst.label,
        lufs=reports[0].lufs,
        true_peak_db=reports[0].true_peak_db,
        input_lufs=result.original.lufs,
        input_true_peak_db=amplitude_to_db(result.original.true_peak),
        input_loudness_range_lu=result.original.loudness_range_lu,
        residual_level_db=result.residual_level_db,
        notes=[*album_notes, *reasons, *(f"Repaired: {x}" for x in result.repair_sentences), *result.notes],
        summary=summary_sentences(result),
        reference=outcome.to_dict() if (outcome := result.render_plan.match_outcome) else None,
        findings=[finding.to_dict() for finding in result.findings],
    )


def _is_batch_done(plan: BatchPlan) -> bool:
    """Whether every job is done, so that the album need not be analyzed."""
    if not plan.manifest_path.exists():
        return False
    with Manifest(plan.manifest_path) as manifest:
        return all(manifest.find_done(job, plan.options_digest) for job in plan.jobs)


def _digest_fields(request: BatchRequest, network: Network | None, jobs: Sequence[Job]) -> dict[str, Any]:
    """Everything that decides what a master sounds like: the options, and the contents of all files that they name."""
    mastering = request.mastering
    contents = {
        "ckpt": network and network.checkpoint_digest,
        "settings": mastering.settings and Path(mastering.settings).read_text(encoding="utf-8-sig"),
        "references": [(file_sha256(file.path), *file[1:]) for file in mastering.reference_files()],
        "lufs_from": mastering.lufs_from and (file_sha256(mastering.lufs_from.path), mastering.lufs_from.section),
    }
    fields = dataclasses.asdict(mastering) | contents | {"model": None, "target": None}
    return fields | {"album": [file_sha256(job.track) for job in jobs] if request.album else []}

"""Short jobs for `scale.py`, on Dask's workers and without; in a module that worker processes can import."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import logging
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.config
import psutil
from distributed import Client, LocalCluster, Worker
from rich.console import Console

from nmjax.batch.dask_cluster import check_installed, open_local_cluster
from nmjax.batch.dask_runner import run_dask
from nmjax.batch.jobs import Job, find_jobs
from nmjax.batch.manifest import locate_manifest
from nmjax.batch.runner import BatchPlan, MasterFn, TrackOutcome, run_sequential

LOCAL_WORKERS, MANY_WORKERS = 2, 64

# Texts of a real track: a line of the manifest has the usual length.
OUTCOME = TrackOutcome(
    compliance="PASS",
    lufs=-13.99,
    true_peak_db=-1.07,
    input_lufs=-25.08,
    input_true_peak_db=-9.21,
    input_loudness_range_lu=6.39,
    residual_level_db=None,
    notes=[],
    summary=[
        "At most 0.7 dB of EQ: the network finds little to correct.",
        "Turned up by 11.1 dB, from −25.1 to −14.0 LUFS: your mix is quieter than streaming services play. "
        "The limiter lowers peaks by up to 3.3 dB, during 9 % of the track.",
    ],
    reference=None,
    findings=[
        {
            "name": "cut_end",
            "value": -6.3,
            "unit": "dB",
            "severity": "warning",
            "sentence": "The music stops while it is still loud: the end seems to be cut off.",
            "remedy": "Export up to the end of the last note and its reverb, or fade it out.",
            "percentile": None,
            "repaired": "",
        }
    ],
)


def write_short_master(job: Job) -> TrackOutcome:
    """Write files of one byte instead of a master."""
    for file in job.files:
        file.write_bytes(b"x")
    return OUTCOME


@dataclasses.dataclass(frozen=True)
class ShortJobFactory:
    """Makes `write_short_master` in a worker, as `nmjax.batch.batch.MasterFactory` makes the real one."""

    def __call__(self) -> MasterFn:
        """The function."""
        return write_short_master


def return_number(number: int) -> int:
    """The job of the reference, which does nothing."""
    return number


def peak_mb(process: int | str = "self") -> float:
    """Highest resident memory of a process so far."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def write_tracks(folder: Path, count: int) -> BatchPlan:
    """A plan for small files in albums of ten; the folders of the masters exist."""
    for i in range(count):
        file = folder / f"in/album-{i // 10:05}/{i % 10}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d" % i)

    def output_names(track: Path) -> list[Path]:
        master = track.with_name(f"{track.stem}-mastered.wav")
        return [master, master.with_name(f"{master.name}.json")]

    jobs = find_jobs([folder / "in"], output_names, folder / "out")
    for job in jobs:
        job.out.parent.mkdir(parents=True, exist_ok=True)
    return BatchPlan(jobs, locate_manifest(jobs, folder / "out"), "digest")


def measure_jobs(how: str, count: int) -> dict[str, float]:
    """Cost of short jobs by nmjax; `resume_s` is a second run, which finds all of them done."""
    console = Console(file=io.StringIO(), width=300)
    with tempfile.TemporaryDirectory() as scratch:
        plan = write_tracks(Path(scratch), count)

        def run(address: str | None) -> None:
            if how == "sequential":
                summary = run_sequential(plan, write_short_master, console)
            else:
                workers = None if address else LOCAL_WORKERS
                summary = run_dask(plan, ShortJobFactory(), console, scheduler=address, num_workers=workers)
            assert len(summary.done) == count

        result, start = measure_run(run, how), time.perf_counter()
        assert len(run_sequential(plan, write_short_master, console).skipped) == count
        return result | {"resume_s": time.perf_counter() - start}


def measure_map(how: str, count: int) -> dict[str, float]:
    """Cost of empty jobs by `client.map`."""

    logging.getLogger("distributed").setLevel(logging.CRITICAL)

    def run_with(address: Any) -> None:
        with Client(address, set_as_default=False) as client:
            numbers = client.gather(client.map(return_number, range(count), pure=False))
        assert numbers == list(range(count))

    def run(address: str | None) -> None:
        if address:
            return run_with(address)
        with open_local_cluster(LOCAL_WORKERS) as cluster:
            return run_with(cluster)

    return measure_run(run, how)


def measure_run(run: Callable[[str | None], None], how: str) -> dict[str, float]:
    """Seconds, CPU seconds and highest memory of this process, and of a scheduler in a process of its own."""

    def measure(address: str | None) -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        run(address)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mb": peak_mb()}

    if how != "scheduler":
        return measure(None) | {"scheduler_mb": 0.0, "scheduler_cpu": 0.0}
    with started("serve") as (scheduler, address), started("work", address):
        result, cpu = measure(address), psutil.Process(scheduler.pid).cpu_times()
        return result | {"scheduler_mb": peak_mb(scheduler.pid), "scheduler_cpu": cpu.user + cpu.system}


@contextmanager
def started(function: str, *args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that runs a function of this file until its standard input ends, and its first line."""
    command, pipe = [sys.executable, str(Path(__file__).with_name("scale.py")), "--measure"], subprocess.PIPE
    command += [f"scale_jobs.{function}", json.dumps(args)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        yield process, process.stdout.readline().strip()
        process.communicate()


def serve() -> dict:
    """Run a scheduler without workers."""
    check_installed()  # limits Dask's messages to errors
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.http.routes": []}),
        LocalCluster(
            host="127.0.0.1",
            protocol="tcp://",
            processes=False,
            n_workers=0,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        ) as cluster,
    ):
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
    return {}


def work(address: str) -> dict:
    """Run many workers of one thread in this process."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # they end in the middle of heartbeats

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(MANY_WORKERS):
                worker = Worker(address, nthreads=1, host="127.0.0.1", dashboard=False, memory_limit=0)
                await stack.enter_async_context(worker)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)

    with dask.config.set({"distributed.worker.http.routes": []}):
        asyncio.run(run())
    return {}

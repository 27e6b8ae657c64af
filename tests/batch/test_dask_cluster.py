"""Tracks mastered by Dask's workers on 127.0.0.1: each exactly once, whichever process dies."""

import io as text_io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from nmjax.batch import dask_cluster
from nmjax.batch.dask_runner import run_dask
from nmjax.batch.jobs import find_jobs
from nmjax.batch.manifest import locate_manifest
from nmjax.batch.runner import BatchPlan, run_sequential
from nmjax.runtime.errors import BadInputError
from tests.batch.fake_mastering import FakeMasterFactory, master, output_names

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import threading
from pathlib import Path
from tests.batch.test_dask_cluster import run_workers
sys.exit(run_workers(Path(sys.argv[1]), seconds=float(sys.argv[2]), num_workers=2).exit_code)
"""


UNJOINABLE = """
import distributed.process
async def join(self, timeout=None):
    raise AssertionError("can only join a started process")
distributed.process.AsyncProcess.join = join
"""


def write_tracks(folder: Path, *stems: str) -> Path:
    (folder / "in").mkdir()
    for stem in stems:
        (folder / "in" / f"{stem}.wav").write_bytes(f"{stem} ".encode() * 1000)
    (folder / "log").touch()
    return folder


def run_workers(folder: Path, seconds: float = 0.0, console: Console | None = None, **more):
    jobs = find_jobs([folder / "in"], output_names, folder / "out")
    plan = BatchPlan(jobs, locate_manifest(jobs, folder / "out"), "x")
    console = console or Console(file=text_io.StringIO(), width=300)
    return run_dask(plan, FakeMasterFactory(seconds, folder / "log"), console, **more)


def start_process(folder: Path, seconds: float, before: str = "") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM, folder, str(seconds)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def read_log(folder: Path) -> list[tuple[str, int]]:
    fields = (line.split() for line in (folder / "log").read_text().splitlines())
    return [(name, int(pid)) for name, pid in fields]


def wait_for(condition, process: subprocess.Popen):
    for _ in range(2000):
        if value := condition():
            return value
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.01)
    raise AssertionError("it took more than 20 s")


def done_lines(folder: Path) -> Counter:
    lines = map(json.loads, (folder / "out" / "nmjax-manifest.jsonl").read_text().splitlines())
    return Counter(line["out"] for line in lines if line.get("status") == "done")


def check_all_outputs(folder: Path) -> None:
    """Each track has one complete master and one `done` line, and no other files are left."""
    stems = [path.stem for path in (folder / "in").iterdir()]
    assert done_lines(folder) == Counter(f"{stem}-mastered.wav" for stem in stems)
    for stem in stems:
        content = (folder / "in" / f"{stem}.wav").read_bytes()
        assert (folder / "out" / f"{stem}-mastered.wav").read_bytes() == content[::-1]
    expected = ["nmjax-manifest.jsonl", *(f"{stem}-mastered.{end}" for stem in stems for end in ("wav", "wav.json"))]
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(expected)


def listening_addresses(process: subprocess.Popen) -> list[str]:
    one = psutil.Process(process.pid)
    connections = [
        c for p in (one, *one.children(recursive=True)) for c in p.net_connections("inet") if c.status == "LISTEN"
    ]
    return [connection.laddr.ip for connection in connections]


def test_a_worker_killed_halfway_costs_nothing_but_time(tmp_path):
    stems = [f"song {i}".replace(" ", "_") for i in range(8)]
    process = start_process(write_tracks(tmp_path, *stems), seconds=0.5)
    wait_for(lambda: len(list((tmp_path / "out").glob("*.wav"))) >= 2, process)
    addresses = listening_addresses(process)
    partial_file = wait_for(lambda: list((tmp_path / "out").glob(".*.wav")), process)[0]
    victim = partial_file.name[1 : len("song_0") + 1] + ".wav"
    pid = dict(read_log(tmp_path))[victim]
    os.kill(pid, signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr.decode()
    check_all_outputs(tmp_path)
    starts = Counter(name for name, _ in read_log(tmp_path) if name != "made")
    assert starts == Counter({f"{stem}.wav": 2 if f"{stem}.wav" == victim else 1 for stem in stems})
    makers = [pid for name, pid in read_log(tmp_path) if name == "made"]
    assert len(makers) == len(set(makers)), "each worker loads one network"
    assert len(makers) in (2, 3), (
        "the new worker, which on a busy machine starts after all tracks are done, loads its own"
    )
    assert len(addresses) >= 5 and set(addresses) == {"127.0.0.1"}


def test_a_worker_that_dask_cannot_join_does_not_fail_the_run(tmp_path):
    """As where one that died was just being started again."""
    process = start_process(write_tracks(tmp_path, "a", "b"), seconds=0.3, before=UNJOINABLE)
    wait_for(lambda: read_log(tmp_path), process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in stderr) == (0, False), stderr.decode()
    assert sum(done_lines(tmp_path).values()) == 2
    assert not psutil.wait_procs(workers, timeout=5)[1]


def test_ctrl_c_ends_the_workers_and_the_next_run_resumes(tmp_path):
    process = start_process(write_tracks(tmp_path, *"abcdef"), seconds=0.4)
    manifest = tmp_path / "out" / "nmjax-manifest.jsonl"
    wait_for(lambda: manifest.exists() and manifest.read_text().count('"done"') >= 2, process)
    wait_for(lambda: list((tmp_path / "out").glob(".*.wav")), process)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    _, stderr = process.communicate(timeout=30)
    assert stderr.count(b"Traceback") == 1, stderr.decode()  # the program's own, which catches nothing
    assert process.returncode not in (0, None)
    assert not psutil.wait_procs(workers, timeout=5)[1]
    assert not list((tmp_path / "out").glob(".*")), "half-written files"
    already = sum(done_lines(tmp_path).values())
    assert 2 <= already < 6
    jobs = find_jobs([tmp_path / "in"], output_names, tmp_path / "out")
    plan = BatchPlan(jobs, locate_manifest(jobs, tmp_path / "out"), "x")
    summary = run_sequential(plan, master, Console(quiet=True))
    assert len(summary.skipped) == already
    check_all_outputs(tmp_path)


def test_transient_errors_are_retried_and_bad_tracks_are_not(tmp_path):
    folder = write_tracks(tmp_path, "a", "bad", "bug", "deadly", "flaky", "z")
    console = Console(file=text_io.StringIO(), width=300)
    summary = run_workers(folder, console=console, num_workers=2)
    assert sorted(Path(r.track).stem for r in summary.done) == ["a", "flaky", "z"]
    starts = Counter(name for name, _ in read_log(folder) if name != "made")
    assert [starts[f"{n}.wav"] for n in ("a", "bad", "bug", "deadly", "flaky", "z")] == [1, 1, 3, 3, 3, 1]
    sentences = {Path(r.track).stem: r.error for r in summary.failed}
    assert sentences["bad"].endswith("is no music.")
    assert "RuntimeError: a bug" in sentences["bug"]
    assert "3 workers died" in sentences["deadly"]
    assert "3 mastered, 3 failed." in console.file.getvalue()


def test_a_scheduler_that_runs_already(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(dask_cluster, "TIMEOUT_S", 1)
    folder = write_tracks(tmp_path, "a", "b", "c")
    monkeypatch.chdir(folder)
    options = {"processes": False, "protocol": "tcp://", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 2}
    with LocalCluster(n_workers=0, **options) as cluster:
        with pytest.raises(BadInputError, match="has no workers"):
            run_workers(folder, scheduler=cluster.scheduler_address)
        cluster.scale(1)
        assert len(run_workers(folder, scheduler=cluster.scheduler_address).done) == 3
        address = cluster.scheduler_address
    check_all_outputs(folder)
    assert [name for name, _ in read_log(folder)].count("made") == 1, "two threads share a model"
    (folder / "in" / "d.wav").touch()
    with pytest.raises(BadInputError, match="No Dask scheduler responds"):
        run_workers(folder, scheduler=address)
    with pytest.raises(BadInputError, match="No Dask scheduler responds"):
        run_workers(folder, scheduler="no address")
    with pytest.raises(BadInputError, match="workers of its own"):
        run_workers(folder, scheduler=address, num_workers=2)


def test_workers_of_another_version_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "__version__", "9.9")
    with pytest.raises(BadInputError, match=r"run nmjax 0\.1\.0, this process 9\.9"):
        run_workers(write_tracks(tmp_path, "a"), num_workers=1)
    assert not (tmp_path / "out" / "a-mastered.wav").exists()


def test_local_workers_reject_unauthenticated_clients():
    from distributed import Client

    with dask_cluster.open_local_cluster(1) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://127.0.0.1:")
        for protocol in ("tcp", "tls"):
            with pytest.raises((OSError, TypeError)):  # the other: no key to speak tls with
                Client(address.replace("tls", protocol), timeout=1)


def test_missing_dask_names_the_install_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInputError, match=r"pip install 'nmjax\[dask\]'"):
        run_workers(write_tracks(tmp_path, "a"))


def test_ctrl_c_during_a_dask_call_logs_nothing_from_dask(monkeypatch, caplog):
    from distributed import utils

    def interrupted(*_):
        raise KeyboardInterrupt

    async def asked():
        pass

    def turned():
        """The loop has done what it was given so far."""
        done = threading.Event()
        loop.add_callback(done.set)
        assert done.wait(30)

    def interrupted_call():
        busy = threading.Lock()
        with busy:  # so that the call has not begun by the time it is interrupted
            loop.add_callback(busy.acquire)
            with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
                during.setattr(threading.Event, "wait", interrupted)
                utils.sync(loop, asked)
        turned()

    monkeypatch.setattr(logging.getLogger("tornado.application"), "filters", [])
    runner = utils.LoopRunner(asynchronous=False)
    runner.start()
    loop = runner.loop
    try:
        interrupted_call()
        assert "NameError" in caplog.text, "Dask has repaired this; remove the filter"
        caplog.clear()
        dask_cluster.check_installed()
        interrupted_call()
        assert not caplog.text
        loop.add_callback(lambda: absent)  # noqa: F821
        turned()
        assert "NameError" in caplog.text, "other errors are still said"
    finally:
        runner.stop()

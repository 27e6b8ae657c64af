"""Tracks mastered by Dask's workers on 127.0.0.1: each exactly once, whatever dies."""

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

from nmjax.errors import BadInputError
from nmjax.inference.many import catalogue
from nmjax.inference.many.catalogue import run_dask
from nmjax.inference.many.jobs import tracks_of
from nmjax.inference.many.manifest import manifest_in
from nmjax.inference.many.runs import run_all
from tests.inference.fake_master import Recipe, master, names

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
import threading
from pathlib import Path
from tests.inference.many.test_catalogue import run
sys.exit(run(Path(sys.argv[1]), seconds=float(sys.argv[2]), workers=2).exit_code)
"""


UNJOINABLE = """
import distributed.process
async def join(self, timeout=None):
    raise AssertionError("can only join a started process")
distributed.process.AsyncProcess.join = join
"""


def tracks(folder: Path, *stems: str) -> Path:
    (folder / "in").mkdir()
    for stem in stems:
        (folder / "in" / f"{stem}.wav").write_bytes(f"{stem} ".encode() * 1000)
    (folder / "log").touch()
    return folder


def run(folder: Path, seconds: float = 0.0, console: Console | None = None, **more):
    jobs = tracks_of([folder / "in"], names, folder / "out")
    recipe = Recipe(seconds, folder / "log")
    console = console or Console(file=text_io.StringIO(), width=300)
    return run_dask(jobs, recipe, manifest_in(jobs, folder / "out"), "x", console, **more)


def begun(folder: Path, seconds: float, before: str = "") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM, folder, str(seconds)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def log(folder: Path) -> list[tuple[str, int]]:
    words = (line.split() for line in (folder / "log").read_text().splitlines())
    return [(word, int(pid)) for word, pid in words]


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


def check_all_there(folder: Path) -> None:
    """Each track has one whole master, one line that says so, and nothing else lies about."""
    stems = [path.stem for path in (folder / "in").iterdir()]
    assert done_lines(folder) == Counter(f"{stem}-mastered.wav" for stem in stems)
    for stem in stems:
        content = (folder / "in" / f"{stem}.wav").read_bytes()
        assert (folder / "out" / f"{stem}-mastered.wav").read_bytes() == content[::-1]
    expected = ["nmjax-manifest.jsonl", *(f"{stem}-mastered.{end}" for stem in stems for end in ("wav", "json"))]
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(expected)


def listening(process: subprocess.Popen) -> list[str]:
    one = psutil.Process(process.pid)
    found = [c for p in (one, *one.children(recursive=True)) for c in p.net_connections("inet") if c.status == "LISTEN"]
    return [connection.laddr.ip for connection in found]


def test_a_worker_killed_halfway_costs_nothing_but_time(tmp_path):
    stems = [f"song {i}".replace(" ", "_") for i in range(8)]
    process = begun(tracks(tmp_path, *stems), seconds=0.5)
    wait_for(lambda: len(list((tmp_path / "out").glob("*.wav"))) >= 2, process)
    addresses = listening(process)
    half = wait_for(lambda: list((tmp_path / "out").glob(".*.wav")), process)[0]
    victim = half.name[1 : len("song_0") + 1] + ".wav"
    pid = dict(log(tmp_path))[victim]
    os.kill(pid, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said.decode()
    check_all_there(tmp_path)
    starts = Counter(name for name, _ in log(tmp_path) if name != "made")
    assert starts == Counter({f"{stem}.wav": 2 if f"{stem}.wav" == victim else 1 for stem in stems})
    makers = [pid for name, pid in log(tmp_path) if name == "made"]
    assert len(makers) == len(set(makers)) == 3, "one model a worker, and one for the worker that came after"
    assert len(addresses) >= 5 and set(addresses) == {"127.0.0.1"}


def test_a_worker_that_dask_cannot_end_spoils_no_run(tmp_path):
    """As where one that died was just being started again."""
    process = begun(tracks(tmp_path, "a", "b"), seconds=0.5, before=UNJOINABLE)
    wait_for(lambda: log(tmp_path), process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    _, said = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in said) == (0, False), said.decode()
    assert sum(done_lines(tmp_path).values()) == 2
    assert not psutil.wait_procs(workers, timeout=5)[1]


def test_ctrl_c_ends_the_workers_and_the_next_run_goes_on(tmp_path):
    process = begun(tracks(tmp_path, *"abcdef"), seconds=0.8)
    manifest = tmp_path / "out" / "nmjax-manifest.jsonl"
    wait_for(lambda: manifest.exists() and manifest.read_text().count('"done"') >= 2, process)
    wait_for(lambda: list((tmp_path / "out").glob(".*.wav")), process)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    _, said = process.communicate(timeout=30)
    assert said.count(b"Traceback") == 1, said.decode()  # the program's own, which catches nothing
    assert process.returncode not in (0, None)
    assert not psutil.wait_procs(workers, timeout=5)[1]
    assert not list((tmp_path / "out").glob(".*")), "half-written files"
    already = sum(done_lines(tmp_path).values())
    assert 2 <= already < 6
    jobs = tracks_of([tmp_path / "in"], names, tmp_path / "out")
    summary = run_all(jobs, master, manifest_in(jobs, tmp_path / "out"), "x", Console(quiet=True))
    assert len(summary.skipped) == already
    check_all_there(tmp_path)


def test_what_is_not_the_tracks_fault_is_tried_again_and_what_is_not(tmp_path):
    folder = tracks(tmp_path, "a", "bad", "bug", "deadly", "flaky", "z")
    console = Console(file=text_io.StringIO(), width=300)
    summary = run(folder, console=console, workers=2)
    assert sorted(Path(r.track).stem for r in summary.done) == ["a", "flaky", "z"]
    starts = Counter(name for name, _ in log(folder) if name != "made")
    assert [starts[f"{n}.wav"] for n in ("a", "bad", "bug", "deadly", "flaky", "z")] == [1, 1, 3, 3, 3, 1]
    sentences = {Path(r.track).stem: r.sentence for r in summary.failed}
    assert sentences["bad"].endswith("is no music.")
    assert "RuntimeError: a bug" in sentences["bug"]
    assert "3 workers died" in sentences["deadly"]
    assert "3 mastered, 3 failed." in console.file.getvalue()


def test_a_scheduler_that_runs_already(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(catalogue, "_PATIENCE", 1)
    folder = tracks(tmp_path, "a", "b", "c")
    monkeypatch.chdir(folder)
    options = {"processes": False, "protocol": "tcp://", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 2}
    with LocalCluster(n_workers=0, **options) as cluster:
        with pytest.raises(BadInputError, match="has no workers"):
            run(folder, scheduler=cluster.scheduler_address)
        cluster.scale(1)
        assert len(run(folder, scheduler=cluster.scheduler_address).done) == 3
        address = cluster.scheduler_address
    check_all_there(folder)
    assert [name for name, _ in log(folder)].count("made") == 1, "two threads share a model"
    (folder / "in" / "d.wav").touch()
    with pytest.raises(BadInputError, match="No Dask scheduler answers"):
        run(folder, scheduler=address)
    with pytest.raises(BadInputError, match="No Dask scheduler answers"):
        run(folder, scheduler="no address")
    with pytest.raises(BadInputError, match="workers of its own"):
        run(folder, scheduler=address, workers=2)


def test_workers_of_another_version_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "__version__", "9.9")
    with pytest.raises(BadInputError, match=r"run nmjax 0\.1\.0, here it is 9\.9"):
        run(tracks(tmp_path, "a"), workers=1)
    assert not (tmp_path / "out" / "a-mastered.wav").exists()


def test_strangers_cannot_reach_the_workers_of_this_machine():
    from distributed import Client

    with catalogue._local(1) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://127.0.0.1:")
        for protocol in ("tcp", "tls"):
            with pytest.raises((OSError, TypeError)):  # the other: no key to speak tls with
                Client(address.replace("tls", protocol), timeout=1)


def test_without_dask_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInputError, match=r"pip install 'nmjax\[dask\]'"):
        run(tracks(tmp_path, "a"))


def test_ctrl_c_just_after_a_call_to_dask_was_made_says_nothing_of_dasks_own(monkeypatch, caplog):
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
        assert "NameError" in caplog.text, "Dask has mended it, and the filter can go"
        caplog.clear()
        catalogue._check_installed()
        interrupted_call()
        assert not caplog.text
        loop.add_callback(lambda: absent)  # noqa: F821
        turned()
        assert "NameError" in caplog.text, "other errors are still said"
    finally:
        runner.stop()

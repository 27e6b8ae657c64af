"""A run over many tracks: what is done, what is done again, and what is not touched."""

import dataclasses
import io as text_io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from nmjax.batch import manifest as manifest_module
from nmjax.batch.jobs import Job, find_jobs
from nmjax.batch.manifest import Manifest, digest_options, locate_manifest
from nmjax.batch.runner import BatchPlan, run_sequential
from nmjax.runtime.errors import BadInputError, CannotWriteError
from tests.batch.fake_mastering import master, output_names

ROOT = Path(__file__).parents[2]


def write_tracks(folder: Path, *stems: str) -> Path:
    folder.mkdir(exist_ok=True)
    for stem in stems:
        (folder / f"{stem}.wav").write_bytes(f"{stem} ".encode() * 100)
    return folder


def run_folder(
    folder: Path, out: Path, digest: str = "x", how=master, force: bool = False, console: Console | None = None
):
    jobs = find_jobs([folder], output_names, out)
    console = console or Console(file=text_io.StringIO(), width=200)
    return run_sequential(BatchPlan(jobs, locate_manifest(jobs, out), digest, force), how, console)


def master_renamed(job: Job, name: str):
    """Master a job after renaming its track, so that `fake_mastering` handles it as an ordinary one."""
    return master(Job(job.track.rename(job.track.with_name(name)), job.files))


def mastered_names(summary) -> list[str]:
    return [Path(record.track).stem for record in summary.done]


def manifest_lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "nmjax-manifest.jsonl").read_text().splitlines()]


def test_every_track_is_mastered_and_a_second_run_skips_them(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a", "b"), tmp_path / "out"
    first = run_folder(folder, out)
    assert (mastered_names(first), first.exit_code) == (["a", "b"], 0)
    assert (out / "a-mastered.wav").read_bytes() == (folder / "a.wav").read_bytes()[::-1]
    before = (out / "nmjax-manifest.jsonl").read_bytes()
    second = run_folder(folder, out)
    assert (mastered_names(second), len(second.skipped), second.exit_code) == ([], 2, 0)
    assert (out / "nmjax-manifest.jsonl").read_bytes() == before


def test_the_lines_of_the_manifest(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a"), tmp_path / "out"
    run_folder(folder, out, digest_options({"lufs": -14.0}))
    head, started, finished = manifest_lines(out)
    assert head == {"format": "nmjax manifest 2"}
    assert (started["status"], finished["status"], finished["out"]) == ("started", "done", "a-mastered.wav")
    stat = (folder / "a.wav").stat()
    assert (finished["size"], finished["mtime_ns"], finished["track"]) == (
        stat.st_size,
        stat.st_mtime_ns,
        str(folder / "a.wav"),
    )
    digest = subprocess.run(["sha256sum", folder / "a.wav"], capture_output=True, text=True).stdout.split()[0]
    assert finished["sha256"] == digest
    assert finished["compliance"] == "PASS" and finished["lufs"] == -14.0 and "true_peak_db" not in finished, (
        "-inf is no JSON"
    )
    assert finished["files"]["a-mastered.wav"][0] == 200
    assert finished["options_digest"] == started["options_digest"] != digest_options({"lufs": -13.0})


@pytest.mark.parametrize("change", ["options", "content", "output gone", "settings gone", "output cut"])
def test_changed_tracks_are_mastered_again(tmp_path, change):
    folder, out = write_tracks(tmp_path / "in", "a", "b"), tmp_path / "out"
    run_folder(folder, out)
    if change == "content":
        stat = (folder / "a.wav").stat()
        (folder / "a.wav").write_bytes(b"A " * 100)  # of the same size
        assert (folder / "a.wav").stat().st_size == stat.st_size
    if change.endswith("gone"):
        (out / f"a-mastered.{'wav' if change.startswith('out') else 'wav.json'}").unlink()
    if change == "output cut":
        os.truncate(out / "a-mastered.wav", 50)
    again = run_folder(folder, out, "y" if change == "options" else "x", force=change == "output cut")
    assert mastered_names(again) == (["a", "b"] if change == "options" else ["a"])
    assert (out / "a-mastered.wav").read_bytes() == (folder / "a.wav").read_bytes()[::-1]


def test_an_input_with_another_date_alone_is_not_done_again(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a"), tmp_path / "out"
    run_folder(folder, out)
    os.utime(folder / "a.wav", (1, 1))
    assert len(run_folder(folder, out).skipped) == 1


def test_a_folder_moved_with_its_manifest_is_still_done(tmp_path):
    folder = write_tracks(tmp_path / "in", "a", "b")
    run_folder(folder, folder)
    moved = folder.rename(tmp_path / "moved")
    assert len(run_folder(moved, moved).skipped) == 2


def test_failures_are_reported_at_the_end_stop_nothing_and_are_tried_again(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a", "bad", "bug", "c"), tmp_path / "out"
    console = Console(file=text_io.StringIO(), width=300)
    summary = run_folder(folder, out, console=console)
    assert (mastered_names(summary), summary.exit_code) == (["a", "c"], 1)
    output = console.file.getvalue()
    table = output[output.index("compliance") :]
    assert "is no music." in table and "RuntimeError: a bug" in table and "2 mastered, 2 failed." in table
    again = run_folder(folder, out, how=lambda job: master_renamed(job, "fixed"))
    assert (len(again.skipped), len(again.done)) == (2, 2)


def test_the_table_at_the_end_stays_short_and_keeps_the_failures(tmp_path):
    def noted(job):
        return dataclasses.replace(master(job), notes=["quiet"])

    console = Console(file=text_io.StringIO(), width=200)
    run_folder(write_tracks(tmp_path / "in", "bad", *map(str, range(70))), tmp_path / "out", how=noted, console=console)
    table = console.file.getvalue().partition("compliance")[2]
    assert table.count("quiet") == 59 and "is no music." in table and "11 more rows" in table


def test_foreign_files_are_not_overwritten(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a", "b"), write_tracks(tmp_path / "out")
    for name in ("b-mastered.wav", "b-mastered.wav.json"):
        (out / name).write_text("mine")
        with pytest.raises(BadInputError, match=rf"out/{name}' was not written by this command .*--force"):
            run_folder(folder, out)
        assert not (out / "a-mastered.wav").exists()
        assert (out / name).read_text() == "mine"
        (out / name).unlink()
    (out / "b-mastered.wav.json").write_text("mine")
    assert mastered_names(run_folder(folder, out, force=True)) == ["a", "b"]


def test_settings_that_were_edited_are_not_overwritten_by_other_options(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a"), tmp_path / "out"
    run_folder(folder, out)
    (out / "a-mastered.wav.json").write_text('{"edited": 1}')
    assert len(run_folder(folder, out).skipped) == 1, "with the same options there is nothing to do"
    with pytest.raises(
        BadInputError, match=r"a-mastered\.wav\.json' was not written by this command or was changed since"
    ):
        run_folder(folder, out, "y")


def test_ctrl_c_leaves_no_partial_files_and_the_next_run_resumes(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a", "stop", "z"), tmp_path / "out"
    console = Console(file=text_io.StringIO(), width=200)
    with pytest.raises(KeyboardInterrupt):
        run_folder(folder, out, console=console)
    assert "1 mastered, 2 left." in console.file.getvalue()
    assert sorted(p.name for p in out.iterdir()) == ["a-mastered.wav", "a-mastered.wav.json", "nmjax-manifest.jsonl"]
    again = run_folder(folder, out, how=lambda job: master_renamed(job, "fixed.wav"))
    assert mastered_names(again) == ["z", "stop"], "what a run ended with comes last"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_process_is_resumed(tmp_path, how):
    """By Ctrl-C or SIGKILL, in another process."""
    folder, out = write_tracks(tmp_path / "in", *"abcd"), tmp_path / "out"
    program = (
        "import sys; from functools import partial; from pathlib import Path\n"
        "from tests.batch.test_runs import run_folder; from tests.batch.fake_mastering import master\n"
        "run_folder(Path(sys.argv[1]), Path(sys.argv[2]), how=partial(master, seconds=0.3))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, folder, out], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not (out / "b-mastered.wav").exists():
        assert process.poll() is None
        time.sleep(0.02)
    while not list(out.glob(".c-mastered-*.wav")):
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate(timeout=20)
    assert process.returncode not in (0, None)
    assert bool(list(out.glob(".*"))) == (how == signal.SIGKILL), "what a killed process leaves"
    summary = run_folder(folder, out)
    assert mastered_names(summary) == ["d", "c"]
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["nmjax-manifest.jsonl", *(f"{s}-mastered.{e}" for s in "abcd" for e in ("wav", "wav.json"))]
    )
    assert sorted(line["out"][0] for line in manifest_lines(out)[1:] if line["status"] == "done") == list("abcd")


def test_a_full_disk_stops_the_run_and_is_reported(tmp_path):
    def full(job):
        raise CannotWriteError("The disk is full.")

    summary = run_folder(write_tracks(tmp_path / "in", "a", "b"), tmp_path / "out", how=full)
    assert (len(summary.failed), summary.stop_reason, summary.exit_code) == (1, "Stopped: The disk is full.", 1)


def test_two_runs_in_one_folder_do_not_collide(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a"), tmp_path / "out"
    with Manifest(out / manifest_module.MANIFEST_NAME), pytest.raises(BadInputError, match="Another run is using"):
        run_folder(folder, out)
    assert run_folder(folder, out).exit_code == 0


@pytest.mark.parametrize("cut", [1, 30, 400])
def test_a_truncated_manifest_loses_only_its_last_line(tmp_path, cut):
    folder, out = write_tracks(tmp_path / "in", "a", "b"), tmp_path / "out"
    run_folder(folder, out)
    path = out / manifest_module.MANIFEST_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    lost = 0 if cut == 1 else 1  # without its end the line is still whole
    assert len(run_folder(folder, out).done) == lost
    assert len(run_folder(folder, out).skipped) == 2
    assert path.read_bytes().startswith(whole[:-cut] + b"\n")


@pytest.mark.parametrize("content", ["", '{"format": "nm'])
def test_a_manifest_with_a_truncated_header_is_restarted(tmp_path, content):
    folder, out = write_tracks(tmp_path / "in", "a"), write_tracks(tmp_path / "out")
    (out / manifest_module.MANIFEST_NAME).write_text(content)
    assert mastered_names(run_folder(folder, out)) == ["a"]
    assert manifest_lines(out)[0] == {"format": "nmjax manifest 2"}


@pytest.mark.parametrize("content", ["my notes", "my notes\nand more\n", "[1]\n", '{"format": "other"}\n'])
def test_another_kind_of_file_is_left_alone(tmp_path, content):
    out = write_tracks(tmp_path / "out")
    (out / manifest_module.MANIFEST_NAME).write_text(content)
    with pytest.raises(BadInputError, match="is not a manifest of this version"):
        run_folder(write_tracks(tmp_path / "in", "a"), out)
    assert (out / manifest_module.MANIFEST_NAME).read_text() == content


def test_invalid_manifest_lines_are_counted_and_not_removed(tmp_path):
    folder, out = write_tracks(tmp_path / "in", "a"), tmp_path / "out"
    run_folder(folder, out)
    with open(out / manifest_module.MANIFEST_NAME, "a") as file:
        file.write(
            '{"track": 1}\nnot json\n[]\n'
            '{"track": "a", "out": "b", "status": "done", "options_digest": "", "files": 3}\n'
        )
    console = Console(file=text_io.StringIO(), width=200)
    assert len(run_folder(folder, out, console=console).skipped) == 1
    assert "4 lines" in console.file.getvalue()


def test_an_undecodable_name_is_mastered_and_recognized(tmp_path):
    folder, out = write_tracks(tmp_path / "in"), tmp_path / "out"
    (folder / os.fsdecode(b"a\xff[red].wav")).write_bytes(b"x")
    with open(tmp_path / "said", "w", encoding="utf-8") as file:
        assert len(run_folder(folder, out, console=Console(file=file, force_terminal=True)).done) == 1
    assert "a�[red].wav" in (tmp_path / "said").read_text()
    assert len(run_folder(folder, out).skipped) == 1


def test_an_unwritable_output_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWriteError, match="cannot be written"):
        run_folder(write_tracks(tmp_path / "in", "a"), tmp_path / "file" / "out")


def test_without_an_output_folder_the_manifest_is_in_the_common_parent(tmp_path):
    write_tracks(tmp_path / "cd1", "a"), write_tracks(tmp_path / "cd2", "b")
    jobs = find_jobs([tmp_path / "cd1", tmp_path / "cd2"], output_names)
    assert locate_manifest(jobs, None) == tmp_path / "nmjax-manifest.jsonl"

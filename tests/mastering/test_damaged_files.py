"""Cut, damaged and lying files of every format, in a process of little memory and time: a sentence, or a master of what
could be read. And Ctrl-C or a full disk at any moment: no half files, older outputs as they were."""

import json
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nmjax.cli.main import main
from tests.random_networks import save_network
from tests.synthetic_audio import music, write_audio

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
ENVIRONMENT.pop("XLA_FLAGS", None)

# Reads, measures and copies the tags of each file of a folder; a line of JSON each. Memory: that of Python, NumPy
# and SciPy, and 300 MB.
READ_SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from nmjax.audio import formats, reader
from nmjax.audio.tags import copy_tags
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.runtime.errors import BadInputError
import scipy.signal, scipy.ndimage, pyloudnorm
def used():
    return int(next(x for x in open("/proc/self/status") if x.startswith("VmSize")).split()[1]) * 1024
most = used() + 300_000_000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for path in sorted(Path(sys.argv[1]).iterdir()):
    began, said = time.process_time(), ""
    try:
        info = reader.probe(path)
        formats.choose_format(Path("m.wav"), info)
        LoudnessScan(reader.read_chunks(path), info.sample_rate, info.channels)
    except BadInputError as error:
        said = str(error)
    copy_tags(path, Path(sys.argv[2]))
    print(json.dumps([path.name, said, time.process_time() - began]))
"""


@pytest.fixture(scope="module")
def audio_dir(tmp_path_factory):
    """A short file of each format, with a tag where one can be written."""
    folder = tmp_path_factory.mktemp("sounds")
    audio = music(1.5)
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"):
        write_audio(folder / name, audio)
        with soundfile.SoundFile(str(folder / name), "r+" if name in ("a.wav", "a.aiff") else "r") as file:
            if file.mode == "r+":
                file.title = "A title"
    soundfile.write(str(folder / "a.opus"), audio, 48_000, format="OGG", subtype="OPUS")
    return folder


def corrupt_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut, overwritten, with a wrong number, or with bytes left out; most damage is near the start."""
    data, reach = bytearray(data), rng.choice([64, 256, 4096, len(data)])
    offset = rng.randrange(min(reach, len(data)))
    match rng.randrange(4):
        case 0:
            del data[offset:]
        case 1:
            data[offset] ^= 1 << rng.randrange(8)
        case 2:
            number = rng.choice([0, 1, 255, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
            data[offset : offset + 4] = struct.pack(rng.choice("<>") + "I", number)
        case 3:
            del data[offset : offset + rng.choice([1, 7, 100, 5000])]
    return bytes(data)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.aiff"])
def test_damaged_files_are_read_or_rejected_with_a_message(audio_dir, tmp_path, name):
    rng, data = random.Random(name), (audio_dir / name).read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(150):
        (folder / f"{i:03}{Path(name).suffix}").write_bytes(corrupt_bytes(data, rng))
    target = write_audio(tmp_path / "m.wav", music(0.1))
    process = subprocess.run(
        [sys.executable, "-c", READ_SCRIPT, str(folder), str(target)],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(lines) == 150
    for file, message, seconds in lines:
        assert not message or (message.count("\n") == 0 and message.rstrip().endswith(".")), (file, message)
        assert seconds < 5.0, file
    assert any(message for _, message, _ in lines)
    assert soundfile.info(str(target)).frames == round(0.1 * 44_100)


@pytest.fixture(scope="module")
def checkpoint_dir(tmp_path_factory):
    """A run's folder."""
    return save_network("1a", tmp_path_factory.mktemp("run"))


def start_infer(*arguments, **more):
    """`infer.py` as another process."""
    command = [sys.executable, str(ROOT / "infer.py"), *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def test_a_header_that_promises_hours_costs_neither_memory_nor_time(tmp_path, checkpoint_dir):
    """A second of FLAC that says it is 2^35 samples long."""
    path = write_audio(tmp_path / "a.flac", music(1.0))
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # STREAMINFO's 36 bits
    path.write_bytes(data)
    assert soundfile.info(str(path)).frames > 1 << 34
    process = start_infer(path, "--ckpt", checkpoint_dir)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "damaged" in stderr
    assert stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.flac"]


def test_an_interrupt_at_any_time_leaves_no_partial_files(tmp_path, checkpoint_dir):
    track = write_audio(tmp_path / "a.wav", music(20.0))
    old = {"a-mastered.wav": b"an older master", "a-mastered.wav.json": b"its settings"}
    for name, text in old.items():
        (tmp_path / name).write_bytes(text)
    for wait, number in (
        (random.Random(1).uniform(1.0, 5.0), signal.SIGINT),
        (None, signal.SIGINT),
        (None, signal.SIGTERM),
    ):
        process = start_infer(track, "--ckpt", checkpoint_dir, "--force", "--quiet")
        if wait is None:  # while it writes
            deadline = time.monotonic() + 60.0
            while not any(p.name.startswith(".") for p in tmp_path.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.01)
        else:
            time.sleep(wait)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 128 + number, stderr
        assert stderr == "nmjax: stopped.\n"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a-mastered.wav", "a-mastered.wav.json", "a.wav"]
        assert {name: (tmp_path / name).read_bytes() for name in old} == old


@pytest.mark.parametrize("most", [100_000, 600_000, 1_100_000])
def test_a_full_disk_leaves_the_older_master_whole(tmp_path, checkpoint_dir, most, capsys):
    """A limit on file size simulates the disk: the spool, the master or its tags do not fit."""
    track = write_audio(tmp_path / "a.wav", music(3.0))
    out = tmp_path / "m.wav"
    out.write_bytes(b"an older master")
    if most > 1_000_000:
        most = 44 + 132_300 * 8 + 80 + 100
        with soundfile.SoundFile(str(track), "r+") as file:
            file.comment = "long " * 100
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        code = main(["infer", str(track), "--ckpt", str(checkpoint_dir), "-o", str(out), "--force", "--bits", "float"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    output = capsys.readouterr().err
    assert code == 2
    assert output.count("\n") == 1
    assert "cannot be written" in output or "full" in output
    assert out.read_bytes() == b"an older master"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav", "m.wav"]


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.aiff"])
def test_a_truncated_file_is_mastered_up_to_the_cut_and_reported(tmp_path, checkpoint_dir, name, capsys):
    path = write_audio(tmp_path / name, np.tanh(music(8.0)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert main(["infer", str(path), "--ckpt", str(checkpoint_dir), "-o", str(tmp_path / "m.flac")]) == 0
    assert re.search(r"truncated or damaged: only its first (4\.0|3\.9) s", capsys.readouterr().out)
    assert soundfile.info(str(tmp_path / "m.flac")).frames / 44_100 == pytest.approx(4.0, abs=0.1)

"""Files appear complete or not at all."""

import os
import subprocess
import sys

import pytest

from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError


def test_no_partial_file_remains(tmp_path):
    (tmp_path / "x.txt").write_text("old")

    class StoppedError(Exception):
        pass

    with pytest.raises(StoppedError), atomic_files.temporary_sibling(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise StoppedError
    with pytest.raises(StoppedError), atomic_files.atomic_write(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise StoppedError
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"
    atomic_files.write_text(tmp_path / "x.txt", "new")
    assert (tmp_path / "x.txt").read_text() == "new"
    with pytest.raises(BadInputError, match="cannot be written"):
        atomic_files.write_text(tmp_path / "x.txt" / "y.txt", "below a file")


def test_only_temporaries_of_a_killed_process_are_removed(tmp_path):
    path = tmp_path / f"{'long name ' * 6}.wav"
    with atomic_files.temporary_sibling(path) as temporary:
        leftover = temporary.name
    others = [
        ".hidden.wav",
        f"{leftover}.bak",
        leftover.replace(".wav", ".json"),
        leftover[1:],
        ".long name-12345678.wav",
        path.name,
    ]
    for name in (leftover, *others):
        (tmp_path / name).touch()
    atomic_files.remove_stale_temporaries([path, tmp_path / "no folder" / "a.wav"])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


def test_text_is_utf_8_whatever_the_locale_says(tmp_path):
    code = (
        "import sys; from pathlib import Path; from nmjax.runtime.atomic_files import write_text; "
        "write_text(Path(sys.argv[1]), chr(8211))"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "t.txt"], check=True, env=os.environ | plain)
    assert (tmp_path / "t.txt").read_bytes() == "–".encode()

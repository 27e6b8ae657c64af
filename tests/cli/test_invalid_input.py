"""Every kind of bad input is one message that names it, with exit code 2, and leaves no partial files."""

import json

import numpy as np
import pytest
import soundfile

from nmjax.cli.main import main
from nmjax.runtime.checkpoints import Checkpoints
from tests.random_networks import save_network
from tests.synthetic_audio import music, write_audio, write_songs
from tests.training.tiny_run import OVERRIDES


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder with a checkpoint and files of every kind of trouble."""
    root = tmp_path_factory.mktemp("cli")
    save_network("1a", root / "run")
    write_audio(root / "good.wav", music(1.0))
    write_songs(root / "songs", 3, 1.0)
    (root / "empty").mkdir()
    (root / "text.wav").write_text("no audio at all")
    (root / "nothing.wav").write_bytes(b"")
    soundfile.write(root / "none.wav", np.zeros((0, 2)), 44_100)
    write_audio(root / "one.wav", np.zeros((1, 2)))
    bad = music(1.0).astype(np.float32)
    bad[500] = np.nan
    write_audio(root / "nan.wav", bad, subtype="FLOAT")
    write_audio(root / "three.wav", np.zeros((500, 3)))
    write_audio(root / "nine.wav", np.zeros((500, 9)))
    write_audio(root / "taken.wav", music(0.5))
    write_audio(root / "left" / "a.wav", music(1.0))
    write_audio(root / "mono" / "a.wav", music(1.0, channels=1))
    write_audio(root / "longer" / "a.wav", music(1.6))
    write_audio(root / "faster" / "a.wav", music(1.0), 48_000)
    write_audio(root / "other" / "b.wav", music(1.0))
    (root / "nan").mkdir()
    (root / "nan.wav").rename(root / "nan" / "nan.wav")
    (root / "half" / "latest" / "20").mkdir(parents=True)
    (root / "rows.csv").write_text("song\na.wav\n")
    (root / "half.csv").write_text("target,input\nsongs/song_0.wav,songs/song_1.wav\nsongs/song_2.wav,\n")
    (root / "nul.csv").write_text("target\nsongs/song\0.wav\n")
    (root / "pairs.csv").write_text("target,input\nleft/a.wav,near/a.wav\n")
    write_audio(root / "near" / "a.wav", music(1.0))
    (root / "a_file").write_text("")
    (root / "folder.png").mkdir()
    write_audio(root / "loud.wav", np.full((50_000, 2), 2e4), subtype="FLOAT")
    (root / "track.wav.json").write_bytes((root / "good.wav").read_bytes())
    return root


def error_message(capsys, workspace, arguments):
    """Run in the folder; the sentence that came out. Nothing may have been written."""
    before = sorted(p for p in workspace.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        code = main(arguments)
    sentence = capsys.readouterr().err
    assert code == 2
    assert sentence.startswith("nmjax: ")
    assert sentence.count("\n") == 1
    assert sentence.rstrip().endswith((".", "?")), sentence
    assert "Traceback" not in sentence
    assert sorted(p for p in workspace.rglob("*")) == before
    return sentence


INFER = [
    (["missing.wav"], ["'missing.wav'", "missing"]),
    (["empty"], ["'empty'", "No tracks"]),
    (["empty/*.wav"], ["'empty/*.wav'", "missing"]),
    (["text.wav"], ["'text.wav'", "cannot be read as audio"]),
    (["nothing.wav"], ["'nothing.wav'"]),
    (["none.wav"], ["'none.wav'", "0 samples"]),
    (["one.wav"], ["'one.wav'", "fewer than 2 samples"]),
    (["nan/nan.wav"], ["'nan/nan.wav'", "NaN"]),
    (["nine.wav"], ["'nine.wav'", "9 channels", "1 to 8"]),
    (["three.wav", "-o", "m.mp3"], ["'m.mp3'", "3 channels", "WAV"]),
    (["good.wav", "-o", "taken.wav"], ["'taken.wav'", "--force"]),
    (["good.wav", "-o", "good.wav", "--force"], ["'good.wav'", "is the track or another file of this run"]),
    (["good.wav", "-o", "nowhere"], ["'nowhere'", "or name a folder that exists"]),
    (["good.wav", "-o", "m.m4a"], ["'m.m4a'", ".flac"]),
    (["good.wav", "-o", "m.wav", "--plot", "m.pdf"], ["'m.pdf'", ".png"]),
    (["good.wav", "-o", "m.wav", "--plot", "folder.png", "--force"], ["'folder.png'", "folder"]),
    (["good.wav", "-o", "m.wav", "--plot", "/proc/m.png"], ["/proc/m.png", "cannot be written"]),
    (["good.wav", "-o", f"{'x' * 300}.wav"], ["cannot be written"]),
    (["loud.wav"], ["'loud.wav'", "+60 dBFS"]),
    (
        ["track.wav.json", "-o", "track.wav", "--force"],
        ["'track.wav.json'", "is the track or another file of this run"],
    ),
    (["good.wav", "-o", "a_file/m.wav"], ["a_file", "cannot be written"]),
    (["good.wav", "-o", "/proc/m.wav"], ["/proc/m.wav", "cannot be written"]),
    ([f"{'x' * 300}.wav"], ["xxx.wav", "too long"]),
]


@pytest.mark.parametrize(("arguments", "said"), INFER, ids=[" ".join(a) for a, _ in INFER])
def test_infer_rejects(capsys, workspace, arguments, said):
    sentence = error_message(capsys, workspace, ["infer", "--ckpt", "run", *arguments])
    assert all(words in sentence for words in said), sentence


@pytest.mark.parametrize(
    ("ckpt", "said"),
    [("absent", "missing"), ("empty", "no checkpoint"), ("half", "unfinished"), ("good.wav", "missing")],
)
def test_infer_refuses_a_checkpoint(capsys, workspace, ckpt, said):
    sentence = error_message(capsys, workspace, ["infer", "--ckpt", ckpt, "good.wav"])
    assert said in sentence.replace("checkpoints", "checkpoint")
    assert f"'{ckpt}'" in sentence


TRAIN = [
    (["--data", "absent"], ["'absent'", "missing"]),
    (["--data", "empty"], ["'empty'", "no audio files"]),
    (["--data", "nan"], ["nan.wav", "NaN"]),
    (["--data", "rows.csv"], ["rows.csv", "target"]),
    (["--data", "half.csv"], ["half.csv", "input"]),
    (["--data", "left", "--target", "mono"], ["channels (2 and 1)"]),
    (["--data", "left", "--target", "longer"], ["length (44100 and 70560 samples)"]),
    (["--data", "left", "--target", "faster"], ["sample rate (44100 and 48000 Hz)"]),
    (["--data", "left", "--target", "other"], ["left/a.wav", "no partner"]),
    (["--data", "songs", "train.step=5"], ["train.step", "did you mean 'train.steps'?"]),
    (["--data", "songs", "--coordinator", "127.0.0.1:9"], ["--num-processes N and --process-id I"]),
    (["--coordinator", "a:9", "--num-processes", "2", "--process-id", "2", "--data", "songs"], ["use 0 to 1"]),
    (["--data", "songs", "stepz=5"], ["did you mean 'train.steps'?"]),
    (["--data", "songs", "train.steps=many"], ["train.steps", "integer"]),
    (["--data", "songs", "train.steps=0"], ["train.steps", "greater than"]),
    (["--data", "songs", "steps"], ["key=value"]),
    (["--data", "songs", "--config", "absent.yaml"], ["absent.yaml", "small"]),
    (["--data", "songs", "seed=2024-13-45"], ["seed=2024-13-45", "YAML"]),
    (["--data", "songs", "seed=99999999999999"], ["seed", "4294967296"]),
    (["--data", "songs", "loss.fft_sizes=[]"], ["loss.fft_sizes"]),
    (["--data", "songs", "--validation", "songs"], ["'song_0'", "--validation"]),
    (["--data", "songs", "--init-from", "empty"], ["'empty'", "no checkpoint"]),
    (["--data", "songs", "--num-processes", "2"], ["--num-processes", "no effect", "--coordinator"]),
    (["--data", "x" * 300], ["xxx", "too long"]),
    (["--data", "nul.csv"], ["Line 2 of 'nul.csv'", "NUL"]),
    (["--data", "pairs.csv", "--validation", "songs"], ["--validation (songs)", "unmastered"]),
    (["--data", "songs", "--config", "base"], ["'base'", "small"]),
    (["--data", "songs", "train.steps=yes"], ["train.steps", "true"]),
    (["--data", "songs", "data.batch_size=1000000"], ["data.batch_size", "65536"]),
    (["--data", "songs", "--data", "left=2"], ["--data songs has no weight"]),
    (["--data", "songs=two"], ["'songs=two' is missing", "'two' is no weight", "PATH=WEIGHT"]),
    (["--data", "songs", "--data", "songs"], ["song_0.wav' is in --data songs and in --data songs"]),
    (["--data", "songs", "--data", "left", "--target", "mono"], ["--target goes with one --data"]),
    (["--data", "songs", "augment.speed_semitones=13"], ["augment.speed_semitones", "12"]),
    (["--seed", "1", "seed=2"], ["two seeds"]),
    (["--dry-run", "--fit-spectral"], ["--dry-run", "--fit-spectral", "leave one out"]),
    ([], ["--data is missing"]),
]


@pytest.mark.parametrize(("arguments", "said"), TRAIN, ids=[" ".join(a) or "nothing" for a, _ in TRAIN])
def test_train_rejects(capsys, workspace, arguments, said):
    start = ["train", "--phase", "1a", "--config", "smoke", "--out", "new", *OVERRIDES]
    sentence = error_message(capsys, workspace, [*start, *arguments])
    assert all(words in sentence for words in said), sentence


def test_train_refuses_a_run_of_another_phase_or_with_other_settings(capsys, workspace):
    start = ["train", "--data", "songs", "--out", "run", "--config", "smoke", *OVERRIDES, "model.width=0.07"]
    (workspace / "run" / "best").rename(workspace / "run" / "latest")
    try:
        assert "phase 1a, not 1b" in error_message(capsys, workspace, [*start, "--phase", "1b"])
        assert "seed was 0, now 3" in error_message(capsys, workspace, [*start, "--phase", "1a", "--seed", "3"])
    finally:
        (workspace / "run" / "latest").rename(workspace / "run" / "best")


def test_train_refuses_to_start_from_a_later_phase_or_another_width(capsys, workspace, tmp_path):
    later = save_network("1c", tmp_path / "later")
    start = ["train", "--phase", "1b", "--data", "songs", "--out", "new", "--config", "smoke", *OVERRIDES]
    assert "phase 1c" in error_message(capsys, workspace, [*start, "--init-from", str(later), "model.width=0.07"])
    assert "Set model.width=0.07" in error_message(capsys, workspace, [*start, "--init-from", "run"])


def test_a_damaged_checkpoint_is_not_used(capsys, workspace, tmp_path):
    run = save_network("1a", tmp_path / "run")
    victim = max((p for p in (run / "best").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert "damaged" in error_message(capsys, workspace, ["infer", "--ckpt", str(run), "good.wav"])


def test_a_checkpoint_of_another_version_says_so(capsys, workspace, tmp_path):
    meta = {"config": {"phase": "0"}}
    Checkpoints(tmp_path / "old" / "best").save(3, {"a": np.zeros(2)}, {"step": np.int32(3)}, meta)
    sentence = error_message(capsys, workspace, ["infer", "--ckpt", str(tmp_path / "old"), "good.wav"])
    assert "another version" in sentence


def test_infer_prints_the_settings_it_writes(capsys, workspace, tmp_path):
    out, picture = tmp_path / "deep" / "m.flac", tmp_path / "eq.png"
    command = ["infer", "--ckpt", str(workspace / "run"), str(workspace / "good.wav"), "-o", str(out)]
    command += ["--plot", str(picture)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    for band in json.loads(out.with_name(f"{out.name}.json").read_text())["eq"]["bands"]:
        assert f"{band['gain_db']:+.2f} dB".replace("-", "−") in printed
    assert "LUFS" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*command, "--force"]) == 0


def test_dry_run_prints_the_cost(capsys):
    assert main(["train", "--phase", "1a", "--config", "smoke", "--dry-run", *OVERRIDES]) == 0
    printed = capsys.readouterr().out
    for arguments in ("parameters", "FLOP", "GB", " s ", "excerpts per second"):
        assert arguments in printed

"""`nmjax.master`: the samples of the command, settings that can be edited and given back, and what is refused."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

import nmjax
from nmjax.cli.main import main
from nmjax.runtime.errors import BadInputError
from tests.random_networks import random_network, save_network
from tests.synthetic_audio import music, write_audio


@pytest.fixture(scope="module")
def checkpoint_dir(tmp_path_factory):
    """A run's folder of phase 1b."""
    return save_network("1b", tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1)])
def test_the_samples_are_those_of_the_command(tmp_path, checkpoint_dir, rate, channels):
    audio = np.tanh(8.0 * music(3.3, rate, channels)).astype(np.float32)
    track = write_audio(tmp_path / "a.wav", audio, rate, "FLOAT")
    arguments = ["--lufs", "-13", "--band", "2.gain_db=-3", "--residual-amount", "0.5"]
    assert (
        main(["infer", str(track), "--ckpt", str(checkpoint_dir), "-o", str(tmp_path / "m.wav"), "--quiet", *arguments])
        == 0
    )
    expected, _ = soundfile.read(str(tmp_path / "m.wav"), dtype="float32", always_2d=True)
    changes = {"lufs": -13.0, "bands": {2: {"gain_db": -3.0}}, "residual_amount": 0.5}
    result = nmjax.master(audio if channels > 1 else audio[:, 0], rate, ckpt=checkpoint_dir, **changes)
    assert result.audio.dtype == np.float32
    np.testing.assert_array_equal(result.audio.reshape(expected.shape), expected)
    settings_written = json.loads((tmp_path / "m.wav.json").read_text())
    assert {**result.settings, "track": "a.wav"} == settings_written
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    assert result.measurements.lufs == pytest.approx(meter.integrated_loudness(expected), abs=0.02)
    assert result.measurements.passed


def test_settings_can_be_edited_and_reused():
    """The example of the module and of the documentation."""
    audio = music(3.0)
    result = nmjax.master(audio, 44_100, ckpt=random_network("1b"), lufs="none", true_peak="none")
    same = nmjax.master(
        audio, 44_100, ckpt=random_network("1b"), settings=result.settings, lufs="none", true_peak="none"
    )
    np.testing.assert_array_equal(same.audio, result.audio)
    result.settings["eq"]["bands"] = []
    alone = nmjax.master(audio, 44_100, settings=result.settings, lufs="none", true_peak="none")
    np.testing.assert_array_equal(alone.audio, audio.astype(np.float32))  # a flat equalizer, and no network
    assert any("residual is left out" in note for note in alone.notes)


def examples_of(page):
    return re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / page).read_text(), re.DOTALL)


def test_the_example_of_the_readme_runs():
    (example,) = examples_of("README.md")
    names = {}
    exec(example, names)
    np.testing.assert_array_equal(names["out"], np.zeros((1, 44_100, 2)))


def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch, capsys):
    (example,) = examples_of("docs/reference/python.md")
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "track.wav", music(3.0))
    save_network("1b", tmp_path / "runs" / "1b")
    names = {}
    exec(example, names)
    assert re.match("(PASS|FAIL) .* LUFS", capsys.readouterr().out)
    np.testing.assert_array_equal(soundfile.read("master.wav", dtype="float32")[0], names["result"].audio)
    assert names["again"].settings["eq"]["bands"][2]["gain_db"] == -1.0


def test_integers_are_scaled_to_full_scale():
    audio = music(1.0)
    whole = np.rint(audio * 32768).astype(np.int16)
    options = {"ckpt": random_network("1a"), "lufs": "none", "true_peak": "none", "bypass": ["eq"]}
    np.testing.assert_array_equal(nmjax.master(whole, 44_100, **options).audio, (whole / 32768).astype(np.float32))


@pytest.mark.parametrize(
    ("audio", "rate", "more", "said"),
    [
        (np.zeros((3, 2, 2)), 44_100, {}, "shape (3, 2, 2)"),
        (np.zeros(0), 44_100, {}, "shape (0,)"),
        (np.zeros((2, 44_100)), 44_100, {}, "44100 channels"),
        (np.zeros(500), 4_000, {}, "4000"),
        (np.zeros(500), 200_000, {}, "200000"),
        (np.full(500, np.nan), 44_100, {}, "NaN"),
        (np.full(500, 30_000.0), 44_100, {}, "+60 dBFS"),
        (np.array(["a"]), 44_100, {}, "give numbers"),
        (np.zeros(1), 44_100, {}, "fewer than 2 samples"),
        (np.zeros(500), 44_100, {"deliver": "radio"}, "'radio'"),
        (
            np.zeros(500),
            44_100,
            {"lufs": "loud"},
            "lufs must be a number, keep, clean, reference or none",
        ),
        (np.zeros(500), 44_100, {"bands": {9: {"gain_db": 1.0}}}, "no band 9"),
        (np.zeros(500), 44_100, {"bypass": ["eqq"]}, "'eqq'"),
        (np.zeros(500), 44_100, {"eq_amount": 3.0}, "eq_amount must be 0 to 2; it is 3"),
        (np.zeros(500), 44_100, {"settings": {"format": "x"}}, "settings"),
        (np.zeros(500), 44_100, {"settings": {"format": {1, 2}}}, "JSON"),
        (np.zeros(500), 44_100, {"settings": "absent.json"}, "'absent.json' is missing"),
        (np.zeros(500), 44_100, {"reference_strength": 0.5}, "no effect without --reference"),
        (np.zeros(500), 44_100, {"same_song": True}, "no effect without --reference"),
    ],
)
def test_invalid_input_is_reported(audio, rate, more, said):
    with pytest.raises(BadInputError) as caught:
        nmjax.master(audio, rate, **{"ckpt": random_network("1a"), **more})
    assert said in str(caught.value)


@pytest.mark.parametrize("option", [{"bits": "24"}, {"references": ()}, {"lufz": -9.0}])
def test_unknown_options_are_type_errors(option):
    with pytest.raises(TypeError, match=rf"no option '{next(iter(option))}'"):
        nmjax.master(np.zeros(500), 44_100, **option)


def test_the_signature_names_all_options():
    parameters = inspect.signature(nmjax.master).parameters
    assert {"deliver", "lufs", "bands", "processors", "reference"} <= set(parameters)
    assert parameters["eq_amount"].default == 1.0


def test_import_is_cheap():
    code = "import nmjax, sys; assert 'jax' not in sys.modules and 'numpy' not in sys.modules; nmjax.__version__"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="mister"):
        nmjax.mister  # noqa: B018

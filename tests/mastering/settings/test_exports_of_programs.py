"""CamillaDSP, EasyEffects, SoX and FFmpeg render what nmjax renders, within −90 dB: run, or read back and filtered."""

import json
import re
import shutil
import subprocess

import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
import yaml
from scipy.signal import sosfilt

from nmjax.dsp import Bands, equalize
from nmjax.mastering.render import equalize_side_stream
from nmjax.mastering.settings.exports import export_eq, missing_side_note
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos

SECONDS = 2
RATES = (44_100, 96_000)


def make_bands(gain_db=9.0):
    """Ten bands from narrow to wide, some of them near the limits of what networks and fits predict."""
    rng = np.random.default_rng(8)
    rows = (np.geomspace(25.0, 18_000.0, 10), rng.uniform(-gain_db, gain_db, 10), 0.3 * 30.0 ** rng.random(10))
    return Bands(*(jnp.asarray(x[None], jnp.float32) for x in rows))


def noise(rate):
    """Two different channels `[time, 2]` at −12 dBFS peak."""
    return np.random.default_rng(1).uniform(-0.25, 0.25, (SECONDS * rate, 2)).astype(np.float32)


def render(bands, audio, rate):
    return np.asarray(equalize(jnp.asarray(audio[None]), bands, rate)[0][0], np.float64)


def make_side_bands():
    rows = ((200.0, 1_500.0, 9_000.0), (-6.0, 4.0, 3.0), (0.7, 2.0, 1.0))
    return Bands(*(jnp.asarray([x], jnp.float32) for x in rows))


def render_with_side(audio, rate):
    """`make_bands` on both channels, then `make_side_bands` on the side, as a master is rendered."""
    chunks = equalize_side_stream([render(make_bands(), audio, rate)], make_side_bands(), rate)
    return np.concatenate(list(chunks))


def error_db(result, expected):
    """RMS of the difference relative to the expected signal's."""
    assert result.shape == expected.shape
    return 10 * np.log10(np.mean((result - expected) ** 2) / np.mean(expected**2))


def filter_by_scipy(rows, audio, rate):
    """Peaking filters of the cookbook in double precision; rows are frequency, gain and Q."""
    return sosfilt(peaking_sos(*np.array(rows, np.float64).T, rate), audio.astype(np.float64), axis=0)


def read_camilladsp(text):
    """Rate and filters of each channel, as CamillaDSP reads its configuration."""
    config = yaml.safe_load(text)
    devices = config["devices"]
    assert devices["capture"] == {"type": "Stdin", "channels": 2, "format": "FLOAT32LE"}
    assert devices["playback"] == {"type": "Stdout", "channels": 2, "format": "FLOAT32LE"}
    by_channel = {0: [], 1: []}
    for step in config["pipeline"]:
        assert step["type"] == "Filter"
        for channel in step["channels"]:
            by_channel[channel] += [config["filters"][name] for name in step["names"]]
    assert by_channel[0] == by_channel[1]
    for band in by_channel[0]:
        assert band["type"] == "Biquad"
        assert band["parameters"]["type"] == "Peaking"
        assert all(isinstance(band["parameters"][key], float) for key in ("freq", "gain", "q"))
    rows = [(p["freq"], p["gain"], p["q"]) for p in (band["parameters"] for band in by_channel[0])]
    return devices["samplerate"], rows


def run_camilladsp(text, audio):
    """What CamillaDSP's documentation says that a configuration does: a pipeline of filters and mixers."""
    config = yaml.safe_load(text)
    channels = [audio[:, 0].astype(np.float64), audio[:, 1].astype(np.float64)]
    for step in config["pipeline"]:
        if step["type"] == "Filter":
            rows = [
                [config["filters"][name]["parameters"][key] for key in ("freq", "gain", "q")] for name in step["names"]
            ]
            for channel in step["channels"]:
                channels[channel] = filter_by_scipy(rows, channels[channel], config["devices"]["samplerate"])
        else:
            mixer = config["mixers"][step["name"]]
            assert step["type"] == "Mixer" and mixer["channels"] == {"in": 2, "out": 2}
            assert [mapping["dest"] for mapping in mixer["mapping"]] == [0, 1]
            channels = [
                sum((-1) ** x["inverted"] * linear_gain(x) * channels[x["channel"]] for x in mapping["sources"])
                for mapping in mixer["mapping"]
            ]
    return np.stack(channels, axis=1)


def linear_gain(source):
    assert source["scale"] == "linear"
    return source["gain"]


def test_camilladsp_filters_the_side_between_two_mixers(tmp_path):
    audio = noise(44_100)
    export_eq(make_bands(), 44_100, tmp_path / "eq.yml", "A track", side_bands=make_side_bands())
    result = run_camilladsp((tmp_path / "eq.yml").read_text(), audio)
    assert error_db(result, render_with_side(audio, 44_100)) <= -90.0


def test_ffmpeg_filters_the_side(tmp_path):
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    audio = noise(44_100)
    export_eq(make_bands(), 44_100, tmp_path / "eq.ffmpeg", "A track", side_bands=make_side_bands())
    soundfile.write(tmp_path / "in.wav", audio, 44_100, subtype="FLOAT")
    run_ffmpeg(tmp_path, tmp_path / "in.wav", tmp_path / "out.wav")
    result, _ = soundfile.read(tmp_path / "out.wav")
    assert error_db(result, render_with_side(audio, 44_100)) <= -90.0


@pytest.mark.parametrize("suffix", [".sox", ".json", ".rpl"])
def test_a_format_without_mid_and_side_says_so_in_one_sentence(tmp_path, suffix):
    path = tmp_path / f"eq{suffix}"
    export_eq(make_bands(), 44_100, path, "A track", side_bands=make_side_bands())
    with_side = path.read_bytes()
    export_eq(make_bands(), 44_100, path, "A track")
    assert path.read_bytes() == with_side
    note = missing_side_note(path, make_side_bands())
    assert note == (
        f"'eq{suffix}' lacks the bands of the side, which its format cannot hold; "
        "export as one of: .txt, .csv, .yml, .ffmpeg."
    )


def read_easyeffects(text):
    """The rate that its note names, and the filters of both channels."""
    preset = json.loads(text)
    equalizer = preset["output"]["equalizer#0"]
    assert preset["output"]["plugins_order"] == ["equalizer#0"]
    assert equalizer["left"] == equalizer["right"]
    assert not equalizer["split-channels"]
    bands = [equalizer["left"][f"band{i}"] for i in range(equalizer["num-bands"])]
    assert {(b["type"], b["mode"], b["slope"], b["mute"], b["solo"]) for b in bands} == {
        ("Bell", "APO (DR)", "x1", False, False)
    }
    return int(preset["nmjax"].split()[-2]), [(b["frequency"], b["gain"], b["q"]) for b in bands]


@pytest.mark.parametrize(("suffix", "read"), [(".yml", read_camilladsp), (".json", read_easyeffects)])
@pytest.mark.parametrize("rate", RATES)
def test_a_preset_that_is_read_back_renders_the_same(tmp_path, suffix, read, rate):
    bands, audio = make_bands(), noise(rate)
    export_eq(bands, rate, tmp_path / f"eq{suffix}", 'A "track"\nof mine: #1')
    named_rate, rows = read((tmp_path / f"eq{suffix}").read_text())
    assert named_rate == rate
    assert error_db(filter_by_scipy(rows, audio, rate), render(bands, audio, rate)) <= -90.0


def run_sox(folder, track, out):
    float_file = ["-e", "floating-point", "-b", "32", out]
    subprocess.run(["sox", "-D", "--effects-file", folder / "eq.sox", track, *float_file], check=True)


def run_ffmpeg(folder, track, out):
    script = ["-filter_script:a", folder / "eq.ffmpeg"]
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout.split()[2]
    if not re.match(r"n?[1-6]\.", version):  # a build of the newest sources has a date or a commit
        script = ["-/filter:a", folder / "eq.ffmpeg"]
    arguments = ["ffmpeg", "-v", "error", "-i", track, *script, "-c:a", "pcm_f32le", out]
    subprocess.run(arguments, check=True, capture_output=True)


PROGRAMS = {"sox": (".sox", run_sox), "ffmpeg": (".ffmpeg", run_ffmpeg)}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("rate", RATES)
def test_a_program_renders_the_same(tmp_path, program, rate):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    (suffix, run), bands, audio = PROGRAMS[program], make_bands(), noise(rate)
    export_eq(bands, rate, tmp_path / f"eq{suffix}", "A track")
    soundfile.write(tmp_path / "in.wav", audio, rate, subtype="FLOAT")
    run(tmp_path, tmp_path / "in.wav", tmp_path / "out.wav")
    result, result_rate = soundfile.read(tmp_path / "out.wav")
    assert result_rate == rate
    assert error_db(result, render(bands, audio, rate)) <= -90.0


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_track_of_another_rate_is_resampled_to_the_named_one(tmp_path, program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    suffix, run = PROGRAMS[program]
    export_eq(make_bands(), 48_000, tmp_path / f"eq{suffix}", "A track")
    soundfile.write(tmp_path / "in.wav", noise(22_050), 22_050, subtype="FLOAT")
    run(tmp_path, tmp_path / "in.wav", tmp_path / "out.wav")
    assert soundfile.info(tmp_path / "out.wav").samplerate == 48_000


def test_a_flat_equalizer_is_a_valid_configuration(tmp_path):
    export_eq(Bands(*(jnp.zeros((1, 0)) for _ in range(3))), 44_100, tmp_path / "eq.yml", "flat")
    config = yaml.safe_load((tmp_path / "eq.yml").read_text())
    assert (config["filters"], config["pipeline"], config["title"]) == ({}, [], "flat")


@pytest.mark.parametrize(
    ("band", "count", "says"),
    [
        ((1e3, 40.0, 1.0), 1, "Band 1 has 40 dB; EasyEffects allows -36 to 36"),
        ((5.0, 1.0, 1.0), 1, "Band 1 has 5 Hz; EasyEffects allows 10 to 24000"),
        ((1e3, 1.0, 1.0), 33, "1 to 32 bands, not 33"),
    ],
)
def test_what_easyeffects_cannot_hold_is_refused(tmp_path, band, count, says):
    bands = Bands(*(jnp.full((1, count), x) for x in band))
    with pytest.raises(BadInputError, match=says):
        export_eq(bands, 44_100, tmp_path / "eq.json", "x")
    assert not list(tmp_path.iterdir())
